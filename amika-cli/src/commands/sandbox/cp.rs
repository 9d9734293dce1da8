//! `amika sandbox cp`.

use amika_core::name::SandboxName;
use futures_util::StreamExt as _;
use schemars::JsonSchema;
use serde::Serialize;

use crate::App;
use crate::args::sandbox::CpArgs;
use crate::cp::{self, Git, Place};
use crate::error::{Error, Kind, Result};
use crate::terminal::{Output, Target};
use amika_core::text::human_size;
use amika_host::archive::Report;

/// How many of the entries that were left out are named on standard error.
const NAMED: usize = 5;

/// As a program that SIGPIPE ended: the archive is not whole.
pub(in crate::commands) const READER_LEFT: u8 = 141;

/// What `cp` did.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Copied {
    /// What was copied, as it was typed.
    source: String,
    /// Where to, as it was typed.
    destination: String,
    #[serde(flatten)]
    report: Report,
}

/// Copies; the value is the exit code, which a reader that leaves an archive makes another one.
pub(super) async fn run(args: &CpArgs, app: &App) -> Result<u8> {
    if let (Place::Sandbox { name, path }, Place::Stream) = (&args.source, &args.destination) {
        return archive(name, path, app).await;
    }
    let git = if args.as_is { Git::AsIs } else { Git::Inert };
    let comes_out = matches!(
        (&args.source, &args.destination),
        (Place::Sandbox { .. }, Place::Host(_))
    );
    if args.as_is && comes_out {
        app.out
            .warn("as it is: git on this machine will run what its configuration names");
    }
    let engine = crate::engine::connect(&app.user).await?;
    let mut steps = app.out.steps_on_terminal();
    steps.begin("copy");
    let input = Box::new(|| Box::new(std::io::stdin().lock()) as Box<dyn std::io::Read>);
    let copied = cp::copy(&engine, &args.source, &args.destination, git, input);
    let report = match copied.await {
        Ok(report) => report,
        Err(error) => {
            steps.fail("");
            return Err(with_colon(error, args));
        }
    };
    let copied = Copied::of(args, report);
    let told = told(&copied);
    steps.finish(&told);
    show(&copied, app)?;
    if !steps.are_shown() {
        app.out.note(&format!("copied {told}"));
    }
    Ok(0)
}

impl Copied {
    fn of(args: &CpArgs, report: Report) -> Self {
        Self {
            source: args.source.to_string(),
            destination: args.destination.to_string(),
            report,
        }
    }
}

/// Says what was copied.
///
/// # Errors
/// When standard output cannot be written.
pub(in crate::commands) fn tell(args: &CpArgs, report: Report, app: &App) -> Result<()> {
    let copied = Copied::of(args, report);
    show(&copied, app)?;
    app.out.note(&format!("copied {}", told(&copied)));
    Ok(())
}

/// Prints the result, and warns of what is amiss.
fn show(copied: &Copied, app: &App) -> Result<()> {
    app.out.result(copied, |_| Ok(()))?;
    let report = &copied.report;
    for skipped in report.skipped.iter().take(NAMED) {
        app.out.warn(&format!(
            "{} was left out: {}",
            skipped.path, skipped.reason
        ));
    }
    let unnamed = report.skipped_count.saturating_sub(NAMED as u64);
    if unnamed > 0 {
        app.out.warn(&format!("{unnamed} more were left out"));
    }
    if let Some(line) = report.told_changes() {
        app.out.warn(&line);
    }
    if report.untimely_count > 0 {
        app.out.warn(&format!(
            "{} of before 1970 or after 2262 did not get their time: only in a sandbox that runs they do",
            report.untimely_count
        ));
    }
    if let Some(line) = inert(report) {
        app.out.warn(&line);
    }
    if let Some(line) = report.told_acted_on() {
        app.out.warn(&line);
    }
    Ok(())
}

/// A file of this machine with a colon in its name is taken for a place in a sandbox.
fn with_colon(error: Error, args: &CpArgs) -> Error {
    let typed = args.source.to_string();
    let is_meant = matches!(args.source, Place::Sandbox { .. })
        && error.kind == Kind::NotFound
        && std::path::Path::new(&typed).exists();
    if is_meant {
        error.hint(format!("a file of this machine is written `./{typed}`"))
    } else {
        error
    }
}

/// What is told of git directories that were made inert.
fn inert(report: &Report) -> Option<String> {
    let first = report.inert.first()?;
    let which = match report.inert_count {
        1 => format!("git directory {} was made inert", first.path),
        count => format!("{count} git directories were made inert"),
    };
    let what = if first.what.is_empty() {
        "nothing in it runs".to_owned()
    } else {
        let (anew, left): (Vec<&str>, Vec<&str>) = first
            .what
            .iter()
            .map(String::as_str)
            .partition(|name| *name == "config");
        let anew = anew
            .first()
            .map(|_| "its configuration was written anew".to_owned());
        let left = (!left.is_empty()).then(|| format!("left out: {}", left.join(", ")));
        anew.into_iter().chain(left).collect::<Vec<_>>().join(", ")
    };
    Some(format!(
        "{which} ({what}); `--as-is` copies it as the sandbox has it"
    ))
}

/// How much came where, for people.
fn told(copied: &Copied) -> String {
    let files = match copied.report.files {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    };
    format!(
        "{files} ({}) to {}",
        human_size(copied.report.bytes),
        copied.destination
    )
}

/// Writes the archive to standard output, as the engine makes it.
async fn archive(name: &SandboxName, path: &str, app: &App) -> Result<u8> {
    must_be_an_archives(app)?;
    let engine = crate::engine::connect(&app.user).await?;
    let mut pieces = engine.copy_out(name.as_str(), path).await?;
    let output = Output::start();
    while let Some(piece) = pieces.next().await {
        if output.send(Target::Stdout, piece?).await.is_err() {
            break;
        }
    }
    let left = output.finish().await.map_err(|error| {
        Error::new(Kind::Failure, "standard output cannot be written").caused_by(&error)
    })?;
    Ok(if left { READER_LEFT } else { 0 })
}

/// Refuses to write an archive where people read, or a program reads JSON.
///
/// # Errors
/// [`Kind::Invalid`]
pub(in crate::commands) fn must_be_an_archives(app: &App) -> Result<()> {
    let usage = |message: &str| Error::new(Kind::Invalid, message);
    if app.out.is_json() {
        return Err(
            usage("standard output is the archive, and cannot be JSON too")
                .hint("leave `-o json` out, or name a file or directory to copy to"),
        );
    }
    if crate::output::is_shown() {
        return Err(usage("an archive is not written to a terminal")
            .hint("redirect it, such as `> files.tar` or `| tar -t`"));
    }
    Ok(())
}
