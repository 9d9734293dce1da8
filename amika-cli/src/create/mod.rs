//! Making a sandbox: what was asked for, what is there, the plan, and carrying it out.

mod apply;
mod credentials;
mod dry_run;
mod facts;
mod owner;
mod plan;
mod repository;
mod request;
mod settings;
mod upload;

pub use apply::{Job, apply, clear_name, interrupted, put, unmake};
pub use credentials::{find as find_credentials, read as read_credentials};
pub use dry_run::PlanView;
pub use facts::{Facts, MissingImage, gather};
pub use plan::{Plan, plan};
pub use repository::{Source, open as open_repository};
pub use request::{Request, Setup, parse_preset, read_script};
pub use settings::{Settings, merge};
pub use upload::Upload;
