//! Preset images: their recipes, carried inside `amika`, and building them when they are missing.

mod base;
mod build;
mod recipe;

pub use build::{PresetImage, Request, ensure};
pub use recipe::{LABEL_PRESET, LABEL_RECIPE, Preset};
