//! Services of a sandbox that was just started: waited for until those are up that say how that is seen.

use std::time::Duration;

use amika_sandbox::progress::Steps;
use futures_util::TryStreamExt as _;

use super::Server;
use super::service::Service;
use crate::error::{Error, Kind, Result};
use amika_engine::ExecOutput;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);
/// So much of what a service wrote is told of one that is not up.
const LAST_LINES: usize = 20;

impl Server {
    /// Returns once all of them are up.
    ///
    /// # Errors
    /// [`Kind::NotReady`] for one that failed, with its last words; those of the server.
    pub(super) async fn served(&self, name: &str, steps: &mut Steps) -> Result<()> {
        let mut is_told = false;
        loop {
            let services = self.services(name).await?;
            let waited_for = services.iter().map(|(service, _)| service);
            let waited_for: Vec<&Service> = waited_for.filter(|it| is_waited_for(it)).collect();
            if let Some(failed) = waited_for.iter().find(|it| state(it) == "failed") {
                steps.fail("");
                return Err(not_up(name, failed, self).await);
            }
            let waiting = waited_for
                .iter()
                .filter(|it| matches!(state(it), "off" | "starting" | "backoff" | ""));
            let waiting: Vec<&str> = waiting.map(|service| service.name.as_str()).collect();
            if waiting.is_empty() {
                if is_told {
                    steps.finish("");
                }
                return Ok(());
            }
            if !is_told {
                steps.begin(&format!("waiting for {}", waiting.join(", ")));
                is_told = true;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Whether it is started by itself and says how one sees that it is up.
fn is_waited_for(service: &Service) -> bool {
    let run = service.run.as_ref();
    run.is_some_and(|run| run.start == "auto" && run.ready.is_some())
}

/// As amikad has it; empty where it does not tell.
fn state(service: &Service) -> &str {
    let run = service.run.as_ref();
    run.and_then(|run| run.state.as_deref()).unwrap_or_default()
}

async fn not_up(name: &str, service: &Service, server: &Server) -> Error {
    let service_name = &service.name;
    let error = Error::new(
        Kind::NotReady,
        format!("service \"{service_name}\" of sandbox \"{name}\" is not up"),
    );
    let why = service.run.as_ref().and_then(|run| run.last_exit.clone());
    let error = match why {
        Some(why) => error.cause(why),
        None => error,
    };
    let words = last_lines(name, service_name, server).await;
    error
        .last_output(words.unwrap_or_default())
        .detail("sandbox", name)
        .detail("service", service_name.as_str())
        .hint(format!(
            "read it all: `amika service logs --remote {name}/{service_name}`"
        ))
        .hint(format!(
            "the sandbox runs: mend it, then `amika service restart --remote {name}/{service_name}`"
        ))
}

async fn last_lines(name: &str, service: &str, server: &Server) -> Result<Vec<String>> {
    let pieces = server.service_log(name, service, false, Some(LAST_LINES));
    let pieces: Vec<ExecOutput> = pieces.await?.try_collect().await?;
    let bytes = pieces.into_iter().flat_map(|piece| match piece {
        ExecOutput::Stdout(bytes) | ExecOutput::Stderr(bytes) => bytes,
    });
    let bytes: Vec<u8> = bytes.collect();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().map(str::to_owned).collect())
}
