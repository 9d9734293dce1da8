//! The agents' own ways: settings, skills, commands, memory files and MCP servers, found on the host and copied into the
//! sandbox's home.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use amika_core::agent_config::{
    CLAUDE_STATE, ITEMS, Item, Kind, MAX_BYTES, MAX_DEPTH, MAX_FILE, MAX_FILES, is_left_out, keep,
};
use amika_core::contract::path;
use amika_core::credential::{self, Agent};
use amika_core::mount::{Mount, covering};
use amika_core::untrusted::Untrusted;
use amika_host::regular_file::{self, Links};

use super::request::OwnWays;
use super::upload::Upload;
use crate::progress::Progress;

/// Keys of one file that are named.
const NAMED: usize = 12;

/// Reads what comes along. What does not is said. `has_state` says whether Claude Code's state comes along with its sign-in: the servers
/// are in it.
pub(super) fn read(
    home: &Path,
    wanted: &OwnWays,
    mounts: &[Mount],
    has_state: bool,
    out: &dyn Progress,
) -> Option<(Upload, String)> {
    let mut taking = Taking {
        home,
        mounts,
        out,
        files: BTreeMap::new(),
        bytes: 0,
        is_full: false,
    };
    let mut counts: BTreeMap<Agent, usize> = BTreeMap::new();
    for item in ITEMS {
        let is_wanted = wanted.of.contains(item.agent) && !(has_state && item.path == CLAUDE_STATE);
        if !is_wanted {
            continue;
        }
        let before = taking.files.len();
        taking.take(item);
        let taken = taking.files.len() - before;
        if taken > 0 {
            *counts.entry(item.agent).or_default() += taken;
        }
    }
    if taking.files.is_empty() {
        return None;
    }
    let counts = counts.iter().map(|(agent, files)| {
        let word = if *files == 1 { "file" } else { "files" };
        format!("{agent} ({files} {word})")
    });
    let counts: Vec<String> = counts.collect();
    let taken = format!("  agents' own settings copied in: {}", counts.join(", "));
    Some((taking.upload(), taken))
}

/// What was read so far.
struct Taking<'a> {
    home: &'a Path,
    mounts: &'a [Mount],
    out: &'a dyn Progress,
    /// Contents and modes, by the path from the home.
    files: BTreeMap<String, (Vec<u8>, u32)>,
    bytes: u64,
    is_full: bool,
}

impl Taking<'_> {
    fn take(&mut self, item: &Item) {
        match item.kind {
            Kind::Text => self.file(item.path, MAX_FILE),
            Kind::Directory => self.directory(item.path),
            Kind::Settings(format, rule) => {
                let Some((bytes, _)) = self.bytes_of(item.path, credential::MAX_BYTES) else {
                    return;
                };
                let home = self.home.to_string_lossy();
                let text = String::from_utf8(bytes).map_err(|error| error.to_string());
                match text.and_then(|text| keep(format, rule, &text, &home)) {
                    Ok(kept) => {
                        self.tell_left(item.path, &kept.left);
                        if let Some(text) = kept.text {
                            self.add(item.path.to_owned(), text.into_bytes(), 0o600);
                        }
                    }
                    Err(why) => self.left(item.path, &why),
                }
            }
        }
    }

    /// The files below a directory. It may be a link, and so may what stands right in it, as dotfiles have it; below that no link
    /// leads out of where it stands, since skills are somebody else's work.
    fn directory(&mut self, path: &str) {
        let mut files = 0;
        for name in self.names(path) {
            let path = format!("{path}/{name}");
            let Some(root) = self.real(&path) else {
                continue;
            };
            // Breadth first: the walk ends in what is deepest.
            let mut waiting = VecDeque::from([(path, Vec::new())]);
            while let Some((path, above)) = waiting.pop_front() {
                let Some(real) = self.real(&path).filter(|real| real.starts_with(&root)) else {
                    self.left(&path, "it leads elsewhere");
                    continue;
                };
                if files == MAX_FILES {
                    self.left(&path, "there is too much beside it");
                    return;
                }
                if !real.is_dir() {
                    files += 1;
                    self.file(&path, MAX_FILE);
                } else if above.contains(&real) {
                    // A link that leads upwards.
                } else if above.len() == MAX_DEPTH {
                    self.left(&path, "it is too deep");
                } else {
                    let above = [above, vec![real]].concat();
                    let inner = self.names(&path).into_iter();
                    waiting.extend(inner.map(|name| (format!("{path}/{name}"), above.clone())));
                }
            }
        }
    }

    /// What may be taken of a directory, in order.
    fn names(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.home.join(path));
        let names = entries.into_iter().flatten().flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| !is_left_out(name)).collect();
        names.sort();
        names
    }

    /// Where a path leads; none for what is not there, for the home and what it is in, and for where keys and sign-ins are.
    fn real(&self, path: &str) -> Option<PathBuf> {
        let real = self.home.join(path).canonicalize().ok()?;
        let home = self.home.canonicalize().ok()?;
        let below = real.strip_prefix(&home).unwrap_or(&real);
        let is_sign_in = credential::FILES
            .iter()
            .any(|file| Path::new(file.path) == below);
        let is_kept = below
            .iter()
            .any(|name| is_left_out(&name.to_string_lossy()));
        (!home.starts_with(&real) && !is_sign_in && !is_kept).then_some(real)
    }

    fn file(&mut self, path: &str, limit: u64) {
        if let Some((bytes, mode)) = self.bytes_of(path, limit) {
            self.add(
                path.to_owned(),
                bytes,
                if mode & 0o100 == 0 { 0o600 } else { 0o700 },
            );
        }
    }

    /// What a file holds, and its mode; what is not there is not missed.
    fn bytes_of(&self, path: &str, limit: u64) -> Option<(Vec<u8>, u32)> {
        use std::os::unix::fs::PermissionsExt as _;
        match regular_file::read(&self.home.join(path), Links::Followed, limit) {
            Ok((bytes, meta)) => Some((bytes, meta.permissions().mode())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                self.left(path, &error.to_string());
                None
            }
        }
    }

    fn add(&mut self, path: String, bytes: Vec<u8>, mode: u32) {
        // What is mounted there is the user's own choice, and what is put there may go through it.
        let target = format!("{}/{path}", path::HOME);
        if covering(self.mounts, &target).is_some() {
            return;
        }
        let size = bytes.len() as u64;
        if self.is_full || self.bytes + size > MAX_BYTES {
            if !self.is_full {
                self.left(
                    &path,
                    "all together is too much, and what comes behind it stays too",
                );
            }
            self.is_full = true;
            return;
        }
        self.bytes += size;
        self.files.insert(path, (bytes, mode));
    }

    fn left(&self, path: &str, why: &str) {
        let path = Untrusted::new(path);
        self.out
            .warn(&format!("~/{path} is not copied: {}", Untrusted::new(why)));
    }

    fn tell_left(&self, path: &str, keys: &[String]) {
        if keys.is_empty() {
            return;
        }
        let named = keys
            .iter()
            .take(NAMED)
            .map(|key| Untrusted::new(key).to_string());
        let mut named: Vec<String> = named.collect();
        if keys.len() > NAMED {
            named.push(format!("{} more", keys.len() - NAMED));
        }
        self.out.note(&format!(
            "  left out of ~/{path}, since they may be of this machine or secret: {}",
            named.join(", ")
        ));
    }

    /// The files for a home, with the directories that they are in.
    fn upload(self) -> Upload {
        let files = self.files.into_iter();
        let files = files.map(|(path, (bytes, mode))| (path, bytes, mode));
        Upload::agents(files.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Mutex;

    use amika_core::credential::Selection;
    use pretty_assertions::assert_eq;

    use super::super::upload::Content;
    use super::*;
    use crate::progress::Event;

    /// Keeps what it is told.
    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Progress for Heard {
        fn tell(&self, event: Event<'_>) {
            let text = match event {
                Event::Note(text) | Event::Warning(text) => text.to_owned(),
                _ => return,
            };
            self.0.lock().expect("a list").push(text);
        }

        fn shows_steps(&self) -> bool {
            false
        }
    }

    fn taken(home: &Path, of: Selection, has_state: bool) -> (Vec<(String, u32)>, Vec<String>) {
        let wanted = OwnWays { of, is_asked: true };
        let heard = Heard::default();
        let (upload, said) = read(home, &wanted, &[], has_state, &heard).unzip();
        let listener: &dyn Progress = &heard;
        if let Some(said) = &said {
            listener.note(said);
        }
        let files = upload.into_iter().flat_map(|upload| upload.files);
        let files = files.filter(|file| file.content != Content::Directory);
        let files = files.map(|file| (file.path, file.mode)).collect();
        (files, heard.0.into_inner().expect("a list"))
    }

    fn put(home: &Path, path: &str, content: &str) {
        let path = home.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        std::fs::write(path, content).expect("write");
    }

    #[test]
    fn what_is_on_the_list_comes_along_and_what_is_left_out_is_said() {
        let home = tempfile::tempdir().expect("a directory");
        let home = home.path();
        put(home, ".claude/CLAUDE.md", "be brief");
        put(
            home,
            ".claude/settings.json",
            r#"{"model":"opus","hooks":{}}"#,
        );
        put(home, ".claude/history.jsonl", "{}");
        put(home, ".claude/projects/x/y.jsonl", "{}");
        put(home, ".claude/skills/a/SKILL.md", "x");
        put(home, ".claude/skills/a/run.sh", "x");
        put(home, ".claude/skills/a/.env", "KEY=k");
        put(
            home,
            ".claude.json",
            r#"{"mcpServers":{"a":{"command":"npx"}},"projects":{}}"#,
        );
        put(home, ".codex/config.toml", "model = ");
        put(home, "dotfiles/prompts/p.md", "x");
        std::fs::create_dir_all(home.join(".codex")).expect("mkdir");
        std::os::unix::fs::symlink(home.join("dotfiles/prompts"), home.join(".codex/prompts"))
            .expect("a link");
        std::os::unix::fs::symlink(
            home.join(".claude/skills"),
            home.join(".claude/skills/a/up"),
        )
        .expect("a link");
        let run = home.join(".claude/skills/a/run.sh");
        std::fs::set_permissions(run, PermissionsExt::from_mode(0o755)).expect("a mode");
        let (files, heard) = taken(home, Selection::all(), false);
        let files: Vec<(&str, u32)> = files
            .iter()
            .map(|(path, mode)| (path.as_str(), *mode))
            .collect();
        let expected = [
            (".claude.json", 0o600),
            (".claude/CLAUDE.md", 0o600),
            (".claude/settings.json", 0o600),
            (".claude/skills/a/SKILL.md", 0o600),
            (".claude/skills/a/run.sh", 0o700),
            (".codex/prompts/p.md", 0o600),
        ];
        assert_eq!(files, expected);
        let [outside, left, unread, said] = &heard[..] else {
            panic!("{heard:?}")
        };
        assert_eq!(
            outside,
            "~/.claude/skills/a/up is not copied: it leads elsewhere"
        );
        assert_eq!(
            left,
            "  left out of ~/.claude/settings.json, since they may be of this machine or secret: hooks"
        );
        assert!(unread.starts_with("~/.codex/config.toml is not copied:"));
        assert_eq!(
            said,
            "  agents' own settings copied in: claude (5 files), codex (1 file)"
        );

        let (files, _) = taken(home, Selection::of([Agent::Codex]), false);
        assert_eq!(files.len(), 1);
        let (files, _) = taken(home, Selection::all(), true);
        assert!(
            files.iter().all(|(path, _)| path != ".claude.json"),
            "it comes with the sign-in"
        );
        assert_eq!(taken(home, Selection::none(), false), (vec![], vec![]));
    }

    #[test]
    fn no_link_in_a_skill_leads_out_of_it_and_nothing_goes_through_a_mount() {
        let home = tempfile::tempdir().expect("a directory");
        let home = home.path();
        put(home, ".ssh/known", "x");
        put(home, "src/a.rs", "x");
        put(home, ".claude/skills/a/SKILL.md", "x");
        put(home, ".claude/skills/b/SKILL.md", "x");
        put(home, "dotfiles/c/SKILL.md", "x");
        let skills = home.join(".claude/skills");
        for (at, to) in [
            ("a/ssh", "../../../.ssh"),
            ("a/known", "../../../.ssh/known"),
            ("a/src", "../../../src"),
            ("a/same", "SKILL.md"),
            ("c", "../../dotfiles/c"),
            ("home", "../.."),
            ("ssh", "../../.ssh"),
        ] {
            std::os::unix::fs::symlink(to, skills.join(at)).expect("a link");
        }
        let (files, heard) = taken(home, Selection::all(), false);
        let files: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
        let expected = ["a/SKILL.md", "a/same", "b/SKILL.md", "c/SKILL.md"];
        assert_eq!(files, expected.map(|path| format!(".claude/skills/{path}")));
        assert_eq!(
            heard
                .iter()
                .filter(|it| it.contains("leads elsewhere"))
                .count(),
            3,
            "{heard:?}"
        );

        let mount = "data:/home/amika/.claude/skills/a"
            .parse()
            .expect("a mount");
        let wanted = OwnWays {
            of: Selection::all(),
            is_asked: true,
        };
        let upload = read(
            home,
            &wanted,
            &[Mount::Volume(mount)],
            false,
            &Heard::default(),
        );
        let files = upload.expect("files").0.files;
        assert!(
            files.iter().all(|file| !file.path.contains("skills/a")),
            "{files:?}"
        );
    }

    #[test]
    fn a_pipe_and_what_is_too_much_are_passed_over() {
        let home = tempfile::tempdir().expect("a directory");
        let home = home.path();
        put(home, ".claude/commands/x.md", "x");
        let mode = rustix::fs::Mode::RUSR;
        for path in [".claude/CLAUDE.md", ".claude/commands/pipe"] {
            let path = home.join(path);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
                .expect("a pipe");
        }
        put(
            home,
            ".claude/commands/large.md",
            &"x".repeat(1 + (1 << 20)),
        );
        let (files, heard) = taken(home, Selection::all(), false);
        assert_eq!(files, [(".claude/commands/x.md".to_owned(), 0o600)]);
        assert_eq!(heard.len(), 4, "{heard:?}");
    }
}
