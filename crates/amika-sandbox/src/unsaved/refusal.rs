//! The error that names the work that would be lost, and the ways on.

use std::path::{Path, PathBuf};

use amika_core::text::shell_quote;
use amika_core::untrusted::Untrusted;

use super::git;
use super::look::{NAMED, Seen};
use super::reading::LONGEST;
use crate::error::{self, Error, Result};

/// Refuses where something was found, or could not be looked through.
pub(super) fn told(
    name: &str,
    mut found: Vec<(PathBuf, Seen)>,
    mut clones: Vec<git::Clone>,
    has_commits: bool,
    git_too: bool,
) -> Result<()> {
    found.retain(|(_, seen)| seen.is_work() || !seen.is_whole);
    clones.retain(git::Clone::is_in_the_way);
    if found.is_empty() && clones.is_empty() {
        return Ok(());
    }
    Err(refusal(name, &found, &clones, has_commits, git_too))
}

/// The error; `has_commits` tells whether there is a repository to pull from, and `git_too` whether the clone was to go.
fn refusal(
    name: &str,
    found: &[(PathBuf, Seen)],
    clones: &[git::Clone],
    has_commits: bool,
    git_too: bool,
) -> Error {
    let is_known =
        found.iter().any(|(_, seen)| seen.is_work()) || clones.iter().any(git::Clone::is_known);
    let mut error = Error::new(
        error::Kind::Conflict,
        if is_known {
            format!("sandbox \"{name}\" holds work that would be lost with it")
        } else {
            format!("sandbox \"{name}\" may hold work that would be lost with it")
        },
    );
    let mut all = Vec::new();
    let mut from: Vec<&Path> = Vec::new();
    for (place, seen) in found {
        let shown = place.display();
        if let Some(what) = &seen.itself {
            error = error.cause(format!("{shown} is {what}"));
            all.push(shown.to_string());
            // A link alone is not what it leads to.
            from.extend(place.parent());
        } else if seen.is_work() {
            // The sandbox chose them.
            let mut names: Vec<String> = (seen.names.iter().take(NAMED))
                .map(|name| Untrusted::new(name).to_string())
                .collect();
            if seen.names.len() > NAMED {
                names.push("…".to_owned());
            }
            error = error.cause(format!("in {shown}: {}", names.join(", ")));
            let names = seen.names.iter();
            all.extend(names.map(|name| place.join(name).display().to_string()));
            from.push(place);
        } else {
            from.push(place);
            error = error.cause(format!(
                "{shown} could not be looked through in {} s",
                LONGEST.as_secs()
            ));
        }
    }
    for clone in clones {
        error = error.cause(clone.to_string());
        all.push(clone.place.clone());
        let place = Path::new(&clone.place);
        // One that is mounted nowhere is called by its volume.
        from.extend((clone.has_files() && place.is_absolute()).then_some(place));
    }
    from.dedup();
    if let Some(hint) = copy_out(name, &from) {
        error = error.hint(hint);
    }
    // Without a container the name is a volume's label, which anybody may have written.
    let quoted = shell_quote(name);
    if has_commits && clones.iter().any(git::Clone::has_commits) {
        error = error.hint(format!(
            "`amika sandbox pull {quoted}` brings its commits into the repository that it was made from"
        ));
    }
    let volumes = if git_too { " --volumes" } else { "" };
    error
        .hint(format!(
            "`amika sandbox delete --rescue{volumes} {quoted}` stores all of it in the repository that it was made from, and deletes it then"
        ))
        .hint(format!(
            "`amika sandbox delete --force{volumes} {quoted}` deletes it all the same"
        ))
        .detail("work", all)
}

/// How what is in these places is copied out.
fn copy_out(name: &str, places: &[&Path]) -> Option<String> {
    let commands = places.iter().take(NAMED).map(|place| {
        let from = shell_quote(&format!("{name}:{}", place.display()));
        format!("`amika sandbox cp {from} .`")
    });
    let mut commands: Vec<String> = commands.collect();
    if places.len() > NAMED {
        commands.push("and so on".to_owned());
    }
    match commands.as_slice() {
        [] => None,
        [one] => Some(format!("{one} copies it out")),
        many => Some(format!("{} copy it out", many.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_is_known_and_says_what_is_not() {
        let seen = |names: &[&str], itself: Option<&str>, is_whole| Seen {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            itself: itself.map(str::to_owned),
            is_whole,
        };
        let long = seen(&["a", "b", "c", "d", "e", "f"], None, true);
        let link = seen(&[], Some("a link to w2"), true);
        let unknown = seen(&[], None, false);
        let error = refusal(
            "x",
            &[
                ("/l".into(), unknown),
                ("/d".into(), long),
                ("/h/w".into(), link),
            ],
            &[],
            true,
            false,
        );
        let of_label = refusal(
            "a b;$(id)",
            &[("/d".into(), seen(&["f"], None, true))],
            &[],
            true,
            false,
        );
        assert_eq!(
            of_label.hints,
            [
                "`amika sandbox cp 'a b;$(id):/d' .` copies it out",
                "`amika sandbox delete --rescue 'a b;$(id)'` stores all of it in the repository that it was made from, and deletes it then",
                "`amika sandbox delete --force 'a b;$(id)'` deletes it all the same"
            ]
        );
        let text = format!("{error:?}");
        for part in [
            "holds work that would be lost with it",
            "/l could not be looked through in 10 s",
            "in /d: a, b, c, d, e, …",
            "/h/w is a link to w2",
            "`amika sandbox cp x:/l .`, `amika sandbox cp x:/d .`, `amika sandbox cp x:/h .` copy it out",
            "`amika sandbox delete --force x`",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("sandbox pull"), "it brings no files: {text}");

        // What `pull` brings, and what it does not.
        let hints = |clone: git::Clone| refusal("x", &[], &[clone], true, true).hints.join("; ");
        let commits = hints(git::counted("/w/app", 2, 0));
        assert!(commits.contains("`amika sandbox pull x`"), "{commits}");
        assert!(!commits.contains("sandbox cp"), "{commits}");
        let files = hints(git::counted("/w/app", 0, 1));
        assert!(!files.contains("sandbox pull"), "{files}");
        assert!(files.contains("`amika sandbox cp x:/w/app .`"), "{files}");
        let untold = hints(git::unknown("/w/app", "there is no git in the sandbox"));
        assert!(!untold.contains("sandbox pull"), "{untold}");
        assert!(untold.contains("`amika sandbox cp x:/w/app .`"), "{untold}");
        let unmounted = hints(git::unknown("amika-git-x", "it is mounted nowhere"));
        assert!(!unmounted.contains("sandbox cp"), "{unmounted}");

        let unknown = [("/l".into(), seen(&[], None, false))];
        let error = refusal("x", &unknown, &[], false, true);
        let text = format!("{error:?}");
        assert!(
            text.contains("`amika sandbox delete --force --volumes x`"),
            "{text}"
        );
        assert!(error.message.contains("may hold work"), "{}", error.message);
        assert!(!format!("{error:?}").contains("sandbox pull"));
    }
}
