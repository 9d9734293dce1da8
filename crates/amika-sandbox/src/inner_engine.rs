//! The Docker Engine inside a sandbox that is ready: what is to be said where it is not up.

use amika_core::contract::service::DOCKERD;
use amika_core::text::shell_quote;
use amika_core::untrusted::Untrusted;
use amika_core::wire::{ServiceState, Services};

/// Bytes of its last words that are shown.
const LENGTH: usize = 200;

/// The warning for a sandbox that CMD runs in, or nothing where it has no engine or one that is up: a boot waits 15 s for
/// it and then goes on.
pub fn warning(services: &Services, sandbox: &str) -> Option<String> {
    let service = services.get(DOCKERD)?;
    let how = match service.state {
        ServiceState::Ready => return None,
        ServiceState::Off if !service.enabled => return None,
        ServiceState::Off => "is not installed",
        ServiceState::Starting => "does not answer yet",
        ServiceState::Backoff => "ended, and is started again",
        ServiceState::Failed => "did not start",
        ServiceState::Stopped | ServiceState::Listening => "was stopped",
    };
    let why = service
        .last_exit
        .as_deref()
        .map_or_else(String::new, |why| {
            format!(" ({})", Untrusted::new(why).within(LENGTH))
        });
    Some(format!(
        "the Docker Engine inside {how}{why}: `amika sandbox logs {} --dockerd` shows what it said",
        shell_quote(sandbox)
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use amika_core::wire::Service;

    use super::*;

    #[test]
    fn an_engine_that_is_not_up_is_told_of_with_where_to_look() {
        let told = |enabled, state, why: Option<&str>| {
            let service = Service {
                enabled,
                state,
                last_exit: why.map(str::to_owned),
                ..Service::default()
            };
            let services = Services(BTreeMap::from([(DOCKERD.to_owned(), service)]));
            warning(&services, "teal-tokyo")
        };
        assert_eq!(told(false, ServiceState::Off, None), None);
        assert_eq!(told(true, ServiceState::Ready, Some("exited with 1")), None);
        assert_eq!(warning(&Services::default(), "teal-tokyo"), None);
        assert_eq!(
            told(true, ServiceState::Starting, None).as_deref(),
            Some(
                "the Docker Engine inside does not answer yet: \
                 `amika sandbox logs teal-tokyo --dockerd` shows what it said"
            )
        );
        let failed = told(true, ServiceState::Failed, Some("SYS_ADMIN\u{1b} missing"));
        let failed = failed.expect("a warning");
        assert!(
            failed.contains("did not start (SYS_ADMIN\\u{1b} missing)"),
            "{failed}"
        );
    }
}
