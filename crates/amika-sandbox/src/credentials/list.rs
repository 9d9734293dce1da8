//! What a new sandbox would get of this machine.

use std::path::Path;

use amika_core::credential::{Agent, FILES, Selection, SignIn};
use schemars::JsonSchema;
use serde::Serialize;

use crate::create;

/// A file that is looked for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FileView {
    /// Path relative to the home directory, the same in a sandbox.
    pub path: &'static str,
    /// The agent that it belongs to.
    pub agent: Agent,
    /// Whether it is copied.
    pub taken: bool,
    /// Why one that is there is not copied.
    pub reason: Option<String>,
    /// Whether a refresh token is in it, which serves once.
    pub renews_itself: bool,
}

/// The files of a home that are looked for, of the agents that are selected.
pub fn list(home: &Path, selection: &Selection) -> Vec<FileView> {
    let plan = create::find_credentials(home, selection, &[]);
    let mut views = Vec::new();
    for file in FILES
        .into_iter()
        .filter(|file| selection.contains(file.agent))
    {
        let mut reason = plan
            .skipped
            .iter()
            .find(|(skipped, _)| *skipped == file)
            .map(|(_, why)| why.to_string());
        let mut taken = plan.take.contains(&file);
        let mut renews_itself = false;
        if taken {
            match crate::host_file::read_file(&home.join(file.path)) {
                Ok(found) => {
                    renews_itself = file.is_sign_in() && SignIn::read(&found.content).renews_itself;
                }
                Err(error) => {
                    taken = false;
                    reason = Some(error.to_string());
                }
            }
        }
        views.push(FileView {
            path: file.path,
            agent: file.agent,
            taken,
            reason,
            renews_itself,
        });
    }
    views
}
