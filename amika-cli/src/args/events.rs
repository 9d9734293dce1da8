//! `amika events`.

use std::str::FromStr as _;

use clap::builder::{NonEmptyStringValueParser, TypedValueParser as _};

use super::moment::Moment;

/// `amika events`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  amika events                              until Ctrl-C\n  amika -o json events                      each event a line of JSON\n  amika events --since 1h --until 0         what happened in the last hour\n\nEvents come from the engine, which remembers a limited number of them (256 in Docker 20.10) until it\nis restarted. Processes started in sandboxes and copies are left out."
)]
pub struct EventsArgs {
    /// Names of sandboxes, also of some that are not there yet [default: all].
    #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new().try_map(name))]
    pub names: Vec<String>,
    /// Begin with what happened so long ago, such as `10m`, or since a time (RFC 3339, a date, Unix seconds).
    #[arg(long, value_name = "TIME", value_parser = Moment::from_str)]
    pub since: Option<Moment>,
    /// End with what happened until then; `0` is now [default: go on].
    #[arg(long, value_name = "TIME", value_parser = Moment::from_str)]
    pub until: Option<Moment>,
}

/// A name that a sandbox may come to have.
fn name(text: String) -> Result<String, String> {
    if amika_core::name::can_be_on_an_engine(&text) {
        Ok(text)
    } else {
        Err("no sandbox can be called so".to_owned())
    }
}
