//! What holds for the labels of every container, whatever they are: shared by the fuzz target and by the
//! tests that replay its corpus.

use amika_core::label::{Labels, SandboxId, SandboxRecord, canonical, key, not_an_images};

/// Panics when a promise is broken. The bytes are lines `key=value`, as `docker inspect` could show them.
pub(crate) fn label_promises(bytes: &[u8]) {
    let labels: Labels = String::from_utf8_lossy(bytes)
        .split('\n')
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let get = |key: &str| labels.get(key).map(String::as_str);
    let stand_in = SandboxId::from_random([9; 16]);
    let reading = SandboxRecord::read(get, stand_in.clone());
    for problem in &reading.problems {
        let text = problem.to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(text.len() < 2000, "{}", text.len());
    }
    assert_eq!(
        SandboxRecord::from_labels(get).is_ok(),
        reading.problems.is_empty()
    );
    if reading.is_identified() {
        assert_eq!(get(key::ID), Some(reading.record.id.as_str()));
    }
    // What was read is written so that it is read again.
    let written = reading.record.to_labels();
    let again = SandboxRecord::read(|key| written.get(key).map(String::as_str), stand_in);
    assert!(again.problems.is_empty(), "{:?}", again.problems);
    assert_eq!(again.record, reading.record);
    // No image may bring what a record says.
    assert!(!not_an_images(&written).is_empty());

    let encode = |labels: &Labels| {
        canonical(
            labels
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        )
    };
    let encoded = encode(&labels);
    assert_eq!(decode(&encoded), said(&labels));
    // One more word anywhere is another encoding.
    for label in [key::SETUP_HOST_PATH, "dev.amika.future"] {
        let mut more = labels.clone();
        more.entry(label.to_owned()).or_default().push('x');
        assert_ne!(encode(&more), encoded);
    }
}

/// Those of the labels that say something of a sandbox.
fn said(labels: &Labels) -> Labels {
    labels
        .iter()
        .filter(|(key, value)| {
            key.starts_with(key::PREFIX) && *key != key::SIGNATURE && !value.is_empty()
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn decode(mut bytes: &[u8]) -> Labels {
    let mut texts = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
        let length = usize::try_from(u64::from_be_bytes(*length)).expect("a length");
        let (text, rest) = rest.split_at(length);
        texts.push(String::from_utf8(text.to_vec()).expect("text"));
        bytes = rest;
    }
    assert!(bytes.is_empty() && texts.len() % 2 == 0);
    texts
        .chunks(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect()
}
