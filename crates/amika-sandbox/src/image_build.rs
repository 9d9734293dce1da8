//! Having the engine build an image, with its output as it comes.

use amika_engine::{BuildSpec, EngineError};
use futures_util::StreamExt as _;

use crate::error::{Error, Kind};
use crate::progress::Steps;
use crate::sandboxes::Sandboxes;

/// How many lines of the build's output an error shows.
const TAIL: usize = 20;

/// A build that failed.
pub(crate) struct Failed {
    error: EngineError,
    /// The last lines that it wrote.
    tail: Vec<String>,
}

impl Failed {
    /// It as an error, with the sentence that it begins with.
    pub(crate) fn told(self, message: String) -> Error {
        Error::new(Kind::Image, message)
            .cause(self.error.to_string())
            .last_output(self.tail)
    }
}

/// Builds an image, and shows what the build writes.
pub(crate) async fn run(
    engine: &Sandboxes,
    spec: &BuildSpec<'_>,
    context: Vec<u8>,
    steps: &mut Steps,
) -> Result<(), Failed> {
    let mut tail: Vec<String> = Vec::new();
    let mut output = std::pin::pin!(engine.build_image(spec, context));
    let mut partial = String::new();
    while let Some(item) = output.next().await {
        match item {
            Ok(text) => {
                partial.push_str(&text);
                while let Some(end) = partial.find('\n') {
                    let line: String = partial.drain(..=end).collect();
                    let line = line.trim_end();
                    if !line.is_empty() {
                        steps.line(line);
                        tail.push(line.to_owned());
                        if tail.len() > TAIL {
                            tail.remove(0);
                        }
                    }
                }
            }
            Err(error) => return Err(Failed { error, tail }),
        }
    }
    Ok(())
}
