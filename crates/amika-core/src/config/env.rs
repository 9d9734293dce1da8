//! `[env]`: environment variables with plain values, and those that are secrets.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::read::{Section, entries_in_order, plain_text, quoted};
use super::steering;
use crate::budget;
use crate::env::{check_name, check_value, is_secret_name};
use crate::exec_limit;

/// What is left of what a process may be given is the user's own.
fn too_large() -> String {
    let most = exec_limit::TOGETHER / 2;
    format!("the variables are too large together: at most {most} bytes are allowed")
}

/// What the section says.
#[derive(Default)]
pub(super) struct Env {
    /// Values by variable.
    pub(super) values: BTreeMap<String, String>,
    /// Names of secrets by variable.
    pub(super) secrets: BTreeMap<String, String>,
}

pub(super) fn read(section: &mut Section<'_>, table: &DeTable<'_>) -> Env {
    let mut env = Env::default();
    let mut bytes = 0;
    for (number, (key, value)) in entries_in_order(table).into_iter().enumerate() {
        if number == budget::VARIABLES {
            let most = budget::VARIABLES;
            section.problem(
                key.span(),
                format!("more than {most} variables: at most {most} are allowed"),
            );
            break;
        }
        let name = key.get_ref();
        if let Some(why) = steering::why_not(name) {
            let own_way = match check_name(name) {
                Ok(()) => "; `--env` may set it",
                Err(_) => "",
            };
            let message = format!("env {} is left out: it {why}{own_way}", quoted(name));
            section.remark(key.span(), message);
            section.left_out.push(key.get_ref().to_string());
            continue;
        }
        if let Err(error) = check_name(name) {
            section.problem(key.span(), error.to_string());
            continue;
        }
        if let DeValue::Table(table) = value.get_ref() {
            if let Some(secret) = secret(section, value.span(), name, table) {
                env.secrets.insert(name.to_string(), secret);
            }
            continue;
        }
        let Some(text) = plain_text(value.get_ref()) else {
            section.wrong_type(value, &format!("env {}", quoted(name)), "a plain value");
            continue;
        };
        match check_value(name, &text) {
            Ok(()) => {
                bytes += name.len() + 2 + text.len();
                if bytes > exec_limit::TOGETHER / 2 {
                    section.problem(value.span(), too_large());
                    break;
                }
                env.values.insert(name.to_string(), text);
            }
            Err(error) => section.problem(value.span(), error.to_string()),
        }
    }
    env
}

/// The secret's name in `{ secret = "name" }`.
fn secret(
    section: &mut Section<'_>,
    span: Range<usize>,
    variable: &str,
    table: &DeTable<'_>,
) -> Option<String> {
    let what = format!("env {}", quoted(variable));
    let Some(value) = table.get("secret") else {
        let message = format!("{what} must be a plain value, or {{ secret = \"NAME\" }}");
        section.problem(span, message);
        return None;
    };
    section.unknown_keys(table, &what, &["secret"]);
    let secret = section.string(value, &format!("{what}: secret"))?;
    if is_secret_name(secret) {
        return Some(secret.to_owned());
    }
    let message =
        format!("{what}: a secret's name has 1 to 255 of the characters A-Z, a-z, 0-9, _, . and -");
    section.problem(value.span(), message);
    None
}
