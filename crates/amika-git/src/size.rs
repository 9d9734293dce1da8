//! How large a copy will be, told from what is listed already: no file is opened for it.

use amika_core::tar_time;

use super::plan::{Plan, Tree};

/// A lower bound of what there is to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Files of work trees.
    pub files: usize,
    /// Bytes of packs.
    pub bytes: u64,
    /// A file has a time that an engine cannot give it.
    pub has_odd_time: bool,
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
    let is_odd = |path: &Vec<u8>| {
        let found = plan.location.tree().map(|tree| tree.find(path));
        let found = found.and_then(|found| found.ok().flatten());
        found.is_some_and(|stat| tar_time::is_odd(stat.st_mtime))
    };
    let has_odd_time = match &plan.tree {
        Tree::Committed { .. } => tar_time::is_odd(plan.mtime),
        Tree::Disk { paths, .. } => paths.files.keys().any(is_odd),
    };
    let own = Size {
        files,
        bytes,
        has_odd_time,
    };
    plan.children.iter().map(of).fold(own, |sum, child| Size {
        files: sum.files + child.files,
        bytes: sum.bytes + child.bytes,
        has_odd_time: sum.has_odd_time || child.has_odd_time,
    })
}
