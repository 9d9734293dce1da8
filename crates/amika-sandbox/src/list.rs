//! All sandboxes, with what each does.

mod details;
mod watch;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amika_core::label::{Kind, Labels, Reading, key};
use amika_core::service::Service;
use schemars::JsonSchema;
use serde::Serialize;

use details::Asked;
pub use details::Details;

use crate::daemon::{Client, UserKey, read_boot_record};
use crate::error::Result;
use crate::lost::Lost;
use crate::progress::Progress;
use crate::sandbox::{self, Answer, State};
use crate::sandboxes::Sandboxes;
use crate::view::{self, RepositoryView, SandboxView};
use amika_engine::{ContainerState, ContainerSummary, VolumeFacts};

/// A daemon that is up answers within a millisecond, on a machine that is busy somewhat later.
const PHASE_TIMEOUT: Duration = Duration::from_secs(1);
/// The same once a list took that long already: it does not wait for many that hang, one after the other.
const LATE_TIMEOUT: Duration = Duration::from_millis(300);
/// How long it may where only the relay is left.
const RELAY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long all that [`Details`] need may be asked for inside.
const DETAILS: Duration = Duration::from_secs(1);
/// How long the engine may take for what it measures once a second.
const MEASURED: Duration = Duration::from_secs(2);
/// Exit codes of a sandbox that was stopped: they need no reading of why it ended.
const STOPPED: [i64; 4] = [0, 130, 137, 143];

/// A sandbox in the list.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    /// The sandbox.
    #[serde(flatten)]
    pub sandbox: SandboxView,
    /// Further facts, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// What a server stamped it with.
    #[serde(skip)]
    pub stamp: Labels,
    /// Its container, as the engine lists it; none of one of which only volumes are left.
    #[serde(skip)]
    pub container: Option<Container>,
}

/// The container of a sandbox in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The engine's id of it.
    pub id: String,
    /// All its labels, which say whose it is where they are signed.
    pub labels: Labels,
    /// What its record says of its services.
    pub services: Vec<Service>,
}

/// How much is to be known of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a question by itself, and any of them may be asked"
)]
pub struct ListRequest {
    /// Whether [`Details`] are wanted, for which the engine counts bytes.
    pub details: bool,
    /// Whether each is asked where its OpenCode is, also one of which the engine tells that it is ready.
    pub ask_all: bool,
    /// Whether each of this user's with a repository is asked where that is; without it, and where nobody answers, the
    /// branch is told that it began with.
    pub ask_heads: bool,
    /// Whether those alone are asked whose labels this user signed: of others the engine's word is enough.
    pub ask_own_alone: bool,
}

impl Sandboxes {
    /// All sandboxes, by name; those of which only volumes are left are among them.
    ///
    /// # Errors
    /// Those of the engine; when the user's key cannot be read.
    pub async fn list(&self, request: ListRequest, out: &dyn Progress) -> Result<Vec<Listed>> {
        self.list_some(request, &|_| true, out).await
    }

    /// As [`Sandboxes::list`], of those alone whose name is wanted.
    ///
    /// # Errors
    /// As [`Sandboxes::list`].
    pub async fn list_some(
        &self,
        request: ListRequest,
        is_wanted: &(dyn Fn(&str) -> bool + Sync),
        out: &dyn Progress,
    ) -> Result<Vec<Listed>> {
        let sizes = if request.details {
            let label = format!("{}={}", key::KIND, Kind::Sandbox);
            Some(self.container_sizes(&label).await?)
        } else {
            None
        };
        rows(self, sizes.as_ref(), request, is_wanted, out).await
    }
}

async fn rows(
    engine: &Sandboxes,
    sizes: Option<&BTreeMap<String, u64>>,
    request: ListRequest,
    is_wanted: &(dyn Fn(&str) -> bool + Sync),
    out: &dyn Progress,
) -> Result<Vec<Listed>> {
    let listed = async { Ok(engine.list_volumes(key::ID).await?) };
    let (list, volumes) = futures_util::try_join!(sandbox::list(engine), listed)?;
    let gone = lost(engine, &list, &volumes).await?;
    let user_key = engine.user_key()?;
    let record_key = engine.record_key()?;
    let begun = Instant::now();
    let asked = sizes.map(|sizes| Asked {
        sizes,
        until: tokio::time::Instant::now() + DETAILS,
        measured_until: tokio::time::Instant::now() + MEASURED,
    });
    let wanted = list
        .into_iter()
        .filter(|(container, _)| is_wanted(&container.name));
    let views = wanted.map(|(container, reading)| {
        let (user_key, record_key) = (&user_key, &record_key);
        view::warn_of_labels(&container.name, &reading.problems, out);
        async move {
            let details = async {
                let asked = asked?;
                Some(Details::of(engine, user_key, &container, &reading, asked).await)
            };
            // One whose health check succeeded has its setup behind it: asking each of a hundred
            // would take longer than the list itself. Only the document says where OpenCode is.
            let is_asked = !request.ask_own_alone || record_key.has_signed(&container.labels);
            let ask = if is_asked && (request.ask_all || !container.is_healthy()) {
                Ask::State
            } else if request.ask_heads
                && reading.record.repository.is_some()
                && record_key.has_signed(&container.labels)
            {
                Ask::Head
            } else {
                Ask::Nothing
            };
            let stamp = amika_core::label::stamp(&container.labels);
            let listed = Container {
                id: container.id.clone(),
                labels: container.labels.clone(),
                services: reading.record.services.clone(),
            };
            let view = async {
                let view = view_of(engine, user_key, container.clone(), &reading, ask, begun).await;
                // Who did not ask is not told it at some times and not at others.
                if request.ask_heads {
                    view
                } else {
                    view.without_head()
                }
            };
            let (sandbox, details) = futures_util::join!(view, details);
            Listed {
                sandbox,
                details,
                stamp,
                container: Some(listed),
            }
        }
    });
    let views = crate::fan_out::in_order(views).await.into_iter();
    let gone = gone.iter().filter(|lost| is_wanted(&lost.name));
    let gone = gone.map(|lost| Listed {
        sandbox: SandboxView::of_lost(lost),
        details: sizes.map(|_| Details {
            volumes: lost.volume_names(),
            ..Details::default()
        }),
        stamp: lost.stamp(),
        container: None,
    });
    let mut rows: Vec<Listed> = views.chain(gone).collect();
    rows.sort_by(|a, b| a.sandbox.name.cmp(&b.sandbox.name));
    Ok(rows)
}

/// Sandboxes of which only volumes are left; a name that is in use again is not among them.
async fn lost(
    engine: &Sandboxes,
    list: &[(ContainerSummary, Reading)],
    volumes: &[VolumeFacts],
) -> Result<Vec<Lost>> {
    let label = |container: &ContainerSummary| container.labels.get(key::ID).cloned();
    let ids = list.iter().filter_map(|(container, _)| label(container));
    // The two lists are of one moment only by luck; a sandbox is called lost on a second look.
    if crate::lost::among(volumes, &ids.collect()).is_empty() {
        return Ok(Vec::new());
    }
    let mut gone = crate::lost::list(engine).await?;
    gone.retain(|lost| {
        list.iter()
            .all(|(container, _)| container.name != lost.name)
    });
    gone.dedup_by(|a, b| a.name == b.name);
    Ok(gone)
}

/// What a sandbox's amikad is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// It is not asked.
    Nothing,
    /// Where its repository is.
    Head,
    /// What it does.
    State,
}

async fn view_of(
    engine: &Sandboxes,
    key: &UserKey,
    container: ContainerSummary,
    reading: &Reading,
    ask: Ask,
    begun: Instant,
) -> SandboxView {
    let record = &reading.record;
    let is_identified = reading.is_identified();
    let exit_code = exit_code(&container);
    let mut status = None;
    let mut answer = Answer::NotAsked;
    let mut boot = None;
    match container.state {
        ContainerState::Running if ask != Ask::Nothing && is_identified => {
            let token = key.token(record.id.as_str());
            // Sandboxes of others are among them.
            let (id, warnings) = (&container.id, engine.warnings());
            let client = Client::new(engine, id, &container.ports, &token, warnings).foreign();
            // From another machine's engine the list is not worth an exec in each that is up; of another,
            // only amikad knows whether its setup runs.
            if !client.is_relayed() || !container.is_healthy() {
                let mut asked = std::pin::pin!(client.status());
                let limit = if client.is_relayed() {
                    RELAY_TIMEOUT
                } else {
                    patience(begun.elapsed())
                };
                let quick = tokio::time::timeout(limit, asked.as_mut()).await;
                let told = match quick {
                    Err(_) if client.is_relayed() => {
                        tokio::time::timeout(RELAY_TIMEOUT, asked).await
                    }
                    told => told,
                };
                status = told.ok().and_then(Result::ok);
                // The engine's health check found it well: that it is slow now says nothing against it.
                if status.is_some() || ask == Ask::State {
                    answer = Answer::of(status.as_ref());
                }
            }
        }
        ContainerState::Exited if !exit_code.is_some_and(|code| STOPPED.contains(&code)) => {
            boot = read_boot_record(engine, &container.id).await.ok().flatten();
        }
        _ => {}
    }
    let view = SandboxView {
        name: container.name,
        id: if is_identified {
            record.id.to_string()
        } else {
            String::new()
        },
        state: State::tell(container.state, record, answer, boot.as_ref()),
        exit_code,
        image: record.image.clone().unwrap_or(container.image),
        preset: record.preset.clone(),
        created_at: record.created_at,
        repository: RepositoryView::of(record),
        ports: view::ports(&container.ports, record),
        opencode_url: view::opencode_url(&container.ports),
    };
    view.told_by(status.as_ref())
}

/// How long a list that took so long already waits for a daemon on a port of this machine.
fn patience(took: Duration) -> Duration {
    PHASE_TIMEOUT.saturating_sub(took).max(LATE_TIMEOUT)
}

/// The exit code in the engine's sentence: `Exited (3) 2 minutes ago`.
fn exit_code(container: &ContainerSummary) -> Option<i64> {
    let rest = container.status.strip_prefix("Exited (")?;
    rest.split_once(')')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_waits_for_all_that_hang_as_for_one() {
        assert_eq!(patience(Duration::ZERO), PHASE_TIMEOUT);
        let left = patience(Duration::from_millis(500));
        assert_eq!(left, Duration::from_millis(500));
        assert_eq!(patience(PHASE_TIMEOUT), LATE_TIMEOUT);
        assert_eq!(patience(Duration::from_mins(1)), LATE_TIMEOUT);
    }
}
