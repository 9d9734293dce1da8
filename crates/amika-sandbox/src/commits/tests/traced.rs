//! What the host's gits do during a pull, as the kernel sees it.

use super::traces::{calls, is_blind, traces};
use super::*;

#[test]
fn a_pull_opens_nothing_of_the_repositorys_own_git_directory_and_runs_nothing_but_git() {
    let this = "commits::tests::traced::a_pull_opens_nothing_of_the_repositorys_own_git_directory_and_runs_nothing_but_git";
    let Some(logs) = traces(this) else { return };
    for format in [&[][..], &["--object-format=sha256"]] {
        let stage = Stage::new(format);
        let at = stage.at("");
        git(&stage.at("host"), &["worktree", "add", "-q", "../linked"]);
        git(&at, &["clone", "-q", "--shared", "host", "borrower"]);
        let evil = format!("touch {}; false", stage.at("PWNED").display());
        for name in ["host", "borrower"] {
            for key in [
                "core.fsmonitor",
                "core.sshCommand",
                "core.alternateRefsCommand",
                "gpg.program",
            ] {
                git(&stage.at(name), &["config", key, &evil]);
            }
            let hook = stage.at(name).join(".git/hooks/reference-transaction");
            std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
            std::fs::write(&hook, format!("#!/bin/sh\n{evil}\n")).unwrap();
            std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .unwrap();
        }
        for name in ["host", "linked", "borrower"] {
            let tip = stage.commit("box", &format!("for {name}"));
            assert_eq!(calls(&logs), [], "only what amika starts is traced");
            let host = Host::find(&Machine::of_process(), &stage.at(name)).unwrap();
            pull_into(&host, &stage.agent(), &[], MAX).unwrap();
            let calls = calls(&logs);
            let receives = |of: &str| of.contains("git");
            assert!(
                calls
                    .iter()
                    .filter(|call| call.is_exec && receives(&call.path))
                    .count()
                    >= 4,
                "{name}"
            );
            is_blind(&format!("{name} {format:?}"), &calls, &at, &[], &[]);
            let pulled = git(
                &stage.at(name),
                &["rev-parse", "refs/remotes/amika-box/main"],
            );
            assert_eq!(pulled, tip, "{name}");
        }
        assert!(!stage.at("PWNED").exists());
    }
}
