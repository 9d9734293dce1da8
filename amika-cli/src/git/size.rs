//! How large a copy will be, told from what is listed already: no file is opened for it.

use super::plan::{Plan, Tree};

/// A lower bound of what there is to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Files of work trees.
    pub files: usize,
    /// Bytes of packs.
    pub bytes: u64,
}

/// The size of a repository and all inside it.
pub(super) fn of(plan: &Plan) -> Size {
    let files = match &plan.tree {
        Tree::Committed { entries, .. } => entries.len(),
        Tree::Disk { paths, .. } => paths.files.len(),
    };
    let packs = plan.location.stores().own.packs.values();
    let bytes = packs
        .filter_map(|(_, pack)| Some(pack.metadata().ok()?.len()))
        .sum();
    plan.children
        .iter()
        .map(of)
        .fold(Size { files, bytes }, |sum, child| Size {
            files: sum.files + child.files,
            bytes: sum.bytes + child.bytes,
        })
}
