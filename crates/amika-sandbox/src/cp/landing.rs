//! Where a copy comes to stand: the rules of `docker cp`, and of cp(1) before it.

/// What is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A file, or a link that is not followed.
    File,
    /// A directory under its own name.
    Directory,
    /// What is in a directory: it was named with `/.` behind it.
    Contents,
}

/// What stands at the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A directory.
    Directory,
    /// Something else.
    File,
    /// Nothing, in a directory that is there.
    Nothing,
    /// Not even the directory that it would be in.
    NoParent,
}

/// Where it comes to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    /// As the destination itself.
    As,
    /// In the directory at the destination, under its own name.
    Into,
    /// Its entries in the directory at the destination.
    Spread,
}

/// Why it cannot come to stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoLanding {
    /// The directory that the destination is to stand in is missing.
    #[error("there is no such directory")]
    NoParent,
    /// The directory to copy into is missing.
    #[error("there is no such directory")]
    NoDirectory,
    /// A directory was to replace a file, or a file named as a directory.
    #[error("it is not a directory")]
    NotDirectory,
}

/// Tells where a copy lands; `slash` says whether the destination was named with a slash behind it.
pub(super) fn land(source: Source, found: Found, slash: bool) -> Result<Landing, NoLanding> {
    match (source, found) {
        (_, Found::NoParent) => Err(NoLanding::NoParent),
        (Source::Contents, Found::Directory) => Ok(Landing::Spread),
        (Source::File | Source::Directory, Found::Directory) => Ok(Landing::Into),
        (Source::Directory | Source::Contents, Found::File) => Err(NoLanding::NotDirectory),
        (Source::File, Found::File) if slash => Err(NoLanding::NotDirectory),
        (Source::File, Found::Nothing) if slash => Err(NoLanding::NoDirectory),
        (Source::File, Found::File | Found::Nothing)
        | (Source::Directory | Source::Contents, Found::Nothing) => Ok(Landing::As),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table in the documentation of `docker cp`.
    #[test]
    fn it_lands_where_docker_puts_it() {
        let cases = [
            (Source::File, Found::Nothing, false, Ok(Landing::As)),
            (
                Source::File,
                Found::Nothing,
                true,
                Err(NoLanding::NoDirectory),
            ),
            (Source::File, Found::File, false, Ok(Landing::As)),
            (
                Source::File,
                Found::File,
                true,
                Err(NoLanding::NotDirectory),
            ),
            (Source::File, Found::Directory, false, Ok(Landing::Into)),
            (
                Source::File,
                Found::NoParent,
                false,
                Err(NoLanding::NoParent),
            ),
            (Source::Directory, Found::Nothing, false, Ok(Landing::As)),
            (Source::Directory, Found::Nothing, true, Ok(Landing::As)),
            (
                Source::Directory,
                Found::File,
                false,
                Err(NoLanding::NotDirectory),
            ),
            (Source::Directory, Found::Directory, true, Ok(Landing::Into)),
            (Source::Contents, Found::Nothing, false, Ok(Landing::As)),
            (
                Source::Contents,
                Found::File,
                false,
                Err(NoLanding::NotDirectory),
            ),
            (
                Source::Contents,
                Found::Directory,
                false,
                Ok(Landing::Spread),
            ),
        ];
        for (source, found, slash, expected) in cases {
            assert_eq!(land(source, found, slash), expected, "{source:?} {found:?}");
        }
    }
}
