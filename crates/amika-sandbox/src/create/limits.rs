//! What a sandbox may use at most: a flag over the repository's file over the default.

use amika_core::config;
use amika_core::limit::{self, Cpus, Limit, Memory, Pids};

use crate::error::{Error, Kind, Result};
use amika_engine::Limits;

/// What was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// By flags.
    pub flags: Flags,
    /// By the repository's file.
    pub file: config::Limits,
}

/// What the flags ask for; absent where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--cpus`
    pub cpus: Option<Cpus>,
    /// `--memory`
    pub memory: Option<Limit<Memory>>,
    /// `--pids`
    pub pids: Option<Limit<Pids>>,
}

/// What the engine has.
#[derive(Clone, Copy, Debug)]
pub struct EngineSize {
    /// Processors; 0 when it does not tell.
    pub cpus: i64,
    /// Memory in bytes; 0 when it does not tell.
    pub memory: i64,
}

/// Settles what holds, and says what to warn of.
///
/// A file cannot raise a limit above the default, since whoever wrote it may be unknown: only a flag can.
///
/// # Errors
/// [`Kind::Invalid`] where a flag asks for more processors than there are.
pub fn settle(wanted: &Wanted, engine: EngineSize) -> Result<(Limits, Vec<String>)> {
    let mut warnings = Vec::new();
    let default = limit::default_memory(engine.memory);
    let memory = match (wanted.flags.memory, wanted.file.memory) {
        (Some(asked), _) => asked.value(),
        (None, Some(asked)) if default.is_some_and(|most| asked > most) => {
            warnings.extend(default.map(|most| cut("memory", asked, most)));
            default
        }
        (None, Some(asked)) => Some(asked),
        (None, None) => default,
    };
    let pids = match (wanted.flags.pids, wanted.file.pids) {
        (Some(asked), _) => asked.value().map(Pids::get),
        (None, Some(asked)) if asked > limit::DEFAULT_PIDS => {
            warnings.push(cut("pids", asked, limit::DEFAULT_PIDS));
            Some(limit::DEFAULT_PIDS)
        }
        (None, asked) => Some(asked.unwrap_or(limit::DEFAULT_PIDS)),
    };
    let limits = Limits {
        cpus: cpus(wanted, engine.cpus, &mut warnings)?,
        memory,
        pids,
    };
    Ok((limits, warnings))
}

fn cut(key: &str, asked: impl std::fmt::Display, most: impl std::fmt::Display) -> String {
    format!(
        "{}: sandbox.limits.{key} is {asked}, more than a file may ask for: {most} is set (`--{key} {asked}` sets \
         what it asks for)",
        config::PATH
    )
}

/// Leaves a file's limit on processors away where the engine has no more than that: it would refuse the
/// limit, and keeps to what it has without one.
fn cpus(wanted: &Wanted, engine: i64, warnings: &mut Vec<String>) -> Result<Option<Cpus>> {
    let Some(cpus) = wanted.flags.cpus.or(wanted.file.cpus) else {
        return Ok(None);
    };
    if engine < 1 || cpus.nano() <= engine.saturating_mul(1_000_000_000) {
        return Ok(Some(cpus));
    }
    if wanted.flags.cpus.is_some() {
        return Err(Error::new(
            Kind::Invalid,
            format!("--cpus {cpus}: the engine has {engine}"),
        )
        .hint(format!("name at most {engine}, or leave the limit out")));
    }
    warnings.push(format!(
        "{}: sandbox.limits.cpus is {cpus}, and the engine has {engine}: no limit is set",
        config::PATH
    ));
    Ok(None)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    const ENGINE: EngineSize = EngineSize {
        cpus: 2,
        memory: 16 << 30,
    };

    fn memory(text: &str) -> Memory {
        text.parse().unwrap()
    }

    fn flags(memory: Option<&str>, pids: Option<&str>) -> Flags {
        Flags {
            cpus: None,
            memory: memory.map(|text| text.parse().unwrap()),
            pids: pids.map(|text| text.parse().unwrap()),
        }
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = |memory: Option<&str>, pids| config::Limits {
            cpus: None,
            memory: memory.map(self::memory),
            pids,
        };
        for (wanted, holds, warned) in [
            (
                flags(None, None),
                (file(None, None)),
                (Some("12g"), Some(4096), 0),
            ),
            (
                flags(None, None),
                file(Some("4g"), Some(100)),
                (Some("4g"), Some(100), 0),
            ),
            (
                flags(Some("1g"), Some("7")),
                file(Some("4g"), Some(100)),
                (Some("1g"), Some(7), 0),
            ),
            // A file cannot raise them, a flag can.
            (
                flags(None, None),
                file(Some("15g"), Some(5000)),
                (Some("12g"), Some(4096), 2),
            ),
            (
                flags(Some("15g"), Some("5000")),
                file(Some("15g"), Some(5000)),
                (Some("15g"), Some(5000), 0),
            ),
            (
                flags(Some("unlimited"), Some("unlimited")),
                file(Some("4g"), Some(1)),
                (None, None, 0),
            ),
        ]
        .map(|(flags, file, (memory, pids, warned))| {
            (Wanted { flags, file }, (memory, pids), warned)
        }) {
            let (limits, warnings) = settle(&wanted, ENGINE).unwrap();
            assert_eq!(
                (limits.memory, limits.pids, warnings.len()),
                (holds.0.map(memory), holds.1, warned),
                "{wanted:?}: {warnings:?}"
            );
        }
    }

    #[test]
    fn an_engine_that_tells_nothing_gets_the_limit_of_processes_alone() {
        let engine = EngineSize { cpus: 0, memory: 0 };
        let (limits, _) = settle(&Wanted::default(), engine).unwrap();
        assert_eq!(
            (limits.cpus, limits.memory, limits.pids),
            (None, None, Some(4096))
        );
    }

    #[test]
    fn more_processors_than_there_are_is_an_error_of_a_flag_and_a_warning_of_a_file() {
        let three: Cpus = "3".parse().unwrap();
        let by_flag = Wanted {
            flags: Flags {
                cpus: Some(three),
                ..Flags::default()
            },
            ..Wanted::default()
        };
        assert_eq!(settle(&by_flag, ENGINE).unwrap_err().kind, Kind::Invalid);
        let by_file = Wanted {
            file: config::Limits {
                cpus: Some(three),
                ..config::Limits::default()
            },
            ..Wanted::default()
        };
        let (limits, warnings) = settle(&by_file, ENGINE).unwrap();
        assert_eq!((limits.cpus, warnings.len()), (None, 1));
    }
}
