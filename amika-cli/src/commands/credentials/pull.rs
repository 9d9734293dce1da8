//! `amika credentials pull`: newer sign-ins of a sandbox, taken into this machine's files.

use std::collections::BTreeSet;
use std::sync::Arc;

use amika_core::credential::Selection;
use amika_core::text::shell_quote;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::App;
use crate::args::credentials::PullArgs;
use crate::credentials::{PullRequest, Vouch};
use crate::error::Result;
use crate::output::Printer;

pub(super) async fn run(args: &PullArgs, app: &App) -> Result<()> {
    let selection = super::selection(args.credentials.as_deref())?;
    let engine = crate::engine::connect(&app.user).await?;
    let here: Arc<dyn Vouch> = Arc::new(Terminal {
        out: app.out.clone(),
        sandbox: args.name.clone(),
    });
    let request = PullRequest {
        selection: selection.unwrap_or_else(Selection::all),
        force: args.force,
        vouch: app.out.can_ask().then_some(here),
    };
    let out = Arc::new(app.out.clone());
    let done = engine.pull_credentials(&args.name, request, out).await?;
    app.out.result(&done, |out| {
        for path in &done.taken {
            writeln!(out, "~/{path}")?;
        }
        Ok(())
    })?;
    if !app.out.is_json() {
        for left in &done.left {
            let whole = if done.taken.contains(&left.path) {
                "was renewed in part"
            } else {
                "stays as it is"
            };
            app.out
                .note(&format!("~/{} {whole}: {}", left.path, left.reason));
        }
        if done.taken.is_empty() && done.left.is_empty() {
            app.out.note("the sandbox has no sign-in");
        }
        if !done.unknown.is_empty() {
            app.out.note(&format!(
                "a sandbox can put tokens of another account in their place, and this machine's agents would then work \
                 for that: if you trust what ran in it, `amika credentials pull {} --force` takes them",
                shell_quote(&args.name)
            ));
        }
    }
    Ok(())
}

/// Whoever sits at the terminal.
struct Terminal {
    out: Printer,
    sandbox: String,
}

impl Vouch for Terminal {
    fn vouches<'a>(&'a self, unknown: &'a BTreeSet<String>) -> BoxFuture<'a, bool> {
        let names: Vec<&str> = unknown.iter().map(String::as_str).collect();
        let line = format!(
            "Whose account the sign-in to {} is cannot be seen in its tokens: a program in \"{}\" can have put \
             another's in their place.",
            names.join(", "),
            self.sandbox
        );
        async move { self.out.confirmed(&[line], "Take it?").await }.boxed()
    }
}
