//! A create from the git volume of an earlier sandbox: what is in it, and what that sandbox was made with.
//!
//! Whatever lies in the volume was the agent's to write. It is read through a container in which nothing runs, file by
//! file and bounded, and no git looks at it.

use amika_core::config::{self, RepoConfig};
use amika_core::label::{Kind, MadeWith, ResourceRecord, SetupScript, key};
use amika_core::name::SandboxName;
use amika_core::trust::Origin;
use amika_engine::{ArchivedFile, EngineError, MountFacts, VolumeFacts};

use super::repository::{Unwanted, parsed, script_unusable, tell_of_left_out, wanted_scripts};
use super::request::{Image, Request, Setup, parse_preset, read_script};
use super::source::{Contents, Scripts, Source};
use crate::error::{self, Error, Result};
use crate::helpers::Helpers;
use crate::lock::FileLock;
use crate::progress::{Progress, Steps};
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_core::text::shell_quote;

/// Where the volume is put to look at it.
const PLACE: &str = "/amika-volume";
/// The longest line of a HEAD that is read, in bytes.
const HEAD: usize = 4096;
/// The largest script that is read, in bytes.
const SCRIPT: usize = 16 << 20;

/// What is asked for of a kept volume.
#[derive(Clone, Debug)]
pub struct WantedVolume {
    /// Its name on the engine.
    pub name: String,
    /// Whether all that its configuration says of setup is left out.
    pub no_setup: bool,
}

/// A volume with the work of an earlier sandbox.
pub(super) struct Kept {
    /// Its name on the engine.
    pub volume: String,
    /// Name of the repository in it.
    pub repository: String,
    /// Where that came from, or the volume where nobody knows.
    pub source: String,
    /// The branch that HEAD is on; none when detached.
    pub branch: Option<String>,
    /// The scripts that are configured in it.
    pub scripts: Scripts<Vec<u8>>,
    /// Keeps other creates from it until it is mounted.
    _lock: FileLock,
}

/// Whether the sandbox of this name may be replaced by one that goes on with its volume: it came to be, so that what it
/// has is no half clone.
///
/// # Errors
/// Those of the engine.
pub(super) async fn can_replace(engine: &Sandboxes, name: &SandboxName) -> Result<bool> {
    match Sandbox::find_any(engine, name.as_str()).await {
        Ok(old) => Ok(old.state_of_making().is_none()),
        Err(error) if error.kind == error::Kind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Looks at a volume, reads what is in it, and adds to the request what the sandbox that cloned it was made with, as far
/// as the request says nothing of it. `own` is the sandbox that may use it all the same.
///
/// # Errors
/// [`error::Kind::NotFound`]; [`error::Kind::Invalid`] for one without a repository, and for a broken configuration in it;
/// [`error::Kind::Conflict`] for one that is in use, or another server's; those of the engine.
pub(super) async fn open(
    engine: &Sandboxes,
    wanted: &WantedVolume,
    request: &mut Request,
    own: Option<&str>,
    out: &dyn Progress,
    steps: &mut Steps,
) -> Result<Source> {
    steps.begin("volume");
    // What is no volume has no lock either.
    engine.volume(&wanted.name).await?;
    let name = format!("volume-{}", wanted.name);
    let lock = engine.locks().wait(&name).await?;
    let (volume, record) = usable(engine, &wanted.name, request, own).await?;
    let repository = record.repository.clone().unwrap_or_default();
    // Whoever else can write labels says nothing of files of this machine.
    let is_ours = engine.record_key()?.has_signed(&volume.labels);
    fill_in(&record.made_with, request, is_ours, out)?;
    let unwanted = Unwanted::by(wanted.no_setup, request.setup.is_some());
    let found = look(engine, &volume.name, &record, unwanted, wanted, out).await?;
    steps.finish(&format!(
        "{repository}, {}",
        match &found.branch {
            Some(branch) => format!("branch {branch}"),
            None => "no branch".to_owned(),
        }
    ));
    let from = record.made_with.source.as_ref().filter(|_| is_ours);
    let from = from.map(ToString::to_string);
    let origin = match &from {
        Some(path) if path.starts_with('/') => Origin::Path(path.clone()),
        Some(url) => Origin::Url(url.clone()),
        None => Origin::Url(format!("volume:{}", wanted.name)),
    };
    let kept = Kept {
        volume: volume.name,
        repository,
        source: from.unwrap_or_else(|| format!("volume {}", wanted.name)),
        branch: found.branch,
        scripts: found.scripts.clone().map(|(_, content)| content),
        _lock: lock,
    };
    Ok(Source {
        contents: Contents::Kept(Box::new(kept)),
        config: found.config,
        scripts: found.scripts.map(|(path, _)| path),
        origin,
        bytes: found.bytes,
        of: None,
    })
}

/// A volume that a sandbox can go on with.
async fn usable(
    engine: &Sandboxes,
    name: &str,
    request: &Request,
    own: Option<&str>,
) -> Result<(VolumeFacts, ResourceRecord)> {
    let view = engine.volume(name).await?;
    let volume = engine.inspect_volume(name).await?;
    let Some((volume, record)) = volume.and_then(with_record) else {
        let message = format!("volume {name} was removed meanwhile");
        return Err(Error::new(error::Kind::NotFound, message));
    };
    let repository = record.repository.as_deref();
    if record.kind != Kind::Git || !repository.is_some_and(is_directory_name) {
        let message = format!(
            "volume {name} holds no repository: it is of kind {}",
            record.kind
        );
        return Err(Error::new(error::Kind::Invalid, message)
            .hint("`amika volume list` shows the volumes; those of kind git hold work"));
    }
    if let Some(user) = view.used_by.iter().find(|user| Some(user.as_str()) != own) {
        let message = format!("volume {name} is in use by sandbox {user}");
        return Err(Error::new(error::Kind::Conflict, message).hint(format!(
            "`amika sandbox start {0}` goes on with it, `amika sandbox delete {0}` frees it",
            shell_quote(user)
        )));
    }
    if volume.labels.get(key::SERVER) != request.stamp.get(key::SERVER) {
        let message = format!("volume {name} is a server's, and stays with that server");
        return Err(Error::new(error::Kind::Conflict, message));
    }
    Ok((volume, record))
}

/// Adds to a request what the sandbox that cloned the volume was made with.
fn fill_in(
    made_with: &MadeWith,
    request: &mut Request,
    is_ours: bool,
    out: &dyn Progress,
) -> Result<()> {
    if request.image.is_none() {
        request.image = match (&made_with.preset, &made_with.image) {
            (Some(preset), _) => Some(Image::Preset(parse_preset(preset)?)),
            (None, Some(image)) => Some(Image::Other(image.clone())),
            (None, None) => None,
        };
    }
    let (None, Some(SetupScript::Host(path))) = (&request.setup, &made_with.setup_script) else {
        return Ok(());
    };
    let script = if is_ours {
        read_script(path.as_ref()).map_err(|error| error.message)
    } else {
        Err(format!("{path} is named by somebody else"))
    };
    request.setup = Some(script.unwrap_or_else(|why| {
        out.warn(&format!(
            "the setup script that the earlier sandbox was given is left out: {why}"
        ));
        Setup::Image
    }));
    Ok(())
}

/// A volume with its record, where that can be read.
fn with_record(volume: VolumeFacts) -> Option<(VolumeFacts, ResourceRecord)> {
    let label = |key: &str| volume.labels.get(key).map(String::as_str);
    let record = ResourceRecord::from_labels(label).ok()?;
    Some((volume, record))
}

/// Whether it can be the name of a directory beside others.
fn is_directory_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0', ':', ','])
}

/// What was found in a volume.
struct Found {
    branch: Option<String>,
    config: RepoConfig,
    /// Path and content of the scripts.
    scripts: Scripts<(String, Vec<u8>)>,
    /// The bytes of the configuration, as far as any of it may apply.
    bytes: Option<Vec<u8>>,
}

async fn look(
    engine: &Sandboxes,
    volume: &str,
    record: &ResourceRecord,
    unwanted: Unwanted,
    wanted: &WantedVolume,
    out: &dyn Progress,
) -> Result<Found> {
    let id = record.id.as_ref().map(ToString::to_string);
    let sandbox = record.sandbox.as_ref().map(ToString::to_string);
    let mut helpers = Helpers::new(
        engine,
        sandbox.unwrap_or_else(|| "volume".to_owned()),
        &id.unwrap_or_default(),
    );
    let mount = MountFacts {
        kind: "volume".into(),
        source: volume.to_owned(),
        target: PLACE.into(),
        writable: false,
    };
    let looked = async {
        let Some(container) = helpers.of_any_image(&[mount]).await? else {
            return Err(Error::new(
                error::Kind::Image,
                "the volume cannot be looked into: no image is on the engine",
            )
            .hint("`amika image build coder` builds one"));
        };
        read(&Volume { engine, container }, unwanted, wanted, out).await
    };
    let looked = looked.await;
    helpers.remove().await?;
    looked
}

async fn read(
    volume: &Volume<'_>,
    unwanted: Unwanted,
    wanted: &WantedVolume,
    out: &dyn Progress,
) -> Result<Found> {
    let head = volume.file(".git/HEAD", HEAD).await?;
    let mut found = Found {
        branch: head.ok().flatten().and_then(|head| branch(&head.content)),
        config: RepoConfig::default(),
        scripts: Scripts::default(),
        bytes: None,
    };
    let bytes = match volume.file(config::PATH, config::MAX_BYTES).await? {
        Ok(None) => return Ok(found),
        Ok(Some(file)) => file.content,
        Err(why) => {
            out.warn(&format!(
                "{} is not used ({why}): this repository is taken to have no configuration",
                config::PATH
            ));
            return Ok(found);
        }
    };
    let (text, mut config) = parsed(&bytes, out)?;
    for (key, path) in wanted_scripts(&text, &config, unwanted)? {
        let unusable = |why, help: &str| script_unusable(&text, key, path, why, help.to_owned());
        let name_another = "mend it in a sandbox without it: pass `--no-setup`";
        match volume.file(&path.value, SCRIPT).await? {
            Ok(Some(file)) if file.executable => {
                let script = (path.value.clone(), file.content);
                found.scripts.put(key, script);
            }
            Ok(Some(_)) => return Err(unusable("is not executable", name_another)),
            Ok(None) => return Err(unusable("does not exist in the volume", name_another)),
            Err(_) => return Err(unusable("is not a file", name_another)),
        }
    }
    if wanted.no_setup {
        tell_of_left_out(&mut config, out);
    } else {
        found.bytes = Some(bytes);
    }
    found.config = config;
    Ok(found)
}

/// The branch that a HEAD is on: gitrepository-layout(5).
fn branch(head: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(head).ok()?.trim_end();
    let name = line.strip_prefix("ref:")?.trim_start();
    name.strip_prefix("refs/heads/").map(str::to_owned)
}

/// A volume in a container in which nothing runs.
struct Volume<'a> {
    engine: &'a Sandboxes,
    container: String,
}

impl Volume<'_> {
    /// A file of it; the inner error is why what is there cannot be read as one.
    async fn file(
        &self,
        path: &str,
        limit: usize,
    ) -> Result<std::result::Result<Option<ArchivedFile>, String>> {
        let path = format!("{PLACE}/{path}");
        match self
            .engine
            .read_regular_file(&self.container, &path, limit)
            .await
        {
            Ok(file) => Ok(Ok(file)),
            Err(EngineError::Broken(why)) => Ok(Err(why)),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_read_off_head_and_nothing_else_is_one() {
        assert_eq!(branch(b"ref: refs/heads/a/b\n").as_deref(), Some("a/b"));
        assert_eq!(branch(b"ref: refs/remotes/o/b\n"), None);
        assert_eq!(branch(b"0123456789012345678901234567890123456789\n"), None);
        assert_eq!(branch(b"\xff"), None);
    }

    #[test]
    fn a_repository_has_a_directory_of_its_own() {
        assert!(is_directory_name("Hello-World"));
        for name in ["", ".", "..", "a/b", "a:b", "a,b", "a\0"] {
            assert!(!is_directory_name(name), "{name:?}");
        }
    }
}
