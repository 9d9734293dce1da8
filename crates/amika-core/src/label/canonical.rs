//! Labels as the one sequence of bytes that a signature is made over.

use super::key;

/// Returns the canonical encoding of those labels that are Amika's: of each its key and its value,
/// each behind its length in bytes (64 bits, most significant first), sorted by key. The signature
/// itself is left out, and so are empty values, which mean the same as none.
///
/// Two sets of labels have the same encoding only if they say the same: no value can be read as a
/// part of another, or of a key.
pub fn canonical<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut ours: Vec<(&str, &str)> = labels
        .into_iter()
        .filter(|(key, value)| {
            key.starts_with(key::PREFIX) && *key != key::SIGNATURE && !value.is_empty()
        })
        .collect();
    ours.sort_unstable();
    let mut bytes = Vec::new();
    for text in ours.into_iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use pretty_assertions::assert_eq;
    use proptest::prelude::*;

    use super::*;
    use crate::label::Labels;

    fn encode(labels: &Labels) -> Vec<u8> {
        canonical(
            labels
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        )
    }

    /// Reads an encoding back: what can be read back in one way only is nobody else's encoding.
    fn decode(mut bytes: &[u8]) -> Labels {
        let mut texts = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
            let length = usize::try_from(u64::from_be_bytes(*length)).unwrap();
            let (text, rest) = rest.split_at(length);
            texts.push(String::from_utf8(text.to_vec()).unwrap());
            bytes = rest;
        }
        assert!(bytes.is_empty());
        texts
            .chunks(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect()
    }

    #[test]
    fn the_encoding_is_this() {
        let labels = [
            ("dev.amika.b", "é"),
            ("com.example", "x"),
            ("dev.amika.a", "1"),
            ("dev.amika.empty", ""),
            (key::SIGNATURE, "s"),
        ];
        let expected = [
            &b"\0\0\0\0\0\0\0\x0bdev.amika.a"[..],
            b"\0\0\0\0\0\0\0\x011",
            b"\0\0\0\0\0\0\0\x0bdev.amika.b",
            b"\0\0\0\0\0\0\0\x02\xc3\xa9",
        ]
        .concat();
        assert_eq!(canonical(labels), expected);
        let mut other_way_round = labels;
        other_way_round.reverse();
        assert_eq!(canonical(other_way_round), expected);
    }

    fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
        // Few letters, so that what could be mistaken for each other comes up.
        let key = "(dev\\.amika\\.|x)[ab\0]{0,3}";
        proptest::collection::btree_map(key, "[ab\0]{0,12}|.{0,3}", 0..6)
    }

    proptest! {
        #[test]
        fn what_is_ours_can_be_read_back(labels in labels()) {
            let ours: Labels = labels
                .iter()
                .filter(|(key, value)| key.starts_with(key::PREFIX) && !value.is_empty())
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            prop_assert_eq!(decode(&encode(&labels)), ours);
        }
    }
}
