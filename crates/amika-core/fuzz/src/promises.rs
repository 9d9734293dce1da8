//! What holds for every configuration file, whatever its bytes: shared by the fuzz target and by the
//! tests that replay its corpus.

use std::collections::BTreeSet;

use amika_core::config::report::Report;
use amika_core::config::{ConfiguredMount, RepoFile, parse_bytes};
use amika_core::contract::RESERVED_PORTS;
use amika_core::diagnostic::Diagnostic;
use amika_core::mount::FileSource;

/// Panics when a promise is broken.
pub(crate) fn config_promises(bytes: &[u8]) {
    let parsed = parse_bytes(bytes);
    let report = Report::new(&parsed);
    assert!(
        report
            .warnings
            .iter()
            .all(|warning| warning.line >= 1 && warning.column >= 1)
    );
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(errors) => {
            assert!(!errors.is_empty() && !report.valid && report.services.is_empty());
            for error in &errors {
                printable(error);
            }
            return;
        }
    };
    let text = std::str::from_utf8(bytes).expect("what parses is text");
    for warning in &parsed.warnings {
        printable(warning);
        let spans = warning.problems.iter().map(|problem| &problem.span);
        for span in spans.chain([&warning.span]) {
            assert!(text.get(span.clone()).is_some(), "{warning:?}");
        }
    }
    assert!(
        report.valid || !report.warnings.is_empty(),
        "invalid without a reason"
    );
    if parsed.ignored.contains(&"services") {
        assert!(parsed.config.services.is_empty());
    }

    let mut declared = BTreeSet::new();
    for port in parsed
        .config
        .services
        .iter()
        .flat_map(|service| &service.ports)
    {
        assert!(declared.insert(port.container), "{} twice", port.container);
        assert!(!RESERVED_PORTS.contains(&port.container.port().get()));
        assert!(port.line >= 1 && port.line <= text.lines().count());
    }
    assert!(parsed.config.services.is_sorted_by(|a, b| a.name < b.name));

    let stays = |path: &str| !path.starts_with('/') && !path.split('/').any(|part| part == "..");
    let scripts = parsed.config.lifecycle.scripts().map(|(_, script)| script);
    let dockerfile = parsed.config.sandbox.dockerfile().map(|it| &it.file);
    for file in scripts.chain(dockerfile) {
        if let RepoFile::Path(path) = file {
            assert!(stays(&path.value));
        }
    }
    let mounts = parsed.config.sandbox.mounts.iter();
    for mount in mounts.filter_map(ConfiguredMount::mount) {
        match &mount.source {
            FileSource::Path(path) => assert!(stays(path) && !path.starts_with('~')),
            FileSource::Volume(name) => assert!(!name.starts_with("amika-")),
        }
    }
    if let Some(once) = &parsed.config.lifecycle.setup_once {
        assert!(once.files.iter().all(|file| stays(file)));
    }
    for (name, value) in &parsed.config.env {
        assert!(!name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0'));
    }
}

/// A message may have line breaks of its own, and nothing else that moves a terminal's cursor.
fn printable(diagnostic: &Diagnostic) {
    let odd = |found: char| found.is_control() && found != '\n';
    let texts = [
        Some(&diagnostic.message),
        diagnostic.label.as_ref(),
        diagnostic.help.as_ref(),
    ];
    assert!(
        !texts.into_iter().flatten().any(|text| text.contains(odd)),
        "{diagnostic:?}"
    );
}
