//! Replays the fuzz target's corpus, so that what was found once stays found.

use std::path::Path;

use crate::promises::config_promises;

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the corpus is files; the crate itself reads none"
)]
fn the_corpus_keeps_every_promise() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/config");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus is in the repository") {
        let path = entry.expect("the corpus can be listed").path();
        config_promises(&std::fs::read(path).expect("the corpus can be read"));
        replayed += 1;
    }
    assert!(replayed >= 40, "{replayed}");
}
