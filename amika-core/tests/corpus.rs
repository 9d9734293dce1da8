//! Replays the fuzz targets' corpora, so that what was found once stays found.

use std::path::Path;

use crate::label_promises::label_promises;
use crate::promises::config_promises;

#[test]
fn the_corpus_keeps_every_promise() {
    let replayed = replay("config", config_promises);
    assert!(replayed >= 40, "{replayed}");
}

#[test]
fn the_corpus_of_labels_keeps_every_promise() {
    let replayed = replay("label_record", label_promises);
    assert!(replayed >= 30, "{replayed}");
}

/// Replays a target's corpus; returns how many inputs it has.
#[expect(
    clippy::disallowed_methods,
    reason = "the corpus is files; the crate itself reads none"
)]
fn replay(target: &str, promises: fn(&[u8])) -> usize {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let entries = std::fs::read_dir(corpus).expect("the corpus is in the repository");
    entries
        .map(|entry| {
            let path = entry.expect("the corpus can be listed").path();
            promises(&std::fs::read(path).expect("the corpus can be read"));
        })
        .count()
}
