//! Refusing an image whose labels would be taken for those of a sandbox.

use amika_core::label::{Labels, not_an_images};

use crate::error::{Error, Kind, Result};

/// How many labels an error names.
const NAMED: usize = 40;

/// Refuses an image that brings what only a sandbox's own labels may say: which sandbox it is, what is
/// in it, and which files of this machine belong to it.
///
/// # Errors
/// [`Kind::Image`], with the labels.
pub fn refuse(reference: &str, labels: &Labels) -> Result<()> {
    let labels = not_an_images(labels);
    if labels.is_empty() {
        return Ok(());
    }
    let mut named: Vec<String> = labels
        .iter()
        .take(NAMED)
        .map(|label| crate::view::foreign_text(label))
        .collect();
    if labels.len() > NAMED {
        named.push("…".to_owned());
    }
    Err(Error::new(
        Kind::Image,
        format!("image `{reference}` has labels that only amika may write: nothing was made"),
    )
    .cause(format!("it has {}", named.join(", ")))
    .hint("take these LABEL lines out of what it is built from, and build it again")
    .hint("one that was committed of a sandbox: `docker export CONTAINER | docker import - NAME` makes an image without labels")
    .detail("labels", labels))
}
