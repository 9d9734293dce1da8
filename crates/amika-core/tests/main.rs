//! Tests of the core's public face: rules, properties, and inputs that fuzzing found worth keeping.

#[path = "../fuzz/src/archive_promises.rs"]
mod archive_promises;
#[path = "../fuzz/src/git_promises.rs"]
mod git_promises;
#[path = "../fuzz/src/promises.rs"]
mod promises;

#[path = "../fuzz/src/label_promises.rs"]
mod label_promises;

#[path = "../fuzz/src/wire_promises.rs"]
mod wire_promises;

mod config_properties;
mod config_rules;
mod corpus;
mod dockerfile_rules;
mod lifecycle_rules;
mod mount_rules;
#[cfg(feature = "schema")]
mod schemas;
mod service_runs;
#[path = "shared/services.rs"]
mod services;
mod sidecar_rules;
