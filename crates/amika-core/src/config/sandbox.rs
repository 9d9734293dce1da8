//! `[sandbox]`: which image, and how much of the machine.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::read::{Section, integer, quoted};
use super::{Dockerfile, ImageChoice, Limits, Located, Sandbox, mounts, place};
use crate::budget;
use crate::build::is_arg;
use crate::contract::PRESETS;
use crate::image::check_reference;
use crate::limit::{Cpus, InvalidLimit, Memory, Pids};
use crate::nearest::nearest;
use crate::opencode::OpenCodeStart;

const KEYS: [&str; 7] = [
    "preset",
    "image",
    "dockerfile",
    "build_args",
    "opencode",
    "mounts",
    "limits",
];
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
        mounts: table
            .get("mounts")
            .map(|value| mounts::read(section, value))
            .unwrap_or_default(),
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
    let dockerfile = read_dockerfile(section, table);
    let named = ["preset", "image", "dockerfile"].map(|key| table.get_key_value(key));
    let mut named = named.iter().flatten();
    if let (Some((first, _)), Some((second, _))) = (named.next(), named.next()) {
        let message = format!(
            "{} and {} exclude each other",
            first.get_ref(),
            second.get_ref()
        );
        section.problem(second.span(), message);
    }
    let preset = preset.map(|located| map(located, ImageChoice::Preset));
    preset
        .or(image.map(|located| map(located, ImageChoice::Image)))
        .or(dockerfile)
}

fn read_dockerfile(section: &mut Section<'_>, table: &DeTable<'_>) -> Option<Located<ImageChoice>> {
    let args = table
        .get("build_args")
        .and_then(|value| section.table(value, "build_args"))
        .map(|table| read_args(section, table));
    let Some(value) = table.get("dockerfile") else {
        if let Some((key, _)) = table.get_key_value("build_args") {
            section.problem(
                key.span(),
                "build_args are for a dockerfile, and none is named",
            );
        }
        return None;
    };
    let path = section.string(value, "dockerfile")?;
    let choice = ImageChoice::Dockerfile(Dockerfile {
        file: place::file(section, value, "dockerfile", path),
        args: args.unwrap_or_default(),
    });
    Some(section.locate(value.span(), choice))
}

/// What a Dockerfile's ARG lines are given: names as they may have them, and one line each.
fn read_args(section: &mut Section<'_>, table: &DeTable<'_>) -> BTreeMap<String, String> {
    let mut args = BTreeMap::new();
    for (key, value) in table {
        let name = key.get_ref();
        if !is_arg(name) {
            let message = format!("build_args: {} is no name of an ARG", quoted(name));
            section.problem(key.span(), message);
            continue;
        }
        let what = format!("build_args.{name}");
        let Some(text) = section.string(value, &what) else {
            continue;
        };
        if text.chars().any(char::is_control) {
            let message = format!("{what} has control characters in it");
            section.problem(value.span(), message);
            continue;
        }
        args.insert(name.to_string(), text.to_owned());
    }
    let last = table.keys().map(Spanned::span).max_by_key(|it| it.start);
    if let (Some(last), true) = (last, args.len() > budget::BUILD_ARGS) {
        let (found, most) = (args.len(), budget::BUILD_ARGS);
        let message = format!("build_args: {found} are too many, at most {most} are allowed");
        section.problem(last, message);
    }
    args
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
