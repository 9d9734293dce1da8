//! Pulling into repositories of this machine that somebody else made.

use super::*;

/// All that is beneath a directory: names with contents, of links their targets.
fn all_of(at: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        let found = path.symlink_metadata().unwrap();
        if found.is_dir() {
            all.extend(all_of(&path));
            all.insert(path, b"directory".to_vec());
        } else {
            let content = std::fs::read(&path).unwrap_or_default();
            all.insert(path, content);
        }
    }
    all
}

/// What it is called, and what makes it of an empty directory `pr`.
type Form = (&'static str, fn(&Stage));

#[test]
fn nothing_is_written_into_a_repository_that_another_names() {
    use std::os::unix::fs::symlink;
    let forms: [Form; 11] = [
        (".git is a file", |stage| {
            std::fs::write(stage.at("pr/.git"), "gitdir: ../host/.git\n").unwrap();
        }),
        (".git names a work tree's", |stage| {
            let text = "gitdir: ../host/.git/worktrees/linked\n";
            std::fs::write(stage.at("pr/.git"), text).unwrap();
        }),
        (".git names an unclaimed one", |stage| {
            std::fs::write(stage.at("pr/.git"), "gitdir: ../apart\n").unwrap();
        }),
        (".git names a bare one", |stage| {
            std::fs::write(stage.at("pr/.git"), "gitdir: ../bare.git\n").unwrap();
        }),
        (".git is a link", |stage| {
            symlink("../host/.git", stage.at("pr/.git")).unwrap();
        }),
        (".git is a link to a work tree's", |stage| {
            symlink("../host/.git/worktrees/linked", stage.at("pr/.git")).unwrap();
        }),
        ("commondir", |stage| {
            std::fs::create_dir(stage.at("pr/.git")).unwrap();
            std::fs::write(stage.at("pr/.git/HEAD"), "ref: refs/heads/main\n").unwrap();
            std::fs::write(stage.at("pr/.git/commondir"), "../../host/.git\n").unwrap();
        }),
        ("commondir of a bare one", |stage| {
            std::fs::write(stage.at("pr/HEAD"), "ref: refs/heads/main\n").unwrap();
            std::fs::write(stage.at("pr/commondir"), "../host/.git\n").unwrap();
        }),
        ("objects", |stage| {
            git(&stage.at("pr"), &["init", "-q"]);
            std::fs::remove_dir_all(stage.at("pr/.git/objects")).unwrap();
            symlink("../../host/.git/objects", stage.at("pr/.git/objects")).unwrap();
        }),
        ("objects/pack", |stage| {
            git(&stage.at("pr"), &["init", "-q"]);
            std::fs::remove_dir(stage.at("pr/.git/objects/pack")).unwrap();
            let victim = "../../../host/.git/objects/pack";
            symlink(victim, stage.at("pr/.git/objects/pack")).unwrap();
        }),
        ("objects/pack of one without", |stage| {
            git(&stage.at("pr"), &["init", "-q"]);
            std::fs::remove_dir(stage.at("pr/.git/objects/pack")).unwrap();
            symlink("../nowhere", stage.at("pr/.git/objects/pack")).unwrap();
        }),
    ];
    for (form, make) in forms {
        let stage = Stage::new(&[]);
        let linked = ["worktree", "add", "-q", "../linked", "-b", "linked"];
        git(&stage.at("host"), &linked);
        let root = stage.at(".");
        git(&root, &["init", "-q", "--separate-git-dir=apart", "tree"]);
        git(&root, &["clone", "-q", "--bare", "host", "bare.git"]);
        stage.commit("box", "second");
        std::fs::create_dir(stage.at("pr")).unwrap();
        make(&stage);
        let victims = ["host", "linked", "apart", "bare.git"];
        let before = victims.map(|victim| all_of(&stage.at(victim)));
        let pulled = Host::find(&Machine::of_process(), &stage.at("pr"))
            .and_then(|host| pull_into(&host, &stage.agent(), &[], MAX));
        let error = pulled.expect_err(form);
        assert_eq!(error.kind, Kind::Repository, "{form}: {error:?}");
        assert!(!error.hints.iter().any(|hint| hint.contains("--git")));
        let after = victims.map(|victim| all_of(&stage.at(victim)));
        assert!(before == after, "{form}");
    }
}

#[test]
fn a_repository_that_knows_its_work_tree_elsewhere_is_pulled_into() {
    let stage = Stage::new(&[]);
    let tip = stage.commit("box", "second");
    let root = stage.at(".");
    git(&root, &["init", "-q", "--separate-git-dir=apart", "tree"]);
    let refused = Host::find(&Machine::of_process(), &stage.at("tree")).unwrap_err();
    assert!(refused.hints[0].contains("core.worktree"), "{refused:?}");
    let worktree = stage.at("tree");
    let worktree = worktree.to_str().unwrap();
    git(&stage.at("tree"), &["config", "core.worktree", worktree]);
    let host = Host::find(&Machine::of_process(), &stage.at("tree")).unwrap();
    assert_eq!(host.top, stage.at("tree"));
    pull_into(&host, &stage.agent(), &[], MAX).unwrap();
    assert_eq!(
        git(&stage.at("tree"), &["rev-parse", "amika-box/main"]),
        tip
    );
    git(&stage.at("tree"), &["fsck", "--strict"]);

    // A submodule.
    let url = format!("file://{}", stage.at("box").display());
    let add = ["submodule", "--quiet", "add", &url, "sub"];
    let allowed = [&["-c", "protocol.file.allow=always"][..], &add].concat();
    git(&stage.at("host"), &allowed);
    let tip = stage.commit("box", "third");
    let host = Host::find(&Machine::of_process(), &stage.at("host/sub")).unwrap();
    assert_eq!(host.top, stage.at("host/sub"));
    pull_into(&host, &stage.agent(), &[], MAX).unwrap();
    let sub = stage.at("host/sub");
    assert_eq!(git(&sub, &["rev-parse", "amika-box/main"]), tip);
}

#[test]
fn a_repository_that_git_would_not_take_is_refused() {
    let stage = Stage::new(&[]);
    let config = std::fs::read_to_string(stage.at("host/.git/config")).unwrap();
    for (more, part) in [
        (
            "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tweird = true\n",
            "weird",
        ),
        ("[core]\n\trepositoryformatversion = 2\n", "version 2"),
        (
            "[extensions]\n\tobjectFormat = sha256\n",
            "format version 0",
        ),
    ] {
        std::fs::write(stage.at("host/.git/config"), format!("{config}{more}")).unwrap();
        let error = Host::find(&Machine::of_process(), &stage.at("host")).unwrap_err();
        assert_eq!(error.kind, Kind::Repository);
        assert!(error.message.contains(part), "{error:?}");
    }
}

#[test]
fn a_fifo_in_any_place_of_the_repository_is_not_waited_for() {
    for (place, is_refused) in [
        ("objects", true),
        ("objects/pack", true),
        ("objects/info/alternates", true),
        ("objects/info/commit-graph", false),
        ("objects/info/commit-graphs/commit-graph-chain", false),
        ("objects/pack/multi-pack-index", false),
        ("objects/pack/pack-x.idx", false),
        ("objects/pack/pack-x.pack", false),
        ("PACK.idx", true),
        ("PACK.pack", true),
        ("LOOSE", true),
        ("HEAD", true),
        ("config", true),
        ("commondir", true),
        ("packed-refs", true),
        ("shallow", true),
        ("refs/heads/pipe", false),
    ] {
        let stage = Stage::new(&[]);
        git(&stage.at("host"), &["gc", "-q"]);
        let oid = stage.commit("host", "loose");
        stage.commit("box", "second");
        let common = stage.at("host/.git");
        let at = match place.strip_prefix("PACK.") {
            Some(suffix) => std::fs::read_dir(common.join("objects/pack"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .find(|path| path.extension().is_some_and(|found| found == suffix))
                .unwrap(),
            None if place == "LOOSE" => common.join("objects").join(&oid[..2]).join(&oid[2..]),
            None => common.join(place),
        };
        let _ = std::fs::remove_file(&at);
        let _ = std::fs::remove_dir_all(&at);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(&at).status().unwrap().success());
        let before = all_names(&common);
        let pulled = Host::find(&Machine::of_process(), &stage.at("host"))
            .and_then(|host| pull_into(&host, &stage.agent(), &[], MAX));
        assert_eq!(pulled.is_err(), is_refused, "{place}: {pulled:?}");
        if let Err(error) = pulled {
            assert_eq!(error.kind, Kind::Repository, "{place}: {error:?}");
            assert_eq!(all_names(&common), before, "{place}");
        }
    }
}

/// The names beneath a directory.
fn all_names(at: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(at).unwrap() {
        let entry = entry.unwrap();
        all.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            all.extend(all_names(&entry.path()));
        }
    }
    all.sort();
    all
}

#[test]
fn what_the_repository_borrows_counts_and_stays_as_it_is() {
    let stage = Stage::new(&[]);
    git(
        &stage.at("."),
        &["clone", "-q", "--shared", "host", "shared"],
    );
    let before = all_of(&stage.at("host"));
    let tip = stage.commit("box", "second");
    let host = Host::find(&Machine::of_process(), &stage.at("shared")).unwrap();
    pull_into(&host, &stage.agent(), &[], MAX).unwrap();
    let shared = stage.at("shared");
    assert_eq!(git(&shared, &["rev-parse", "amika-box/main"]), tip);
    git(&shared, &["fsck", "--strict"]);
    assert!(all_of(&stage.at("host")) == before);
    let packs = std::fs::read_dir(shared.join(".git/objects/pack")).unwrap();
    for pack in packs {
        assert!(pack.unwrap().file_type().unwrap().is_file());
    }
}
