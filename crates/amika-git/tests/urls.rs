//! A URL as the source: cloned on the host, and the copy knows only the URL.

use amika_git::{Copy, GitError, Request};
use pretty_assertions::assert_eq;

use crate::support::*;

pub(crate) fn url_request(url: &str, branch: Option<&str>, new: Option<&str>) -> Request {
    Request {
        spec: Some(url.to_owned()),
        branch: branch.map(str::to_owned),
        new_branch: new.map(str::to_owned),
        copy: Copy::Clean,
        cache: None,
    }
}

#[test]
fn a_url_is_cloned_as_git_clone_would() {
    let host = Host::new();
    let path = host.simple("Hello-World.git");
    git(&path, &["branch", "topic"]);
    git(&path, &["tag", "v1"]);
    let url = format!("file://{}", path.display());
    let copied = copy(url_request(&url, None, None));
    git(&host.path(""), &["clone", "-q", &url, "reference"]);
    let reference = host.path("reference");
    assert_eq!(status(&copied.path()), status(&reference));
    assert_eq!(
        copied.git(&["for-each-ref"]),
        git(&reference, &["for-each-ref"])
    );
    assert_eq!(
        copied.git(&["remote", "-v"]),
        git(&reference, &["remote", "-v"])
    );
    assert_eq!(
        copied.git(&["config", "branch.main.merge"]),
        "refs/heads/main"
    );
    assert_eq!(copied.repository.facts().name, "Hello-World");
    assert_eq!(copied.repository.facts().root, None);
    assert!(!copied.read(".git/config").contains("amika-copy-"));

    let copied = copy(url_request(&url, Some("topic"), None));
    assert_eq!(
        copied.git(&["rev-parse", "--symbolic-full-name", "@{u}"]),
        "refs/remotes/origin/topic"
    );
    let copied = copy(url_request(&url, None, Some("agent")));
    assert_eq!(copied.git(&["branch", "--show-current"]), "agent");
    assert!(matches!(
        open(url_request(&url, Some("topik"), None)),
        Err(GitError::NoSuchBranch { .. })
    ));
    assert!(matches!(
        open(url_request(&url, None, Some("topic"))),
        Err(GitError::BranchExists { .. })
    ));
}

#[test]
fn an_empty_remote_is_an_empty_repository() {
    let host = Host::new();
    let path = host.empty("repo", &[]);
    let copied = copy(url_request(
        &format!("file://{}", path.display()),
        None,
        None,
    ));
    assert_eq!(copied.git(&["branch", "--show-current"]), "main");
    copied.git(&["commit", "-q", "--allow-empty", "-m", "works"]);
}

#[test]
fn a_failed_clone_says_why_without_the_secret() {
    // Nothing listens on the port of a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://me:s3cretTOKEN@127.0.0.1:{port}/a.git");
    let error = open(url_request(&url, None, None)).err().expect("refused");
    let shown = format!("{error} {error:?}");
    assert!(matches!(error, GitError::Clone { .. }), "{shown}");
    assert!(!shown.contains("s3cretTOKEN"), "{shown}");
    assert!(shown.contains("127.0.0.1"), "{shown}");
}

#[test]
fn what_ssh_says_is_in_the_error() {
    // Nothing listens on the port of a listener that is gone.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("ssh://git@127.0.0.1:{port}/a.git");
    let causes = |url: &str| match open(url_request(url, None, None)).err() {
        Some(GitError::Clone { causes, .. }) => causes,
        other => panic!("{other:?}"),
    };
    let reason = format!("ssh: connect to host 127.0.0.1 port {port}: Connection refused");
    assert_eq!(causes(&url), [reason]);
    let unknown = causes("ssh://git@host.invalid/a.git");
    assert!(
        unknown[0].starts_with("ssh: Could not resolve hostname host.invalid"),
        "{unknown:?}"
    );
}

#[test]
fn a_token_in_the_url_reaches_the_server_and_not_the_copy() {
    let host = Host::new();
    let path = host.simple("repo");
    git(
        &host.path(""),
        &["clone", "-q", "--bare", "repo", "served.git"],
    );
    git(&host.path("served.git"), &["update-server-info"]);
    let server = Server::start(host.path("served.git"));
    let url = format!("http://me:s3cretTOKEN@127.0.0.1:{}/served.git", server.port);
    let copied = copy(url_request(&url, None, None));
    assert_eq!(tree(&copied.path()), tree(&path));
    assert_eq!(
        copied.git(&["remote", "get-url", "origin"]),
        format!("http://127.0.0.1:{}/served.git", server.port)
    );
    for (name, _) in fingerprint(&copied.path()) {
        use std::os::unix::ffi::OsStrExt as _;
        let path = copied.path().join(std::ffi::OsStr::from_bytes(&name));
        if path.is_file() {
            let content = std::fs::read(&path).unwrap();
            assert!(
                !content.windows(11).any(|part| part == b"s3cretTOKEN"),
                "{}",
                path.display()
            );
        }
    }
    // base64 of `me:s3cretTOKEN`.
    assert!(server.authorised.load(std::sync::atomic::Ordering::SeqCst));
}

/// A web server for the files of one bare repository that insists on the password.
pub(crate) struct Server {
    pub(crate) port: u16,
    authorised: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Server {
    pub(crate) fn start(root: std::path::PathBuf) -> Self {
        use std::io::{BufRead as _, BufReader, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let authorised = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let seen = authorised.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(&stream).lines();
                let request = lines.next().and_then(Result::ok).unwrap_or_default();
                let mut allowed = false;
                for line in lines
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                {
                    allowed |= line == "Authorization: Basic bWU6czNjcmV0VE9LRU4=";
                }
                let path = request.split(' ').nth(1).unwrap_or_default();
                let path = path.split('?').next().unwrap_or_default();
                let file = path
                    .strip_prefix("/served.git/")
                    .map(|path| root.join(path));
                let content = file.and_then(|file| std::fs::read(file).ok());
                let (status, extra, body) = match content {
                    _ if !allowed => (
                        "401 Unauthorized",
                        "WWW-Authenticate: Basic realm=\"x\"\r\n",
                        Vec::new(),
                    ),
                    Some(content) => ("200 OK", "", content),
                    None => ("404 Not Found", "", Vec::new()),
                };
                if allowed {
                    seen.store(true, std::sync::atomic::Ordering::SeqCst);
                }
                let head = format!(
                    "HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let mut stream = &stream;
                let _ = stream
                    .write_all(head.as_bytes())
                    .and_then(|()| stream.write_all(&body));
            }
        });
        Self { port, authorised }
    }
}

#[test]
fn lfs_content_of_a_url_is_fetched() {
    let host = Host::new();
    let path = host.empty("repo", &[]);
    git(&path, &["lfs", "install", "--local", "--skip-repo"]);
    git(&path, &["lfs", "track", "--", "*.bin"]);
    write(&path, "here.bin", vec![1; 100_000]);
    commit_all(&path, "lfs");
    let copied = copy(url_request(
        &format!("file://{}", path.display()),
        None,
        None,
    ));
    assert_eq!(
        std::fs::read(copied.path().join("here.bin")).unwrap(),
        vec![1; 100_000]
    );
    assert_eq!(copied.git(&["status", "--porcelain"]), "");
}
