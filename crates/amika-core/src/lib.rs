//! What `amika` and `amikad` share.
//!
//! This crate does no I/O and knows no async runtime: paths, clocks, random numbers and probes of
//! the host come in as arguments, so that every rule can be tested without a container engine.

#[cfg(feature = "config")]
pub mod archive_name;
pub mod budget;
pub mod capability;
#[cfg(feature = "config")]
pub mod config;
pub mod contract;
pub mod credential;
#[cfg(feature = "config")]
pub mod diagnostic;
pub mod duration;
pub mod env;
pub mod exec_limit;
#[cfg(feature = "config")]
pub mod git_files;
pub mod hex;
#[cfg(feature = "config")]
pub mod image;
#[cfg(feature = "config")]
pub mod label;
pub mod limit;
pub mod manifest;
pub mod mount;
pub mod name;
#[cfg(feature = "config")]
pub mod nearest;
pub mod opencode;
pub mod port;
pub mod proof;
pub mod ref_name;
pub mod repo_path;
pub mod service;
#[cfg(feature = "config")]
pub mod settings;
pub mod setup_once;
#[cfg(feature = "config")]
pub mod size;
pub mod subnet;
pub mod tar_time;
pub mod terminal;
pub mod text;
#[cfg(feature = "config")]
pub mod trust;
pub mod tunnel;
pub mod untrusted;
pub mod volume;
pub mod wire;
pub mod work;
