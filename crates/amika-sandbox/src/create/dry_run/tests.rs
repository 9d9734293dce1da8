use pretty_assertions::assert_eq;

use super::*;

fn facts(branch: Option<&str>, commit: Option<&str>, is_dirty: bool) -> git::Facts {
    git::Facts {
        name: "app".to_owned(),
        root: None,
        source: "/home/ada/app".to_owned(),
        branch: branch.map(str::to_owned),
        commit: commit.map(str::to_owned),
        remotes: std::collections::BTreeMap::new(),
        is_dirty,
        warnings: Vec::new(),
    }
}

#[test]
fn directories_that_are_held_in_place_are_told_from_mounts() {
    let all = [
        "/src -> /w",
        "/src/a -> /w/a",
        "/src/a/.git -> /w/a/.git (read-only)",
        "/srcx -> /wx",
        "/src/b -> /b",
    ];
    let all: Vec<String> = all.iter().map(|text| (*text).to_owned()).collect();
    let all: Vec<&String> = all.iter().collect();
    let held: Vec<&&String> = all.iter().filter(|mount| is_held(mount, &all)).collect();
    assert_eq!(held, [&"/src/a -> /w/a"]);
}

#[test]
fn a_repository_is_told_with_its_branch_commit_and_content() {
    let dirty = |include_ignored| git::Copy::Dirty { include_ignored };
    for (facts, copy, new_branch, told) in [
        (
            facts(Some("main"), Some("c0ffee"), false),
            git::Copy::Clean,
            false,
            ["main", "c0ffee", "what is committed"],
        ),
        (
            facts(Some("try"), Some("c0ffee"), true),
            git::Copy::Clean,
            true,
            [
                "try (new)",
                "c0ffee",
                "what is committed; uncommitted changes stay behind",
            ],
        ),
        (
            facts(None, Some("c0ffee"), true),
            dirty(false),
            false,
            [
                "none (detached HEAD)",
                "c0ffee",
                "the work tree with its uncommitted changes",
            ],
        ),
        (
            facts(Some("main"), None, false),
            dirty(true),
            false,
            [
                "main",
                "none yet",
                "the work tree, which has no uncommitted changes, and ignored files",
            ],
        ),
    ] {
        let mut view = RepositoryView::of(&facts, copy, new_branch);
        view.target = Some("/home/amika/workspace/app".to_owned());
        let [branch, commit, content] = told;
        assert_eq!(
            view.lines(),
            [
                "Repository  /home/ada/app -> /home/amika/workspace/app".to_owned(),
                format!("Branch      {branch}"),
                format!("Commit      {commit}"),
                format!("Content     {content}"),
            ]
        );
    }
}
