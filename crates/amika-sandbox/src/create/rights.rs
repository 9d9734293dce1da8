//! Rights that an engine could not give, told by their names: it says only that something was not permitted.

use std::time::Duration;

use amika_core::capability::Capability;
use amika_core::contract::service::DOCKERD;
use amika_core::untrusted::Untrusted;
use amika_core::wire::{Service, ServiceState};

use crate::daemon::read_boot_record;
use crate::error::{Error, Kind, Result};
use crate::preset::Preset;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_engine::{ContainerSpec, EngineError};

/// What an engine inside must have, for people.
const NEEDED: &str = "SYS_ADMIN and NET_ADMIN, no seccomp filter and no masked paths";
/// From one look at the engine inside to the next.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is asked again where it does not answer.
const TRIES: u32 = 10;
/// Lines of its log that are shown where it did not come up, and how much of each.
const LINES: usize = 5;
const LENGTH: usize = 400;

/// An engine's refusal to start a container, as one of rights where it is that. `bound` are the capabilities
/// that its machine has to give, where that is known.
pub(super) fn explain(
    error: EngineError,
    spec: &ContainerSpec,
    bound: Option<&[Capability]>,
) -> std::result::Result<Error, EngineError> {
    let message = match &error {
        EngineError::Refused { message, .. } => message.as_str(),
        _ => return Err(error),
    };
    if !is_of_capabilities(message) {
        return Err(error);
    }
    let wanted = &spec.capabilities;
    let missing = bound.map(|bound| wanted.missing_from(bound));
    let missing = missing.filter(|missing| !missing.is_empty());
    // Where nobody can look, it is one of those that not every container has.
    let rights = missing.unwrap_or_else(|| wanted.added.iter().copied().collect());
    let names: Vec<&str> = rights.iter().map(|one| one.as_str()).collect();
    let what = if names.is_empty() {
        "the capabilities that every container has".to_owned()
    } else {
        names.join(", ")
    };
    let mut refusal = Error::new(
        Kind::RightMissing,
        format!(
            "sandbox \"{}\" cannot be started: the engine has no right to give it {what}",
            spec.name
        ),
    )
    .cause(message.to_owned())
    .detail("missing", names);
    if spec.privileged {
        refusal = refusal.hint(format!(
            "leave `--privileged` out: the preset {} works with {NEEDED}, which it is given without it",
            Preset::CoderDind
        ));
    } else if spec.nested_engine {
        let needed = [Capability::SYS_ADMIN, Capability::NET_ADMIN];
        refusal = if rights.iter().any(|one| needed.contains(one)) {
            refusal.hint(format!(
                "an engine inside needs {NEEDED}; `--preset {}` is the same without one",
                Preset::Coder
            ))
        } else {
            refusal.hint("leave the `--cap-add` that asks for it out")
        };
    } else {
        refusal = refusal.hint("leave the `--cap-add` that asks for it out");
    }
    Ok(refusal)
}

/// Whether an engine's words are about capabilities. runc 1.1: `unable to apply caps: operation not permitted`;
/// crun 1.8: `cannot set process capabilities`, `capset: …`; engines: `invalid CapAdd: …`.
fn is_of_capabilities(message: &str) -> bool {
    let words = [
        "apply caps",
        "apply bounding set",
        "set process capabilities",
        "capset",
        "invalid CapAdd",
        "invalid capability",
    ];
    words.iter().any(|words| message.contains(words))
}

/// The capabilities that an engine on this machine has to give.
pub(super) fn bound_here() -> Option<Vec<Capability>> {
    // The engine was started by PID 1, or by whoever took rights from that.
    let status = std::fs::read_to_string("/proc/1/status").ok()?;
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(Capability::of_mask(mask))
}

/// Waits until a sandbox with an engine inside is ready, as `wait` does, and no longer than it is known that its engine
/// does not come up.
///
/// # Errors
/// Those of `wait`; [`Kind::RightMissing`].
pub(super) async fn wait_with_inner_engine<T>(
    engine: &Sandboxes,
    name: &str,
    wait: impl Future<Output = Result<T>>,
) -> Result<T> {
    let failed = async {
        loop {
            if let Some(error) = look(engine, name).await {
                return error;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    let waited = tokio::select! {
        waited = wait => waited,
        error = failed => return Err(error),
    };
    let is_setups = |kind| {
        let of_setup = Kind::SetupFailed;
        kind == of_setup || matches!(kind, Kind::Failure | Kind::CmdExited | Kind::RightMissing)
    };
    match waited {
        Err(error) if !is_setups(error.kind) => Err(error),
        // It may have been quicker than the looks at the engine; and a setup without an engine may fail of that.
        waited => match look(engine, name).await {
            Some(error) => Err(error),
            None => waited,
        },
    }
}

/// Why the engine inside did not come up, once that is known. What goes wrong with the sandbox itself is told by who
/// waits for that.
async fn look(engine: &Sandboxes, name: &str) -> Option<Error> {
    let sandbox = Sandbox::find(engine, name).await.ok()?;
    if !sandbox.is_running() {
        let boot = read_boot_record(engine, &sandbox.container.id)
            .await
            .ok()??;
        let service = boot.status.services.get(DOCKERD)?;
        let is_failed = service.enabled && service.state == ServiceState::Failed;
        return is_failed.then(|| did_not_start(name, service, &[]));
    }
    let client = sandbox.client(engine).ok()?.patient();
    let mut status = client.status().await;
    // It answered before, and a busy machine may keep it from doing so at once.
    for _ in 0..TRIES {
        if status.is_ok() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        status = client.status().await;
    }
    let status = status.ok()?;
    let service = status.services.get(DOCKERD)?;
    let is_down = matches!(service.state, ServiceState::Failed | ServiceState::Backoff);
    // One that was up and died later is started again.
    if !service.enabled || !is_down || service.restarts > 0 {
        return None;
    }
    let lines = client.last_lines(DOCKERD, LINES).await;
    let lines: Vec<String> = lines
        .iter()
        .map(|line| Untrusted::new(line).within(LENGTH).to_string())
        .collect();
    Some(did_not_start(name, service, &lines))
}

fn did_not_start(name: &str, service: &Service, lines: &[String]) -> Error {
    let why = service.last_exit.as_deref().unwrap_or_default();
    let error = Error::new(
        Kind::RightMissing,
        format!("the Docker Engine inside sandbox \"{name}\" did not start"),
    )
    .cause(Untrusted::new(why).within(LENGTH).to_string())
    .last_output(lines);
    error
        .hint(format!(
            "it needs {NEEDED}; an engine that maps root to another user, or a security module, may keep them back"
        ))
        .hint(format!("`--preset {}` is the same without an engine inside", Preset::Coder))
}

#[cfg(test)]
mod tests {
    use amika_core::capability::{Capabilities, Purpose};

    use super::*;

    const REFUSED: &str = "OCI runtime create failed: runc create failed: unable to start container process: unable to \
         apply caps: operation not permitted: unknown";

    fn told(spec: &ContainerSpec, bound: Option<&[Capability]>) -> Error {
        let error = EngineError::Refused {
            status: 500,
            message: REFUSED.to_owned(),
        };
        explain(error, spec, bound).unwrap()
    }

    fn spec(purpose: Purpose, asked: &[&str]) -> ContainerSpec {
        let asked = asked.iter().map(|name| name.parse().unwrap()).collect();
        ContainerSpec {
            name: "teal-tokyo".into(),
            capabilities: Capabilities::of(purpose, &asked, false),
            nested_engine: purpose == Purpose::NestedEngine,
            ..ContainerSpec::default()
        }
    }

    fn all_but(names: &[&str]) -> Vec<Capability> {
        let all = Capability::of_mask(u64::MAX).into_iter();
        all.filter(|one| !names.contains(&one.as_str())).collect()
    }

    #[test]
    fn the_missing_right_is_named_with_the_way_on() {
        let bound = all_but(&["SYS_RESOURCE", "SYS_ADMIN"]);
        let error = told(&spec(Purpose::NestedEngine, &[]), Some(&bound));
        assert_eq!(error.kind, Kind::RightMissing);
        assert!(
            error.message.ends_with("no right to give it SYS_ADMIN"),
            "{}",
            error.message
        );
        assert!(
            error.hints[0].contains("`--preset coder`"),
            "{:?}",
            error.hints
        );

        let bound = all_but(&["SYS_RESOURCE"]);
        let error = told(&spec(Purpose::Agent, &["SYS_RESOURCE"]), Some(&bound));
        assert!(
            error.message.ends_with("give it SYS_RESOURCE"),
            "{}",
            error.message
        );
        assert!(error.hints[0].contains("`--cap-add`"), "{:?}", error.hints);

        let privileged = ContainerSpec {
            privileged: true,
            capabilities: Capabilities::privileged(),
            ..spec(Purpose::NestedEngine, &[])
        };
        let error = told(&privileged, Some(&bound));
        assert!(
            error.message.ends_with("give it SYS_RESOURCE"),
            "{}",
            error.message
        );
        assert!(
            error.hints[0].contains("leave `--privileged` out"),
            "{:?}",
            error.hints
        );
    }

    #[test]
    fn where_nobody_can_look_it_is_one_of_those_that_were_asked_for() {
        for bound in [None, Some(all_but(&[]))] {
            let error = told(&spec(Purpose::NestedEngine, &[]), bound.as_deref());
            assert!(
                error.message.ends_with("give it NET_ADMIN, SYS_ADMIN"),
                "{}",
                error.message
            );
        }
    }

    #[test]
    fn words_of_capabilities_are_told_from_others() {
        assert!(is_of_capabilities(REFUSED));
        for other in [
            "error mounting \"/s\" to rootfs at \"/t\": operation not permitted",
            "Bind for 127.0.0.1:3000 failed: port is already allocated",
            "",
        ] {
            assert!(!is_of_capabilities(other), "{other}");
        }
    }
}
