//! What is wrong with the services of a configuration.

use amika_core::config::parse;
use pretty_assertions::assert_eq;

/// Each problem of the services of a text, with its line and column.
pub(crate) fn problems(text: &str) -> Vec<String> {
    let parsed = parse(text).expect("it is TOML");
    assert_eq!(
        parsed.ignored,
        ["services"],
        "{text}\n{:?}",
        parsed.warnings
    );
    let [warning] = parsed.warnings.as_slice() else {
        panic!("{text}\n{:?}", parsed.warnings)
    };
    let problems = warning.problems.iter();
    problems
        .map(|it| format!("{}:{}: {}", it.line, it.column, it.message))
        .collect()
}
