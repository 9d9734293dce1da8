//! `amika config get|set|unset`: the user's own settings.

use std::path::Path;

use amika_core::config::user::{Place, UserConfig};
use amika_core::credential::AgentNames;
use amika_core::dotfiles::DotfilesSource;
use amika_core::trust::{Origin, Trust, Trusted};
use amika_core::untrusted::Untrusted;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::config::{GetArgs, Key, SetArgs, UnsetArgs};
use crate::error::{Error, Kind, Result};
use crate::output::Page;
use crate::user_config::{self, Change};

/// The word for a setting that is not set, and may have another value for each source.
const DEFAULT: &str = "default";
/// What it stands for.
const TRUST_BY_DEFAULT: &str = "auto for paths, ask for URLs";

/// What `get`, `set` and `unset` print with `-o json`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SettingsView {
    /// The file, whether there is one or not.
    file: String,
    /// The settings that were asked for.
    settings: Vec<SettingView>,
}

/// A setting.
#[derive(Debug, Serialize, JsonSchema)]
struct SettingView {
    /// Its name.
    key: &'static str,
    /// What holds; null where nothing is set, and the default holds.
    value: Option<ValueView>,
    /// Who says so.
    origin: OriginView,
}

/// A value.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
enum ValueView {
    /// A word.
    Word(String),
    /// A list.
    List(Vec<String>),
}

/// Who says what a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OriginView {
    /// Nobody.
    Default,
    /// The file.
    File,
    /// An environment variable, which wins over the file.
    Environment,
}

pub(super) fn get(args: &GetArgs, app: &App) -> Result<u8> {
    let view = look(args.key, app)?;
    let alone = args.key.is_some();
    app.out.result(&view, |out| view.write(alone, out))?;
    let is_default = |setting: &SettingView| setting.origin == OriginView::Default;
    if args.key == Some(Key::Trust) && view.settings.iter().all(is_default) {
        app.out
            .note(&format!("trust is not set: {TRUST_BY_DEFAULT}"));
    }
    Ok(0)
}

pub(super) async fn set(args: &SetArgs, app: &App) -> Result<u8> {
    let only_one = |values: &[String]| match values {
        [value] => Ok(value.clone()),
        _ => Err(Error::new(
            Kind::Invalid,
            format!("{} takes one value, not {}", args.key, values.len()),
        )),
    };
    match args.key {
        // What `get` prints is taken back.
        Key::Trust if args.values == [DEFAULT] => {
            user_config::change(&app.machine, Change::Trust(None)).await?;
        }
        Key::Trust => {
            let trust: Trust = only_one(&args.values)?.parse().map_err(usage)?;
            user_config::change(&app.machine, Change::Trust(Some(trust))).await?;
            let environment = user_config::trust_of_environment(&app.machine)?;
            warn_of_other(user_config::TRUST, environment, &trust, app);
        }
        Key::Default => {
            let place: Place = only_one(&args.values)?.parse().map_err(usage)?;
            user_config::change(&app.machine, Change::Default(Some(place))).await?;
            let environment = user_config::default_of_environment(&app.machine)?;
            warn_of_other(user_config::DEFAULT, environment, &place, app);
        }
        Key::AgentConfig => {
            let names: AgentNames = only_one(&args.values)?.parse().map_err(usage)?;
            user_config::change(&app.machine, Change::AgentConfig(Some(&names))).await?;
        }
        Key::Dotfiles => {
            let source: DotfilesSource = only_one(&args.values)?.parse().map_err(usage)?;
            let source = from_anywhere(source, app)?;
            user_config::change(&app.machine, Change::Dotfiles(Some(&source))).await?;
        }
        Key::Trusted => {
            let entries: Vec<Trusted> = args
                .values
                .iter()
                .map(|value| entry(value))
                .collect::<Result<_>>()?;
            user_config::change(&app.machine, Change::Trusted(Some(&entries))).await?;
        }
    }
    told(args.key, app)
}

pub(super) async fn unset(args: &UnsetArgs, app: &App) -> Result<u8> {
    let change = match args.key {
        Key::Trust => Change::Trust(None),
        Key::Trusted => Change::Trusted(None),
        Key::Default => Change::Default(None),
        Key::AgentConfig => Change::AgentConfig(None),
        Key::Dotfiles => Change::Dotfiles(None),
    };
    user_config::change(&app.machine, change).await?;
    told(args.key, app)
}

/// Warns of a variable that says something else than the file is to.
fn warn_of_other<T: PartialEq + std::fmt::Display>(
    variable: &str,
    environment: Option<T>,
    set: &T,
    app: &App,
) {
    if let Some(other) = environment.filter(|other| other != set) {
        app.out.warn(&format!(
            "{variable} is set to {other} here, and wins over the file"
        ));
    }
}

/// Prints what holds after a change, for programs alone.
fn told(key: Key, app: &App) -> Result<u8> {
    let view = look(Some(key), app)?;
    app.out.result(&view, |_| Ok(()))?;
    Ok(0)
}

fn look(key: Option<Key>, app: &App) -> Result<SettingsView> {
    let config = user_config::read(&app.machine, &app.out)?;
    let environment = Environment {
        trust: user_config::trust_of_environment(&app.machine)?,
        default: user_config::default_of_environment(&app.machine)?,
    };
    let keys = key.map_or_else(|| Key::ALL.to_vec(), |key| vec![key]);
    Ok(SettingsView {
        file: user_config::path(&app.machine).display().to_string(),
        settings: keys
            .into_iter()
            .map(|key| SettingView::of(key, &config, environment))
            .collect(),
    })
}

/// Reads an entry of `trusted`; a path may be relative here.
fn entry(value: &str) -> Result<Trusted> {
    let path = Path::new(value);
    let is_relative = value.starts_with('.') || (path.is_relative() && path.exists());
    if !(path.is_absolute() || is_relative) || value.contains(' ') && !path.exists() {
        return value.parse().map_err(usage);
    }
    let path = amika_host::path::clean(path);
    let path = path.canonicalize().unwrap_or(path);
    let Some(path) = path.to_str() else {
        return Err(Error::new(
            Kind::Invalid,
            format!(
                "{}: the list takes only paths that are UTF-8",
                path.display()
            ),
        ));
    };
    Ok(Trusted {
        source: Origin::Path(path.to_owned()).canonical(),
        content: None,
    })
}

/// A path as every directory has it; a URL, and a path that begins at the home, stay as they are.
fn from_anywhere(source: DotfilesSource, app: &App) -> Result<DotfilesSource> {
    let DotfilesSource::Of(text) = &source else {
        return Ok(source);
    };
    if text == "~" || text.starts_with("~/") {
        return Ok(source);
    }
    let cwd = app.machine.directory().map_err(|error| {
        Error::new(Kind::Failure, "the current directory cannot be read").caused_by(&error)
    })?;
    if let Ok(Some(_)) = amika_git::url_of(text, cwd) {
        return Ok(source);
    }
    let path = amika_host::path::clean(&cwd.join(text));
    let path = path.canonicalize().unwrap_or(path);
    match path.to_str() {
        Some(path) => path.parse().map_err(usage),
        None => Err(Error::new(
            Kind::Invalid,
            format!(
                "{}: the setting takes only a path that is UTF-8",
                path.display()
            ),
        )),
    }
}

fn usage(error: impl std::error::Error) -> Error {
    Error::new(Kind::Invalid, error.to_string())
}

/// What variables say.
#[derive(Clone, Copy)]
struct Environment {
    trust: Option<Trust>,
    default: Option<Place>,
}

/// A word of the environment over one of the file.
fn word<T: std::fmt::Display>(
    environment: Option<T>,
    file: Option<T>,
) -> (Option<ValueView>, OriginView) {
    let word = |it: T| Some(ValueView::Word(it.to_string()));
    match (environment, file) {
        (Some(it), _) => (word(it), OriginView::Environment),
        (None, Some(it)) => (word(it), OriginView::File),
        (None, None) => (None, OriginView::Default),
    }
}

impl SettingView {
    fn of(key: Key, config: &UserConfig, environment: Environment) -> Self {
        let (value, origin) = match key {
            Key::Trust => word(environment.trust, config.trust),
            Key::Default => word(environment.default, config.default),
            Key::AgentConfig => word(None, config.agent_config.clone()),
            Key::Dotfiles => word(None, config.dotfiles.clone()),
            Key::Trusted if config.trusted.is_empty() => (None, OriginView::Default),
            Key::Trusted => {
                let entries = config.trusted.iter().map(ToString::to_string);
                (Some(ValueView::List(entries.collect())), OriginView::File)
            }
        };
        Self {
            key: key.as_str(),
            value,
            origin,
        }
    }

    /// What holds, a line each.
    fn lines(&self) -> Vec<String> {
        match (&self.value, self.key) {
            (Some(ValueView::Word(word)), _) => vec![word.clone()],
            (Some(ValueView::List(entries)), _) => entries
                .iter()
                .map(|entry| Untrusted::new(entry).to_string())
                .collect(),
            (None, "trust") => vec![DEFAULT.to_owned()],
            (None, "default") => vec![Place::default().to_string()],
            (None, "agent_config" | "dotfiles") => vec!["none".to_owned()],
            (None, _) => Vec::new(),
        }
    }
}

impl SettingsView {
    /// Writes the values of one setting, or of each with its name and who says so.
    fn write(&self, alone: bool, out: &mut Page<'_>) -> std::io::Result<()> {
        for setting in &self.settings {
            let origin = match setting.origin {
                OriginView::Default => " (default)",
                OriginView::File => "",
                OriginView::Environment => " (environment)",
            };
            let mut lines = setting.lines();
            if !alone && setting.value.is_none() {
                let meant = match setting.key {
                    "trust" => TRUST_BY_DEFAULT,
                    "default" => Place::default().as_str(),
                    _ => "none",
                };
                lines = vec![meant.to_owned()];
            }
            for line in lines {
                if alone {
                    writeln!(out, "{line}")?;
                } else {
                    writeln!(out, "{:<14}{line}{origin}", setting.key)?;
                }
            }
        }
        Ok(())
    }
}
