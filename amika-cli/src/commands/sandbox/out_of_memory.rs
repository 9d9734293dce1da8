//! What `exec` and `prompt` tell of a program that ended while the sandbox had no memory left.

use std::time::Duration;

use crate::App;
use crate::sandbox::Sandbox;
use crate::sandboxes::Sandboxes;
use amika_core::text::{human_memory, shell_quote};

/// The least exit code that is looked into: 1 is how programs say no.
const SUSPICIOUS: u8 = 2;
/// How long amikad may take to tell.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Says so where the kernel ended processes for want of memory while the program with this id ran. The exit code
/// stays the program's own: 137 where it was ended itself.
pub(super) async fn tell(engine: &Sandboxes, sandbox: &Sandbox, id: &str, code: u8, app: &App) {
    if code < SUSPICIOUS {
        return;
    }
    let Ok(client) = sandbox.client(engine) else {
        return;
    };
    // An amikad that does not answer, or knows no such question, leaves nothing to tell.
    let asked = tokio::time::timeout(TIMEOUT, client.exec(id)).await;
    if let Ok(Ok(exec)) = asked
        && exec.out_of_memory_kills > 0
    {
        let limit = sandbox.container.limits.memory_bytes;
        app.out
            .warn(&words(&sandbox.name, exec.out_of_memory_kills, limit));
    }
}

fn words(name: &str, kills: u64, limit: Option<u64>) -> String {
    let what = match kills {
        1 => "a process".to_owned(),
        kills => format!("{kills} processes"),
    };
    let limit = limit.map_or_else(
        || " on a sandbox without a limit: the machine has no more".to_owned(),
        |bytes| format!("; its limit is {}", human_memory(bytes)),
    );
    format!(
        "\"{name}\" ran out of memory while the program ran, and the kernel ended {what}{limit}; \
         `amika sandbox create --memory` sets another one, `amika sandbox stats {}` shows what it uses",
        shell_quote(name)
    )
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn the_limit_is_told_where_there_is_one() {
        let told = words("box", 1, Some(512 << 20));
        assert!(
            told.starts_with(
                "\"box\" ran out of memory while the program ran, and the kernel ended a process; its limit is 512 MiB; "
            ),
            "{told}"
        );
        assert!(words("box", 3, None).contains("3 processes on a sandbox without a limit"));
    }
}
