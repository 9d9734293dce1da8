//! Making a sandbox: what was asked for, what is there, the plan, and carrying it out.

mod agent_config;
mod allowed;
mod apply;
mod build;
mod copy;
mod created;
mod credentials;
mod dotfiles;
mod dry_run;
mod facts;
mod file_mounts;
mod fill;
mod filler;
mod from_volume;
mod given;
mod limits;
mod misfit;
mod mounts;
mod name;
mod network;
mod operation;
mod own_uid;
mod pipe;
mod plan;
mod protect;
mod repository;
mod repository_copy;
mod request;
mod resume;
mod rights;
mod setid;
mod settings;
mod sidecars;
mod source;
mod taken;
mod tell;
mod trust;
mod upload;
mod volume_root;

pub use allowed::Allowed;
pub use apply::{interrupted, put, put_as};
pub use created::Created;
pub use credentials::{find as find_credentials, read as read_credentials};
pub(crate) use dotfiles::tell as tell_of_dotfiles;
pub use dotfiles::wanted as wanted_dotfiles;
pub use dry_run::PlanView;
pub use from_volume::WantedVolume;
pub use given::renewing;
pub use plan::Plan;
pub use repository::{SCRIPT_OUTSIDE, Wanted};
pub use request::{
    CreateRequest, Dotfiles, HostRights, Image, OwnWays, Request, Setup, Wait, WantedRepository,
    parse_preset, read_script,
};
pub use setid::{Filter, filter as setid_filter};
pub use settings::{Settings, SettingsLayer, merge};
pub(crate) use sidecars::refuse_name;
pub use source::Scripts;
pub use taken::{Taken, TakenView};
pub use trust::{Ask, Trusting};
pub use upload::Upload;
