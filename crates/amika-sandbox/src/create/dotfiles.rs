//! The user's dotfiles: read from this machine or a URL as a repository is, and put into the agent's home, where amikad has
//! the agent install them in front of the first setup.

use std::io::Write;
use std::path::Path;

use amika_core::contract::path;
use amika_core::dotfiles::DotfilesSource;
use amika_core::mount::Mount;
use amika_core::text::shell_path;
use amika_core::untrusted::Untrusted;
use amika_core::wire;
use amika_engine::Existing;
use amika_git as git;
use amika_host::machine::Machine;
use schemars::JsonSchema;
use serde::Serialize;

use super::request::Dotfiles;
use super::upload::{Content, Upload};
use crate::deliver::{self, Fault};
use crate::error::{Error, Kind, Result};
use crate::progress::{Progress, Steps};
use crate::sandboxes::Sandboxes;
use crate::user_config;

/// Those that come along.
pub(super) struct OwnDotfiles {
    /// Their repository; none of a URL for a plan.
    pub repository: Option<git::Repository>,
    /// What a plan shows of them.
    pub view: DotfilesView,
}

/// Dotfiles as the sandbox will have them.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DotfilesView {
    /// Where they come from: a path of this machine, or a URL without secrets.
    pub source: String,
    /// Their commit; null for a URL, which nobody is asked about for a plan, and where there is none yet.
    pub commit: Option<String>,
    /// Where they go in the sandbox.
    pub target: &'static str,
}

/// What the flag or else the setting asks for. In the setting a path that is not absolute begins at the home.
///
/// # Errors
/// [`Kind::Invalid`] for a broken setting.
pub fn wanted(flag: Option<&DotfilesSource>, machine: &Machine) -> Result<Option<Dotfiles>> {
    let is_asked = flag.is_some();
    let source = match flag {
        Some(source) => Some(source.clone()),
        None => user_config::dotfiles(machine)?,
    };
    let Some(DotfilesSource::Of(source)) = source else {
        return Ok(None);
    };
    let home = machine.home_dir();
    let is_url = || matches!(git::url_of(&source, &home), Ok(Some(_)));
    let source = match source.strip_prefix("~/") {
        Some(below) => home.join(below).display().to_string(),
        None if source == "~" => home.display().to_string(),
        // An absolute one stays what it is.
        None if !is_asked && !is_url() => home.join(source).display().to_string(),
        None => source,
    };
    Ok(Some(Dotfiles { source, is_asked }))
}

/// Refuses mounts that they would be written through.
///
/// # Errors
/// [`Kind::Conflict`].
pub(super) fn refuse_conflicts(mounts: &[Mount]) -> Result<()> {
    let place = Path::new(path::DOTFILES);
    let is_in_the_way = |mount: &&Mount| {
        let target = Path::new(mount.target().as_str());
        let is_above_home = Path::new(path::HOME).starts_with(target);
        target.starts_with(place) || (place.starts_with(target) && !is_above_home)
    };
    match mounts.iter().find(is_in_the_way) {
        None => Ok(()),
        Some(mount) => Err(Error::new(
            Kind::Conflict,
            format!(
                "{mount} is in the way of your dotfiles at {}",
                path::DOTFILES
            ),
        )
        .hint("give it another target, or leave the dotfiles out: `--dotfiles none`")),
    }
}

/// Reads their repository; what is committed comes along, and nothing else.
async fn open(
    wanted: &Dotfiles,
    machine: &Machine,
    cwd: &Path,
    out: &dyn Progress,
    steps: &mut Steps,
) -> Result<git::Repository> {
    steps.begin("dotfiles");
    let request = git::Request {
        spec: Some(wanted.source.clone()),
        ..git::Request::default()
    };
    let repository = {
        let shared = std::sync::Mutex::new(&mut *steps);
        let show = |said: git::Said<'_>| super::repository::show(&shared, said);
        git::open(machine, request, cwd, &show).await?
    };
    let facts = repository.facts();
    steps.finish(&facts.source);
    if let Some(root) = &facts.root {
        let named = cwd.join(&wanted.source);
        let named = named.canonicalize().unwrap_or(named);
        // A home may be a repository itself, and a directory in it none: not all of it was meant.
        if root.canonicalize().as_ref().unwrap_or(root) != &named {
            let root = root.display().to_string();
            let shown = Untrusted::new(&wanted.source).to_string();
            return Err(Error::new(
                Kind::Invalid,
                format!("--dotfiles {shown}: it is no repository, but a directory in one"),
            )
            .hint(format!(
                "`git init` there makes it one; `--dotfiles {}` takes all of that",
                shell_path(&root)
            )));
        }
        if facts.is_dirty {
            out.warn("dotfiles: uncommitted changes stay behind");
        }
    }
    Ok(repository)
}

/// Reads them. For a plan nothing is fetched, and a path is looked at as a create would.
///
/// # Errors
/// [`Kind::Repository`] when that fails, [`Kind::Invalid`] for a directory in a repository.
pub(super) async fn read(
    wanted: &Dotfiles,
    only_plan: bool,
    machine: &Machine,
    out: &dyn Progress,
    steps: &mut Steps,
) -> Result<OwnDotfiles> {
    let cwd = machine.directory().map_err(|error| {
        Error::new(Kind::Repository, "the current directory cannot be read").caused_by(&error)
    })?;
    let url = if only_plan {
        git::url_of(&wanted.source, cwd)?
    } else {
        None
    };
    let (repository, source, commit) = if let Some(url) = url {
        (None, url, None)
    } else {
        let repository = open(wanted, machine, cwd, out, steps).await?;
        let facts = repository.facts();
        let (source, commit) = (facts.source.clone(), facts.commit.clone());
        (Some(repository), source, commit)
    };
    let view = DotfilesView {
        source,
        commit,
        target: path::DOTFILES,
    };
    Ok(OwnDotfiles { repository, view })
}

/// The note for amikad, and the directory that they go to. What else comes into the home is not theirs to replace.
pub(super) fn uploads(others: &[Upload], mounts: &[Mount]) -> [Upload; 2] {
    let mounted = mounts
        .iter()
        .map(|mount| mount.target().as_str().to_owned());
    let put_in = others.iter().filter(|upload| upload.at == path::HOME);
    let put_in = put_in
        .flat_map(|upload| &upload.files)
        .filter(|file| file.content != Content::Directory)
        .map(|file| format!("{}/{}", path::HOME, file.path));
    let beneath = format!("{}/", path::HOME);
    let kept = mounted.filter(|target| target.starts_with(&beneath));
    Upload::dotfiles(&wire::Dotfiles {
        waits: true,
        kept: kept.chain(put_in).collect(),
        failure: None,
    })
}

/// Puts them into the home.
///
/// # Errors
/// [`Kind::Repository`] when they cannot be read any more; those of the engine.
pub(super) async fn put(
    engine: &Sandboxes,
    container: &str,
    repository: &git::Repository,
    agent: (u32, u32),
) -> Result<()> {
    let owner = git::Owner {
        uid: agent.0,
        gid: agent.1,
    };
    let name = path::DOTFILES.strip_prefix(path::HOME).unwrap_or_default();
    let name = name.trim_start_matches('/');
    let source = repository.clone();
    let write = move |to: &mut dyn Write| source.write_tar(owner, name, to);
    match deliver::put(engine, container, path::HOME, Existing::Replaced, write).await {
        Ok(_) => Ok(()),
        Err(Fault::Volume(error)) => Err(error.into()),
        Err(Fault::Source(error)) => {
            let source = &repository.facts().source;
            let message = format!("dotfiles: {source} could not be copied into the sandbox");
            Err(Error::new(Kind::Repository, message).caused_by(&error))
        }
    }
}

/// Warns where they could not be installed, once setup is done with.
pub(crate) async fn tell(engine: &Sandboxes, name: &str, out: &dyn Progress) {
    let limit = wire::Dotfiles::LARGEST;
    let note = engine.read_file(name, path::DOTFILES_NOTE, limit).await;
    let note = note.ok().flatten();
    let note = note.and_then(|text| serde_json::from_slice::<wire::Dotfiles>(&text).ok());
    if let Some(failure) = note.and_then(|note| note.failure) {
        let failure = Untrusted::new(&failure).to_string();
        out.warn(&format!(
            "your dotfiles could not be installed as a whole: {failure}; `amika sandbox logs --setup {name}` has what was said"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_where_they_go_is_refused() {
        let clash = |text: &str| {
            let mount = Mount::Host(text.parse().expect("a mount"));
            refuse_conflicts(&[mount]).is_err()
        };
        for (mount, expected) in [
            ("a:/home/amika/dotfiles:rw", true),
            ("a:/home/amika/dotfiles/vim:rw", true),
            ("a:/home/amika/.config:rw", false),
            ("a:/home/amika/dotfiles2", false),
            ("a:/home", false),
        ] {
            assert_eq!(clash(mount), expected, "{mount}");
        }
    }

    #[test]
    fn what_else_comes_into_the_home_is_noted_to_stay() {
        let mounts = ["a:/home/amika/.npmrc", "a:/srv", "a:/home"]
            .map(|text| Mount::Host(text.parse().expect("a mount")));
        let sign_ins = Upload::agents(vec![(".claude/x.json".to_owned(), Vec::new(), 0o600)]);
        let others = [sign_ins, Upload::setup_link("/x")];
        let [note, _] = uploads(&others, &mounts);
        let Content::Bytes(json) = &note.files[0].content else {
            panic!("a file");
        };
        let note: wire::Dotfiles = serde_json::from_slice(json).expect("a note");
        assert!(note.waits);
        assert_eq!(
            note.kept,
            ["/home/amika/.npmrc", "/home/amika/.claude/x.json"]
        );
    }

    #[test]
    fn a_relative_path_of_the_setting_begins_at_the_home() {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join(".config/amika/config.toml");
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("directories");
        let machine = Machine::of_process().with_variables([
            ("HOME", Some(home.path().as_os_str())),
            ("XDG_CONFIG_HOME", None),
        ]);
        let of = |text: &str| home.path().join(text).display().to_string();
        for (setting, expected) in [
            ("src/dots", of("src/dots")),
            ("~/src/dots", of("src/dots")),
            ("/srv/dots", "/srv/dots".to_owned()),
            ("https://h/me/dots", "https://h/me/dots".to_owned()),
            ("git@h:me/dots", "git@h:me/dots".to_owned()),
        ] {
            let text = format!("dotfiles = \"{setting}\"\n");
            std::fs::write(&file, text).expect("a file");
            let wanted = wanted(None, &machine).expect("a setting").expect("some");
            assert_eq!(wanted.source, expected, "{setting}");
        }
        let flag = "src/dots".parse().expect("a source");
        let wanted = wanted(Some(&flag), &machine).expect("a flag");
        assert_eq!(wanted.expect("some").source, "src/dots");
    }
}
