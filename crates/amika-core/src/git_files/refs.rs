//! What the files of refs hold: `HEAD` and loose refs, and `packed-refs`.

use super::oid::{ObjectFormat, Oid};
use crate::ref_name::{InvalidRef, RefName};

/// The largest file of one ref, in bytes.
pub const MAX_REF_FILE: usize = 4 << 10;

/// The largest `packed-refs`, in bytes.
pub const MAX_PACKED_FILE: usize = 64 << 20;

/// The most refs of a repository.
pub const MAX_REFS: usize = 1_000_000;

/// What a ref leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An object; for `HEAD`, detached.
    Object(Oid),
    /// Another ref, which need not be there.
    Symbolic(RefName),
}

/// A line of `packed-refs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedRef {
    /// The full name.
    pub name: RefName,
    /// The object that it leads to.
    pub oid: Oid,
    /// The object that an annotated tag leads to in the end, if the file says so.
    pub peeled: Option<Oid>,
}

/// Why a file of refs is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRefFile {
    /// It is larger than [`MAX_REF_FILE`] or [`MAX_PACKED_FILE`].
    #[error("it has {size} bytes, at most {most} are allowed")]
    Large {
        /// Its size in bytes.
        size: usize,
        /// The most bytes that are allowed.
        most: usize,
    },
    /// It has neither an object's name in this repository's format, nor `ref: ` and a ref.
    #[error("it is neither \"ref: refs/...\" nor the name of a {} object", .0.name())]
    Content(ObjectFormat),
    /// The ref that it leads to has a name that none may have.
    #[error("it leads to {0}")]
    Target(InvalidRef),
    /// A line of `packed-refs` is not understood.
    #[error("line {line} {problem}")]
    Line {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        problem: LineProblem,
    },
}

/// What is wrong with a line of `packed-refs`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineProblem {
    /// It begins with `#` and is not the head.
    #[error("is not \"# pack-refs with: ...\"")]
    Head,
    /// It is not an object's name in this repository's format, a space and a ref.
    #[error("is not the name of a {} object and a ref", .0.name())]
    Shape(ObjectFormat),
    /// It says what a tag leads to, and there is no ref before it, or it was said already.
    #[error("says what a tag leads to, and is not behind one")]
    Peeled,
    /// No ref may be called so.
    #[error("is not understood: {0}")]
    Name(InvalidRef),
    /// The same ref was there before.
    #[error("names {0} again")]
    Twice(RefName),
    /// It does not end.
    #[error("does not end with a line break")]
    Cut,
    /// There are more than [`MAX_REFS`].
    #[error("has one ref more than {MAX_REFS}")]
    Many,
}

/// Reads `HEAD` or a loose ref.
///
/// # Errors
/// For what git would call broken, and for a symbolic ref that leads out of `refs/`.
pub fn parse_ref(bytes: &[u8], format: ObjectFormat) -> Result<Target, InvalidRefFile> {
    if bytes.len() > MAX_REF_FILE {
        return Err(InvalidRefFile::Large {
            size: bytes.len(),
            most: MAX_REF_FILE,
        });
    }
    if let Some(name) = bytes.strip_prefix(b"ref:") {
        let name = name.trim_ascii();
        return match RefName::new(name) {
            Ok(name) => Ok(Target::Symbolic(name)),
            Err(error) => Err(InvalidRefFile::Target(error)),
        };
    }
    // Behind white space may be more, as in FETCH_HEAD.
    let hex = bytes.split(u8::is_ascii_whitespace).next();
    match hex.and_then(|hex| Oid::from_hex(format, hex)) {
        Some(oid) => Ok(Target::Object(oid)),
        None => Err(InvalidRefFile::Content(format)),
    }
}

/// Reads `packed-refs`; the refs are in the order of their names.
///
/// # Errors
/// With the first line that is not understood.
pub fn parse_packed(bytes: &[u8], format: ObjectFormat) -> Result<Vec<PackedRef>, InvalidRefFile> {
    if bytes.len() > MAX_PACKED_FILE {
        return Err(InvalidRefFile::Large {
            size: bytes.len(),
            most: MAX_PACKED_FILE,
        });
    }
    let mut refs: Vec<PackedRef> = Vec::new();
    let mut sorted = true;
    // What may be peeled is the ref on the line before.
    let mut peelable = false;
    for (number, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let at = |problem| InvalidRefFile::Line {
            line: number + 1,
            problem,
        };
        let line = line
            .strip_suffix(b"\n")
            .ok_or_else(|| at(LineProblem::Cut))?;
        if number == 0 && line.starts_with(b"#") {
            if !line.starts_with(b"# pack-refs with:") {
                return Err(at(LineProblem::Head));
            }
        } else if let Some(hex) = line.strip_prefix(b"^") {
            let oid = Oid::from_hex(format, hex).ok_or_else(|| at(LineProblem::Shape(format)))?;
            match refs.last_mut().filter(|_| peelable) {
                Some(last) => last.peeled = Some(oid),
                None => return Err(at(LineProblem::Peeled)),
            }
            peelable = false;
        } else {
            if refs.len() == MAX_REFS {
                return Err(at(LineProblem::Many));
            }
            let one = packed_ref(line, format).map_err(at)?;
            if let Some(last) = refs.last() {
                if last.name == one.name {
                    return Err(at(LineProblem::Twice(one.name)));
                }
                sorted &= last.name < one.name;
            }
            refs.push(one);
            peelable = true;
        }
    }
    if !sorted {
        // Old versions of git did not sort them.
        refs.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(twice) = refs.windows(2).find(|two| two[0].name == two[1].name) {
            return Err(InvalidRefFile::Line {
                line: last_line(bytes, &twice[0].name),
                problem: LineProblem::Twice(twice[0].name.clone()),
            });
        }
    }
    Ok(refs)
}

fn packed_ref(line: &[u8], format: ObjectFormat) -> Result<PackedRef, LineProblem> {
    let shape = LineProblem::Shape(format);
    let Some((hex, [b' ', name @ ..])) = line.split_at_checked(2 * format.length()) else {
        return Err(shape);
    };
    let oid = Oid::from_hex(format, hex).ok_or(shape)?;
    Ok(PackedRef {
        name: RefName::new(name).map_err(LineProblem::Name)?,
        oid,
        peeled: None,
    })
}

/// The last line that ends with a name.
fn last_line(bytes: &[u8], name: &RefName) -> usize {
    let ends = |line: &[u8]| {
        line.strip_suffix(name.as_bytes())
            .is_some_and(|rest| rest.ends_with(b" "))
    };
    let lines = bytes.split(|&byte| byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| ends(line))
        .last()
        .map_or(0, |(number, _)| number + 1)
}

#[cfg(test)]
mod tests;
