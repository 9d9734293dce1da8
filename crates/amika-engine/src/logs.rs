//! A container's log.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::{Stream, StreamExt as _};

use super::exec::ExecOutput;
use super::{Engine, EngineError};

/// Which part of a log.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Go on as more is written.
    pub follow: bool,
    /// Only the last lines; all when absent.
    pub tail: Option<usize>,
    /// Only what was written since, in seconds since the Unix epoch.
    pub since: Option<i32>,
    /// Put the time before each line.
    pub timestamps: bool,
}

impl Engine {
    /// Reads a container's log.
    pub fn container_logs(
        &self,
        container: &str,
        query: &LogQuery,
    ) -> impl Stream<Item = Result<ExecOutput, EngineError>> + use<> {
        let mut options = LogsOptionsBuilder::new()
            .stdout(true)
            .stderr(true)
            .follow(query.follow)
            .timestamps(query.timestamps);
        let tail = query.tail.map(|lines| lines.to_string());
        if let Some(tail) = &tail {
            options = options.tail(tail);
        }
        if let Some(since) = query.since {
            options = options.since(since);
        }
        let docker = self.docker.clone();
        let stream = docker.logs(container, Some(options.build())).boxed();
        self.keeping_open(stream).map(|item| match item {
            Ok(LogOutput::StdErr { message }) => Ok(ExecOutput::Stderr(message)),
            Ok(other) => Ok(ExecOutput::Stdout(other.into_bytes())),
            Err(error) => Err(EngineError::from_bollard(error)),
        })
    }
}
