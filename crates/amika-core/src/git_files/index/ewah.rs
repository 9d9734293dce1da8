//! Git's compressed bitmaps, as a split index holds them.
//!
//! Source: git's `ewah/`. After the number of bits and of words come the words: one of runs (the bit, 32
//! bits of how many words of it, 31 bits of how many plain words follow), then the plain ones.

use std::ops::Range;

/// Reads a bitmap at the front of bytes: the ranges of positions that are set, in order, and what is behind
/// it. `None` for what is not well formed, or sets a position at `limit` or beyond.
pub(super) fn read(bytes: &[u8], limit: usize) -> Option<(Vec<Range<usize>>, &[u8])> {
    let (_bits, bytes) = be32(bytes)?;
    let (count, bytes) = be32(bytes)?;
    let (words, rest) = bytes.split_at_checked(usize::try_from(count).ok()?.checked_mul(8)?)?;
    // Where the last word of runs is, which only a writer needs.
    let (_last, rest) = be32(rest)?;
    let mut words = words
        .as_chunks::<8>()
        .0
        .iter()
        .map(|word| u64::from_be_bytes(*word));
    let mut set = Vec::new();
    let mut at: usize = 0;
    while let Some(runs) = words.next() {
        let length = usize::try_from((runs >> 1) & 0xffff_ffff)
            .ok()?
            .checked_mul(64)?;
        let end = at.checked_add(length)?;
        if runs & 1 == 1 && length > 0 {
            push(&mut set, at..end, limit)?;
        }
        at = end;
        for _ in 0..runs >> 33 {
            let word = words.next()?;
            for bit in (0..64).filter(|bit| word >> bit & 1 == 1) {
                let position = at.checked_add(bit)?;
                push(&mut set, position..position + 1, limit)?;
            }
            at = at.checked_add(64)?;
        }
    }
    Some((set, rest))
}

fn push(set: &mut Vec<Range<usize>>, range: Range<usize>, limit: usize) -> Option<()> {
    if range.end > limit {
        return None;
    }
    match set.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => set.push(range),
    }
    Some(())
}

fn be32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (four, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*four), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitmap(words: &[u64]) -> Vec<u8> {
        let count = u32::try_from(words.len()).expect("few");
        let mut bytes = [64_u32.to_be_bytes(), count.to_be_bytes()].concat();
        for word in words {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(0_u32.to_be_bytes());
        bytes
    }

    #[test]
    fn runs_and_plain_words_are_positions() {
        let bytes = bitmap(&[(1 << 33) | (1 << 1), 0b1011, (1 << 33) | (1 << 1) | 1, 1]);
        let (set, rest) = read(&bytes, 300).expect("well formed");
        assert_eq!(set, [64..66, 67..68, 128..193]);
        assert_eq!(rest, b"");
        assert!(read(&bytes, 192).is_none(), "beyond the limit");
    }

    #[test]
    fn what_lies_is_refused() {
        assert!(
            read(&bitmap(&[2 << 33, 1]), 100).is_none(),
            "a word is missing"
        );
        assert!(
            read(&bitmap(&[(0xffff_ffff << 1) | 1]), 1000).is_none(),
            "too long a run"
        );
        let bytes = bitmap(&[1 << 33, 1]);
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length], 100).is_none(), "{length}");
        }
    }
}
