//! What the engine says of a mount that does not fit the image, in words of the flag.

use amika_core::mount::{Access, Found, HostMount, Mount, RepositoryMount};
use amika_core::text::shell_quote;

use crate::error::{Error, Kind};

/// An error of carrying a plan out, told as the mount's that it is about, if it is about one. Only
/// the engine knows what an image has at a target.
///
/// `is_directory` looks at a source on this machine.
pub(super) fn explain(
    error: Error,
    mounts: &[Mount],
    is_directory: impl Fn(&str) -> bool,
) -> Error {
    let Some(mount) = mounts
        .iter()
        .find(|mount| is_about(&error.message, mount.target().as_str()))
    else {
        return error;
    };
    let target = mount.target();
    let is_misfit = [
        "not a directory",
        "Not a directory",
        "with non-directory",
        "file exists",
    ]
    .iter()
    .any(|words| error.message.contains(words));
    if !is_misfit {
        return Error::new(error.kind, format!("{mount}: the engine cannot mount it"))
            .cause(error.message)
            .hint("give it another target");
    }
    match mount {
        Mount::Host(host) if !is_directory(&host.source) => Error::new(
            Kind::Conflict,
            format!("{mount}: the source is a file, and {target} in the image is a directory"),
        )
        .hint(into_directory(host)),
        Mount::Repository(RepositoryMount {
            found: Found::File { .. },
            ..
        }) => Error::new(
            Kind::Conflict,
            format!("{mount}: the source is a file, and {target} in the image is a directory"),
        )
        .hint("name the file's place in that directory as its target"),
        Mount::Host(_) | Mount::Volume(_) | Mount::Repository(_) => Error::new(
            Kind::Conflict,
            format!("{mount}: the source is a directory, and {target} in the image is a file"),
        )
        .hint("give it another target"),
    }
}

/// Whether the engine's words are about a mount at this target. Engine 20.10, runc 1.1:
/// `error mounting "/s" to rootfs at "/target": …`, `mount /s:/…/merged/target, flags: 0x5000: not a
/// directory`, `cannot overwrite directory "/target" with non-directory "/"`. Of an image in containerd's
/// store: `mkdir target: not a directory`. crun, which Podman has: "mount `/s` to `target`: Not a directory". Podman of
/// what is put there: `mkdir /target: file exists`, `open /target: file exists`.
fn is_about(message: &str, target: &str) -> bool {
    let bare = target.trim_start_matches('/');
    [
        format!("to rootfs at \"{target}\""),
        format!("{target}, flags"),
        format!("{target}\" with non-directory"),
        format!("mkdir {bare}: not a directory"),
        format!("to `{bare}`: "),
        format!("mkdir {target}: file exists"),
        format!("open {target}: file exists"),
    ]
    .iter()
    .any(|words| message.contains(words))
}

fn into_directory(mount: &HostMount) -> String {
    let HostMount {
        source,
        target,
        access,
    } = mount;
    let name = source.rsplit('/').next().unwrap_or_default();
    let access = match access {
        Access::RwCopy => String::new(),
        access => format!(":{}", access.as_str()),
    };
    let mount = shell_quote(&format!("{source}:{target}/{name}{access}"));
    format!("`--mount {mount}` puts it into the directory")
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    fn told(message: &str) -> (Kind, String, Vec<String>) {
        let mounts = ["/s/f:/opt", "/s/d:/etc/passwd:ro", "/s/d:/etc/mtab:ro"];
        let mounts = mounts.map(|text| Mount::Host(text.parse().expect("a mount")));
        let error = Error::new(Kind::Failure, message);
        let error = explain(error, &mounts, |source| source == "/s/d");
        (error.kind, error.message, error.hints)
    }

    #[test]
    fn the_engines_words_become_the_flags() {
        let directory = "--mount /s/d:/etc/passwd:ro: the source is a directory, and /etc/passwd in the image is a file";
        for message in [
            "failed to create shim task: OCI runtime create failed: runc create failed: error mounting \"/s/d\" \
             to rootfs at \"/etc/passwd\": mount /s/d:/etc/passwd (via /proc/self/fd/6), flags: 0x5001: not a \
             directory: unknown",
            "mount /var/lib/docker/volumes/v/_data:/var/lib/docker/overlay2/7/merged/etc/passwd, flags: 0x5000: \
             not a directory",
            "mkdir etc/passwd: not a directory",
            "copier: put: error creating \"/etc/passwd\": mkdir /etc/passwd: file exists",
            "crun: mount `/s/d` to `etc/passwd`: Not a directory: OCI runtime error",
        ] {
            let hints = vec!["give it another target".to_owned()];
            assert_eq!(told(message), (Kind::Conflict, directory.to_owned(), hints));
        }
        let (code, message, hints) =
            told("cannot overwrite directory \"/opt\" with non-directory \"/\"");
        assert_eq!(code, Kind::Conflict);
        assert_eq!(
            message,
            "--mount /s/f:/opt:rwcopy: the source is a file, and /opt in the image is a directory"
        );
        assert_eq!(hints, ["`--mount /s/f:/opt/f` puts it into the directory"]);
    }

    #[test]
    fn the_hint_can_be_pasted_whatever_the_source_is_called() {
        let mount = "/s/a b;$(id):/opt:ro".parse().expect("a mount");
        let message = "cannot overwrite directory \"/opt\" with non-directory \"/\"";
        let error = explain(
            Error::new(Kind::Failure, message),
            &[Mount::Host(mount)],
            |_| false,
        );
        assert_eq!(
            error.hints,
            ["`--mount '/s/a b;$(id):/opt/a b;$(id):ro'` puts it into the directory"]
        );
    }

    #[test]
    fn other_words_stay_and_are_the_cause() {
        let raw = "error mounting \"/s/d\" to rootfs at \"/etc/mtab\": cannot be mounted because it is inside /proc";
        let (code, message, _) = told(raw);
        assert_eq!(code, Kind::Failure);
        assert_eq!(
            message,
            "--mount /s/d:/etc/mtab:ro: the engine cannot mount it"
        );
        let other = "error mounting \"/x\" to rootfs at \"/etc/passwd2\": not a directory";
        assert_eq!(told(other).1, other);
    }
}
