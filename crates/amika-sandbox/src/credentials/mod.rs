//! Copies of this machine's sign-ins in sandboxes: what a new one gets, which copy is newer, and bringing one to the
//! other side.

mod list;
mod pull;
mod refresh;
mod status;

pub use list::{FileView, list};
pub use pull::{Left, PullRequest, Pulled, Vouch};
pub use refresh::{RefreshRequest, Refreshed};
pub use status::{PairState, PairView};
