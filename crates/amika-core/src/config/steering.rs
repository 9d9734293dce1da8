//! Variables that a repository may not set: what makes programs run, or talk elsewhere.
//!
//! A repository's `[env]` is read by every process of its sandbox: the agents with the user's sign-ins,
//! `git`, and root's shell among them. The user's own `--env` may set anything.
//!
//! A name is in the table when a program reads it that is not the project's own (an agent, a shell, an interpreter,
//! git, a package manager, a tool of a forge, an engine or a cloud), and its value makes that program run other code, read
//! somebody's settings, trust somebody, or hand what it knows to another machine or account. What only the project's own
//! code and its build read stays free: the repository decides over those anyway.

/// Names that `[env]` may not have, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Names, of which each may begin or end with `*`.
    pub names: &'static [&'static str],
    /// Names that they mean and that may be set all the same.
    pub except: &'static [&'static str],
    /// Whether upper and lower case are one.
    pub any_case: bool,
    /// What such a variable does, as the end of a sentence that begins with its name.
    pub why: &'static str,
}

impl Rule {
    const fn new(names: &'static [&'static str], why: &'static str) -> Self {
        Self {
            names,
            except: &[],
            any_case: false,
            why,
        }
    }

    const fn except(mut self, names: &'static [&'static str]) -> Self {
        self.except = names;
        self
    }

    const fn in_any_case(mut self) -> Self {
        self.any_case = true;
        self
    }

    /// Whether it is about a name.
    fn is_about(&self, name: &str) -> bool {
        let means = |patterns: &[&str]| {
            patterns
                .iter()
                .any(|pattern| matches(pattern, name, self.any_case))
        };
        means(self.names) && !means(self.except)
    }
}

/// All that may not be set. `docs/configuration.md` has the same table.
pub const RULES: [Rule; 20] = [
    Rule::new(
        &[
            "LD_*",
            "DYLD_*",
            "GLIBC_TUNABLES",
            "GCONV_PATH",
            "LOCPATH",
            "TERMINFO*",
            "TERMCAP",
            "SSH_SK_PROVIDER",
        ],
        "decides what is loaded into every program",
    ),
    Rule::new(
        &[
            "BASH_ENV",
            "ENV",
            "ZDOTDIR",
            "BASH_FUNC_*",
            "SHELLOPTS",
            "BASHOPTS",
            "PROMPT_COMMAND",
            "PS0",
            "PS1",
            "PS2",
            "PS4",
            "IFS",
            "INPUTRC",
            "FPATH",
            "BASH_LOADABLES_PATH",
            "CDPATH",
        ],
        "makes shells run commands, or read them otherwise",
    ),
    Rule::new(
        &[
            "NODE_OPTIONS",
            "NODE_REPL_EXTERNAL_MODULE",
            "NODE_PATH",
            "BUN_OPTIONS",
            "BUN_INSPECT*",
            "NODE_COMPILE_CACHE",
        ],
        "makes programs of Node.js and Bun run other code",
    ),
    Rule::new(
        &["npm_config_*"],
        "decides what npm and npx run and where they load it from",
    )
    .in_any_case(),
    Rule::new(
        &[
            "PIP_INDEX_URL",
            "PIP_EXTRA_INDEX_URL",
            "PIP_FIND_LINKS",
            "PIP_TRUSTED_HOST",
            "PIP_CONFIG_FILE",
            "UV_INDEX*",
            "UV_DEFAULT_INDEX",
            "UV_EXTRA_INDEX_URL",
            "UV_FIND_LINKS",
            "UV_INSECURE_HOST",
            "UV_CONFIG_FILE",
            "CARGO_REGISTR*",
            "CARGO_SOURCE_*",
            "CARGO_ALIAS_*",
            "RUSTUP_DIST_SERVER",
            "RUSTUP_UPDATE_ROOT",
            "GOPROXY",
            "GOSUMDB",
            "GONOSUMDB",
            "GOINSECURE",
            "GOAUTH",
            "YARN_YARN_PATH",
            "YARN_PLUGINS",
            "YARN_RC_FILENAME",
            "YARN_REGISTRY",
            "YARN_NPM_REGISTRY_SERVER",
            "COREPACK_*",
            "BUNDLE_MIRROR*",
            "BUNDLE_GEMFILE",
            "RUBYGEMS_HOST",
            "BUN_CONFIG_*",
            "DENO_NPM_REGISTRY",
            "JSR_URL",
            "POETRY_REPOSITORIES_*",
            "PIPENV_PYPI_MIRROR",
            "PDM_PYPI_URL",
            "CONDARC",
            "COMPOSER_AUTH",
            "HEX_MIRROR*",
            "NUGET_PLUGIN_PATHS",
            "NUGET_NETCORE_PLUGIN_PATHS",
            "NUGET_CREDENTIALPROVIDERS_PATH",
            "HOMEBREW_*",
            "NIX_CONFIG",
            "NIX_REMOTE",
            "NIX_USER_CONF_FILES",
            "MISE_*",
            "NVM_NODEJS_ORG_MIRROR",
            "PLAYWRIGHT_DOWNLOAD_HOST",
            "PUPPETEER_DOWNLOAD_BASE_URL",
            "ELECTRON_MIRROR",
            "DEBUGINFOD_URLS",
            "APT_CONFIG",
            "PIP_PYTHON",
            "UV_PYTHON",
            "GEMRC",
            "CLOUDSDK_PYTHON",
        ],
        "decides where package managers load from, or what they run",
    ),
    Rule::new(
        &[
            "PYTHONSTARTUP",
            "PYTHONHOME",
            "PYTHONUSERBASE",
            "PYTHONBREAKPOINT",
            "PYTHONWARNINGS",
            "PYTHONINSPECT",
            "PYTHONPYCACHEPREFIX",
        ],
        "makes Python run other code",
    ),
    Rule::new(
        &[
            "PERL5OPT",
            "PERL5DB",
            "PERL5LIB",
            "PERLLIB",
            "RUBYLIB",
            "RUBYOPT",
            "LUA_INIT*",
            "PHPRC",
            "PHP_INI_SCAN_DIR",
            "ERL_AFLAGS",
            "ERL_FLAGS",
            "ERL_ZFLAGS",
            "ELIXIR_ERL_OPTIONS",
            "R_PROFILE*",
            "R_ENVIRON*",
        ],
        "makes Perl, Ruby, Lua, PHP, Erlang or R run other code",
    ),
    Rule::new(
        &[
            "JAVA_TOOL_OPTIONS",
            "JDK_JAVA_OPTIONS",
            "_JAVA_OPTIONS",
            "DOTNET_STARTUP_HOOKS",
            "CORECLR_*",
            "COR_*",
        ],
        "makes Java or .NET run other code",
    ),
    Rule::new(
        &[
            "*EDITOR",
            "VISUAL",
            "FCEDIT",
            "*PAGER",
            "BROWSER",
            "SHELL",
            "LESS*",
            "VIMINIT",
            "VIMRUNTIME",
            "EMACSLOADPATH",
            "SYSTEMD_LESS",
            "BAT_CONFIG_PATH",
            "BAT_OPTS",
            "FZF_DEFAULT_*",
            "EXINIT",
            "RUSTC",
            "CARGO_BUILD_RUSTC",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "CARGO_BUILD_RUSTC_WRAPPER",
            "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
        ],
        "names a program that others start",
    ),
    Rule::new(
        &[
            "SSH_ASKPASS*",
            "SUDO_ASKPASS",
            "SSH_AUTH_SOCK",
            "SSH_SK_HELPER",
            "SSH_PKCS11_HELPER",
            "RSYNC_RSH",
            "SVN_SSH",
            "CVS_RSH",
            "HGRCPATH",
            "HGMERGE",
            "TAR_OPTIONS",
            "RIPGREP_CONFIG_PATH",
        ],
        "makes ssh, sudo, rsync, svn, cvs, hg, tar or ripgrep run other programs",
    ),
    Rule::new(
        &[
            "HOME",
            "XDG_*",
            "CURL_HOME",
            "WGETRC",
            "NETRC",
            "GNUPGHOME",
            "CARGO_HOME",
            "RUSTUP_HOME",
            "COMPOSER_HOME",
            "GOENV",
            "DIRENV_CONFIG",
            "SCREENRC",
            "KUBECONFIG",
            "DOCKER_CONFIG",
            "KRB5_CONFIG",
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
        ],
        "decides whose settings programs read",
    ),
    Rule::new(
        &["*_proxy"],
        "sends what programs say through another machine",
    )
    .in_any_case(),
    Rule::new(
        &[
            "HOSTALIASES",
            "LOCALDOMAIN",
            "RES_OPTIONS",
            "RESOLV_HOST_CONF",
        ],
        "decides which machines names lead to",
    ),
    Rule::new(
        &[
            "GH_*",
            "GITHUB_TOKEN",
            "GITHUB_ENTERPRISE_TOKEN",
            "GITHUB_API_URL",
            "GITHUB_GRAPHQL_URL",
            "GITHUB_SERVER_URL",
            "GITLAB_HOST",
            "GITLAB_TOKEN",
            "GITLAB_URI",
        ],
        "decides which forge the tools of forges talk to, and as whom",
    ),
    Rule::new(
        &[
            "DOCKER_HOST",
            "DOCKER_CONTEXT",
            "CONTAINER_HOST",
            "BUILDKIT_HOST",
            "BUILDX_CONFIG",
            "AWS_ENDPOINT_URL*",
            "AWS_CONTAINER_*",
            "AWS_PROFILE",
            "OTEL_EXPORTER_*",
            "OTEL_LOG_*",
            "VAULT_ADDR",
        ],
        "decides which engine, cloud or collector is handed files, sign-ins or prompts",
    ),
    Rule::new(
        &[
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "NODE_EXTRA_CA_CERTS",
            "NODE_TLS_REJECT_UNAUTHORIZED",
            "CURL_CA_BUNDLE",
            "REQUESTS_CA_BUNDLE",
            "AWS_CA_BUNDLE",
            "OPENSSL_CONF",
            "OPENSSL_MODULES",
            "OPENSSL_ENGINES",
            "SSLKEYLOGFILE",
            "PIP_CERT",
            "CARGO_HTTP_CAINFO",
            "DENO_CERT",
            "PYTHONHTTPSVERIFY",
        ],
        "decides whom encrypted connections trust, or who can read them",
    ),
    Rule::new(
        &["ANTHROPIC_*", "CLAUDE_*"],
        "decides whom Claude Code talks to, as whom, and what it runs",
    )
    .except(&["ANTHROPIC_MODEL", "ANTHROPIC_SMALL_FAST_MODEL"]),
    Rule::new(
        &[
            "OPENAI_BASE_URL",
            "OPENAI_API_BASE",
            "OPENAI_API_HOST",
            "OPENAI_API_TYPE",
            "AZURE_OPENAI_*",
            "AZURE_RESOURCE_NAME",
            "AWS_BEARER_TOKEN_BEDROCK",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_GEMINI_BASE_URL",
            "GOOGLE_VERTEX_*",
            "GOOGLE_GENERATIVE_AI_API_KEY",
            "GOOGLE_API_KEY",
            "GEMINI_API_KEY",
            "OPENAI_API_KEY",
            "OPENROUTER_API_KEY",
            "AI_GATEWAY_API_KEY",
            "GROQ_API_KEY",
            "XAI_API_KEY",
            "MISTRAL_API_KEY",
            "DEEPSEEK_API_KEY",
            "TOGETHER_API_KEY",
            "FIREWORKS_API_KEY",
            "CEREBRAS_API_KEY",
            "DEEPINFRA_API_KEY",
            "MOONSHOT_API_KEY",
            "ZHIPU_API_KEY",
            "PERPLEXITY_API_KEY",
            "COHERE_API_KEY",
            "NVIDIA_API_KEY",
            "OLLAMA_API_KEY",
            "OLLAMA_HOST",
            "HF_TOKEN",
            "HF_ENDPOINT",
            "OPENAI_ORGANIZATION",
            "OPENAI_ORG_ID",
            "OPENAI_PROJECT*",
            "COPILOT_*",
            "CODEX_*",
            "OPENCODE_*",
        ],
        "decides whom Codex and OpenCode talk to, as whom, and what they run",
    ),
    Rule::new(
        &["GIT_*"],
        "decides what git runs and which repository it is in",
    )
    .except(&["GIT_AUTHOR_*", "GIT_COMMITTER_*"]),
    Rule::new(&["AMIKA_*"], "is Amika's own").except(&["AMIKA_OPENCODE_WEB"]),
];

/// Why a repository may not set a variable; none where it may.
pub fn why_not(name: &str) -> Option<&'static str> {
    let rule = RULES.iter().find(|rule| rule.is_about(name))?;
    Some(rule.why)
}

/// Whether a pattern, which may begin or end with `*`, means a name.
fn matches(pattern: &str, name: &str, any_case: bool) -> bool {
    let same = |a: &[u8], b: &[u8]| {
        if any_case {
            a.eq_ignore_ascii_case(b)
        } else {
            a == b
        }
    };
    let name = name.as_bytes();
    if let Some(start) = pattern.strip_suffix('*') {
        name.get(..start.len())
            .is_some_and(|found| same(found, start.as_bytes()))
    } else if let Some(end) = pattern.strip_prefix('*') {
        name.len()
            .checked_sub(end.len())
            .is_some_and(|at| same(&name[at..], end.as_bytes()))
    } else {
        same(name, pattern.as_bytes())
    }
}

#[cfg(test)]
mod tests;
