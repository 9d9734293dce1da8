//! A question to who sits at the terminal.

use super::Page;

/// Asks on standard error, after these lines.
pub(super) fn ask(lines: &[String], question: &str) {
    super::spinner::still();
    let mut err = anstream::stderr().lock();
    let mut page = Page::text(&mut err);
    // A standard error that cannot be written leaves nobody to tell.
    for line in lines {
        let _ = writeln!(page, "{line}");
    }
    let _ = page.part(question);
    let _ = page.flush();
}

/// Asks, and waits for a line of standard input: whether it says yes.
pub(super) async fn confirmed(lines: &[String], question: &str) -> bool {
    ask(lines, &format!("{question} [y/N] "));
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    })
    .await;
    matches!(answer, Ok(Ok(line)) if matches!(line.trim(), "y" | "Y" | "yes"))
}
