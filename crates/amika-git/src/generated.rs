//! The git directory on which git runs: made here, of what was read of the repository's own.
//!
//! Git gets a configuration that we wrote (the table and nothing else), refs and an index that we read
//! and wrote anew, and of the object store the files that we opened. It never sees the repository's own
//! git directory, so that nothing there can make it run a program, follow a link or wait.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use amika_core::git_files::oid::{ObjectFormat, Oid};
use amika_core::git_files::refs::{
    MAX_PACKED_FILE, MAX_REF_FILE, MAX_REFS, Target, parse_packed, parse_ref,
};
use amika_core::ref_name::RefName;
use amika_core::repo_path::escaped;
use rustix::fs::FileType;

use super::config::File;
use super::dir::{Dir, is_another_kind};
use super::discover::Found;
use super::drivers;
use super::error::GitError;
use super::extra::Rules;
use super::index::HostIndex;
use super::settings::Settings;
use super::table;

/// Directories in `refs/`, one in the other, at most.
const REFS_DEPTH: usize = 64;
/// Bytes of the tables of refs.
const MAX_TABLES: u64 = 256 << 20;
/// Bytes of a file of rules, or of the list of shallow commits.
pub(super) const MAX_RULES: u64 = 4 << 20;
/// Bytes of the list of shallow commits.
const MAX_SHALLOW: u64 = 64 << 20;

/// What git may not do by itself in a generated directory, whatever else is set.
const FIXED: [(&str, &str, &str); 9] = [
    ("core", "commitgraph", "false"),
    ("core", "multipackindex", "false"),
    ("core", "untrackedcache", "false"),
    ("core", "fsmonitor", "false"),
    ("core", "hookspath", "/dev/null"),
    ("core", "splitindex", "false"),
    ("gc", "auto", "0"),
    ("maintenance", "auto", "false"),
    ("index", "sparse", "false"),
];

/// Extensions of the format that change nothing of what is read here, or that are looked at.
const EXTENSIONS: [&str; 8] = [
    "noop",
    "noop-v1",
    "preciousobjects",
    "partialclone",
    "worktreeconfig",
    "objectformat",
    "refstorage",
    "relativeworktrees",
];
/// Those that a repository of format 0 may have.
const OLD_EXTENSIONS: [&str; 4] = ["noop", "preciousobjects", "partialclone", "worktreeconfig"];

/// What the format of a repository decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// The hash of its objects.
    pub(super) objects: ObjectFormat,
    /// Its refs are in a table, which git alone reads.
    pub(super) is_table: bool,
}

/// Reads a repository's format.
///
/// # Errors
/// For a format that is not understood: its objects or refs would be taken for others.
pub(super) fn format(found: &Found) -> Result<Format, GitError> {
    let refused = |why: String| GitError::NotUnderstood {
        place: found.common.place(b"config"),
        why,
    };
    let mut version = 0;
    let mut format = Format {
        objects: ObjectFormat::Sha1,
        is_table: false,
    };
    let mut is_new = None;
    for entry in &found.config {
        let value = entry.value.as_deref().unwrap_or_default();
        if entry.is("core", "repositoryformatversion") {
            version = match value.trim_ascii() {
                b"0" => 0,
                b"1" => 1,
                other => {
                    return Err(refused(format!(
                        "its format is version {}, and 0 and 1 are known",
                        escaped(other)
                    )));
                }
            };
        }
        if entry.section != b"extensions" || entry.subsection.is_some() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.variable).into_owned();
        if !EXTENSIONS.contains(&name.as_str()) {
            return Err(refused(format!("extensions.{name} is not known")));
        }
        if !OLD_EXTENSIONS.contains(&name.as_str()) {
            is_new = Some(name.clone());
        }
        let value = value.to_ascii_lowercase();
        match (name.as_str(), value.as_slice()) {
            ("objectformat", value) => {
                format.objects = ObjectFormat::from_name(value).ok_or_else(|| {
                    refused(format!(
                        "extensions.objectFormat is {}, and sha1 and sha256 are known",
                        escaped(value)
                    ))
                })?;
            }
            ("refstorage", b"files") => format.is_table = false,
            ("refstorage", b"reftable") => format.is_table = true,
            ("refstorage", other) => {
                return Err(refused(format!(
                    "extensions.refStorage is {}, and files and reftable are known",
                    escaped(other)
                )));
            }
            _ => {}
        }
    }
    if let Some(name) = is_new.filter(|_| version == 0) {
        return Err(refused(format!(
            "it has extensions.{name}, which repositories of its format version 0 cannot have"
        )));
    }
    Ok(format)
}

/// A generated directory.
#[derive(Debug)]
pub(super) struct Generated {
    /// What git is told is the git directory.
    pub(super) git_dir: PathBuf,
    /// Where its objects are.
    pub(super) objects: PathBuf,
    /// Where those are that it borrows from elsewhere.
    pub(super) borrowed: PathBuf,
    /// The index that the copy gets; git may have another.
    pub(super) index: PathBuf,
}

/// What goes into a generated directory beside objects.
pub(super) struct Parts<'a> {
    pub(super) found: &'a Found,
    pub(super) format: Format,
    pub(super) settings: &'a Settings,
    pub(super) rules: &'a Rules,
    /// The index, of which a new one is written.
    pub(super) index: Option<&'a HostIndex>,
}

/// Makes one at a place where nothing is yet; what is left out is told in `warnings`.
pub(super) fn make(
    root: &Path,
    parts: &Parts<'_>,
    warnings: &mut Vec<String>,
) -> Result<Generated, GitError> {
    let Parts {
        found,
        format,
        settings,
        rules,
        index,
    } = parts;
    let is_linked = !found
        .git
        .is(&found.common)
        .map_err(GitError::io("read", found.git.path()))?;
    // A table of refs of its own is read as one of a linked work tree.
    let git_dir = if is_linked && format.is_table {
        root.join("worktrees/linked")
    } else {
        root.to_owned()
    };
    let for_git = index.and_then(HostIndex::for_git);
    let generated = Generated {
        objects: root.join("objects"),
        borrowed: root.join("borrowed"),
        index: git_dir.join(match &for_git {
            Some(_) => "index-of-the-copy",
            None => "index",
        }),
        git_dir,
    };
    for directory in [
        "objects/info",
        "objects/pack",
        "borrowed/pack",
        "refs",
        "info",
    ] {
        make_directory(&root.join(directory))?;
    }
    let file = config_file(found, *format, settings)?;
    write(&root.join("config"), &file)?;
    if generated.git_dir == *root {
        write(&root.join("HEAD"), &head(&found.git, *format)?)?;
    } else {
        make_directory(&generated.git_dir.join("refs"))?;
        write(&root.join("HEAD"), &head(&found.common, *format)?)?;
        write(&generated.git_dir.join("HEAD"), &head(&found.git, *format)?)?;
        write(&generated.git_dir.join("commondir"), b"../..\n")?;
        let link = generated.git_dir.join("gitdir");
        write(&link, b"/nonexistent/.git\n")?;
    }
    if format.is_table {
        copy_tables(&found.common, &root.join("reftable"))?;
        if is_linked {
            copy_tables(&found.git, &generated.git_dir.join("reftable"))?;
        }
    } else {
        let refs = read_refs(found, is_linked, format.objects, warnings)?;
        write_refs(root, &refs)?;
    }
    if let Some(shallow) = shallow(&found.common, format.objects)? {
        write(&root.join("shallow"), &shallow)?;
    }
    let info = [
        ("info/exclude", &rules.exclude),
        ("info/attributes", &rules.attributes),
        ("info/sparse-checkout", &rules.sparse),
    ];
    for (name, content) in info {
        if !content.is_empty() {
            let place = if name == "info/sparse-checkout" {
                generated.git_dir.join(name)
            } else {
                root.join(name)
            };
            if let Some(parent) = place.parent() {
                make_directory(parent)?;
            }
            write(&place, content)?;
        }
    }
    for (name, content) in [
        (NAMED_ATTRIBUTES, &rules.named_attributes),
        (NAMED_EXCLUDES, &rules.named_excludes),
    ] {
        if let Some(content) = content {
            write(&root.join(name), content)?;
        }
    }
    if let Some(index) = index {
        write_index(&generated.index, &index.written(), index.modified())?;
        if let Some(other) = for_git {
            let place = generated.git_dir.join("index");
            write_index(&place, &other, index.modified())?;
        }
    }
    Ok(generated)
}

/// What stands for the files that the repository's own configuration names.
const NAMED_ATTRIBUTES: &str = "named-attributes";
const NAMED_EXCLUDES: &str = "named-excludes";

/// The settings by which git reads those, whatever else names others: a relative name in the user's configuration
/// would be one of the repository's files.
pub(super) fn named_rules(root: &Path, rules: &Rules) -> Vec<(OsString, OsString)> {
    let mut settings = Vec::new();
    for (key, name, content) in [
        (
            "core.attributesfile",
            NAMED_ATTRIBUTES,
            &rules.named_attributes,
        ),
        ("core.excludesfile", NAMED_EXCLUDES, &rules.named_excludes),
    ] {
        if content.is_some() {
            settings.push((key.into(), root.join(name).into_os_string()));
        }
    }
    settings
}

fn config_file(found: &Found, format: Format, settings: &Settings) -> Result<Vec<u8>, GitError> {
    let mut file = File::default();
    let is_new = format.is_table || format.objects == ObjectFormat::Sha256;
    let version = if is_new { "1" } else { "0" };
    file.set("core", "", "repositoryformatversion", version);
    file.set("core", "", "bare", "false");
    // What is as it is by default is not said: git of an older day may not know it.
    let said = found
        .config
        .iter()
        .filter(|entry| is_new || entry.section != b"extensions");
    let config: Vec<_> = said.cloned().collect();
    table::take(&config, &mut file).map_err(|found_value| GitError::NotUnderstood {
        place: found.common.place(b"config"),
        why: format!(
            "{} is \"{}\" on line {}, which is no value for it",
            found_value.key, found_value.value, found_value.line
        ),
    })?;
    for (section, variable, value) in FIXED {
        file.set(section, "", variable, value);
    }
    let off = drivers::taken_back(settings);
    for driver in &off {
        for variable in drivers::PROGRAMS {
            // Empty means none: git knows no way to take a setting back.
            file.put("filter", driver, variable, b"");
        }
        file.put("filter", driver, "required", b"false");
    }
    if drivers::has_own_lfs(settings) {
        for variable in drivers::PROGRAMS {
            let program = drivers::lfs(variable).unwrap_or_default();
            file.put("filter", b"lfs", variable, program.as_bytes());
        }
        file.put("filter", b"lfs", "required", b"false");
    }
    Ok(file.text)
}

/// The content of `HEAD`, spelled anew.
fn head(git: &Dir, format: Format) -> Result<Vec<u8>, GitError> {
    let place = git.place(b"HEAD");
    let content = git
        .read(b"HEAD", MAX_REF_FILE as u64)
        .map_err(GitError::io("read", &place))?
        .unwrap_or_default();
    if format.is_table {
        // Its own is in the table; this is what says that.
        return Ok(b"ref: refs/heads/.invalid\n".to_vec());
    }
    match parse_ref(&content, format.objects) {
        Ok(Target::Object(oid)) => Ok(format!("{oid}\n").into_bytes()),
        Ok(Target::Symbolic(name)) => Ok([b"ref: ", name.as_bytes(), b"\n"].concat()),
        Err(error) => Err(GitError::NotUnderstood {
            place,
            why: error.to_string(),
        }),
    }
}

/// Reads all refs: the packed ones, then the loose ones, which win.
fn read_refs(
    found: &Found,
    is_linked: bool,
    format: ObjectFormat,
    warnings: &mut Vec<String>,
) -> Result<BTreeMap<RefName, Target>, GitError> {
    let place = found.common.place(b"packed-refs");
    let packed = found
        .common
        .read(b"packed-refs", MAX_PACKED_FILE as u64)
        .map_err(GitError::io("read", &place))?
        .unwrap_or_default();
    let packed = parse_packed(&packed, format).map_err(|error| GitError::NotUnderstood {
        place,
        why: error.to_string(),
    })?;
    let mut refs: BTreeMap<RefName, Target> = packed
        .into_iter()
        .map(|one| (one.name, Target::Object(one.oid)))
        .collect();
    let mut walk = Walk {
        format,
        refs: &mut refs,
        warnings,
        // Of a linked work tree some are its own, and those of the main one are not.
        takes: &|name| !(is_linked && is_of_work_tree(name)),
    };
    walk.directory(&found.common, b"refs", 0)?;
    if is_linked {
        walk.takes = &is_of_work_tree;
        walk.directory(&found.git, b"refs", 0)?;
    }
    Ok(refs)
}

fn is_of_work_tree(name: &[u8]) -> bool {
    [&b"refs/bisect/"[..], b"refs/worktree/", b"refs/rewritten/"]
        .iter()
        .any(|space| name.starts_with(space))
}

/// A walk over loose refs.
struct Walk<'a> {
    format: ObjectFormat,
    refs: &'a mut BTreeMap<RefName, Target>,
    warnings: &'a mut Vec<String>,
    takes: &'a dyn Fn(&[u8]) -> bool,
}

impl Walk<'_> {
    fn directory(&mut self, within: &Dir, path: &[u8], depth: usize) -> Result<(), GitError> {
        let place = || within.place(path);
        let found = within.dir(path).map_err(GitError::io("read", place()))?;
        let Some(dir) = found else { return Ok(()) };
        for (name, kind) in dir.names().map_err(GitError::io("read", place()))? {
            let full = [path, b"/", &name].concat();
            if kind == FileType::Directory {
                if depth == REFS_DEPTH {
                    return Err(GitError::NotUnderstood {
                        place: within.place(&full),
                        why: format!("refs are more than {REFS_DEPTH} directories deep"),
                    });
                }
                self.directory(within, &full, depth + 1)?;
                continue;
            }
            // Git passes over what cannot be a ref's name: `x.lock` above all.
            let Ok(ref_name) = RefName::new(full.clone()) else {
                continue;
            };
            if !(self.takes)(&full) {
                continue;
            }
            let left_out = |why: &str| format!("{} is left out: {why}", escaped(&full));
            let content = match dir.read(&name, MAX_REF_FILE as u64) {
                Ok(Some(content)) => content,
                Ok(None) => continue,
                Err(error) if is_another_kind(&error) => {
                    self.warnings.push(left_out("it is not a regular file"));
                    self.refs.remove(&ref_name);
                    continue;
                }
                Err(error) => return Err(GitError::io("read", within.place(&full))(error)),
            };
            if self.refs.len() >= MAX_REFS {
                return Err(GitError::NotUnderstood {
                    place: place(),
                    why: format!("there are more than {MAX_REFS} refs"),
                });
            }
            match parse_ref(&content, self.format) {
                Ok(target) => {
                    self.refs.insert(ref_name, target);
                }
                // As git does, which calls it broken.
                Err(error) => {
                    self.warnings.push(left_out(&error.to_string()));
                    self.refs.remove(&ref_name);
                }
            }
        }
        Ok(())
    }
}

/// Writes refs as one file, but for symbolic ones, which that cannot hold.
fn write_refs(root: &Path, refs: &BTreeMap<RefName, Target>) -> Result<(), GitError> {
    let mut packed = b"# pack-refs with: sorted \n".to_vec();
    for (name, target) in refs {
        match target {
            Target::Object(oid) => {
                packed.extend_from_slice(oid.to_string().as_bytes());
                packed.push(b' ');
                packed.extend_from_slice(name.as_bytes());
                packed.push(b'\n');
            }
            Target::Symbolic(to) => {
                let place = root.join(OsStr::from_bytes(name.as_bytes()));
                if let Some(parent) = place.parent() {
                    make_directory(parent)?;
                }
                write(&place, &[b"ref: ", to.as_bytes(), b"\n"].concat())?;
            }
        }
    }
    write(&root.join("packed-refs"), &packed)
}

/// The commits at which the history ends, of a shallow repository.
pub(super) fn shallow(common: &Dir, format: ObjectFormat) -> Result<Option<Vec<u8>>, GitError> {
    let place = common.place(b"shallow");
    let content = common
        .read(b"shallow", MAX_SHALLOW)
        .map_err(GitError::io("read", &place))?;
    let Some(content) = content else {
        return Ok(None);
    };
    for (number, line) in content.split(|&byte| byte == b'\n').enumerate() {
        if !line.is_empty() && Oid::from_hex(format, line).is_none() {
            return Err(GitError::NotUnderstood {
                place,
                why: format!("line {} is no object's name", number + 1),
            });
        }
    }
    Ok(Some(content))
}

/// Copies a table of refs as it is; git on the generated directory reads it.
fn copy_tables(from: &Dir, to: &Path) -> Result<(), GitError> {
    let place = from.place(b"reftable");
    let failed = || GitError::io("read", &place);
    let Some(tables) = from.dir(b"reftable").map_err(failed())? else {
        return Err(GitError::NotUnderstood {
            place: place.clone(),
            why: "extensions.refStorage says that it is there, and it is not".into(),
        });
    };
    make_directory(to)?;
    let mut left = MAX_TABLES;
    // The list first: a table that it names is there until the list is replaced.
    let mut names = tables.names().map_err(failed())?;
    names.sort_by_key(|(name, _)| name != b"tables.list");
    for (name, kind) in names {
        if kind != FileType::RegularFile || name.ends_with(b".lock") {
            continue;
        }
        let content = tables
            .read(&name, left)
            .map_err(failed())?
            .unwrap_or_default();
        left -= content.len() as u64;
        write(&to.join(OsStr::from_bytes(&name)), &content)?;
    }
    Ok(())
}

/// Writes an index as old as the one that it is of: racy entries are told by that.
fn write_index(place: &Path, content: &[u8], age: SystemTime) -> Result<(), GitError> {
    write(place, content)?;
    let file = std::fs::File::options().write(true).open(place);
    file.and_then(|file| file.set_modified(age))
        .map_err(GitError::io("write", place))
}

/// A path for people: its names may hold anything.
pub(super) fn shown(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes())
}

pub(super) fn make_directory(place: &Path) -> Result<(), GitError> {
    std::fs::create_dir_all(place).map_err(GitError::io("write", place))
}

fn write(place: &Path, content: &[u8]) -> Result<(), GitError> {
    std::fs::write(place, content).map_err(GitError::io("write", place))
}

/// Object directories as git takes them in a variable: a path with a colon is quoted.
pub(super) fn object_path(directories: &[&Path]) -> OsString {
    let mut path = Vec::new();
    for directory in directories {
        if !path.is_empty() {
            path.push(b':');
        }
        path.push(b'"');
        for &byte in directory.as_os_str().as_bytes() {
            if matches!(byte, b'"' | b'\\') {
                path.push(b'\\');
            }
            path.push(byte);
        }
        path.push(b'"');
    }
    OsStr::from_bytes(&path).to_owned()
}
