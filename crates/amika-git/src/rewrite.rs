//! URLs as git uses them: `url.<base>.insteadOf` and `url.<base>.pushInsteadOf` put in.

use super::settings::Settings;

/// The URL that git fetches from, and pushes to where nothing else is said.
pub(super) fn fetched(settings: &Settings, url: &str) -> String {
    rewritten(settings, "insteadof", url).unwrap_or_else(|| url.to_owned())
}

/// The URL that git pushes to, where that is another one only by `pushInsteadOf`.
pub(super) fn pushed(settings: &Settings, url: &str) -> Option<String> {
    rewritten(settings, "pushinsteadof", url)
}

/// All that any of these settings makes of a URL, whichever of them counts: not every program has git's rules.
pub(super) fn all(settings: &Settings, url: &str) -> Vec<String> {
    let made = settings.section("url").filter_map(|(base, name, prefix)| {
        let base = std::str::from_utf8(base).ok()?;
        let prefix = std::str::from_utf8(prefix).ok()?;
        let rest = url.strip_prefix(prefix)?;
        let is_one = ["insteadof", "pushinsteadof"].contains(&name) && !prefix.is_empty();
        is_one.then(|| format!("{base}{rest}"))
    });
    made.collect()
}

/// By the longest beginning that a setting names; of equal ones, as git does, by the first.
fn rewritten(settings: &Settings, variable: &str, url: &str) -> Option<String> {
    let mut best: Option<(&str, &str)> = None;
    for (base, name, prefix) in settings.section("url") {
        let (Ok(base), Ok(prefix)) = (std::str::from_utf8(base), std::str::from_utf8(prefix))
        else {
            continue;
        };
        let longer = best.is_none_or(|(_, other)| prefix.len() > other.len());
        if name == variable && !prefix.is_empty() && longer && url.starts_with(prefix) {
            best = Some((base, prefix));
        }
    }
    let (base, prefix) = best?;
    Some(format!("{base}{}", &url[prefix.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_counts() {
        let listed = "url.https://example.com/.insteadof\nex:|url.git@example.com:.insteadof\nex:me/|\
             url.ssh://x/.pushinsteadof\nhttps://example.com/";
        let settings = super::super::settings::sample(listed, true);
        assert_eq!(fetched(&settings, "ex:a"), "https://example.com/a");
        assert_eq!(fetched(&settings, "ex:me/a"), "git@example.com:a");
        assert_eq!(fetched(&settings, "other:a"), "other:a");
        assert_eq!(
            pushed(&settings, "https://example.com/a").as_deref(),
            Some("ssh://x/a")
        );
        assert_eq!(pushed(&settings, "ex:a"), None);
    }
}
