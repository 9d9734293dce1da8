//! Which of several sandboxes are meant: `--filter KEY=VALUE`.

use std::str::FromStr;

/// What may be filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Its name.
    Name,
    /// What it does.
    State,
    /// Name of its repository.
    Repo,
    /// The branch that it is at.
    Branch,
}

impl Key {
    const ALL: [Self; 4] = [Self::Name, Self::State, Self::Repo, Self::Branch];

    fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Repo => "repo",
            Self::Branch => "branch",
        }
    }
}

/// One of them, and what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Of what.
    pub key: Key,
    /// Its whole value.
    pub value: String,
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys = || Key::ALL.map(Key::word).join(", ");
        let Some((word, value)) = text.split_once('=') else {
            return Err(format!("use KEY=VALUE; keys are {}", keys()));
        };
        let key = Key::ALL.into_iter().find(|key| key.word() == word);
        let key = key.ok_or_else(|| format!("keys are {}", keys()))?;
        let value = match key {
            // As JSON has the word, and as people read it.
            Key::State => value.replace([' ', '-'], "_"),
            _ => value.to_owned(),
        };
        Ok(Self { key, value })
    }
}

/// Whether something is meant: of each key that is named it is one of the values.
pub fn is_meant<'a>(filters: &[Filter], of: impl Fn(Key) -> Option<&'a str>) -> bool {
    Key::ALL.into_iter().all(|key| {
        let mut named = filters.iter().filter(|filter| filter.key == key).peekable();
        named.peek().is_none() || named.any(|filter| of(key) == Some(&filter.value))
    })
}

/// The first state among these that is none of those there are.
pub fn unknown_state<'f>(filters: &'f [Filter], words: &[&str]) -> Option<&'f str> {
    let mut states = filters.iter().filter(|filter| filter.key == Key::State);
    let unknown = states.find(|filter| !words.contains(&filter.value.as_str()));
    unknown.map(|filter| filter.value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(texts: &[&str]) -> Vec<Filter> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn one_key_s_values_are_each_enough_and_every_key_must_hold() {
        let of = |key| match key {
            Key::Name => Some("teal-tokyo"),
            Key::State => Some("setup_failed"),
            Key::Repo => Some("amika"),
            Key::Branch => None,
        };
        for (texts, is) in [
            (&[][..], true),
            (&["repo=amika"], true),
            (&["repo=ami"], false),
            (&["state=running", "state=setup_failed"], true),
            (&["state=setup failed"], true),
            (&["state=setup-failed", "repo=other"], false),
            (
                &["state=setup_failed", "repo=amika", "name=teal-tokyo"],
                true,
            ),
            (&["branch=main"], false),
            (&["branch="], false),
        ] {
            assert_eq!(is_meant(&filters(texts), of), is, "{texts:?}");
        }
    }

    #[test]
    fn an_unknown_key_is_told_with_those_there_are_and_an_unknown_state_is_found() {
        for text in ["stat=x", "=x", "state"] {
            let told = text.parse::<Filter>().unwrap_err();
            assert!(
                told.ends_with("keys are name, state, repo, branch"),
                "{told}"
            );
        }
        let some = filters(&["state=running", "state=rnning", "repo=rnning"]);
        assert_eq!(unknown_state(&some, &["running"]), Some("rnning"));
        assert_eq!(unknown_state(&some, &["running", "rnning"]), None);
        let value = filters(&["repo=a=b"]);
        assert_eq!(value[0].value, "a=b");
    }
}
