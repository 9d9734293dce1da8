//! Languages whose tools the preset lacks, and `make`.
//!
//! What these fetch is ahead of time: the tool fetches it again when it is used. So a failure is said, and the
//! sandbox starts.

use super::{Directory, Work, words};

/// A step that may fail.
fn ahead(tool: &str, command: &str, prepare: &str) -> String {
    format!(
        "if tool {tool}; then\n{prepare}    {command} || echo \"this failed: do it by hand, or change .amika/setup.sh\" >&2\nfi"
    )
}

pub(super) fn rust(directory: Directory<'_>, work: &mut Work) -> bool {
    if !directory.has("Cargo.toml") {
        return false;
    }
    let locked = if directory.has("Cargo.lock") {
        " --locked"
    } else {
        ""
    };
    // rustup takes the version that rust-toolchain names by itself, once cargo is called.
    let prepare = if directory.has("rust-toolchain") || directory.has("rust-toolchain.toml") {
        ""
    } else {
        "    # Of the distribution is rustup alone, and no toolchain.\n    cargo --version >/dev/null 2>&1 || rustup default stable || true\n"
    };
    let command = directory.within(&format!("cargo fetch{locked}"));
    let once = directory.those(&[
        "Cargo.toml",
        "Cargo.lock",
        "rust-toolchain",
        "rust-toolchain.toml",
    ]);
    let why = format!("Rust crates ({})", once.join(", "));
    work.step(why, ahead("cargo rustup", &command, prepare), true, once);
    true
}

pub(super) fn go(directory: Directory<'_>, work: &mut Work) -> bool {
    if !directory.has("go.mod") && !directory.has("go.work") {
        return false;
    }
    let command = directory.within("go mod download");
    let once = directory.those(&["go.mod", "go.sum", "go.work"]);
    let why = format!("Go modules ({})", once.join(", "));
    work.step(why, ahead("go golang-go", &command, ""), true, once);
    true
}

pub(super) fn ruby(directory: Directory<'_>, work: &mut Work) -> bool {
    if !directory.has("Gemfile") {
        return false;
    }
    let command = directory.within("bundle install");
    let once = directory.those(&["Gemfile", "Gemfile.lock"]);
    let why = format!("Ruby gems ({})", once.join(", "));
    let tool = "bundle ruby-full ruby-bundler libyaml-dev";
    work.step(why, ahead(tool, &command, ""), true, once);
    if directory.has("bin/rails") {
        let command = words(&["bin/rails", "server", "-b", "0.0.0.0"]);
        work.serve(directory, 3000, command);
    }
    true
}

/// Targets of a Makefile that set a repository up, by their usual names.
const TARGETS: [&str; 4] = ["setup", "bootstrap", "deps", "install-deps"];

/// Plans a Makefile's own target where nothing else is known, and else names it.
pub(super) fn make(directory: Directory<'_>, work: &mut Work) {
    let Some(text) = directory.text("Makefile") else {
        return;
    };
    let is_target = |target: &&&str| {
        text.lines().any(|line| {
            let rest = line.strip_prefix(**target).map(str::trim_start);
            rest.and_then(|rest| rest.strip_prefix(':'))
                .is_some_and(|rest| !rest.starts_with('='))
        })
    };
    let Some(target) = TARGETS.iter().find(is_target) else {
        return;
    };
    if work.plan.draft.setup.is_empty() {
        let why = "The Makefile's own target".to_owned();
        work.step(why, format!("make {target}"), false, words(&["Makefile"]));
    } else {
        let remark =
            format!("The Makefile has a target `{target}`, which .amika/setup.sh does not call.");
        work.plan.draft.remarks.push(remark);
    }
}
