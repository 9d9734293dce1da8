//! How the boot stands, for whoever looks: the boot record, the HTTP side, and the logs' ends.

use amika_core::contract::path;
use amika_core::wire::{BootRecord, Change, Changed, Phase};
use serde::Serialize;

use super::Supervisor;
use crate::say::note;
use crate::status::{changes, snapshot};
use crate::{http, record};

impl Supervisor {
    pub(super) fn record(&mut self) {
        let mut status = snapshot(&self.state, &self.facts).status;
        status.uptime_ms = self.shared.now();
        status.out_of_memory = self.shared.look_at_memory();
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
        let at = self.facts.epoch + self.shared.now();
        let changes = changes(&self.published.status, &new.status, at);
        for change in &changes {
            note(sentence(change));
        }
        self.shared.publish(new.clone(), changes);
        self.published = new;
    }

    pub(super) fn start_http(&mut self) {
        let log = crate::say::open_log();
        self.shared.set_logs(|logs| logs.amikad = Some(log));
        if self.boot.script.is_none() && self.state.phase == Phase::Running {
            note("no setup script to run");
        }
        if let Some(listeners) = self.listeners.take() {
            http::start(&self.shared, listeners);
        }
    }

    /// The daemon's last act: whoever follows a log gets its end.
    pub(super) fn close(&self) {
        let logs = self.shared.logs();
        let own = [logs.setup, logs.amikad];
        for log in own.into_iter().chain(logs.services).flatten() {
            log.finish();
        }
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
