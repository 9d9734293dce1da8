//! Making a sandbox: what was asked for, what is there, the plan, and carrying it out.

mod apply;
mod copy;
mod credentials;
mod dry_run;
mod facts;
mod fill;
mod filler;
mod limits;
mod misfit;
mod mounts;
mod network;
mod own_uid;
mod owner;
mod pipe;
mod plan;
mod protect;
mod repository;
mod request;
mod rights;
mod setid;
mod settings;
mod taken;
mod upload;
mod volume_root;

pub use apply::{Job, apply, clear_name, interrupted, name_taken, put, unmake};
pub use credentials::{
    HostFile, find as find_credentials, read as read_credentials, read_file as read_credential_file,
};
pub use dry_run::{PlanView, RepositoryView};
pub use facts::{Facts, MissingImage, gather};
pub use mounts::{refuse_conflicts, refuse_remote_binds};
pub use network::refuse_missing as refuse_missing_network;
pub use owner::find as find_owner;
pub use owner::find as find_user;
pub use plan::{Plan, can_be_executed, plan};
pub use repository::{SCRIPT_OUTSIDE, Source, Wanted, fetch_lfs, open as open_repository};
pub use request::{HostRights, Image, Request, Setup, parse_preset, read_script};
pub use rights::wait_with_inner_engine;
pub use setid::{Filter, filter as setid_filter};
pub use settings::{Settings, merge, rights_by_configuration};
pub use taken::{Taken, TakenView, TrustView, beginning};
pub use upload::Upload;
