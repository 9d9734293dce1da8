//! How the boot stands, for whoever looks: the boot record, the HTTP side, and the logs' ends.

use std::sync::mpsc;
use std::time::Duration;

use amika_core::contract::path;
use amika_core::wire::{BootRecord, Change, Changed};
use serde::Serialize;

use super::{Supervisor, beside, wall_clock};
use crate::say::note;
use crate::status::{changes, snapshot};
use crate::{http, record};

/// How long the last copies of logs may take.
const FINISH_LIMIT: Duration = Duration::from_secs(2);

impl Supervisor {
    pub(super) fn record(&mut self) {
        let mut status = snapshot(&self.state, &self.facts).status;
        status.uptime_ms = self.shared.now();
        status.out_of_memory = self.shared.look_at_memory();
        status.reaped_orphans = self.shared.orphans();
        if let Some(log) = self.shared.logs().setup {
            status.setup.log_bytes = log.total();
            status.setup.log_truncated = log.truncated();
        }
        let record = BootRecord {
            status,
            container_exit_code: self.state.exit_code,
            setup_tail: self.setup_tail.clone(),
        };
        if let Err(error) = record::write(&record) {
            note(format!("cannot write {}: {error}", path::BOOT_RECORD));
        }
    }

    pub(super) fn publish(&mut self) {
        let new = snapshot(&self.state, &self.facts);
        if new == self.published {
            return;
        }
        let changes = changes(&self.published.status, &new.status, wall_clock());
        for change in &changes {
            note(sentence(change));
        }
        self.shared.publish(new.clone(), changes);
        self.published = new;
    }

    pub(super) fn start_http(&mut self) {
        if let Some(listeners) = self.listeners.take() {
            http::start(&self.shared, listeners);
        }
    }

    /// The daemon's last act: whoever follows a log gets its end.
    pub(super) fn close(&self) {
        let logs = self.shared.logs();
        let (done, all_done) = mpsc::channel();
        let finish = move || {
            let own = [logs.setup, logs.amikad].into_iter().flatten();
            own.chain(logs.services.into_values())
                .for_each(|log| log.finish());
        };
        beside::answer(
            "close",
            finish,
            || (),
            move |()| {
                // Nobody waits any more where that took too long.
                let _ = done.send(());
            },
        );
        // A disk that hangs may not hold up the end.
        let _ = all_done.recv_timeout(FINISH_LIMIT);
        self.shared.closing.send_replace(true);
        http::drain(&self.shared);
    }
}

/// What a change is in the log, with the words of the API: `setup is succeeded`.
fn sentence(change: &Change) -> String {
    let state = match &change.changed {
        Changed::Phase => word(change.phase),
        Changed::Setup => word(change.setup),
        Changed::Cmd => word(change.cmd),
        Changed::Service(name) => word(change.services.get(name)),
        Changed::OutOfMemory => change.out_of_memory_kills.to_string(),
    };
    format!("{} is {state}", word(&change.changed))
}

/// A value's word in JSON.
fn word(value: impl Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().to_owned()
}
