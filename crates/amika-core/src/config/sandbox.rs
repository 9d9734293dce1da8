//! `[sandbox]`: which image, and how much of the machine.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::read::{Section, integer, quoted};
use super::{ImageChoice, Limits, Located, Sandbox};
use crate::contract::PRESETS;
use crate::image::check_reference;
use crate::limit::{Cpus, InvalidLimit, Memory, Pids};
use crate::nearest::nearest;
use crate::opencode::OpenCodeStart;

const KEYS: [&str; 4] = ["preset", "image", "opencode", "limits"];
const LIMIT_KEYS: [&str; 3] = ["cpus", "memory", "pids"];

pub(super) fn read(section: &mut Section<'_>, table: &DeTable<'_>) -> Sandbox {
    section.unknown_keys(table, "[sandbox]", &KEYS);
    let limits = table
        .get("limits")
        .and_then(|value| section.table(value, "limits"))
        .map(|table| read_limits(section, table));
    Sandbox {
        image: read_image(section, table),
        opencode: table
            .get("opencode")
            .and_then(|value| opencode(section, value)),
        limits: limits.unwrap_or_default(),
    }
}

fn read_image(section: &mut Section<'_>, table: &DeTable<'_>) -> Option<Located<ImageChoice>> {
    let preset = table
        .get("preset")
        .and_then(|value| word(section, value, "preset", "a preset"));
    if let Some(preset) = &preset {
        check_preset(section, preset);
    }
    let image = table
        .get("image")
        .and_then(|value| word(section, value, "image", "an image"));
    if let Some(image) = &image
        && let Err(error) = check_reference(&image.value)
    {
        let text = quoted(&image.value);
        section.problem(
            image.span.clone(),
            format!("{text} names no image: {error}"),
        );
    }
    if let (Some((key, _)), true) = (table.get_key_value("image"), table.contains_key("preset")) {
        section.problem(key.span(), "preset and image exclude each other");
    }
    let preset = preset.map(|located| map(located, ImageChoice::Preset));
    preset.or(image.map(|located| map(located, ImageChoice::Image)))
}

fn opencode(section: &mut Section<'_>, value: &Spanned<DeValue<'_>>) -> Option<OpenCodeStart> {
    let word = section.string(value, "opencode")?;
    word.parse()
        .map_err(|error| section.problem(value.span(), format!("opencode: {error}")))
        .ok()
}

fn check_preset(section: &mut Section<'_>, preset: &Located<String>) {
    if PRESETS.contains(&preset.value.as_str()) {
        return;
    }
    let hint = match nearest(&preset.value, PRESETS) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("the presets are {}", PRESETS.join(", ")),
    };
    let text = quoted(&preset.value);
    section.problem(
        preset.span.clone(),
        format!("there is no preset {text}; {hint}"),
    );
}

fn map(located: Located<String>, choice: fn(String) -> ImageChoice) -> Located<ImageChoice> {
    let Located {
        value,
        span,
        line,
        column,
    } = located;
    Located {
        value: choice(value),
        span,
        line,
        column,
    }
}

/// Returns a name that can stand on an engine's command line.
fn word(
    section: &mut Section<'_>,
    value: &Spanned<DeValue<'_>>,
    what: &str,
    kind: &str,
) -> Option<Located<String>> {
    let text = section.string(value, what)?;
    let odd = |found: char| found.is_control() || found.is_whitespace();
    if text.is_empty() || text.starts_with('-') || text.contains(odd) {
        section.problem(
            value.span(),
            format!("{} is no name of {kind}", quoted(text)),
        );
        return None;
    }
    Some(section.locate(value.span(), text.to_owned()))
}

fn read_limits(section: &mut Section<'_>, table: &DeTable<'_>) -> Limits {
    section.unknown_keys(table, "[sandbox.limits]", &LIMIT_KEYS);
    Limits {
        cpus: table.get("cpus").and_then(|value| cpus(section, value)),
        memory: table.get("memory").and_then(|value| memory(section, value)),
        pids: table.get("pids").and_then(|value| pids(section, value)),
    }
}

fn cpus(section: &mut Section<'_>, value: &Spanned<DeValue<'_>>) -> Option<Cpus> {
    let parsed = match value.get_ref() {
        DeValue::Integer(number) => match integer(number) {
            Some(number) => number.to_string().parse::<Cpus>(),
            None => number.as_str().parse(),
        },
        DeValue::Float(number) => number.as_str().parse(),
        DeValue::String(text) => text.parse(),
        _ => {
            section.wrong_type(value, "cpus", "a number");
            return None;
        }
    };
    accept(section, value, "cpus", parsed)
}

fn memory(section: &mut Section<'_>, value: &Spanned<DeValue<'_>>) -> Option<Memory> {
    let parsed = match value.get_ref() {
        DeValue::Integer(number) => match integer(number) {
            Some(bytes) => Memory::from_bytes(bytes),
            None => Err(InvalidLimit::Memory {
                text: number.as_str().to_owned(),
            }),
        },
        DeValue::String(text) => text.parse(),
        _ => {
            section.wrong_type(
                value,
                "memory",
                "a string such as \"4g\", or a number of bytes",
            );
            return None;
        }
    };
    accept(section, value, "memory", parsed)
}

fn pids(section: &mut Section<'_>, value: &Spanned<DeValue<'_>>) -> Option<i64> {
    let DeValue::Integer(number) = value.get_ref() else {
        section.wrong_type(value, "pids", "an integer");
        return None;
    };
    let pids = integer(number).filter(|pids| Pids::new(*pids).is_some());
    if pids.is_none() {
        section.problem(
            value.span(),
            format!(
                "pids: {} is no number of processes: use 1 to {}",
                number.as_str(),
                Pids::MAX
            ),
        );
    }
    pids
}

fn accept<T>(
    section: &mut Section<'_>,
    value: &Spanned<DeValue<'_>>,
    what: &str,
    parsed: Result<T, InvalidLimit>,
) -> Option<T> {
    parsed
        .map_err(|error| section.problem(value.span(), format!("{what}: {error}")))
        .ok()
}
