use super::*;

#[test]
fn what_runs_programs_or_redirects_them_is_refused() {
    for name in [
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "LD_AUDIT",
        "DYLD_INSERT_LIBRARIES",
        "BASH_ENV",
        "ENV",
        "BASH_FUNC_ls%%",
        "PROMPT_COMMAND",
        "NODE_OPTIONS",
        "PYTHONSTARTUP",
        "PERL5OPT",
        "RUBYOPT",
        "JAVA_TOOL_OPTIONS",
        "http_proxy",
        "HTTPS_PROXY",
        "All_Proxy",
        "no_proxy",
        "FTP_PROXY",
        "ws_proxy",
        "npm_config_registry",
        "NPM_CONFIG_SCRIPT_SHELL",
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_BEDROCK_BASE_URL",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_CODE_SHELL_PREFIX",
        "OPENAI_BASE_URL",
        "OPENAI_API_BASE",
        "CODEX_HOME",
        "OPENCODE_SERVER_PASSWORD",
        "OPENCODE_CONFIG_CONTENT",
        "GIT_SSH_COMMAND",
        "GIT_CONFIG_COUNT",
        "GIT_DIR",
        "GIT_EXTERNAL_DIFF",
        "AMIKA_AGENT_CWD",
        "AMIKA_TOKEN_SHA256",
        "AMIKA_ANYTHING",
        "SSL_CERT_FILE",
        "NODE_EXTRA_CA_CERTS",
        "HOME",
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "CLAUDE_ENV_FILE",
        "OPENAI_API_KEY",
        "NODE_PATH",
        "PERL5LIB",
        "RUBYLIB",
        "PYTHONBREAKPOINT",
        "RUSTC_WRAPPER",
        "SUDO_EDITOR",
        "EDITOR",
        "BAT_PAGER",
        "LESSKEYIN",
        "SVN_SSH",
        "LOCPATH",
        "PIP_INDEX_URL",
        "UV_INDEX_URL",
        "CARGO_REGISTRIES_CRATES_IO_INDEX",
        "CARGO_SOURCE_CRATES_IO_REPLACE_WITH",
        "RUSTUP_DIST_SERVER",
        "GOPROXY",
        "YARN_YARN_PATH",
        "PYTHONPYCACHEPREFIX",
        "CDPATH",
        "NODE_COMPILE_CACHE",
        "APT_CONFIG",
        "PIP_PYTHON",
        "UV_PYTHON",
        "GEMRC",
        "CLOUDSDK_PYTHON",
        "VAULT_ADDR",
        "HF_ENDPOINT",
        "OPENAI_ORGANIZATION",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_X",
        "COPILOT__X",
        "RUSTC",
        "CARGO_HOME",
        "GH_HOST",
        "GH_TOKEN",
        "GITHUB_TOKEN",
        "ERL_AFLAGS",
        "DOCKER_HOST",
        "KUBECONFIG",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_LOG_USER_PROMPTS",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_GEMINI_BASE_URL",
        "OPENROUTER_API_KEY",
        "SSH_SK_PROVIDER",
        "SSH_PKCS11_HELPER",
        "HGRCPATH",
        "FZF_DEFAULT_COMMAND",
        "SYSTEMD_LESS",
        "BUN_CONFIG_REGISTRY",
        "TERMINFO_DIRS",
    ] {
        assert!(why_not(name).is_some(), "{name}");
    }
}

#[test]
fn what_ordinary_repositories_set_is_left_alone() {
    for name in [
        "PATH",
        "PYTHONPATH",
        "RUSTFLAGS",
        "RUST_BACKTRACE",
        "JAVA_HOME",
        "NODE_ENV",
        "DATABASE_URL",
        "API_BASE_URL",
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "GIT_COMMITTER_DATE",
        "AMIKA_OPENCODE_WEB",
        "ANTHROPIC_MODEL",
        "OPENAI_MODEL",
        "LDFLAGS",
        "LD",
        "ENVIRONMENT",
        "MY_ENV",
        "env",
        "GITHUB_REPOSITORY",
        "PROXY",
        "TZ",
        "LANG",
        "LC_ALL",
        "MAKEFLAGS",
        "GOFLAGS",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_JOBS",
        "CARGO_TERM_COLOR",
        "PIP_NO_CACHE_DIR",
        "UV_LINK_MODE",
        "GOPATH",
        "GOPRIVATE",
        "YARN_CACHE_FOLDER",
        "MAVEN_OPTS",
        "CLASSPATH",
        "CC",
        "OTEL_SERVICE_NAME",
        "STRIPE_API_KEY",
        "GOOGLE_CLOUD_PROJECT",
        "NUGET_PACKAGES",
        "AWS_REGION",
        "GITHUB_ACTIONS",
        "PORT",
        "é_prox",
        "",
    ] {
        assert_eq!(why_not(name), None, "{name}");
    }
}

#[test]
fn a_pattern_has_one_star_at_an_end() {
    for rule in RULES {
        for pattern in rule.names.iter().chain(rule.except) {
            let inner = pattern.trim_start_matches('*').trim_end_matches('*');
            assert!(!inner.is_empty() && !inner.contains('*'), "{pattern}");
            assert!(pattern.len() - inner.len() <= 1, "{pattern}");
        }
    }
}

/// The page says by name what runs or redirects something and may be set all the same.
#[test]
fn what_stays_free_is_what_the_page_says() {
    let page = include_str!("../../../../../docs/configuration.md");
    let (_, free) = page
        .split_once("\n**What stays free.**")
        .expect("it is said");
    let free = free.split("\n\n").next().unwrap_or_default();
    let names: Vec<&str> = free.split('`').skip(1).step_by(2).collect();
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert_eq!(why_not(name), None, "{name}");
    }
}

/// The table of the page for people has the names of this one, row by row.
#[test]
fn the_documents_have_the_same_table() {
    let page = include_str!("../../../../../docs/configuration.md");
    let list = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    for rule in RULES {
        let mut row = list(rule.names);
        if rule.any_case {
            row.push_str(", in any case");
        }
        if !rule.except.is_empty() {
            row = format!("{row}, but not {}", list(rule.except));
        }
        let row = format!("| {row} | {} |\n", rule.why);
        assert!(page.contains(&row), "docs/configuration.md lacks\n{row}");
    }
    let (_, section) = page
        .split_once("\n### What `[env]` cannot set\n")
        .expect("a section");
    let section = section.split("\n#").next().unwrap_or_default();
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .count();
    assert_eq!(rows, RULES.len(), "rows of docs/configuration.md");
}
