//! What in the home is nobody's work: caches, and what programs note for themselves.
//!
//! The rule errs on the side of work: what is listed here is made again by the program that made it, or is its own
//! record of having run. What a person or an agent writes for somebody to read, instructions, plans and settings, is
//! not listed, wherever it is.

use std::path::Path;

use crate::credential;

/// Directories and files beneath the home that are made again, or are a program's notes for itself. A name that ends
/// with `*` stands for all that begin so.
const NOTES: &[&str] = &[
    // XDG: caches, and state, which is "not important or portable enough".
    ".cache",
    ".local/state",
    // Package managers and tool chains: fetched again.
    ".npm",
    ".node-gyp",
    ".pnpm-store",
    ".local/share/pnpm",
    ".yarn",
    ".bun",
    ".deno",
    ".cargo/registry",
    ".cargo/git",
    ".cargo/.package-cache*",
    ".cargo/.global-cache*",
    ".rustup",
    "go/pkg",
    ".gradle/caches",
    ".gradle/daemon",
    ".gradle/native",
    ".gradle/wrapper",
    ".m2/repository",
    ".nuget/packages",
    ".local/share/uv",
    ".gem/specs",
    ".bundle/cache",
    ".terraform.d/plugin-cache",
    // Editors' servers.
    ".vscode-server*",
    ".vscode-remote*",
    ".cursor-server",
    ".windsurf-server",
    ".dotnet",
    // Histories and marks of shells and tools.
    ".bash_history",
    ".zsh_history",
    ".zsh_sessions",
    ".zcompdump*",
    ".python_history",
    ".node_repl_history",
    ".psql_history",
    ".sqlite_history",
    ".lesshst",
    ".viminfo",
    ".wget-hsts",
    ".sudo_as_admin_successful",
    ".ssh/known_hosts*",
    ".pki",
    // The agents' sign-ins, settings that they write by themselves, logs and records of sessions.
    ".claude.json*",
    ".claude-oauth-credentials.json",
    ".claude/.credentials.json",
    ".claude/.last*",
    ".claude/.update*",
    ".claude/backups",
    ".claude/cache",
    ".claude/debug",
    ".claude/downloads",
    ".claude/file-history",
    ".claude/history.jsonl",
    ".claude/ide",
    ".claude/local",
    ".claude/logs",
    ".claude/mcp-needs-auth-cache.json",
    ".claude/paste-cache",
    ".claude/plugins",
    ".claude/policy-limits.json",
    ".claude/projects",
    ".claude/remote-settings.json",
    ".claude/session-env",
    ".claude/sessions",
    ".claude/shell-snapshots",
    ".claude/stats-cache.json",
    ".claude/statsig",
    ".claude/tasks",
    ".claude/telemetry",
    ".claude/todos",
    ".codex/.*",
    ".codex/*.sqlite*",
    ".codex/archived_sessions",
    ".codex/auth.json",
    ".codex/cache",
    ".codex/history.jsonl",
    ".codex/installation_id",
    ".codex/internal_storage.json",
    ".codex/log",
    ".codex/models_cache.json",
    ".codex/sessions",
    ".codex/shell_snapshots",
    ".codex/skills/.system",
    ".codex/thread-writer-locks",
    ".codex/tmp",
    ".codex/vendor_imports",
    ".codex/version.json",
    ".config/opencode/.gitignore",
    ".config/opencode/bun.lock*",
    ".config/opencode/node_modules",
    ".config/opencode/package.json",
    ".config/opencode/package-lock.json",
    ".local/share/opencode",
    ".opencode/node_modules",
    // Of buildx: which builder is in use, and what was built.
    ".docker/buildx",
];

/// Settings that a program makes at its first start, beneath the home, and that are work once somebody set anything.
const EMPTY_SETTINGS: &[&str] = &[
    ".config/opencode/opencode.json",
    ".config/opencode/opencode.jsonc",
];

/// The most bytes that settings without a setting have.
pub const EMPTY_SETTINGS_LIMIT: u64 = 256;

/// Whether a path relative to the home is that of settings which a program makes by itself: what is in them decides.
pub fn may_be_empty_settings(path: &Path) -> bool {
    EMPTY_SETTINGS
        .iter()
        .any(|settings| Path::new(settings) == path)
}

/// Whether settings set nothing: an object in JSON with no member but `$schema`.
pub fn are_empty_settings(content: &[u8]) -> bool {
    let text: String = String::from_utf8_lossy(content)
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect();
    let inner = text.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
    inner.is_some_and(|inner| {
        let inner = inner.strip_suffix(',').unwrap_or(inner);
        let schema = inner
            .strip_prefix("\"$schema\":\"")
            .and_then(|rest| rest.strip_suffix('"'));
        inner.is_empty() || schema.is_some_and(|url| !url.contains(['"', '\\']))
    })
}

/// Whether a path relative to the home is, or lies in, a cache or a program's notes for itself.
pub fn is_cache(path: &Path) -> bool {
    let is_sign_in = || {
        credential::FILES
            .iter()
            .any(|file| Path::new(file.path) == path)
    };
    NOTES.iter().any(|notes| begins(path, notes)) || is_sign_in()
}

/// Whether a path begins with a pattern's names: `*` in one stands for any text.
fn begins(path: &Path, pattern: &str) -> bool {
    let mut names = path.components();
    pattern.split('/').all(|wanted| {
        names
            .next()
            .is_some_and(|name| matches(&name.as_os_str().to_string_lossy(), wanted))
    })
}

fn matches(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_makes_again_or_notes_for_itself_is_no_work() {
        for path in [
            ".cache",
            ".cache/pip/x",
            ".npm/_cacache/y",
            ".cargo/registry/z",
            ".local/share/opencode/log/1.log",
            ".local/state/opencode/model.json",
            ".claude/projects/-home/1.jsonl",
            ".claude.json",
            ".claude.json.backup.1",
            ".claude/.credentials.json",
            ".codex/sessions/2026/x.jsonl",
            ".codex/state_5.sqlite-wal",
            ".codex/auth.json",
            ".codex/thread-writer-locks/.coordination.lock",
            ".docker/buildx/current",
            ".bash_history",
            ".vscode-server/bin/x",
            ".ssh/known_hosts.old",
        ] {
            assert!(is_cache(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn settings_are_work_once_anything_is_set() {
        for empty in [
            "{}",
            "{ \"$schema\": \"https://opencode.ai/config.json\" }",
            "{\n  \"$schema\": \"https://opencode.ai/config.json\",\n}\n",
        ] {
            assert!(are_empty_settings(empty.as_bytes()), "{empty}");
        }
        for set in [
            "",
            "{",
            "// mine\n{}",
            "{\"model\": \"x\"}",
            "{\"$schema\": \"https://x/y\", \"model\": \"x\"}",
            "[]",
        ] {
            assert!(!are_empty_settings(set.as_bytes()), "{set}");
        }
        assert!(may_be_empty_settings(Path::new(
            ".config/opencode/opencode.jsonc"
        )));
        assert!(!may_be_empty_settings(Path::new(
            ".config/opencode/agent/a.md"
        )));
    }

    #[test]
    fn what_somebody_wrote_is_work_also_beside_a_cache() {
        for path in [
            "",
            "notes",
            "cache",
            ".cachet",
            "workspace/.cache/x",
            "workspace/lib/.npm/x",
            ".cargo/config.toml",
            ".cargo",
            ".claude/CLAUDE.md",
            ".claude/plans/a.md",
            ".claude/commands/a.md",
            ".claude/skills/a/SKILL.md",
            ".codex/AGENTS.md",
            ".codex/config.toml",
            ".codex/prompts/x.md",
            ".config/opencode/opencode.json",
            ".config/opencode/agent/a.md",
            ".ssh/id_ed25519",
            ".gitconfig",
            "go/src/x",
            ".bashrc",
        ] {
            assert!(!is_cache(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text_within_a_name() {
        for (name, pattern, fits) in [
            ("a", "a", true),
            ("ab", "a", false),
            ("ab", "a*", true),
            ("a", "a*", true),
            ("x.sqlite-wal", "*.sqlite*", true),
            ("x.sqlit", "*.sqlite*", false),
            (".x", ".*", true),
            ("x", ".*", false),
        ] {
            assert_eq!(matches(name, pattern), fits, "{name} {pattern}");
        }
    }
}
