//! Compose files: what runs beside the repository's own program, which no sandbox starts by itself.
//!
//! Names and images are for a comment alone. So lines are enough, and what is written in another way than nearly all
//! files are is not found.

use super::{Directory, Work};

/// In the order in which Compose looks for them.
const FILES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];
/// So many services are named.
const MAX_NAMED: usize = 12;

pub(super) fn look(directory: Directory<'_>, work: &mut Work) {
    let Some(file) = FILES.iter().find(|file| directory.has(file)) else {
        return;
    };
    let services = directory.text(file).map(sidecars).unwrap_or_default();
    if services.is_empty() {
        return;
    }
    let more = match services.len().checked_sub(MAX_NAMED) {
        Some(more @ 1..) => format!(" and {more} more"),
        _ => String::new(),
    };
    let named: Vec<String> = services.into_iter().take(MAX_NAMED).collect();
    let named = named.join(", ");
    work.found(format!(
        "{file}: {named}{more} are not started in a sandbox"
    ));
    work.plan.draft.remarks.extend([
        format!("{file} has services that a sandbox does not start by itself: {named}{more}."),
        "`image = \"…\"` beneath [services.NAME] starts one beside each sandbox: docs/services.md, \"Databases beside it\".".to_owned(),
        "With `preset = \"coder-dind\"` in [sandbox] it has an engine of its own, and `docker compose up -d` starts them."
            .to_owned(),
    ]);
}

/// Services that have an image of others: `name (image)`.
fn sidecars(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut is_within, mut depth, mut name) = (false, None, None);
    for line in text.lines() {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        let indent = line.len() - line.trim_start_matches(' ').len();
        if indent == 0 {
            is_within = bare == "services:";
            continue;
        }
        if !is_within {
            continue;
        }
        let services = *depth.get_or_insert(indent);
        if indent == services {
            name = bare.strip_suffix(':').filter(|name| is_word(name));
        } else if let (Some(service), Some(image)) = (name, bare.strip_prefix("image:")) {
            let image = image.split(" #").next().unwrap_or_default();
            let image = image.trim().trim_matches(['"', '\'']);
            if is_word(image) {
                found.push(format!("{service} ({image})"));
                name = None;
            }
        }
    }
    found
}

fn is_word(text: &str) -> bool {
    let plain = |found: char| found.is_ascii_alphanumeric() || "._-/:@".contains(found);
    (1..=100).contains(&text.len()) && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_with_an_image_are_named() {
        let text = "# x\nversion: '3'\nservices:\n  # the app\n  app:\n    build: .\n    ports:\n      - 3000:3000\n\n  \
                    db:\n    image: \"postgres:16\" # pinned\n    environment:\n      image: no\n  evil$(id):\n    image: x\n  \
                    redis:\n    image: redis:7\nvolumes:\n  data:\n    image: none\n";
        assert_eq!(sidecars(text), ["db (postgres:16)", "redis (redis:7)"]);
        assert_eq!(sidecars("services:\n  a:\n    image: ${IMAGE}\n"), [""; 0]);
        assert_eq!(sidecars("services: {}\n"), [""; 0]);
    }
}
