//! Things on the engine that look like Amika's and are somebody else's: whatever happens, they stay
//! as they are.

use crate::support::{DEBIAN, Stage, docker};

/// A container and volumes without our labels. They are removed at the end.
pub(super) struct Bystanders {
    container: String,
    volumes: [String; 2],
    before: String,
}

impl Bystanders {
    pub(super) fn new(stage: &Stage) -> Self {
        let name = stage.name();
        let volumes = [
            format!("amika-home-{name}-20260101000000abcd"),
            format!("amika-git-{name}-repo-20260101000000abcd"),
        ];
        for volume in &volumes {
            assert_eq!(docker(&["volume", "create", volume]).code, 0);
        }
        let container = format!("amikad-{name}-fill-0");
        let mount = format!("{}:/data", volumes[0]);
        let args = ["create", "--name", &container, "-v", &mount, DEBIAN, "true"];
        assert_eq!(docker(&args).code, 0);
        let mut bystanders = Self {
            container,
            volumes,
            before: String::new(),
        };
        bystanders.before = bystanders.look();
        bystanders
    }

    pub(super) fn are_untouched(&self) {
        assert_eq!(self.look(), self.before);
    }

    fn look(&self) -> String {
        let container = docker(&["inspect", "--type", "container", &self.container]);
        let [home, git] = &self.volumes;
        let volumes = docker(&["volume", "inspect", home, git]);
        assert_eq!(
            (container.code, volumes.code),
            (0, 0),
            "{container:?} {volumes:?}"
        );
        container.stdout_text() + &volumes.stdout_text()
    }
}

impl Drop for Bystanders {
    fn drop(&mut self) {
        docker(&["rm", "-f", &self.container]);
        let [home, git] = &self.volumes;
        docker(&["volume", "rm", "-f", home, git]);
    }
}
