//! `--mount` and `--volume`: what the sandbox sees, what the host keeps, and what is refused.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::{DEBIAN, Output, SCRATCH, Stage, docker};

/// The first use of a preset may build its image's last layers.
const BUILD: Duration = Duration::from_mins(8);

/// A directory of the host with a file in it.
fn directory(stage: &Stage, name: &str) -> PathBuf {
    let path = stage.home().join(name);
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("file"), "host\n").unwrap();
    path
}

fn flag(source: &Path, rest: &str) -> String {
    format!("{}:{rest}", source.display())
}

/// What is in a directory, byte by byte, to compare it with later.
fn contents(directory: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    let mut all = Vec::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let data = path.symlink_metadata().unwrap();
        let content = if data.is_symlink() {
            fs::read_link(&path)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec()
        } else if data.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        all.push((path, data.mode(), content));
    }
    all.sort();
    all
}

fn is_refused(output: &Output, code: i32, words: &str) {
    assert_eq!(output.code, code, "{output:?}");
    assert!(output.stderr_text().contains(words), "{output:?}");
}

/// Whether the engine has anything that bears the name of a sandbox.
fn left_of(name: &str) -> String {
    let filter = format!("name={name}");
    let containers = docker(&["ps", "-aq", "--filter", &filter]).stdout_text();
    containers + &docker(&["volume", "ls", "-q", "--filter", &filter]).stdout_text()
}

#[test]
fn a_copy_has_everything_as_it_is_and_changes_nothing_on_the_host() {
    let stage = Stage::new();
    let source = directory(&stage, "src");
    fs::set_permissions(source.join("file"), fs::Permissions::from_mode(0o751)).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"odd \n\xff");
    fs::create_dir(source.join("sub")).unwrap();
    fs::write(source.join("sub").join(odd), "odd").unwrap();
    symlink("./sub//x", source.join("link")).unwrap();
    symlink("../../out", source.join("out")).unwrap();
    fs::File::create(source.join("sparse"))
        .unwrap()
        .set_len(5 << 20)
        .unwrap();
    let before = contents(&source);
    let image = stage.image("FROM amika-test/debian\nUSER 1234:55");
    let sandbox = stage.sandbox(&image, &["--mount", &flag(&source, "/data")]);
    let seen = sandbox
        .exec(&[
            "sh",
            "-c",
            "cd /data && stat -c '%n %a %u:%g' . && stat -c '%n %a %u:%g %s' file sparse && readlink link out && ls -b sub && \
             echo changed >file && rm -r sub && touch new && id -u",
        ])
        .output();
    assert_eq!(
        seen.stdout_text(),
        format!(
            ". {:o} 1234:55\nfile 751 1234:55 5\nsparse 644 1234:55 5242880\n./sub//x\n../../out\n\
             odd\\ \\n\\377\n1234\n",
            source.metadata().unwrap().mode() & 0o777
        ),
        "{seen:?}"
    );
    assert_eq!(contents(&source), before);
}

#[test]
fn a_copied_file_stands_at_its_place_and_is_the_agents() {
    let stage = Stage::new();
    let source = directory(&stage, "src").join("file");
    let image = stage.image("FROM amika-test/debian\nUSER 1234:55");
    let sandbox = stage.sandbox(
        &image,
        &[
            "--mount",
            &flag(&source, "/etc/tool/tool.conf"),
            "--mount",
            &flag(&source, "/home/amika/.config/tool.conf"),
        ],
    );
    let seen = sandbox
        .exec(&[
            "sh",
            "-c",
            "for f in /etc/tool/tool.conf ~/.config/tool.conf; do stat -c '%n %u' $f; echo x >>$f; done; \
             touch ~/.config/beside",
        ])
        .output();
    assert_eq!(
        (seen.code, seen.stdout_text().as_str()),
        (
            0,
            "/etc/tool/tool.conf 1234\n/home/amika/.config/tool.conf 1234\n"
        ),
        "{seen:?}"
    );
    assert_eq!(fs::read_to_string(&source).unwrap(), "host\n");
}

#[test]
fn a_bind_is_the_hosts_own_directory() {
    let stage = Stage::new();
    let (ro, rw) = (directory(&stage, "ro"), directory(&stage, "rw"));
    let sandbox = stage.sandbox(
        DEBIAN,
        &[
            "--mount",
            &flag(&ro, "/ro:ro"),
            "--mount",
            &flag(&rw, "/rw:rw"),
        ],
    );
    let tried = sandbox
        .exec(&[
            "sh",
            "-c",
            "echo inside >/rw/file; cat /ro/file; echo x >/ro/file",
        ])
        .output();
    assert_eq!(tried.stdout_text(), "host\n");
    assert!(
        tried.stderr_text().contains("Read-only file system"),
        "{tried:?}"
    );
    assert_eq!(fs::read_to_string(rw.join("file")).unwrap(), "inside\n");
    assert_eq!(fs::read_to_string(ro.join("file")).unwrap(), "host\n");
}

#[test]
fn what_is_made_in_a_writable_mount_belongs_to_its_owner() {
    let stage = Stage::new();
    let source = directory(&stage, "src");
    std::os::unix::fs::chown(&source, Some(4242), Some(77)).unwrap();
    let sandbox = stage.adopt(stage.name());
    let mount = flag(&source, "/home/amika/workspace/src:rw");
    let created = stage
        .amika(&[
            "sandbox",
            "create",
            "--name",
            &sandbox.name,
            "--mount",
            &mount,
        ])
        .limit(BUILD)
        .output();
    assert_eq!(created.code, 0, "{created:?}");
    assert!(!created.stderr_text().contains("warning:"), "{created:?}");
    // What the host has is left as it was: nothing is given to anybody.
    assert_eq!(source.join("file").metadata().unwrap().uid(), 0);
    for round in ["first", "second"] {
        let script = format!(
            "id -un; id -u; touch src/{round} ~/{round}; sudo -n id -u; stat -c %u:%g ~ ~/{round} ~/.local"
        );
        let made = sandbox.exec(&["sh", "-c", &script]).output();
        assert_eq!(
            made.stdout_text(),
            "amika\n4242\n0\n4242:77\n4242:77\n4242:77\n",
            "{made:?}"
        );
        let data = source.join(round).metadata().unwrap();
        assert_eq!((data.uid(), data.gid()), (4242, 77));
        assert_eq!(sandbox.verb("stop", &[]).output().code, 0);
        assert_eq!(sandbox.verb("start", &[]).output().code, 0);
    }
    let cmd = sandbox.docker_exec(&["sh", "-c", "cat /proc/[0-9]*/status | grep -c '^Uid:.4242'"]);
    assert_ne!(cmd.stdout_text(), "0\n", "{cmd:?}");
}

#[test]
fn who_will_own_files_is_told_where_it_is_not_the_caller() {
    let stage = Stage::new();
    let source = directory(&stage, "src");
    let rw = flag(&source, "/data:rw");
    let sandbox = stage.adopt(stage.name());
    let custom = sandbox.create(DEBIAN, &["--mount", &rw]);
    assert_eq!(custom.code, 0, "{custom:?}");
    assert!(
        custom
            .stderr_text()
            .contains("belongs to the user that the image runs as"),
        "{custom:?}"
    );
    let preset = stage.adopt(stage.name());
    let created = stage
        .amika(&["sandbox", "create", "--name", &preset.name, "--mount", &rw])
        .limit(BUILD)
        .output();
    assert_eq!(created.code, 0, "{created:?}");
    assert!(
        created.stderr_text().contains("belongs to root"),
        "{created:?}"
    );
    let id = preset.exec(&["id", "-u"]).output();
    assert_eq!(id.stdout_text(), "1000\n");
}

#[test]
fn what_does_not_fit_the_image_is_told_by_its_flag_and_leaves_nothing() {
    let stage = Stage::new();
    let source = directory(&stage, "src");
    let file = source.join("file");
    let a_directory = "the source is a directory, and /etc/debian_version in the image is a file";
    let a_file = "the source is a file, and /opt in the image is a directory";
    let into = format!("`--mount {}:/opt/file` puts it into", file.display());
    for (mount, words) in [
        (
            flag(&source, "/etc/debian_version:ro"),
            [a_directory, "hint: "],
        ),
        (
            flag(&source, "/etc/debian_version"),
            [a_directory, "hint: "],
        ),
        (flag(&file, "/opt:ro"), [a_file, "/opt/file:ro`"]),
        (flag(&file, "/opt"), [a_file, &into]),
    ] {
        let sandbox = stage.adopt(stage.name());
        let refused = sandbox.create(DEBIAN, &["--mount", &mount]);
        refused.ended(4, &words);
        stage.nothing_was_made();
    }
}

#[test]
fn bad_mounts_are_refused_before_anything_is_made() {
    let stage = Stage::new();
    let source = directory(&stage, "src");
    let with = |rest: &str| flag(&source, rest);
    let cases: [(&[String], i32, &str); 17] = [
        (&[with("data")], 2, "is not absolute"),
        (&[with("/data:wr")], 2, "unknown mode"),
        (&["/nowhere:/data".into()], 2, "/nowhere does not exist"),
        (&[with("/data"), with("/data/")], 4, "have the same target"),
        (
            &[with("/data:ro"), with("/data/x:ro")],
            4,
            "which is read-only",
        ),
        (
            &[with("/data:rw"), with("/data/x")],
            4,
            "would make a directory on the host",
        ),
        (&[with("/home/amika")], 2, "the agent's home"),
        (&[with("/home:rw")], 4, "the agent's home"),
        (&[with("/var/lib")], 4, "amikad's state"),
        (
            &[with("/usr/local/lib/amikad/x")],
            2,
            "which Amika uses itself",
        ),
        (&[with("/")], 2, "the sandbox's root directory"),
        (&[with("/proc/x:ro")], 2, "a file system of the kernel"),
        (&[with("/usr:ro")], 2, "would hide /usr/local/"),
        (&[with("/etc:ro")], 4, "leaves no room for /etc/resolv.conf"),
        (&[with("/etc:rw")], 4, "leaves no room for /etc/resolv.conf"),
        (&[with("/var/run:rw")], 4, "amikad's runtime files"),
        (
            &[flag(&source.join("file"), "/home/amika/workspace")],
            4,
            "is a file, where /home/amika/workspace needs a directory",
        ),
    ];
    for (mounts, code, words) in cases {
        let sandbox = stage.adopt(stage.name());
        let mut args = Vec::new();
        for mount in mounts {
            args.extend(["--mount", mount]);
        }
        is_refused(&sandbox.create(DEBIAN, &args), code, words);
        assert_eq!(left_of(&sandbox.name), "");
    }
    let sandbox = stage.adopt(stage.name());
    let volume = sandbox.create(DEBIAN, &["--volume", "./x:/data"]);
    is_refused(&volume, 2, "use --mount for it");
}

#[test]
fn a_repositorys_own_place_is_kept_free() {
    let stage = Stage::new();
    let source = directory(&stage, "src");
    let repository = repository(&stage);
    let sandbox = stage.adopt(stage.name());
    let clash = flag(&source, "/home/amika/workspace/app");
    let git = repository.to_str().unwrap();
    let refused = sandbox.create(DEBIAN, &["--git", git, "--mount", &clash]);
    is_refused(&refused, 4, "the clone of app");
    assert_eq!(left_of(&sandbox.name), "");
}

/// A repository `app` with `data/file` and `top` in it.
fn repository(stage: &Stage) -> PathBuf {
    let path = stage.home().join("app");
    fs::create_dir_all(path.join("data")).unwrap();
    fs::write(path.join("data/file"), "committed\n").unwrap();
    fs::write(path.join("top"), "top\n").unwrap();
    let script = "cd \"$1\" && git init -q . && git add -A && \
                  git -c user.name=A -c user.email=a@example.com commit -qm x";
    let made = stage.shell(script, &[path.to_str().unwrap()]).output();
    assert_eq!(made.code, 0, "{made:?}");
    path
}

#[test]
fn a_copy_never_writes_through_a_mount_beneath_it() {
    let stage = Stage::new();
    let outer = directory(&stage, "outer");
    directory(&stage, "outer/inner");
    fs::write(outer.join("inner/file"), "outer's\n").unwrap();
    let inner = directory(&stage, "inner");
    let repository = repository(&stage);
    let before = contents(&inner);
    let sandbox = stage.sandbox(
        DEBIAN,
        &[
            "--mount",
            &flag(&outer, "/data"),
            "--mount",
            &flag(&inner, "/data/inner:rw"),
            "--git",
            repository.to_str().unwrap(),
            "--mount",
            &flag(&inner, "/home/amika/workspace/app/data:rw"),
        ],
    );
    assert_eq!(
        contents(&inner),
        before,
        "the host's files are as they were"
    );
    let seen = sandbox
        .exec(&[
            "sh",
            "-c",
            "cat /data/file /data/inner/file ~/workspace/app/top ~/workspace/app/data/file",
        ])
        .output();
    assert_eq!(seen.stdout_text(), "host\nhost\ntop\nhost\n", "{seen:?}");
    let fillers = docker(&[
        "ps",
        "-aq",
        "--filter",
        &format!("name={}-fill", sandbox.name),
    ]);
    assert_eq!(fillers.stdout_text(), "");
}

#[test]
fn sockets_and_pipes_are_left_out_with_a_warning() {
    let stage = Stage::new();
    let source = directory(&stage, "src");
    let _socket = UnixListener::bind(source.join("socket")).unwrap();
    let pipe = stage
        .shell("mkfifo \"$1\"", &[source.join("pipe").to_str().unwrap()])
        .output();
    assert_eq!(pipe.code, 0, "{pipe:?}");
    let sandbox = stage.adopt(stage.name());
    let created = sandbox.create(DEBIAN, &["--mount", &flag(&source, "/data")]);
    assert_eq!(created.code, 0, "{created:?}");
    let words = created.stderr_text();
    assert!(
        words.contains("2 sockets, pipes or devices are not copied")
            && words.contains("socket")
            && words.contains("pipe"),
        "{created:?}"
    );
    assert_eq!(
        sandbox.exec(&["ls", "/data"]).output().stdout_text(),
        "file\n"
    );
}

#[test]
fn a_file_that_cannot_be_read_ends_the_create_and_leaves_nothing() {
    let stage = Stage::new();
    let sandbox = stage.adopt(stage.name());
    let volume = format!("{}-user", sandbox.name);
    // Tests run as root, whom nothing but the kernel refuses: this directory has a file that may only
    // be written.
    let refused = sandbox.create(
        DEBIAN,
        &[
            "--mount",
            "/proc/sys/net/ipv4/route:/data",
            "--volume",
            &format!("{volume}:/cache"),
        ],
    );
    is_refused(&refused, 2, "flush: permission denied");
    assert_eq!(left_of(&sandbox.name), "", "the user's new volume goes too");
}

#[test]
fn a_new_volume_is_the_agents_and_stays_the_users() {
    let stage = Stage::new();
    let image = stage.image("FROM amika-test/debian\nUSER 1234:55");
    let volume = format!("{}-cache", stage.name());
    let rw = format!("{volume}:/cache");
    {
        let sandbox = stage.sandbox(&image, &["--volume", &rw]);
        let made = sandbox
            .exec(&["sh", "-c", "echo kept >/cache/file"])
            .output();
        assert_eq!(made.code, 0, "{made:?}");
    }
    let ro = format!("{volume}:/cache:ro");
    {
        let sandbox = stage.sandbox(&image, &["--volume", &ro]);
        let read = sandbox
            .exec(&["sh", "-c", "cat /cache/file; echo x >/cache/x"])
            .output();
        assert_eq!(read.stdout_text(), "kept\n");
        assert!(
            read.stderr_text().contains("Read-only file system"),
            "{read:?}"
        );
    }
    assert_eq!(docker(&["volume", "rm", &volume]).code, 0);
}

#[test]
fn an_image_without_a_shell_gets_copies_too() {
    let stage = Stage::new();
    let source = directory(&stage, "src");
    let sandbox = stage.sandbox(SCRATCH, &["--mount", &flag(&source, "/data")]);
    let target = stage.home().join("out");
    let copied = docker(&[
        "cp",
        &format!("{}:/data/file", sandbox.name),
        target.to_str().unwrap(),
    ]);
    assert_eq!(copied.code, 0, "{copied:?}");
    assert_eq!(fs::read_to_string(target).unwrap(), "host\n");
}

#[test]
fn an_engine_behind_a_forwarded_port_gets_copies_and_no_binds() {
    let stage = Stage::new();
    let source = directory(&stage, "src");
    let host = format!("tcp://127.0.0.1:{}", engine_by_tcp());
    let sandbox = stage.adopt(stage.name());
    for mode in ["ro", "rw"] {
        let bind = flag(&source, &format!("/data:{mode}"));
        let refused = sandbox
            .create_run(DEBIAN, &["--mount", &bind])
            .env("DOCKER_HOST", &host)
            .output();
        is_refused(&refused, 2, "the engine is on another machine");
    }
    let copy = sandbox
        .create_run(DEBIAN, &["--mount", &flag(&source, "/data")])
        .env("DOCKER_HOST", &host)
        .output();
    assert_eq!(copy.code, 0, "{copy:?}");
    assert_eq!(
        sandbox.exec(&["cat", "/data/file"]).output().stdout_text(),
        "host\n"
    );
}

/// The engine's socket on a port of this machine, as `ssh -L` and `socat` have one of another machine's engine there.
fn engine_by_tcp() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let engine = UnixStream::connect("/var/run/docker.sock").unwrap();
            let (client_back, engine_back) =
                (client.try_clone().unwrap(), engine.try_clone().unwrap());
            std::thread::spawn(move || {
                pump(client, &engine_back);
                let _ = engine_back.shutdown(std::net::Shutdown::Write);
            });
            std::thread::spawn(move || {
                pump(engine, &client_back);
                let _ = TcpStream::shutdown(&client_back, std::net::Shutdown::Write);
            });
        }
    });
    port
}

fn pump(mut from: impl std::io::Read, mut to: impl std::io::Write) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
}

#[test]
fn inspect_tells_mounts_apart() {
    let stage = Stage::new();
    let (copy, bind) = (directory(&stage, "copy"), directory(&stage, "bind"));
    let sandbox = stage.sandbox(
        DEBIAN,
        &[
            "--mount",
            &flag(&copy, "/copy"),
            "--mount",
            &flag(&bind, "/bind:ro"),
        ],
    );
    let text = sandbox.verb("inspect", &[]).output().stdout_text();
    let has = |line: String| assert!(text.contains(&line), "{line} in {text}");
    has(format!("{} -> /copy (copy, rw)", copy.display()));
    has(format!("{} -> /bind (bind, ro)", bind.display()));
    has("-> /home/amika (home, rw)".to_owned());
    let json = sandbox.verb("inspect", &["-o", "json"]).output().json();
    let mounts = json["mounts"].as_array().unwrap();
    let copied = mounts
        .iter()
        .find(|mount| mount["target"] == "/copy")
        .unwrap();
    assert_eq!(copied["copy_of"], copy.to_str().unwrap());
    assert_eq!(copied["holds"], "rwcopy");
}

#[test]
fn what_was_written_into_a_copy_is_not_deleted_unasked() {
    let stage = Stage::new();
    let source = directory(&stage, "src");
    // What is as young as the sandbox counts as written in it.
    let old = std::time::SystemTime::now() - std::time::Duration::from_mins(1);
    let file = fs::File::options().write(true).open(source.join("file"));
    file.unwrap().set_modified(old).unwrap();
    let repository = stage.repository("repo", &[("file", "x")]);
    let copy = flag(&source, "/data");
    for options in [
        &["--mount", copy.as_str()][..],
        &["--mount", &copy, "--git", &repository],
    ] {
        let sandbox = stage.sandbox(DEBIAN, options);
        let written = sandbox.exec(&["sh", "-c", "mkdir /data/new && echo x > /data/new/work"]);
        assert_eq!(written.output().code, 0);
        let deleted = sandbox.verb("delete", &[]).output();
        deleted.ended(
            4,
            &["holds work", "in /data: new", ":/data .` copies it out"],
        );
        assert_eq!(sandbox.engine_state(), "running");
        let json = sandbox.verb("delete", &["-o", "json"]).output().json();
        assert_eq!(json["error"]["work"][0], "/data/new", "{json}");
    }
    // What came from the host is still there.
    let untouched = stage.sandbox(DEBIAN, &["--mount", &copy]);
    assert_eq!(untouched.verb("delete", &[]).output().code, 0);
}

#[test]
fn a_copy_of_before_1970_has_its_time_whether_it_is_a_file_or_a_directory() {
    let stage = Stage::new();
    let path = stage.file("d/old", "x");
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    let before = std::time::UNIX_EPOCH - std::time::Duration::from_secs(315_619_201);
    file.set_modified(before).unwrap();
    let directory = stage.home().join("d");
    for (source, target, found) in [
        (path.as_str(), "/old", "/old"),
        (&path, "/home/amika/old", "/home/amika/old"),
        (directory.to_str().unwrap(), "/data", "/data/old"),
    ] {
        let sandbox = stage.adopt(stage.name());
        let mount = format!("{source}:{target}");
        let made = sandbox.create(DEBIAN, &["--mount", &mount, "--", "sleep", "600"]);
        made.ended(0, &[]);
        let told = made.stderr_text();
        assert!(!told.contains("1970"), "{told}");
        let time = sandbox.exec(&["stat", "-c", "%Y", found]).output();
        assert_eq!(time.stdout_text().trim(), "-315619201", "{time:?}");
        // It is as it came.
        sandbox.verb("delete", &[]).output().ended(0, &[]);
    }
}
