use pretty_assertions::assert_eq;

use super::*;

#[test]
fn what_would_be_lost_is_told_in_gits_words() {
    let clone = |commits, branches, files, stashes| self::Clone {
        place: "/home/amika/workspace/x".into(),
        told: Ok(Counts {
            commits,
            branches,
            files,
            stashes,
        }),
    };
    for (of, words) in [
        (
            clone(3, 2, 4, 0),
            "in /home/amika/workspace/x: 3 commits on 2 branches that no remote has, 4 changed files",
        ),
        (
            clone(1, 1, 1, 1),
            "in /home/amika/workspace/x: 1 commit on 1 branch that no remote has, 1 changed file, 1 stash",
        ),
        (
            clone(2, 0, 0, 0),
            "in /home/amika/workspace/x: 2 commits that no remote has",
        ),
    ] {
        assert_eq!(of.to_string(), words);
        assert!(of.is_in_the_way() && of.is_known());
    }
    assert!(!clone(0, 0, 0, 0).is_in_the_way());
    let none = unknown("v", "there is no git in the sandbox");
    assert!(none.is_in_the_way() && !none.is_known());
    assert_eq!(
        none.to_string(),
        "what is in v cannot be told: there is no git in the sandbox"
    );
}

/// The git of this machine, in a repository of the test's own.
struct Here(std::path::PathBuf);

impl Source for Here {
    async fn git(&self, arguments: &[&str], input: Vec<u8>, _: usize) -> Result<Told> {
        use std::io::Write as _;
        let mut git = std::process::Command::new("git");
        git.args(arguments).current_dir(&self.0);
        git.env("GIT_CONFIG_GLOBAL", "/dev/null");
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "a");
            git.env(format!("GIT_{role}_EMAIL"), "a@example.com");
        }
        let pipe = std::process::Stdio::piped;
        let child = git.stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn();
        let mut child = child.expect("git");
        let stdin = child.stdin.take();
        // One that reads nothing may have ended by then.
        let _ = stdin.expect("a pipe").write_all(&input);
        let output = child.wait_with_output().expect("an end");
        Ok(Told {
            code: output.status.code().map_or(1, i64::from),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }

    async fn stream(
        &self,
        _: &[&str],
        _: Vec<u8>,
    ) -> Result<
        std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<crate::commits::Piece>> + Send>>,
    > {
        Ok(Box::pin(futures_util::stream::empty()))
    }
}

impl Here {
    async fn run(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let told = self.git(&words, Vec::new(), 0).await.expect("git");
        assert_eq!(told.code, 0, "{line}: {}", shown(&told.stderr));
        String::from_utf8_lossy(&told.stdout).trim().to_owned()
    }
}

#[tokio::test]
async fn commits_files_and_stashes_that_are_nowhere_else_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = Here(directory.path().to_owned());
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("written");
    };
    here.run("init -q -b main").await;
    assert_eq!(
        count_with(&here, &Began::default()).await,
        Ok(Counts::default())
    );
    write("a", "1");
    here.run("add a").await;
    here.run("commit -q -m one").await;
    let first = here.run("rev-parse HEAD").await;
    let began = Began {
        commit: Some(first.clone()),
        refs: [("refs/heads/main".to_owned(), first.clone())].into(),
        ..Began::default()
    };
    assert_eq!(count_with(&here, &began).await, Ok(Counts::default()));
    let nothing_known = count_with(&here, &Began::default()).await;
    assert_eq!(
        nothing_known.map(|it| (it.commits, it.branches)),
        Ok((1, 1))
    );
    here.run("commit -q --allow-empty -m two").await;
    here.run("update-ref refs/remotes/origin/main HEAD").await;
    here.run("commit -q --allow-empty -m three").await;
    here.run("branch same").await;
    here.run("checkout -q --detach").await;
    here.run("commit -q --allow-empty -m four").await;
    write("a", "2");
    here.run("stash -q").await;
    write("a", "3");
    write("b", "new");
    let counts = Counts {
        commits: 2,
        branches: 2,
        files: 2,
        stashes: 1,
    };
    assert_eq!(count_with(&here, &began).await, Ok(counts));
    let gone = Here("/".into());
    assert!(count_with(&gone, &began).await.is_err());
}

#[tokio::test]
async fn what_was_not_committed_on_the_host_either_is_no_work() {
    let directory = tempfile::tempdir().expect("a directory");
    let here = Here(directory.path().to_owned());
    let file = directory.path().join("a");
    std::fs::write(&file, "1").expect("written");
    here.run("init -q -b main").await;
    here.run("add a").await;
    here.run("commit -q -m one").await;
    let commit = here.run("rev-parse HEAD").await;
    std::fs::write(&file, "22").expect("written");
    std::fs::write(directory.path().join("untracked"), "x").expect("written");
    here.run("add -A").await;
    let tree = here.run("write-tree").await;
    here.run("reset -q").await;
    let began = Began {
        commit: Some(commit),
        tree: Some(tree),
        dirty: true,
        refs: BTreeMap::new(),
    };
    assert_eq!(count_with(&here, &began).await, Ok(Counts::default()));
    std::fs::write(&file, "333").expect("written");
    assert_eq!(count_with(&here, &began).await.map(|it| it.files), Ok(2));
}

#[test]
fn what_a_record_claims_reaches_git_as_object_names_only() {
    let began = Began {
        commit: Some("--output=/x".into()),
        refs: [
            ("refs/heads/a".to_owned(), "a".repeat(40)),
            ("refs/heads/b".to_owned(), "HEAD".to_owned()),
            ("refs/heads/c".to_owned(), format!("{}\n", "b".repeat(39))),
        ]
        .into(),
        ..Began::default()
    };
    assert_eq!(began.known(), format!("^{}\n", "a".repeat(40)));
}
