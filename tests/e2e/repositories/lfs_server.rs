//! The server that a repository names for its LFS files hears nothing of a user who did not name it.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::host::{TOKEN, introduce, run};
use super::server::Server;
use crate::support::{DEBIAN, Stage, Terminal};

/// A server that counts who comes, and answers nobody.
struct Named {
    port: u16,
    visits: Arc<AtomicUsize>,
}

impl Named {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let visits = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&visits);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                count.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        Self { port, visits }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

#[test]
fn the_server_that_a_repository_names_is_asked_about_before_it_hears_anything() {
    let stage = Stage::new();
    introduce(&stage);
    let named = Named::start();
    let server = format!("http://127.0.0.1:{}/lfs", named.port);
    stage.file("theirs/.gitattributes", "*.bin filter=lfs\n");
    stage.file("theirs/.lfsconfig", &format!("[lfs]\nurl = {server}\n"));
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 3\n",
        "ab".repeat(32)
    );
    stage.file("theirs/a.bin", &pointer);
    let make = "git init -q; git add -A; git commit -qm one; mkdir ../served; git clone -q --bare . ../served/theirs.git";
    run(&stage, &stage.home().join("theirs"), make);
    let forge = Server::start(&stage.home().join("served"));
    let url = forge.url(&format!("me:{TOKEN}@"), "theirs.git");
    let args = |name: &str, more: &[&str]| -> Vec<String> {
        let start = [
            "sandbox", "create", "--image", DEBIAN, "--git", &url, "--name", name,
        ];
        let all = start.iter().chain(more);
        all.map(|&one| one.to_owned()).collect()
    };

    // Nothing but this is asked for, and no sign-in is there: it is asked about all the same.
    let on_terminal = |name: &str, more: &[&str]| -> Terminal {
        let all = args(name, more);
        stage.on_terminal(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let name = stage.name();
    let mut terminal = on_terminal(&name, &[]);
    terminal
        .shows("it names servers for its LFS files")
        .shows(&server)
        .shows("Trust it?");
    assert_eq!(named.visits(), 0, "before the answer");
    let (code, screen) = terminal.types("n\n").end();
    assert_eq!((code, named.visits()), (1, 0), "{screen}");
    stage.nothing_was_made();

    // Where nobody can be asked it is not fetched, and that is said.
    for more in [&["--dry-run"][..], &["--trust=never", "--dry-run"], &[]] {
        let sandbox = stage.adopt(stage.name());
        let created = stage.amika(&args(&sandbox.name, more)).output();
        created.ended(
            0,
            &[
                "1 LFS file(s) stay pointers",
                &server,
                "`--trust` fetches it",
            ],
        );
        assert_eq!(named.visits(), 0, "{more:?}");
        if more.is_empty() {
            let read = "cat /home/amika/workspace/theirs/a.bin";
            let inside = sandbox.exec(&["sh", "-c", read]).output();
            assert_eq!(inside.stdout_text(), pointer);
        }
    }

    // And with a word it is.
    let created = stage
        .amika(&args(&stage.name(), &["--trust", "--dry-run"]))
        .output();
    created.ended(0, &["could not be fetched"]);
    assert!(named.visits() > 0);
    let before = named.visits();
    let mut terminal = on_terminal(&stage.name(), &["--dry-run"]);
    let (code, screen) = terminal.end();
    assert_eq!((code, named.visits()), (0, before), "{screen}");
    let sandbox = stage.adopt(stage.name());
    let mut terminal = on_terminal(&sandbox.name, &[]);
    let (code, screen) = terminal.shows("Trust it?").types("a\n").end();
    assert_eq!(code, 0, "{screen}");
    assert!(named.visits() > before);

    // What was trusted is not another server.
    let other = Named::start();
    let change = format!(
        "printf '[lfs]\\nurl = http://127.0.0.1:{}/lfs\\n' >.lfsconfig; git commit -qam other; git push -q ../served/theirs.git main",
        other.port
    );
    run(&stage, &stage.home().join("theirs"), &change);
    let created = stage.amika(&args(&stage.name(), &["--dry-run"])).output();
    created.ended(0, &["1 LFS file(s) stay pointers"]);
    assert_eq!(other.visits(), 0);
}
