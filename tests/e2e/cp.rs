//! `amika sandbox cp`: both ways, between sandboxes, and streams; whose the copies are, and what a
//! sandbox cannot do with them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::time::Duration;

use crate::support::{DEBIAN, NO_SHELL, Output, Sandbox, Stage};

/// A busy disk takes its time.
const SLOW: Duration = Duration::from_mins(3);
/// Memory that a copy of any size may take, in KiB.
const FLAT: u64 = 40 * 1024;

fn cp(stage: &Stage, from: &str, to: &str) -> Output {
    stage.sandbox_verb(&["cp", from, to])
}

fn at(sandbox: &Sandbox<'_>, path: &str) -> String {
    format!("{}:{path}", sandbox.name)
}

/// Runs a script of the sandbox's shell as root, and returns what it wrote.
fn inside(sandbox: &Sandbox<'_>, script: &str) -> String {
    let output = sandbox.docker_exec(&["sh", "-c", script]);
    assert_eq!(output.code, 0, "{script}: {output:?}");
    output.stdout_text()
}

fn host(stage: &Stage, name: &str) -> String {
    stage.home().join(name).to_str().unwrap().to_owned()
}

#[test]
fn files_and_directories_land_where_docker_puts_them() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let tree = stage.home().join("tree");
    std::fs::create_dir_all(tree.join("sub")).unwrap();
    std::fs::write(tree.join("a"), "a").unwrap();
    std::fs::write(tree.join("sub/b"), "b").unwrap();
    let file = host(&stage, "tree/a");
    let tree = host(&stage, "tree");
    inside(&sandbox, "mkdir /t && echo old >/t/file && mkdir /t/dir");

    let cases: [(&str, &str, &str); 8] = [
        (&file, "/t/new", "/t/new"),
        (&file, "/t/file", "/t/file"),
        (&file, "/t/dir", "/t/dir/a"),
        (&file, "/t/dir/", "/t/dir/a"),
        (&tree, "/t/copy", "/t/copy/sub/b"),
        (&tree, "/t/dir", "/t/dir/tree/sub/b"),
        (&format!("{tree}/."), "/t/spread", "/t/spread/sub/b"),
        (&format!("{tree}/."), "/t/dir", "/t/dir/sub/b"),
    ];
    for (from, to, lands) in cases {
        let copied = cp(&stage, from, &at(&sandbox, to));
        assert_eq!(copied.code, 0, "{from} {to}: {copied:?}");
        inside(&sandbox, &format!("test -f {lands}"));
    }
    assert_eq!(inside(&sandbox, "cat /t/file"), "a");

    for (from, to, code) in [
        (file.as_str(), "/t/none/", 3),
        (&file, "/none/at/all", 3),
        (&file, "/t/file/", 4),
        (&tree, "/t/file", 4),
    ] {
        let refused = cp(&stage, from, &at(&sandbox, to));
        assert_eq!(refused.code, code, "{from} {to}: {refused:?}");
    }

    // And the same out of it.
    let out = host(&stage, "out");
    std::fs::create_dir(&out).unwrap();
    for (from, to, lands) in [
        ("/t/file", "out/new", "out/new"),
        ("/t/file", "out", "out/file"),
        ("/t/copy", "out/copy", "out/copy/sub/b"),
        ("/t/copy", "out", "out/copy/sub/b"),
        ("/t/copy/.", "out/spread", "out/spread/sub/b"),
        ("/t/copy/.", "out/", "out/sub/b"),
    ] {
        let copied = cp(&stage, &at(&sandbox, from), &host(&stage, to));
        assert_eq!(copied.code, 0, "{from} {to}: {copied:?}");
        assert!(stage.home().join(lands).is_file(), "{from} {to}");
    }
    for (from, to, code) in [
        ("/t/missing", "out", 3),
        ("/t/file", "none/", 3),
        ("/t/file", "out/new/", 4),
        ("/t/copy", "out/new", 4),
    ] {
        let refused = cp(&stage, &at(&sandbox, from), &host(&stage, to));
        assert_eq!(refused.code, code, "{from} {to}: {refused:?}");
    }
}

#[test]
fn a_copy_belongs_to_the_agent_inside_and_to_the_caller_outside() {
    let stage = Stage::new();
    let image = stage.image(&format!(
        "FROM {DEBIAN}\nRUN useradd -u 4711 -m coder\nUSER coder\n"
    ));
    let sandbox = stage.sandbox(&image, &[]);
    let file = stage.script("tool", "#!/bin/sh\n");
    // Relative: to where the agent works.
    let copied = cp(&stage, &file, &at(&sandbox, "tool"));
    assert_eq!(copied.code, 0, "{copied:?}");
    let stat = sandbox
        .exec(&["stat", "-c", "%n %u:%g %a", "tool"])
        .output();
    assert_eq!(stat.stdout_text(), "tool 4711:4711 755\n", "{stat:?}");
    let home = cp(&stage, &file, &at(&sandbox, "~/tool2"));
    assert_eq!(home.code, 0, "{home:?}");
    inside(&sandbox, "test -f /home/amika/tool2");

    let back = cp(&stage, &at(&sandbox, "tool"), &host(&stage, "back"));
    assert_eq!(back.code, 0, "{back:?}");
    let back = stage.home().join("back").metadata().unwrap();
    assert_eq!(back.uid(), stage.home().metadata().unwrap().uid());
    assert_eq!(back.permissions().mode() & 0o777, 0o755);
}

#[test]
fn trees_arrive_as_they_were() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let tree = stage.home().join("tree");
    let long = "d".repeat(120);
    std::fs::create_dir_all(tree.join(&long).join(&long)).unwrap();
    std::fs::write(tree.join(&long).join(&long).join("ünïcode"), "deep").unwrap();
    std::fs::write(tree.join("empty"), "").unwrap();
    symlink("empty", tree.join("link")).unwrap();
    symlink("/nowhere/at/all", tree.join("dangling")).unwrap();
    // Docker's unpacker refuses these where it is not told otherwise.
    symlink("../../../outside", tree.join("out")).unwrap();
    // Another way to write a path is another target to git.
    symlink(".//./empty", tree.join("untidy")).unwrap();
    let binary: Vec<u8> = (0..3_000_000_u32)
        .map(|n| n.to_le_bytes()[n as usize % 3])
        .collect();
    std::fs::write(tree.join("binary"), &binary).unwrap();
    let made = stage.shell("mkfifo \"$1\"", &[tree.join("pipe").to_str().unwrap()]);
    assert_eq!(made.output().code, 0);

    let copied = stage.sandbox_verb(&[
        "cp",
        "-o",
        "json",
        tree.to_str().unwrap(),
        &at(&sandbox, "/t"),
    ]);
    assert_eq!(copied.code, 0, "{copied:?}");
    let json = copied.json();
    assert_eq!(json["files"], 3, "{json}");
    assert_eq!(json["bytes"], 3_000_004, "{json}");
    assert_eq!(json["skipped"][0]["path"], "t/pipe", "{json}");
    assert_eq!(
        inside(&sandbox, "readlink /t/dangling /t/out /t/untidy"),
        "/nowhere/at/all\n../../../outside\n.//./empty\n"
    );

    let other = stage.sandbox(NO_SHELL, &[]);
    let across = cp(&stage, &at(&sandbox, "/t"), &at(&other, "/tmp-copy"));
    assert_eq!(across.code, 0, "{across:?}");
    let piped = stage.shell(
        r#"tar -c -C "$1" . | "$0" sandbox cp - "$2:/t""#,
        &[tree.to_str().unwrap(), &sandbox.name],
    );
    let piped = piped.output();
    assert_eq!(piped.code, 0, "{piped:?}");
    let back = cp(&stage, &at(&other, "/tmp-copy"), &host(&stage, "back"));
    assert_eq!(back.code, 0, "{back:?}");
    let back = stage.home().join("back");
    assert_eq!(std::fs::read(back.join("binary")).unwrap(), binary);
    let deep = back.join(&long).join(&long).join("ünïcode");
    assert_eq!(std::fs::read_to_string(deep).unwrap(), "deep");
    assert_eq!(
        std::fs::read_link(back.join("link")).unwrap(),
        Path::new("empty")
    );
    assert_eq!(
        std::fs::read_link(back.join("untidy")).unwrap().as_os_str(),
        ".//./empty"
    );
    let mtime = |path: &Path| path.metadata().unwrap().mtime();
    assert_eq!(mtime(&back.join("empty")), mtime(&tree.join("empty")));
}

#[test]
fn times_before_1970_and_after_2262_come_along_both_ways() {
    let stage = Stage::new();
    let script = "mkdir -p \"$1/sub dir\" && echo x >\"$1/sub dir/old\" && echo x >\"$1/late\" && ln -s old \"$1/sub dir/link\"
        touch -h -d '1960-01-01 UTC' \"$1/sub dir/old\" \"$1/sub dir/link\" && touch -d '2300-01-01 UTC' \"$1/late\"
        touch -d '1955-01-01 UTC' \"$1/sub dir\"";
    let tree = host(&stage, "tree");
    stage.shell(script, &[&tree]).output().ended(0, &[]);
    let listed = "cd \"$1\" && find . -mindepth 1 -printf '%P %Ts\\n' | sort";
    let expected =
        "late 10413792000\nsub dir -473385600\nsub dir/link -315619200\nsub dir/old -315619200\n";
    assert_eq!(
        stage.shell(listed, &[&tree]).output().stdout_text(),
        expected
    );

    let sandbox = stage.sandbox(DEBIAN, &[]);
    cp(&stage, &tree, &at(&sandbox, "/srv/copy")).ended(0, &[]);
    let inside = |path: &str| {
        sandbox
            .docker_exec(&["sh", "-c", listed, "sh", path])
            .stdout_text()
    };
    assert_eq!(inside("/srv/copy"), expected);
    // From one sandbox to another, by an archive, and out again.
    let other = stage.sandbox(DEBIAN, &[]);
    cp(&stage, &at(&sandbox, "/srv/copy"), &at(&other, "/srv/")).ended(0, &[]);
    let found = other.docker_exec(&["sh", "-c", listed, "sh", "/srv/copy"]);
    assert_eq!(found.stdout_text(), expected);
    let back = host(&stage, "back");
    cp(&stage, &at(&other, "/srv/copy"), &back).ended(0, &[]);
    assert_eq!(
        stage.shell(listed, &[&back]).output().stdout_text(),
        expected
    );

    // Without amikad nobody gives them; it is told.
    sandbox.verb("stop", &[]).output().ended(0, &[]);
    let told = cp(&stage, &tree, &at(&sandbox, "/srv/again"));
    told.ended(0, &["4 of before 1970 or after 2262"]);
}

#[test]
fn a_stopped_sandbox_is_copied_from_and_to() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    assert_eq!(sandbox.verb("stop", &["-t", "1s"]).output().code, 0);
    let file = stage.script("file", "content");
    assert_eq!(cp(&stage, &file, &at(&sandbox, "here")).code, 0);
    let back = cp(&stage, &at(&sandbox, "here"), &host(&stage, "back"));
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(
        std::fs::read_to_string(stage.home().join("back")).unwrap(),
        "content"
    );
}

#[test]
fn a_sandbox_cannot_reach_out_by_what_is_copied_from_it() {
    let stage = Stage::new();
    // One that may make device files is the more dangerous one.
    let sandbox = stage.sandbox(DEBIAN, &["--cap-add", "MKNOD"]);
    inside(
        &sandbox,
        "mkdir -p /evil/a/b && cd /evil && echo x >file && chmod 6755 file && \
         ln -s /etc/passwd abs && ln -s ../../.. up && ln -s b/.. a/round && ln -s ../file a/fine && \
         mknod dev c 1 3 && mkfifo pipe && ln file hard && printf x >\"$(printf 'esc\\033[2J')\"",
    );
    let out = host(&stage, "out");
    let copied = stage.sandbox_verb(&["cp", "-o", "json", &at(&sandbox, "/evil"), &out]);
    assert_eq!(copied.code, 0, "{copied:?}");
    let json = copied.json();
    let mut skipped: Vec<&str> = json["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["path"].as_str().unwrap())
        .collect();
    skipped.sort_unstable();
    assert_eq!(
        skipped,
        ["out/a/round", "out/abs", "out/dev", "out/pipe", "out/up"],
        "{json}"
    );
    let out = Path::new(&out);
    let mode = |name: &str| out.join(name).metadata().unwrap().permissions().mode();
    assert_eq!(mode("file") & 0o7777, 0o755);
    assert_eq!(
        out.join("file").metadata().unwrap().ino(),
        out.join("hard").metadata().unwrap().ino()
    );
    assert!(out.join("a/fine").is_symlink());
    // Names of a sandbox's choice do not steer the terminal.
    assert!(!copied.stderr.contains(&0x1b), "{copied:?}");

    // A link that is named itself is followed, within the sandbox.
    let followed = cp(&stage, &at(&sandbox, "/evil/abs"), &host(&stage, "passwd"));
    assert_eq!(followed.code, 0, "{followed:?}");
    let theirs = std::fs::read_to_string(stage.home().join("passwd")).unwrap();
    assert_eq!(theirs, inside(&sandbox, "cat /etc/passwd"));
    assert!(!stage.home().join("passwd").is_symlink());
}

#[test]
fn archives_go_through_standard_input_and_output() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    inside(&sandbox, "mkdir -p /t/dir && echo x >/t/dir/file");
    let names = stage
        .shell(
            r#""$0" sandbox cp "$1:/t/dir" - | tar -t"#,
            &[&sandbox.name],
        )
        .output();
    // Not every engine has a slash behind a directory.
    let listed = names.stdout_text().replace("dir/\n", "dir\n");
    assert_eq!(listed, "dir\ndir/file\n", "{names:?}");

    let into = stage
        .shell(
            r#"cd "$HOME" && mkdir -p src && echo y >src/y && tar -c --owner=7 src | "$0" sandbox cp - "$1:/t""#,
            &[&sandbox.name],
        )
        .output();
    assert_eq!(into.code, 0, "{into:?}");
    assert_eq!(inside(&sandbox, "stat -c %u /t/src/y"), "0\n");

    let nowhere = stage.amika(&["sandbox", "cp", "-", &at(&sandbox, "/none")]);
    assert_eq!(nowhere.input("").output().code, 3);
    let garbage = stage
        .amika(&["sandbox", "cp", "-", &at(&sandbox, "/t")])
        .input(vec![0x41; 10_000])
        .output();
    assert_eq!(garbage.code, 1, "{garbage:?}");
    let cut = stage
        .shell(
            r#"cd "$HOME" && head -c 100000 /dev/zero >long && tar -c long | head -c 51200 | "$0" sandbox cp - "$1:/t""#,
            &[&sandbox.name],
        )
        .output();
    cut.ended(1, &["the copy broke off"]);
    let json = stage.sandbox_verb(&["cp", "-o", "json", &at(&sandbox, "/t"), "-"]);
    assert_eq!(
        (json.code, json.json()["error"]["code"].as_str()),
        (2, Some("usage"))
    );
}

#[test]
fn memory_stays_flat_whatever_the_size() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    inside(&sandbox, "head -c 100M /dev/zero >/big");
    let big = host(&stage, "big");
    let peak = |from: &str, to: &str| {
        // bash waits for it and tells its peak: GNU time is not everywhere.
        let script = r#""$0" sandbox cp "$1" "$2" & pid=$!; peak=0
            while kill -0 $pid 2>/dev/null; do sleep 0.02
                now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' /proc/$pid/status 2>/dev/null)
                [ -n "$now" ] && peak=$now
            done; wait $pid || exit 1; echo $peak"#;
        let output = stage.shell(script, &[from, to]).limit(SLOW).output();
        assert_eq!(output.code, 0, "{output:?}");
        output.stdout_text().trim().parse::<u64>().unwrap()
    };
    let other = stage.sandbox(DEBIAN, &[]);
    for (from, to) in [
        (at(&sandbox, "/big"), big.clone()),
        (big.clone(), at(&sandbox, "/big2")),
        (at(&sandbox, "/big"), at(&other, "/big3")),
    ] {
        let peak = peak(&from, &to);
        assert!((1..FLAT).contains(&peak), "{from} {to}: {peak} KiB");
    }
    assert_eq!(inside(&sandbox, "cmp /big /big2; echo $?"), "0\n");
    assert_eq!(inside(&other, "stat -c %s /big3"), "104857600\n");
}

#[test]
fn an_archive_whose_reader_leaves_is_no_success() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let script = "\"$0\" sandbox cp \"$1\" - | head -c 10 >/dev/null; exit ${PIPESTATUS[0]}";
    let left = stage
        .shell(script, &[&format!("{}:/usr", sandbox.name)])
        .output();
    assert_eq!((left.code, left.stderr_text().as_str()), (141, ""));
}

#[test]
fn a_missing_directory_is_named_and_so_is_a_file_with_a_colon() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let file = stage.script("notes.md", "x");
    let place = format!("{}:/nope/x", sandbox.name);
    let missing = stage.sandbox_verb(&["cp", &file, &place]);
    assert_eq!(missing.code, 3, "{missing:?}");
    let said = missing.stderr_text();
    let parent = format!("{}:/nope: there is no such directory", sandbox.name);
    assert!(said.contains(&parent) && !said.contains("slash"), "{said}");

    stage.script("no-such-box:file", "x");
    let place = format!("{}:/tmp", sandbox.name);
    let script = "cd \"$1\" && exec \"$0\" sandbox cp no-such-box:file \"$2\"";
    let home = stage.home().display().to_string();
    let taken = stage.shell(script, &[&home, &place]).output();
    assert_eq!(taken.code, 3, "{taken:?}");
    let hint = "`./no-such-box:file`";
    assert!(taken.stderr_text().contains(hint), "{taken:?}");
}

#[test]
fn sides_that_make_no_copy_are_refused() {
    let stage = Stage::new();
    for (from, to, code) in [
        ("a", "b", 2),
        ("-", "b", 2),
        ("-", "-", 2),
        ("Bad Name:x", "b", 2),
        // The engine would wait for itself.
        ("same-sandbox:/a", "same-sandbox:/b", 2),
        ("/etc/hostname", "no-such-sandbox:/x", 3),
        ("no-such-sandbox:/x", "/tmp", 3),
        ("/no/such/file", "no-such-sandbox:/x", 3),
    ] {
        let refused = stage.sandbox_verb(&["-o", "json", "cp", from, to]);
        assert_eq!(refused.code, code, "{from} {to}: {refused:?}");
        assert!(refused.json()["error"]["message"].is_string());
    }
}

#[test]
fn places_that_the_engine_does_not_see_are_refused_both_ways() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let file = stage.file("file", "x");
    let out = host(&stage, "out");
    inside(&sandbox, "ln -s /dev/shm /shared && echo y >/dev/shm/y");
    for path in [
        "/dev/shm",
        "/dev/shm/x",
        "/proc/x",
        "/sys/",
        "/shared",
        "/shared/x",
    ] {
        let refused = cp(&stage, &file, &at(&sandbox, path));
        assert_eq!(refused.code, 2, "{path}: {refused:?}");
        assert!(
            refused.stderr_text().contains("sandbox exec"),
            "{refused:?}"
        );
    }
    for path in ["/proc/self/status", "/dev/shm/y", "/shared"] {
        let refused = cp(&stage, &at(&sandbox, path), &out);
        assert_eq!(refused.code, 2, "{path}: {refused:?}");
    }
    assert!(!Path::new(&out).exists());
}

#[test]
fn what_is_no_archive_is_named() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    stage.file("file", "x");
    for (script, told) in [
        ("tar -cz file", "`gunzip |`"),
        ("tar -cJ file", "`xz -d |`"),
        ("true", "empty"),
        ("head -c 5000 /dev/urandom | tr '\\000' x", "no tar archive"),
    ] {
        let script = format!("cd \"$HOME\" && {script} | \"$0\" sandbox cp - \"$1:/tmp\"");
        let output = stage.shell(&script, &[&sandbox.name]).output();
        assert_eq!(output.code, 1, "{script}: {output:?}");
        let said = String::from_utf8(output.stderr.clone()).expect("text");
        assert!(said.contains(told), "{said}");
        assert!(!said.contains(char::REPLACEMENT_CHARACTER), "{said}");
    }
}

#[test]
fn holes_come_out_as_holes() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    inside(&sandbox, "truncate -s 50M /sparse && echo end >>/sparse");
    let out = host(&stage, "sparse");
    let copied = cp(&stage, &at(&sandbox, "/sparse"), &out);
    assert_eq!(copied.code, 0, "{copied:?}");
    let metadata = std::fs::metadata(&out).unwrap();
    assert_eq!(metadata.len(), 50 * 1024 * 1024 + 4);
    assert!(
        metadata.blocks() * 512 < 1024 * 1024,
        "{}",
        metadata.blocks()
    );
}

#[test]
fn a_git_directory_that_comes_out_runs_nothing_on_this_machine() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    let canary = stage.home().join("PWNED");
    // As git makes it, in the order in which the engine sends it, under three names.
    let script = format!(
        r#"for at in proj/.git proj/.git/modules/sub bare; do
            mkdir -p /w/$at/hooks /w/$at/objects/info /w/$at/refs/heads /w/$at/info && cd /w/$at &&
            echo 'ref: refs/heads/main' >HEAD &&
            printf '[core]
	bare = false
	fsmonitor = "touch {0}; false"
[alias]
	st = !touch {0}
' >config &&
            printf '#!/bin/sh
touch {0}
' >hooks/post-checkout && chmod +x hooks/post-checkout &&
            echo /etc >objects/info/alternates || exit 1
        done; mkdir /w/proj/sub; echo 'gitdir: ../.git/modules/sub' >/w/proj/sub/.git; echo x >/w/proj/file"#,
        canary.display()
    );
    inside(&sandbox, &script);
    let out = host(&stage, "out");
    let copied = cp(&stage, &at(&sandbox, "/w"), &out);
    copied.ended(0, &["3 git directories were made inert", "--as-is"]);
    let try_git = r#"for at in proj proj/sub proj/.git bare; do
        (cd "$1/$at" && { git status; git st; } >/dev/null 2>&1); done; test ! -e "$2""#;
    let canary_path = canary.to_str().unwrap();
    let tried = stage.shell(try_git, &[&out, canary_path]).output();
    assert_eq!(tried.code, 0, "{tried:?}");
    assert!(Path::new(&out).join("proj/file").exists());

    // Into a git directory that is there nothing comes, and around one all but that.
    let own = stage.home().join("own");
    std::fs::create_dir(&own).unwrap();
    let made = stage.shell("git init -q", &[]).dir(&own).output();
    assert_eq!(made.code, 0, "{made:?}");
    for (from, to) in [
        ("/w/proj/.git/config", "own/.git/config"),
        ("/w/proj/.git/hooks/post-checkout", "own/.git/hooks"),
    ] {
        let refused = cp(&stage, &at(&sandbox, from), &host(&stage, to));
        refused.ended(4, &["is in a git directory of this machine", "--as-is"]);
    }
    let around = cp(&stage, &at(&sandbox, "/w/proj/."), &host(&stage, "own"));
    around.ended(
        0,
        &[".git was left out: a git directory of this machine is there"],
    );
    assert!(own.join("file").exists());
    let config = std::fs::read_to_string(own.join(".git/config")).unwrap();
    assert!(!config.contains("PWNED"), "{config}");

    // As it is, it is said aloud, and is what it was.
    let as_is = host(&stage, "as-is");
    let source = at(&sandbox, "/w/proj");
    let copied = stage.sandbox_verb(&["cp", "--as-is", &source, &as_is]);
    copied.ended(
        0,
        &["as it is: git on this machine will run what its configuration names"],
    );
    let tried = stage
        .shell(
            "cd \"$1\" && git st; test -e \"$2\"",
            &[&as_is, canary_path],
        )
        .output();
    assert_eq!(tried.code, 0, "{tried:?}");
}

#[test]
fn depth_and_size_of_a_copy_have_bounds() {
    let stage = Stage::new();
    let sandbox = stage.sandbox(DEBIAN, &[]);
    inside(
        &sandbox,
        "mkdir /deep /wide && cd /deep && for n in $(seq 1500); do mkdir d && cd d || exit 1; done; \
         truncate -s 3T /wide/sparse",
    );
    let deep = cp(&stage, &at(&sandbox, "/deep"), &host(&stage, "deep"));
    deep.ended(1, &["more than 200 directories"]);
    assert!(deep.stderr_text().len() < 1000, "{deep:?}");
    let wide = cp(&stage, &at(&sandbox, "/wide"), &host(&stage, "wide"));
    wide.ended(1, &["sparse: it has 3.3 TB, holes counted"]);
}
