//! Asking whoever sits at the terminal whether a repository is trusted.

use std::sync::Arc;

use amika_core::trust::Answer;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::create::Ask;
use crate::output::Printer;

/// Whoever sits at the terminal; none where nobody can be asked.
pub(super) fn at_terminal(out: &Printer) -> Option<Arc<dyn Ask>> {
    let here: Arc<dyn Ask> = Arc::new(Terminal(out.clone()));
    out.can_ask().then_some(here)
}

struct Terminal(Printer);

impl Ask for Terminal {
    fn is_trusted<'a>(&'a self, lines: &'a [String]) -> BoxFuture<'a, Answer> {
        self.0.ask(
            lines,
            "Trust it? [y = yes, N = no, a = always, until this changes] ",
        );
        async {
            let answer = tokio::task::spawn_blocking(|| {
                let mut line = String::new();
                std::io::stdin().read_line(&mut line).map(|_| line)
            })
            .await;
            match answer {
                Ok(Ok(line)) => Answer::read(&line),
                _ => Answer::No,
            }
        }
        .boxed()
    }
}
