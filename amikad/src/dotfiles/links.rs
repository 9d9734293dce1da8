//! Dotfiles without a script: links in the home to what begins with a dot.
//!
//! Only files are linked, and directories are made: what is written beneath a directory of the home later, a sign-in, is not
//! to come into a work tree with a remote.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::mounts::id_of;
use crate::say::say;

/// What a repository has for git and its host, and no home has.
const OF_GIT: [&str; 5] = [
    ".git",
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".github",
];
/// Directories are gone into this deep.
const DEPTH: usize = 16;

/// What is linked into a home.
pub(super) struct Links {
    home: PathBuf,
    /// The home's mount: what is mounted in it is somebody else's.
    mount: Option<u64>,
    /// What the sandbox was made with: it stays, with all beneath.
    kept: Vec<PathBuf>,
    pub(super) made: usize,
    pub(super) has_failed: bool,
}

impl Links {
    /// None yet.
    pub(super) fn of(home: &Path, kept: Vec<String>) -> Self {
        Self {
            home: home.to_owned(),
            mount: mount_of(home),
            kept: kept.into_iter().map(PathBuf::from).collect(),
            made: 0,
            has_failed: false,
        }
    }

    /// Links what is in the repository.
    pub(super) fn add(&mut self, root: &Path) {
        let home = self.home.clone();
        self.directory(root, &home, 0);
    }

    /// Links what is in a directory of it into one of the home. Of the root, what begins with a dot.
    fn directory(&mut self, from: &Path, to: &Path, depth: usize) {
        let mut names: Vec<OsString> = fs::read_dir(from)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name())
            .filter(|name| depth > 0 || belongs(name))
            .collect();
        names.sort();
        for name in names {
            let (source, place) = (from.join(&name), to.join(&name));
            if let Err(error) = self.entry(&source, &place, depth) {
                say(format!("dotfiles: {} stays: {error}", place.display()));
                self.has_failed = true;
            }
        }
    }

    fn entry(&mut self, source: &Path, place: &Path, depth: usize) -> io::Result<()> {
        if self.kept.iter().any(|kept| place.starts_with(kept)) {
            return Err(io::Error::other("the sandbox was made with it"));
        }
        if source.symlink_metadata()?.is_dir() {
            return self.enter(source, place, depth);
        }
        if source.is_dir() {
            return Err(io::Error::other(
                "what is to go there is a link to a directory",
            ));
        }
        match place.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
            Ok(there) if there.is_dir() => return Err(io::Error::other("it is a directory")),
            // A mount's file is busy, and stays.
            Ok(_) => fs::remove_file(place)?,
        }
        symlink(source, place)?;
        self.made += 1;
        Ok(())
    }

    fn enter(&mut self, source: &Path, place: &Path, depth: usize) -> io::Result<()> {
        if depth == DEPTH {
            return Err(io::Error::other("it is too deep"));
        }
        match fs::create_dir(place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // Wherever a link leads, it is not gone there.
        if !place.symlink_metadata()?.is_dir() {
            return Err(io::Error::other("it is no directory"));
        }
        if self.mount.is_none() || mount_of(place) != self.mount {
            return Err(io::Error::other("something is mounted there"));
        }
        self.directory(source, place, depth + 1);
        Ok(())
    }
}

fn belongs(name: &OsStr) -> bool {
    let text = name.as_encoded_bytes();
    text.starts_with(b".") && !OF_GIT.iter().any(|own| own.as_bytes() == text)
}

/// The mount that a directory lies on.
fn mount_of(directory: &Path) -> Option<u64> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let open = Dir::open(directory, flags, Mode::empty()).ok()?;
    id_of(open.as_fd())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        directory: tempfile::TempDir,
    }

    impl Place {
        fn new(files: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let this = Self { directory };
            for (path, text) in files {
                let path = this.at(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            for name in ["dotfiles", "home"] {
                fs::create_dir_all(this.at(name)).unwrap();
            }
            this
        }

        fn at(&self, path: &str) -> PathBuf {
            self.directory.path().join(path)
        }

        fn links(&self, kept: &[&str]) -> Links {
            let kept = kept.iter().map(|path| self.at(path).display().to_string());
            Links::of(&self.at("home"), kept.collect())
        }

        /// How many were linked, and whether something was not.
        fn add(&self, mut links: Links) -> (usize, bool) {
            links.add(&self.at("dotfiles"));
            (links.made, links.has_failed)
        }

        /// Whether a name of the home is a link to the same of the repository.
        fn has(&self, name: &str) -> bool {
            let target = fs::read_link(self.at("home").join(name)).ok();
            target == Some(self.at("dotfiles").join(name))
        }
    }

    #[test]
    fn what_begins_with_a_dot_is_linked_and_directories_are_joined_or_made() {
        let place = Place::new(&[
            ("dotfiles/.bashrc", ""),
            ("dotfiles/.config/tool/a", ""),
            ("dotfiles/.config/other", ""),
            ("dotfiles/.new/deep/b", ""),
            ("dotfiles/.git/config", ""),
            ("dotfiles/.gitignore", ""),
            ("dotfiles/README.md", ""),
            ("home/.bashrc", "old"),
            ("home/.config/tool/b", "old"),
        ]);
        assert_eq!(place.add(place.links(&[])), (4, false));
        for name in [".bashrc", ".config/tool/a", ".config/other", ".new/deep/b"] {
            assert!(place.has(name), "{name}");
        }
        assert_eq!(fs::read(place.at("home/.config/tool/b")).unwrap(), b"old");
        for name in [".git", ".gitignore", "README.md"] {
            assert!(!place.at("home").join(name).exists(), "{name}");
        }
        // What is written into a directory that was made is the home's.
        fs::write(place.at("home/.new/deep/secret"), "").unwrap();
        assert!(!place.at("dotfiles/.new/deep/secret").exists());
        // Once more changes nothing.
        assert_eq!(place.add(place.links(&[])), (4, false));
        assert!(place.has(".bashrc"));
    }

    #[test]
    fn a_directory_in_the_way_of_a_file_stays_and_a_file_in_the_way_of_a_directory() {
        let place = Place::new(&[
            ("dotfiles/.vimrc", ""),
            ("dotfiles/.config/a", ""),
            ("dotfiles/.z", ""),
            ("home/.vimrc/x", "old"),
            ("home/.config", "old"),
        ]);
        assert_eq!(place.add(place.links(&[])), (1, true));
        assert!(place.has(".z"));
        assert!(place.at("home/.vimrc/x").exists());
        assert_eq!(fs::read(place.at("home/.config")).unwrap(), b"old");
    }

    #[test]
    fn what_the_sandbox_was_made_with_stays() {
        let files = [
            ("dotfiles/.npmrc", ""),
            ("dotfiles/.claude/settings.json", ""),
            ("dotfiles/.claude/other", ""),
            ("dotfiles/.copied/a/b", ""),
            ("home/.npmrc", "old"),
            ("home/.claude/settings.json", "old"),
            ("home/.copied/c", "old"),
        ];
        let place = Place::new(&files);
        let kept = ["home/.npmrc", "home/.claude/settings.json", "home/.copied"];
        assert_eq!(place.add(place.links(&kept)), (1, true));
        assert!(place.has(".claude/other"));
        for name in ["home/.npmrc", "home/.claude/settings.json"] {
            assert_eq!(fs::read(place.at(name)).unwrap(), b"old", "{name}");
            assert!(!place.at(name).is_symlink(), "{name}");
        }
        assert!(!place.at("home/.copied/a").exists());
        // Nothing else holds them back.
        let place = Place::new(&files);
        assert_eq!(place.add(place.links(&[])), (4, false));
    }

    #[test]
    fn what_lies_on_another_mount_stays_as_it_is() {
        let place = Place::new(&[
            ("dotfiles/.config/a", ""),
            ("dotfiles/.z", ""),
            ("home/.config/b", "old"),
        ]);
        let mut links = place.links(&[]);
        let own = links.mount;
        // As the home's own the mount is another than that of its directories.
        links.mount = mount_of(Path::new("/proc"));
        assert!(links.mount.is_some() && links.mount != own);
        assert_eq!(place.add(links), (1, true));
        assert!(!place.at("home/.config/a").is_symlink());
        assert_eq!(place.add(place.links(&[])), (2, false));
        assert!(place.has(".config/a"));
    }

    #[test]
    fn no_link_is_followed_out_of_the_home_or_laid_to_a_directory() {
        let place = Place::new(&[
            ("dotfiles/.config/a", ""),
            ("dotfiles/.tool/deep/a", ""),
            ("dotfiles/vim/rc", ""),
            ("outside/x", ""),
            ("home/.tool/x", ""),
        ]);
        symlink(place.at("outside"), place.at("home/.config")).unwrap();
        symlink(place.at("outside"), place.at("home/.tool/deep")).unwrap();
        symlink("vim", place.at("dotfiles/.vim")).unwrap();
        assert_eq!(place.add(place.links(&[])), (0, true));
        assert_eq!(fs::read_dir(place.at("outside")).unwrap().count(), 1);
        for name in ["home/.config", "home/.tool/deep"] {
            let target = fs::read_link(place.at(name)).unwrap();
            assert_eq!(target, place.at("outside"), "{name}");
        }
        assert!(!place.at("home/.vim").is_symlink());
    }
}
