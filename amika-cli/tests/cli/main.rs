//! The real `amika` where no engine is needed.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where and ends"
)]

mod completion;
mod config_check;
mod devcontainer_page;
mod documentation;
mod modules;
mod presets;
mod security;
mod user_settings;
