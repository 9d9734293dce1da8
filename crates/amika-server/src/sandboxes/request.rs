//! `POST /sandboxes`: what may be asked for, and what it comes to.

use std::collections::{BTreeMap, BTreeSet};

use amika_core::credential::Selection;
use amika_core::label::Labels;
use amika_core::limit::{Cpus, Limit, Memory};
use amika_core::name::SandboxName;
use amika_core::port::{HostIp, Publish};
use amika_core::settings::{AskedLimits, Layer};
use amika_core::size::Size;
use amika_sandbox::create::{HostRights, Image, OwnWays, Request, SettingsLayer, Setup};
use amika_sandbox::preset::Preset;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::conversation::{self, Asked};
use crate::api::error::{ApiError, Result};
use crate::api::{check, repositories};
use crate::auth::caller::Caller;
use crate::config::Members;
use crate::store::{Repository, ServiceRow};
use amika_core::canonical::canonical;

/// The longest interval of a timer, in minutes.
pub const LONGEST: i64 = 10_080;

/// After how many idle minutes a sandbox is stopped where nobody said.
pub const AUTO_STOP: i64 = 30;

/// A sandbox to make.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct CreateSandbox {
    /// Its name; left out: one is made up.
    pub name: Option<String>,
    /// The repository that is cloned in: an `https://` URL.
    pub repo_url: Option<String>,
    /// The same.
    pub git_url: Option<String>,
    /// The same.
    pub github_url: Option<String>,
    /// A branch, a tag or a commit.
    pub branch: Option<String>,
    /// A branch to make of it.
    pub new_branch_name: Option<String>,
    /// `coder` or `coder-dind`.
    pub preset: Option<String>,
    /// Any other image; administrators alone.
    pub image: Option<String>,
    /// How much it may use at most.
    pub size: Option<Size>,
    /// Variables by name.
    #[serde(default)]
    pub env_vars: BTreeMap<String, String>,
    /// Variables by name, each with the name of the secret that it is.
    #[serde(default)]
    pub secret_env_vars: BTreeMap<String, String>,
    /// Variables of the repository's settings to leave out.
    #[serde(default)]
    pub disabled_repo_env_var_names: Vec<String>,
    /// Text of a setup script.
    pub setup_script_text: Option<String>,
    /// Whether no setup script runs.
    #[serde(default)]
    pub skip_setup_script: bool,
    /// `0` or `"0"`: no OpenCode web server.
    #[schema(value_type = Option<Value>)]
    pub amika_opencode_web: Option<Value>,
    /// Sign-ins to put in, one for each agent; left out: none.
    #[serde(default)]
    pub agent_credentials: Vec<AgentCredential>,
    /// Ports to publish, as `5432:5432` or `3000`.
    #[serde(default)]
    pub ports: Vec<String>,
    /// Idle minutes until it is stopped, 0 to 10080; 0: never. Left out: 30.
    pub auto_stop_interval: Option<i64>,
    /// Minutes after a stop until it is deleted, 0 to 10080; -1 and left out: never.
    pub auto_delete_interval: Option<i64>,
    /// Words of the caller's own, by name.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// What the agent is told once setup succeeded: a turn of a session of its own.
    pub initial_prompt: Option<String>,
    /// The agent for it.
    pub agent: Option<String>,
    /// A working copy that was sent before, in place of a clone; `repo_url` then says of what it is.
    pub upload_id: Option<String>,
    /// `docker` or `local-docker`.
    pub provider: Option<String>,
    /// Without effect.
    pub github_auth_mode: Option<String>,
    /// Without effect; must be empty.
    #[serde(default)]
    pub integration_ids: Vec<String>,
    /// Without effect; must not be enabled.
    pub workflow: Option<Workflow>,
    /// Without effect; must be null.
    pub snapshot: Option<String>,
}

/// A sign-in to put in.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentCredential {
    /// `claude`, `codex`, `github` or `opencode`.
    pub kind: String,
    /// One with this name.
    pub name: Option<String>,
    /// One of this type: `oauth` or `api_key`.
    pub r#type: Option<String>,
    /// None of this agent's.
    #[serde(default)]
    pub none: bool,
}

/// A workflow; this server has none.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Workflow {
    /// Must be false.
    #[serde(default)]
    pub enabled: bool,
}

/// A request that can be meant, apart from the name and the stamp.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The repository's URL.
    pub repo_url: Option<String>,
    /// The word for where it runs that was asked for.
    pub provider: String,
    /// Minutes; 0 is never.
    pub auto_stop: i64,
    /// Minutes; none is never.
    pub auto_delete: Option<i64>,
    /// What the library is asked.
    pub sandbox: Request,
}

impl CreateSandbox {
    /// A sandbox with all sign-ins of agents that its user has.
    pub fn signed_in() -> Self {
        let kinds = super::sign_ins::Kind::ALL.into_iter();
        let all = kinds.map(|kind| AgentCredential {
            kind: kind.as_str().to_owned(),
            name: None,
            r#type: None,
            none: false,
        });
        Self {
            agent_credentials: all.collect(),
            ..Self::default()
        }
    }

    /// Checks it, for somebody.
    ///
    /// # Errors
    /// 400 with the place of what cannot be meant, 403 for what is not his to ask, 501 for what is not there.
    pub fn check(&self, caller: &Caller, members: &Members) -> Result<Wish> {
        self.refuse_missing()?;
        let repo_url = self.repo_url()?;
        if self.upload_id.is_some() && self.branch.is_some() {
            let message = "a working copy is on its own branch: leave branch out";
            return Err(ApiError::field("/branch", message));
        }
        if repo_url.is_none()
            && self.upload_id.is_none()
            && (self.branch.is_some() || self.new_branch_name.is_some())
        {
            return Err(ApiError::field(
                "/branch",
                "a branch needs a repository: repo_url",
            ));
        }
        for (field, name) in [
            ("/branch", &self.branch),
            ("/new_branch_name", &self.new_branch_name),
        ] {
            name.as_deref()
                .map_or(Ok(()), |name| check::text(field, name, 255))?;
        }
        if let Some(message) = self.initial_prompt.as_deref() {
            let asked = Asked {
                message,
                agent: None,
                session_id: None,
                new_session: true,
            };
            asked
                .check()
                .map_err(|error| ApiError::field("/initial_prompt", error.message))?;
        }
        conversation::agent(self.agent.as_deref())?;
        let name = self.name.as_deref().map(|name| {
            SandboxName::for_new(name).map_err(|error| ApiError::field("/name", error.to_string()))
        });
        if self.metadata.len() > 50 {
            return Err(ApiError::field(
                "/metadata",
                "at most 50 words are kept of a sandbox",
            ));
        }
        for (key, value) in &self.metadata {
            let field = format!("/metadata/{key}");
            check::text(&field, key, 63)?;
            check::text(&field, value, 255)?;
        }
        Ok(Wish {
            repo_url,
            provider: self.provider()?,
            auto_stop: interval("/auto_stop_interval", self.auto_stop_interval, 0)?
                .unwrap_or(AUTO_STOP),
            auto_delete: interval("/auto_delete_interval", self.auto_delete_interval, -1)?
                .filter(|minutes| *minutes >= 0),
            sandbox: Request {
                name: name.transpose()?,
                image: self.image(caller, members)?,
                setup: self.setup()?,
                setup_once: false,
                opencode: None,
                env: self.env()?,
                secret_env: self.secret_env_vars.clone(),
                without_env: self.disabled_repo_env_var_names.iter().cloned().collect(),
                unset_env: Vec::new(),
                mounts: Vec::new(),
                rights: HostRights::default(),
                // The server's own sign-ins go into nobody's sandbox.
                credentials: Selection::none(),
                own_ways: OwnWays::none(),
                dotfiles: None,
                publish: self.ports(caller, members)?,
                port_host_ip: HostIp::default(),
                expose_opencode: false,
                network: None,
                own_uid: false,
                cap_add: BTreeSet::default(),
                limits: limits(self.size),
                command: Vec::new(),
                stamp: Labels::new(),
            },
        })
    }

    /// What this server has not, and must not seem to do.
    fn refuse_missing(&self) -> Result<()> {
        let missing = [
            ("snapshot", self.snapshot.is_some()),
            ("integration_ids", !self.integration_ids.is_empty()),
            (
                "workflow",
                self.workflow.as_ref().is_some_and(|it| it.enabled),
            ),
        ];
        match missing.into_iter().find(|(_, is_asked)| *is_asked) {
            Some((name, _)) => Err(ApiError::not_implemented(format!(
                "this server does not have {name}"
            ))),
            None => Ok(()),
        }
    }

    fn repo_url(&self) -> Result<Option<String>> {
        let all = [
            ("/repo_url", &self.repo_url),
            ("/git_url", &self.git_url),
            ("/github_url", &self.github_url),
        ];
        let mut given = all
            .into_iter()
            .filter_map(|(field, url)| Some((field, url.as_deref()?)));
        let Some((field, url)) = given.next() else {
            return Ok(None);
        };
        if let Some((other, _)) = given.find(|(_, other)| *other != url) {
            return Err(ApiError::field(
                other,
                "it names another repository than the member before it",
            ));
        }
        canonical(url).map_err(|error| ApiError::field(field, error.to_string()))?;
        Ok(Some(url.to_owned()))
    }

    fn provider(&self) -> Result<String> {
        match self.provider.as_deref() {
            None => Ok("docker".to_owned()),
            Some(word @ ("docker" | "local-docker")) => Ok(word.to_owned()),
            Some(_) => Err(ApiError::field(
                "/provider",
                "this server makes sandboxes on docker alone",
            )),
        }
    }

    fn image(&self, caller: &Caller, members: &Members) -> Result<Option<Image>> {
        let preset = self.preset.as_deref().map(|preset| {
            Preset::parse(preset).ok_or_else(|| {
                let names: Vec<&str> = Preset::ALL.iter().map(|preset| preset.name()).collect();
                ApiError::field(
                    "/preset",
                    format!("there is no such preset: they are {}", names.join(", ")),
                )
            })
        });
        match (&self.image, preset.transpose()?) {
            (Some(_), Some(_)) => Err(ApiError::field(
                "/image",
                "give one of both: image, or preset",
            )),
            (Some(_), None) if !caller.is_admin() && !members.image => Err(ApiError::forbidden(
                "only administrators choose an image other than the presets",
            )),
            (None, Some(Preset::CoderDind)) if !caller.is_admin() && !members.coder_dind => {
                Err(ApiError::forbidden(
                    "only administrators make sandboxes with an engine of their own",
                ))
            }
            (Some(image), None) => {
                check::text("/image", image, 255)?;
                Ok(Some(Image::Other(image.clone())))
            }
            (None, preset) => Ok(preset.map(Image::Preset)),
        }
    }

    fn setup(&self) -> Result<Option<Setup>> {
        match &self.setup_script_text {
            _ if self.skip_setup_script => Ok(Some(Setup::Off)),
            Some(text) => {
                repositories::script_text("/setup_script_text", text)?;
                Ok(Some(Setup::Text(text.clone().into_bytes())))
            }
            None => Ok(None),
        }
    }

    fn env(&self) -> Result<BTreeMap<String, String>> {
        repositories::variables("/env_vars", &self.env_vars)?;
        let mut env = self.env_vars.clone();
        let web = match &self.amika_opencode_web {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(_) => {
                let message = "amika_opencode_web is a text, a number or null";
                return Err(ApiError::field("/amika_opencode_web", message));
            }
        };
        env.extend(web.map(|web| (amika_core::contract::env::OPENCODE_WEB.to_owned(), web)));
        Ok(env)
    }

    fn ports(&self, caller: &Caller, members: &Members) -> Result<Vec<Publish>> {
        if self.ports.len() > amika_core::budget::PORTS {
            let message = format!("at most {} ports are allowed", amika_core::budget::PORTS);
            return Err(ApiError::field("/ports", message));
        }
        let read = |(index, text): (usize, &String)| {
            let field = format!("/ports/{index}");
            let publish: Publish =
                text.parse()
                    .map_err(|error: amika_core::port::InvalidPublish| {
                        ApiError::field(&field, error.to_string())
                    })?;
            let is_beyond = publish.host_ip.is_some_and(|ip| ip != HostIp::default());
            if is_beyond && !caller.is_admin() && !members.host_ports {
                return Err(ApiError::forbidden(
                    "only administrators publish ports beyond loopback",
                ));
            }
            Ok(publish)
        };
        self.ports.iter().enumerate().map(read).collect()
    }
}

/// A timer's minutes.
///
/// # Errors
/// 400 for what is not between `least` and a week.
pub fn interval(field: &str, asked: Option<i64>, least: i64) -> Result<Option<i64>> {
    if asked.is_none_or(|minutes| (least..=LONGEST).contains(&minutes)) {
        return Ok(asked);
    }
    Err(ApiError::field(
        field,
        format!("{field} is a number of minutes from {least} to {LONGEST}"),
    ))
}

/// What a size comes to.
fn limits(size: Option<Size>) -> AskedLimits {
    AskedLimits {
        cpus: size.and_then(|size| size.cpus().to_string().parse::<Cpus>().ok()),
        memory: size.and_then(|size| Memory::from_bytes(size.memory()).ok().map(Limit::At)),
        pids: None,
    }
}

/// What is saved for a repository, as a layer of its settings.
pub fn saved(repository: Repository, services: Vec<ServiceRow>) -> SettingsLayer {
    let settings = repository.saved;
    let text = settings
        .setup_script_text
        .map(|text| Setup::Text(text.into_bytes()));
    Layer {
        image: settings
            .sandbox_preset
            .map(|preset| amika_sandbox::create::parse_preset(&preset).map(Image::Preset)),
        setup_script: text.or(settings.setup_script.map(Setup::Repository)),
        env: settings.env_vars.unwrap_or_default(),
        secret_env: BTreeMap::new(),
        services: repository
            .services_saved
            .then(|| services.into_iter().map(|row| row.service).collect()),
        limits: limits(settings.sandbox_size.and_then(|size| size.parse().ok())),
    }
}
