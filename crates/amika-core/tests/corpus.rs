//! Replays the fuzz targets' corpora, so that what was found once stays found.

use std::path::Path;

use crate::archive_promises::archive_promises;
use crate::git_promises::{
    git_config_promises, git_index_promises, git_refs_promises, repo_path_promises,
};
use crate::label_promises::label_promises;
use crate::promises::config_promises;
use crate::wire_promises::wire_promises;

/// Replays one target's corpus, of at least so many files.
#[expect(
    clippy::disallowed_methods,
    reason = "the corpus is files; the crate itself reads none"
)]
fn replay(target: &str, promises: fn(&[u8]), least: usize) {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut replayed = 0;
    for entry in std::fs::read_dir(corpora.join(target)).expect("the corpus is in the repository") {
        let path = entry.expect("the corpus can be listed").path();
        promises(&std::fs::read(path).expect("the corpus can be read"));
        replayed += 1;
    }
    assert!(replayed >= least, "{target}: {replayed}");
}

#[test]
fn the_corpus_of_configurations_keeps_every_promise() {
    replay("config", config_promises, 40);
}

#[test]
fn the_corpus_of_paths_keeps_every_promise() {
    replay("repo_path", repo_path_promises, 20);
}

#[test]
fn the_corpus_of_gits_configurations_keeps_every_promise() {
    replay("git_config", git_config_promises, 15);
}

#[test]
fn the_corpus_of_indexes_keeps_every_promise() {
    replay("git_index", git_index_promises, 20);
}

#[test]
fn the_corpus_of_refs_keeps_every_promise() {
    replay("git_refs", git_refs_promises, 13);
}

#[test]
fn the_corpus_of_labels_keeps_every_promise() {
    replay("label_record", label_promises, 30);
}

#[test]
fn the_corpus_of_archives_keeps_every_promise() {
    replay("archive_heads", archive_promises, 12);
}

#[test]
fn the_corpus_of_amikads_answers_keeps_every_promise() {
    replay("wire_json", wire_promises, 12);
}
