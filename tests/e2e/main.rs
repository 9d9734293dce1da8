//! End-to-end tests: the real `amika` on a real engine, with images from `scripts/test-images`.
//!
//! One binary, one file for each part of the product. Every test has a `Stage` of its own: its own
//! home directory, its own label on the engine. So tests run side by side, and a test that fails
//! leaves nothing behind.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where and ends"
)]

mod support;

mod accounts;
mod activity;
mod agent_config;
mod agents;
mod alone;
mod bad_input;
mod canaries;
mod capabilities;
mod coder_dind;
mod colours;
mod completion;
mod connect;
mod contract;
mod cp;
mod crash;
mod create;
mod credentials;
mod daily;
mod diff;
mod dockerfile;
mod doctor;
mod dotfiles;
mod editor;
mod engine;
mod engines;
mod events;
mod exec;
mod file_mounts;
mod fill;
mod forward;
mod from_volume;
mod hostile_daemon;
mod hostile_text;
mod image;
mod image_any;
mod impostor;
mod init;
mod interrupt;
mod jobs;
mod labels;
mod lifecycle;
mod lifecycle_scripts;
mod limits;
mod logs;
mod look;
mod mounts;
mod names;
mod neighbours;
mod networks;
mod opencode;
mod plain_docker;
mod ports;
mod programs;
mod prompt;
mod pull;
mod push;
mod repositories;
mod rescue;
mod server;
mod services;
mod setup;
mod sidecars;
mod tasks;
mod texts;
mod unknown_state;
mod unsaved;
mod volumes;
mod wait;
mod writable_mounts;
