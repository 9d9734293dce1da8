//! "Did you mean …": the known word nearest to one that is not known.

/// Returns the candidate that `word` is most likely a misspelling of, or nothing when none is near.
///
/// Upper and lower case are the same here. Up to a third of the word may differ, counting two
/// swapped letters as one difference.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long words come from hostile files, and the distance takes time by the product of lengths.
    if word.len() > 128 {
        return None;
    }
    let lower = word.to_lowercase();
    let reach = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|known| {
            (
                strsim::damerau_levenshtein(&lower, &known.to_lowercase()),
                known,
            )
        })
        .filter(|(distance, _)| *distance <= reach)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_other_words_find_none() {
        let known = ["lifecycle", "sandbox", "env", "services"];
        for (word, found) in [
            ("lifecyle", Some("lifecycle")),
            ("lifecycel", Some("lifecycle")),
            ("Services", Some("services")),
            ("service", Some("services")),
            ("envs", Some("env")),
            ("evn", Some("env")),
            ("build", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), found, "{word}");
        }
        assert_eq!(nearest(&"s".repeat(1 << 20), known), None);
    }
}
