//! Settings that a server saved for a repository, as the plan has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use amika_core::settings::Origin;
use amika_sandbox::create::SettingsLayer;
use amika_sandbox::progress::Progress;

use crate::support::{Stage, Told, name, never, request};

const CONFIG: &str =
    "[env]\nFILE = \"file\"\nSAVED = \"file\"\nASKED = \"file\"\n[services.files]\nport = 4001\n";

fn env(names: &[&str], value: &str) -> BTreeMap<String, String> {
    let names = names.iter();
    names
        .map(|name| ((*name).to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_saved_wins_over_the_file_and_loses_to_what_is_asked_for() {
    let stage = Stage::new().await;
    let mut asked = request(&name());
    asked.repository = Some(stage.repository(&[(".amika/config.toml", CONFIG)]));
    asked.sandbox.env = env(&["ASKED"], "asked");
    let saved = amika_core::config::parse("[services.saved]\nport = 4002\n").unwrap();
    asked.saved = SettingsLayer {
        env: env(&["ASKED", "SAVED"], "saved"),
        services: Some(saved.config.services),
        ..SettingsLayer::silent()
    };
    let told: Arc<dyn Progress> = Arc::new(Told::default());
    let plan = stage.sandboxes.plan(asked, told, never()).await.unwrap();
    let plan = serde_json::to_value(&plan).unwrap();
    let origin = |origin: Origin| serde_json::to_value(origin).unwrap();
    for (variable, expected) in [
        ("ASKED", Origin::Request),
        ("SAVED", Origin::Saved),
        ("FILE", Origin::File),
    ] {
        assert_eq!(
            plan["origins"]["env"][variable],
            origin(expected),
            "{variable}"
        );
    }
    // All of them or none: those of the file are out where any are saved.
    assert_eq!(plan["services"], serde_json::json!(["saved"]));
    assert_eq!(plan["origins"]["services"], origin(Origin::Saved));
    assert_eq!(stage.left(), [""; 0]);
}
