//! What a sandbox may use at most: what was asked for, within what the engine has.

use amika_core::config;
use amika_core::limit::{self, Cpus, Limit, Pids};
use amika_core::settings::{LimitOrigins, Origin, ResolvedLimits, Sourced};

use crate::error::{Error, Kind, Result};
use amika_engine::Limits;

/// What the engine has.
#[derive(Clone, Copy, Debug)]
pub struct EngineSize {
    /// Processors; 0 when it does not tell.
    pub cpus: i64,
    /// Memory in bytes; 0 when it does not tell.
    pub memory: i64,
}

/// What holds, and who decided it.
#[derive(Debug)]
pub(super) struct Settled {
    /// What is asked of the engine.
    pub limits: Limits,
    /// Who decided each.
    pub origins: LimitOrigins,
    /// What to warn of.
    pub warnings: Vec<String>,
}

/// Settles what holds.
///
/// A repository's file cannot raise a limit above the default, since whoever wrote it may be unknown.
///
/// # Errors
/// [`Kind::Invalid`] where a flag asks for more processors than there are.
pub(super) fn settle(asked: &ResolvedLimits, engine: EngineSize) -> Result<Settled> {
    let mut warnings = Vec::new();
    let default = limit::default_memory(engine.memory);
    let memory = within("memory", asked.memory, default, &mut warnings);
    let most = Pids::new(limit::DEFAULT_PIDS);
    let pids = within("pids", asked.pids, most, &mut warnings);
    let cpus = cpus(asked.cpus, engine.cpus, &mut warnings)?;
    Ok(Settled {
        limits: Limits {
            cpus: cpus.map(|cpus| cpus.value),
            memory: memory.value,
            pids: pids.value.map(Pids::get),
        },
        origins: LimitOrigins {
            cpus: cpus.map(|cpus| cpus.origin).unwrap_or_default(),
            memory: memory.origin,
            pids: pids.origin,
        },
        warnings,
    })
}

/// What was asked for, or the default; the default too where a file asks for more.
fn within<T: Copy + PartialOrd + std::fmt::Display>(
    key: &str,
    asked: Option<Sourced<Limit<T>>>,
    default: Option<T>,
    warnings: &mut Vec<String>,
) -> Sourced<Option<T>> {
    let by_default = Sourced {
        value: default,
        origin: Origin::Default,
    };
    let Some(Sourced { value, origin }) = asked else {
        return by_default;
    };
    let value = value.value();
    match (value, default) {
        (Some(asked), Some(most)) if origin == Origin::File && asked > most => {
            warnings.push(cut(key, asked, most));
            by_default
        }
        _ => Sourced { value, origin },
    }
}

fn cut(key: &str, asked: impl std::fmt::Display, most: impl std::fmt::Display) -> String {
    format!(
        "{}: sandbox.limits.{key} is {asked}, more than a file may ask for: {most} is set (`--{key} {asked}` sets \
         what it asks for)",
        config::PATH
    )
}

/// Leaves a limit on processors out where the engine has no more than that: it would refuse the limit, and
/// keeps to what it has without one. Whoever asks for it by a flag is told instead.
fn cpus(
    asked: Option<Sourced<Cpus>>,
    engine: i64,
    warnings: &mut Vec<String>,
) -> Result<Option<Sourced<Cpus>>> {
    let Some(Sourced {
        value: cpus,
        origin,
    }) = asked
    else {
        return Ok(None);
    };
    if engine < 1 || cpus.nano() <= engine.saturating_mul(1_000_000_000) {
        return Ok(asked);
    }
    if origin == Origin::Request {
        return Err(Error::new(
            Kind::Invalid,
            format!("--cpus {cpus}: the engine has {engine}"),
        )
        .hint(format!("name at most {engine}, or leave the limit out")));
    }
    warnings.push(format!(
        "{origin}: sandbox.limits.cpus is {cpus}, and the engine has {engine}: no limit is set"
    ));
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use amika_core::limit::Memory;
    use pretty_assertions::assert_eq;

    use super::*;

    const ENGINE: EngineSize = EngineSize {
        cpus: 2,
        memory: 16 << 30,
    };

    /// Limits on memory and processes, as somebody asks for them.
    fn asked(origin: Origin, memory: Option<&str>, pids: Option<&str>) -> ResolvedLimits {
        ResolvedLimits {
            cpus: None,
            memory: memory.map(|text| Sourced {
                value: text.parse().unwrap(),
                origin,
            }),
            pids: pids.map(|text| Sourced {
                value: text.parse().unwrap(),
                origin,
            }),
        }
    }

    #[test]
    fn what_was_asked_for_holds_and_a_file_raises_nothing() {
        let memory = |text: &str| text.parse::<Memory>().unwrap();
        let (request, saved, file, default) = (
            Origin::Request,
            Origin::Saved,
            Origin::File,
            Origin::Default,
        );
        for (asked, limits, origin, warned) in [
            (
                asked(file, None, None),
                (Some("12g"), Some(4096)),
                default,
                0,
            ),
            (
                asked(file, Some("4g"), Some("100")),
                (Some("4g"), Some(100)),
                file,
                0,
            ),
            (
                asked(request, Some("1g"), Some("7")),
                (Some("1g"), Some(7)),
                request,
                0,
            ),
            (
                asked(file, Some("15g"), Some("5000")),
                (Some("12g"), Some(4096)),
                default,
                2,
            ),
            (
                asked(saved, Some("15g"), Some("5000")),
                (Some("15g"), Some(5000)),
                saved,
                0,
            ),
            (
                asked(request, Some("15g"), Some("5000")),
                (Some("15g"), Some(5000)),
                request,
                0,
            ),
            (
                asked(request, Some("unlimited"), Some("unlimited")),
                (None, None),
                request,
                0,
            ),
        ] {
            let settled = settle(&asked, ENGINE).unwrap();
            let origins = settled.origins;
            assert_eq!(
                (
                    settled.limits.memory,
                    settled.limits.pids,
                    settled.warnings.len()
                ),
                (limits.0.map(memory), limits.1, warned),
                "{asked:?}: {:?}",
                settled.warnings
            );
            assert_eq!([origins.memory, origins.pids], [origin; 2], "{asked:?}");
        }
    }

    #[test]
    fn an_engine_that_tells_nothing_gets_the_limit_of_processes_alone() {
        let engine = EngineSize { cpus: 0, memory: 0 };
        let limits = settle(&ResolvedLimits::default(), engine).unwrap().limits;
        assert_eq!(
            (limits.cpus, limits.memory, limits.pids),
            (None, None, Some(4096))
        );
    }

    #[test]
    fn more_processors_than_there_are_is_an_error_of_a_flag_and_a_warning_of_a_file() {
        let three = |origin| ResolvedLimits {
            cpus: Some(Sourced {
                value: "3".parse().unwrap(),
                origin,
            }),
            ..ResolvedLimits::default()
        };
        let refused = settle(&three(Origin::Request), ENGINE).unwrap_err();
        assert_eq!(refused.kind, Kind::Invalid);
        for (origin, named) in [
            (Origin::File, ".amika/config.toml: "),
            (Origin::Saved, "saved settings: "),
        ] {
            let settled = settle(&three(origin), ENGINE).unwrap();
            assert_eq!((settled.limits.cpus, settled.warnings.len()), (None, 1));
            assert!(
                settled.warnings[0].starts_with(named),
                "{:?}",
                settled.warnings
            );
        }
    }
}
