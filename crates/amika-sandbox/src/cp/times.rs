//! Times that an engine does not give to files, which makes 1970 of them: amikad does, where it runs.

use std::os::unix::ffi::OsStrExt as _;

use amika_core::contract::path;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::error::Result;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_engine::{EngineError, ExecSpec};
use amika_host::archive::OddTimes;

/// Gives what was unpacked at a path of a sandbox its times; returns how many did not get theirs.
///
/// # Errors
/// Those of the engine.
pub async fn give(
    engine: &Sandboxes,
    sandbox: &Sandbox,
    at: &str,
    odd: &OddTimes,
) -> Result<usize> {
    if sandbox.is_running() {
        give_in(engine, &sandbox.container.id, at, odd).await
    } else {
        Ok(odd.count)
    }
}

/// As [`give`], in a container that was just started.
///
/// # Errors
/// As [`give`].
pub async fn give_in(
    engine: &Sandboxes,
    container: &str,
    at: &str,
    odd: &OddTimes,
) -> Result<usize> {
    if odd.count == 0 {
        return Ok(0);
    }
    match run(engine, container, at, records(odd)).await {
        Ok(0) => Ok(odd.count - odd.known.len()),
        // One that was made by an earlier amika knows no such thing; or it ended meanwhile.
        Ok(_) | Err(EngineError::Conflict(_)) => Ok(odd.count),
        Err(error) => Err(error.into()),
    }
}

async fn run(
    engine: &Sandboxes,
    container: &str,
    at: &str,
    records: Vec<u8>,
) -> Result<i64, EngineError> {
    let spec = ExecSpec {
        command: [path::AMIKAD, "times", at].map(str::to_owned).to_vec(),
        user: Some("0".into()),
        stdin: true,
        ..ExecSpec::default()
    };
    let mut session = engine.engine().exec(container, &spec).await?;
    let mut input = session.input;
    let writing = async {
        // One that ended reads no more, and its exit code tells.
        let _ = input.write_all(&records).await;
        let _ = input.shutdown().await;
    };
    let reading = async {
        while session.output.next().await.transpose()?.is_some() {}
        Ok::<(), EngineError>(())
    };
    let ((), read) = tokio::join!(writing, reading);
    read?;
    engine.wait_exec(&session.id).await
}

/// What `amikad times` reads.
fn records(odd: &OddTimes) -> Vec<u8> {
    let mut records = Vec::new();
    for (path, seconds) in &odd.known {
        records.extend(format!("{seconds} ").bytes());
        records.extend(path.as_os_str().as_bytes());
        records.push(0);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_a_record() {
        let odd = OddTimes {
            count: 3,
            known: vec![("a b".into(), -5), ("c/d".into(), 10_413_792_000)],
        };
        assert_eq!(records(&odd), b"-5 a b\x0010413792000 c/d\x00");
    }
}
