//! The volumes that hold amikad's program: kept while they are of use, and never taken from a create.

use serde_json::json;

use crate::support::{DEBIAN, Stage, docker};

/// A volume of a test that is removed with it.
struct Volume(String);

impl Volume {
    fn make(stage: &Stage, name: &str) -> Self {
        let label = stage.label();
        let kind = "dev.amika.kind=amikad";
        let made = docker(&["volume", "create", "--label", kind, "--label", &label, name]);
        made.ended(0, &[]);
        Self(name.to_owned())
    }

    fn is_there(&self) -> bool {
        docker(&["volume", "inspect", &self.0]).code == 0
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        docker(&["volume", "rm", "-f", &self.0]);
    }
}

#[test]
fn a_program_that_no_container_has_is_a_leftover_and_one_that_is_used_is_not() {
    let stage = Stage::new();
    let name = |what: &str| format!("amikad-{}-{what}", stage.name());
    let old = Volume::make(&stage, &name("old"));
    let old_mark = Volume::make(&stage, &format!("{}-complete", old.0));
    let used = Volume::make(&stage, &name("used"));
    let used_mark = Volume::make(&stage, &format!("{}-complete", used.0));
    // One that does not run, and is nobody's sandbox.
    let mount = format!("{}:/x:ro", used.0);
    let _user = stage.stranger(&["-v", &mount], &[DEBIAN]);

    let found = stage.amika(&["doctor", "-o", "json"]).output();
    found.ended(0, &[]);
    let found = found.json();
    let leftovers = found["leftovers"].as_array().unwrap();
    assert_eq!(leftovers.len(), 1, "{found}");
    assert_eq!(leftovers[0]["kind"], "volume", "{found}");
    assert_eq!(leftovers[0]["name"], json!(old.0), "{found}");

    let fixed = stage.amika(&["doctor", "--fix", "-o", "json"]).output();
    fixed.ended(0, &[]);
    let fixed = fixed.json();
    assert_eq!(fixed["removed"], json!([old.0]), "{fixed}");
    assert_eq!(fixed["kept"], json!([]), "{fixed}");
    assert!(!old.is_there() && !old_mark.is_there());
    assert!(used.is_there() && used_mark.is_there());
}

#[test]
fn a_create_whose_program_is_removed_by_others_fills_it_again() {
    let stage = Stage::new();
    // Certificates of this test's own: nobody else has this volume.
    let bundle = stage.file("bundle.crt", &stage.name());
    let create = |name: &str| {
        let args = ["sandbox", "create", "--name", name, "--image", DEBIAN];
        let args = [&args[..], &["--no-credentials", "--", "sleep", "infinity"]].concat();
        stage.amika(&args).env("SSL_CERT_FILE", &bundle).output()
    };
    let first = stage.adopt(stage.name());
    create(&first.name).ended(0, &[]);
    let template =
        "{{range .Mounts}}{{if eq .Destination \"/usr/local/lib/amikad\"}}{{.Name}}{{end}}{{end}}";
    let program = Volume(first.engine_says(template).trim().to_owned());
    let mark = Volume(format!("{}-complete", program.0));
    assert!(program.is_there() && mark.is_there(), "{}", program.0);
    first.verb("delete", &["--force"]).output().ended(0, &[]);

    // The mark of the one that was complete stays: what the engine makes next is another volume, and empty.
    docker(&["volume", "rm", &program.0]).ended(0, &[]);
    let second = stage.adopt(stage.name());
    create(&second.name).ended(0, &[]);
    assert_eq!(second.inspect()["state"], "running");

    // The engine's own tidying takes the mark alone, since no container has it.
    docker(&["volume", "rm", &mark.0]).ended(0, &[]);
    let third = stage.adopt(stage.name());
    create(&third.name).ended(0, &[]);
    second.exec(&["true"]).output().ended(0, &[]);
    assert!(program.is_there() && mark.is_there());
    for sandbox in [&second, &third] {
        sandbox.verb("delete", &["--force"]).output().ended(0, &[]);
    }
}
