//! A split index and its shared one made whole, as git's `split-index.c` does it.

use std::collections::BTreeMap;

use super::parse::{Link, Parsed};
use super::{EntryProblem, InvalidIndex, MAX_ENTRIES, ewah};

/// Replaces and deletes entries of the shared index by the bitmaps, and adds the rest.
pub(super) fn merge(
    base: Vec<Parsed>,
    own: Vec<Parsed>,
    link: &Link<'_>,
) -> Result<Vec<Parsed>, InvalidIndex> {
    let malformed = || InvalidIndex::Malformed("link");
    let (mut deleted, mut replaced) = (Vec::new(), Vec::new());
    if !link.bitmaps.is_empty() {
        let rest;
        (deleted, rest) = ewah::read(link.bitmaps, base.len()).ok_or_else(malformed)?;
        let (positions, rest) = ewah::read(rest, base.len()).ok_or_else(malformed)?;
        replaced = positions;
        if !rest.is_empty() {
            return Err(malformed());
        }
    }
    let mut base: Vec<Option<Parsed>> = base.into_iter().map(Some).collect();
    let mut own = own.into_iter().enumerate();
    let named = |number| InvalidIndex::Entry {
        number,
        problem: EntryProblem::SplitName,
    };
    for position in replaced.into_iter().flatten() {
        let (index, mut new) = own.next().ok_or_else(malformed)?;
        if !new.name.is_empty() {
            return Err(named(index + 1));
        }
        let old = base[position].take().ok_or_else(malformed)?;
        new.name = old.name;
        base[position] = Some(new);
    }
    for position in deleted.into_iter().flatten() {
        base[position] = None;
    }
    // By name and stage, which is git's order: directories have their slash here.
    let mut whole: BTreeMap<(Vec<u8>, u8), Parsed> = BTreeMap::new();
    let key = |one: &Parsed| (one.name.clone(), one.stage);
    for one in base.into_iter().flatten() {
        if whole.insert(key(&one), one).is_some() {
            return Err(malformed());
        }
    }
    for (index, one) in own {
        if one.name.is_empty() {
            return Err(named(index + 1));
        }
        if one.stage == 0 {
            // What is added resolves a conflict.
            for stage in 1..=3 {
                whole.remove(&(one.name.clone(), stage));
            }
        }
        whole.insert(key(&one), one);
    }
    if whole.len() > MAX_ENTRIES {
        return Err(InvalidIndex::Many(whole.len() as u64));
    }
    Ok(whole.into_values().collect())
}
