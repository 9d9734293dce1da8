//! `amika image build|list|prune`.

use std::time::Duration;

use crate::support::{Stage, docker, preset};

#[test]
fn a_build_of_what_is_there_is_quick_and_says_so() {
    let stage = Stage::new();
    let image = preset(&stage);
    let built = stage.amika(&["image", "build"]).output();
    built.ended(0, &["up to date"]);
    assert_eq!(built.stdout_text(), format!("{image}\n"));
    assert!(built.took < Duration::from_secs(5), "{built:?}");
    let json = stage
        .amika(&["image", "build", "coder", "-o", "json"])
        .output();
    assert_eq!(json.json()["image"], image);
    assert_eq!(json.json()["built"], false);
}

#[test]
fn list_tells_which_image_is_current() {
    let stage = Stage::new();
    let image = preset(&stage);
    let text = stage.amika(&["image", "list"]).output();
    text.ended(0, &[]);
    let text = text.stdout_text();
    let row = text.lines().find(|line| line.starts_with(&image)).unwrap();
    assert!(row.contains("coder") && row.contains("current"), "{row}");
    let json = stage
        .amika(&["image", "list", "-o", "json"])
        .output()
        .json();
    let one = json
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["image"] == *image)
        .unwrap();
    assert_eq!(one["current"], true);
    assert!(one["size"].as_u64().unwrap() > 100_000_000, "{one}");
}

#[test]
fn prune_takes_the_images_of_earlier_recipes_and_leaves_the_current() {
    let stage = Stage::new();
    let current = preset(&stage);
    let recipe = current.rsplit(':').next().unwrap();
    let labels = |recipe: &str| {
        format!(
            "FROM amika-test/scratch\nLABEL dev.amika.kind=image dev.amika.preset=coder dev.amika.recipe={recipe}\n"
        )
    };
    let there = |image: &str| docker(&["image", "inspect", image]).code == 0;
    let same = stage.image(&labels(recipe));
    stage.amika(&["image", "prune"]).output().ended(0, &[]);
    assert!(there(&same) && there(&current));
    let old = stage.image(&labels("000000000000"));
    let user = stage.stranger(&[], &[&old]);
    stage
        .amika(&["image", "prune"])
        .output()
        .ended(0, &["a sandbox uses it"]);
    assert!(there(&old));
    drop(user);
    let pruned = stage.amika(&["image", "prune"]).output();
    pruned.ended(0, &[]);
    assert!(pruned.stdout_text().contains(&old), "{pruned:?}");
    assert!(!there(&old) && there(&current));
}

#[test]
fn prune_takes_an_image_that_lost_its_tag_to_a_newer_build() {
    let stage = Stage::new();
    let image = stage.image(
        "FROM amika-test/scratch\nLABEL dev.amika.kind=image dev.amika.preset=coder dev.amika.recipe=untagged\n",
    );
    let id = docker(&["image", "inspect", "-f", "{{.Id}}", &image]).stdout_text();
    let id = id.trim();
    // The tag goes to another image, as it does when a recipe is built anew.
    assert_eq!(
        stage.image("FROM amika-test/scratch\nLABEL newer=yes\n"),
        image
    );
    let pruned = stage.amika(&["image", "prune", "-o", "json"]).output();
    pruned.ended(0, &[]);
    let removed = pruned.json()["removed"].to_string();
    assert!(removed.contains(id), "{pruned:?}");
    assert_ne!(docker(&["image", "inspect", id]).code, 0);
}

#[test]
fn an_unknown_preset_is_2() {
    let stage = Stage::new();
    let built = stage.amika(&["image", "build", "codr"]).output();
    built.ended(2, &["no preset \"codr\"", "coder-dind"]);
}
