//! Making a sandbox: what was asked for, what is there, the plan, and carrying it out.

mod apply;
mod dry_run;
mod facts;
mod owner;
mod plan;
mod request;
mod upload;

pub use apply::{Fill, Job, apply, clear_name, interrupted, put, unmake};
pub use dry_run::PlanView;
pub use facts::{MissingImage, gather};
pub use plan::{NETWORK, Plan, RepositoryFacts, plan};
pub use request::{Request, Setup, parse_preset, read_script};
pub use upload::Upload;
