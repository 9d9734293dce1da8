//! When each service is up, in the way that its [`Probe`] says.

use std::sync::Arc;

use amika_core::wire::ServiceState;
use regex_lite::Regex;
use tokio::sync::watch;

use super::{health_check, on_demand};
use crate::logs::{Found, Log};
use crate::ports::{self, Whose};
use crate::publish::{Command, Shared};
use crate::service::{Held, Probe, ServiceId};

/// From one look at a port to the next.
const INTERVAL: std::time::Duration = std::time::Duration::from_millis(100);
/// So much of a line is looked at.
const LINE_LIMIT: usize = 64 << 10;

/// Looks after all services, each as it becomes known: a sandbox's own are when its boot is prepared.
pub(super) async fn watch_all(shared: Arc<Shared>) {
    let mut published = shared.subscribe();
    let mut known = 0;
    loop {
        published.mark_unchanged();
        for id in ServiceId::all().skip(known) {
            known += 1;
            tokio::spawn(watch(id, shared.clone()));
            match id.spec().held {
                Held::No => {}
                Held::UntilWanted(ports) => {
                    tokio::spawn(on_demand::hold(id, ports, shared.clone()));
                }
                Held::Always { outer, inner } => {
                    tokio::spawn(on_demand::front(id, outer, inner, shared.clone()));
                }
            }
        }
        if published.changed().await.is_err() {
            return;
        }
    }
}

async fn watch(id: ServiceId, shared: Arc<Shared>) {
    match &id.spec().probe {
        // Whoever starts it sees it, and its end.
        Probe::Runs | Probe::Ends => {}
        Probe::Answers(request) => health_check::watch(id, request, shared).await,
        Probe::Listens(port) => {
            let listens = |pid| async move {
                while ports::whose(*port, pid).await != Whose::Its {
                    tokio::time::sleep(INTERVAL).await;
                }
            };
            watch_starts(id, shared, listens).await;
        }
        Probe::Log(expression) => {
            let asked = shared.clone();
            let says = |_| says(id, expression, asked.clone());
            watch_starts(id, shared, says).await;
        }
    }
}

/// Says of each process of a service that it is up once `is_up` of it returns.
async fn watch_starts<F: Future<Output = ()>>(
    id: ServiceId,
    shared: Arc<Shared>,
    is_up: impl Fn(i32) -> F,
) {
    let mut published = shared.subscribe();
    loop {
        published.mark_unchanged();
        if let Some(pid) = starting(id, &shared) {
            tokio::select! {
                () = is_up(pid) => shared.mailbox.send(Command::Probed {
                    service: id,
                    pid,
                    healthy: true,
                }),
                () = ends(id, pid, &shared, &mut published) => continue,
            }
        }
        if published.changed().await.is_err() {
            return;
        }
    }
}

/// The process of a service that is not known to be up yet.
fn starting(id: ServiceId, shared: &Shared) -> Option<i32> {
    let status = shared.status();
    let service = status.services.get(id.spec().name)?;
    let is_starting = service.state == ServiceState::Starting;
    service.pid.filter(|_| is_starting)
}

/// Returns once the service is not that process any more.
async fn ends(id: ServiceId, pid: i32, shared: &Shared, published: &mut watch::Receiver<u64>) {
    while starting(id, shared) == Some(pid) {
        if published.changed().await.is_err() {
            return;
        }
    }
}

/// Returns once a line of what the service wrote since its start matches.
async fn says(id: ServiceId, expression: &Regex, shared: Arc<Shared>) {
    let logs = shared.logs();
    let Some(log) = logs.services.get(&id) else {
        return std::future::pending().await;
    };
    let mut changed = log.subscribe();
    let mut lines = Lines::from(logs.service_starts.get(&id).copied().unwrap_or_default());
    loop {
        changed.mark_unchanged();
        if lines.any_matches(log, expression) {
            return;
        }
        if changed.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// The lines of a log from an offset on.
struct Lines {
    offset: u64,
    /// The line that is not ended yet.
    line: Vec<u8>,
}

impl Lines {
    fn from(offset: u64) -> Self {
        Self {
            offset,
            line: Vec::new(),
        }
    }

    /// Whether any line of what there is by now matches; also one that is not ended yet, as prompts are.
    fn any_matches(&mut self, log: &Log, expression: &Regex) -> bool {
        let mut buffer = vec![0; 16 << 10];
        loop {
            match log.read(self.offset, &mut buffer) {
                Found::Bytes(count) => {
                    self.offset += count as u64;
                    for part in buffer[..count].split_inclusive(|byte| *byte == b'\n') {
                        let room = LINE_LIMIT.saturating_sub(self.line.len());
                        self.line.extend(&part[..part.len().min(room)]);
                        if part.ends_with(b"\n") {
                            if matches(&self.line, expression) {
                                return true;
                            }
                            self.line.clear();
                        }
                    }
                }
                Found::Gone { resume } => {
                    self.line.clear();
                    self.offset = resume;
                }
                Found::End => return !self.line.is_empty() && matches(&self.line, expression),
            }
        }
    }
}

fn matches(line: &[u8], expression: &Regex) -> bool {
    let text = String::from_utf8_lossy(line);
    expression.is_match(without_colours(&text).trim_end_matches(['\r', '\n']))
}

/// A line without what only a terminal needs (ECMA-48, control sequences): nobody writes an expression for those.
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        let end = after.find(|byte: char| ('@'..='~').contains(&byte));
        rest = end.map_or("", |end| &after[end + 1..]);
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Bounds;

    #[test]
    fn a_line_is_found_wherever_it_is_cut_and_only_since_the_start() {
        let directory = tempfile::tempdir().unwrap();
        let bounds = Bounds { head: 0, ring: 64 };
        let log = Log::create(&directory.path().join("log"), bounds);
        let expression = Regex::new(r"^ready: \d+$").unwrap();
        log.append(b"ready: 1\n");
        let mut lines = Lines::from(log.total());
        assert!(!lines.any_matches(&log, &expression), "it is of before");
        log.append(b"not ready: 2\nrea");
        assert!(!lines.any_matches(&log, &expression));
        log.append(b"\x1b[1mdy\x1b[0m: 33");
        assert!(lines.any_matches(&log, &expression), "without a line end");
        let mut lines = Lines::from(0);
        log.append(&[b'x'; 200]);
        assert!(
            !lines.any_matches(&log, &expression),
            "what went by is gone"
        );
        log.append(b"\nready: 4\r\n");
        assert!(lines.any_matches(&log, &expression));
    }
}
