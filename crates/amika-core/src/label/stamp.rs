//! What a server says of the sandboxes that it makes: labels of its own among those of Amika.

use super::{Labels, key};

/// Whether a label's key is [`key::SERVER`], or stands under it.
pub fn is_stamp(label: &str) -> bool {
    let rest = label.strip_prefix(key::SERVER);
    rest.is_some_and(|rest| rest.is_empty() || rest.len() > 1 && rest.starts_with('.'))
}

/// Returns those of a container's labels that a server stamped it with. Whether that one wrote them the
/// signature tells.
pub fn stamp(labels: &Labels) -> Labels {
    let labels = labels.iter();
    let own = labels.filter(|(key, value)| is_stamp(key) && !value.is_empty());
    own.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use pretty_assertions::assert_eq;

    use super::*;

    #[test]
    fn a_stamp_is_the_servers_key_and_what_stands_under_it() {
        for (label, expected) in [
            ("dev.amika.server", true),
            ("dev.amika.server.owner", true),
            ("dev.amika.server.metadata.team", true),
            ("dev.amika.server.", false),
            ("dev.amika.servers", false),
            ("dev.amika.id", false),
            ("server", false),
        ] {
            assert_eq!(is_stamp(label), expected, "{label}");
        }
        for label in key::ALL {
            assert_eq!(is_stamp(label), label == key::SERVER, "{label}");
        }
    }

    #[test]
    fn an_empty_label_is_no_stamp() {
        let labels = |server: &str| {
            let all = [(key::SERVER, server), (key::ID, "x"), ("a", "b")];
            Labels::from(all.map(|(key, value)| (key.to_owned(), value.to_owned())))
        };
        assert_eq!(stamp(&labels("")), Labels::new());
        let own = Labels::from([(key::SERVER.to_owned(), "s1".to_owned())]);
        assert_eq!(stamp(&labels("s1")), own);
    }
}
