//! A question to who sits at the terminal.

use std::io::Write as _;

use super::Page;

/// Asks on standard error, and waits for a line of standard input: whether it says yes.
pub(super) async fn confirmed(lines: &[String], question: &str) -> bool {
    {
        let mut err = anstream::stderr().lock();
        let mut page = Page::text(&mut err);
        for line in lines {
            let _ = writeln!(page, "{line}");
        }
        let _ = write!(page, "{question} [y/N] ");
        let _ = page.flush();
    }
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    })
    .await;
    matches!(answer, Ok(Ok(line)) if matches!(line.trim(), "y" | "Y" | "yes"))
}
