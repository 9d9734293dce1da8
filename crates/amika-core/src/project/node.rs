//! JavaScript: packages by their lock file, and a development server.

use super::{Directory, Work, words};
use crate::jsonc::{self, Node};

/// A manager of packages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manager {
    Npm,
    Pnpm,
    Yarn,
    Bun,
}

/// Lock files, the first that is there wins.
const LOCKS: [(&str, Manager); 6] = [
    ("pnpm-lock.yaml", Manager::Pnpm),
    ("yarn.lock", Manager::Yarn),
    ("bun.lock", Manager::Bun),
    ("bun.lockb", Manager::Bun),
    ("package-lock.json", Manager::Npm),
    ("npm-shrinkwrap.json", Manager::Npm),
];

/// Development servers: the words that start one, its port, and what makes it reachable.
const SERVERS: [(&[&str], u16, &[&str]); 13] = [
    (&["vite"], 5173, HOST),
    (&["vite", "dev"], 5173, HOST),
    (&["vite", "serve"], 5173, HOST),
    (&["next", "dev"], 3000, &[]),
    (&["nuxt", "dev"], 3000, HOST),
    (&["nuxi", "dev"], 3000, HOST),
    (&["astro", "dev"], 4321, HOST),
    (&["react-scripts", "start"], 3000, &[]),
    (&["vue-cli-service", "serve"], 8080, &[]),
    (&["ng", "serve"], 4200, HOST),
    (&["gatsby", "develop"], 8000, HOST),
    (&["webpack", "serve"], 8080, HOST),
    (&["webpack-dev-server"], 8080, HOST),
];
const HOST: &[&str] = &["--host", "0.0.0.0"];

/// pnpm links files out of its store, so it puts that into the volume that the repository is in.
const PNPM_STORE: &str = "\
# In a volume of its own a repository has pnpm's store too; git is to leave it out.
grep -qsx .pnpm-store .git/info/exclude || { mkdir -p .git/info && echo .pnpm-store >>.git/info/exclude; }
";

/// Whether a project of this kind is here, which then is planned.
pub(super) fn look(directory: Directory<'_>, work: &mut Work) -> bool {
    if !directory.has("package.json") {
        return false;
    }
    let package = match directory.text("package.json").map(jsonc::parse) {
        Some(Ok(package)) => package,
        Some(Err(diagnostic)) => {
            work.finding(directory, "package.json", *diagnostic);
            return true;
        }
        None => return true,
    };
    let pinned = package
        .get("packageManager")
        .and_then(Node::as_str)
        .and_then(pinned);
    let locks = LOCKS.iter().filter(|(name, _)| directory.has(name));
    let locks: Vec<&(&str, Manager)> = locks.collect();
    let by_pin = |(manager, _): &(Manager, _)| locks.iter().find(|(_, of)| of == manager);
    let lock = pinned.as_ref().and_then(by_pin).or(locks.first());
    let manager = match (lock, &pinned) {
        (Some((_, manager)), _) | (None, Some((manager, _))) => *manager,
        (None, None) => Manager::Npm,
    };
    let version = pinned
        .filter(|(of, _)| *of == manager)
        .map(|(_, version)| version);
    if lock.is_some() || needs_packages(&package) {
        let lock = lock.map(|(name, _)| *name);
        install(directory, manager, version.as_deref(), lock, work);
    }
    serve(directory, manager, &package, work);
    true
}

/// Whether there is anything to install.
fn needs_packages(package: &Node) -> bool {
    let tables = [
        "dependencies",
        "devDependencies",
        "optionalDependencies",
        "peerDependencies",
    ];
    let table = |key: &&str| {
        package
            .get(key)
            .is_some_and(|node| !node.members().is_empty())
    };
    tables.iter().any(table) || package.get("workspaces").is_some()
}

/// `packageManager`: `name@version+digest`; the version of a narrow alphabet, or nothing.
fn pinned(text: &str) -> Option<(Manager, String)> {
    let (name, version) = text.split_once('@')?;
    let manager = match name {
        "npm" => Manager::Npm,
        "pnpm" => Manager::Pnpm,
        "yarn" => Manager::Yarn,
        "bun" => Manager::Bun,
        _ => return None,
    };
    let version = version.split('+').next().unwrap_or_default();
    let plain = |found: char| found.is_ascii_alphanumeric() || ".-".contains(found);
    let is_version = version.starts_with(|c: char| c.is_ascii_digit()) && version.len() <= 40;
    (is_version && version.chars().all(plain)).then(|| (manager, version.to_owned()))
}

fn install(
    directory: Directory<'_>,
    manager: Manager,
    version: Option<&str>,
    lock: Option<&str>,
    work: &mut Work,
) {
    let (get, install) = match (manager, lock) {
        (Manager::Npm, Some(_)) => (None, "npm ci --no-audit --no-fund"),
        // It writes no lock file that the repository does not have.
        (Manager::Npm, None) => (None, "npm install --no-package-lock --no-audit --no-fund"),
        (Manager::Pnpm, Some(_)) => (None, "CI=1 pnpm install --frozen-lockfile"),
        (Manager::Pnpm, None) => (None, "CI=1 pnpm install --no-lockfile"),
        (Manager::Yarn, _) => {
            let is_classic = match version {
                Some(version) => version.starts_with("1."),
                // What later versions write begins so.
                None => !directory
                    .text("yarn.lock")
                    .is_some_and(|text| text.contains("\n__metadata:")),
            };
            let package = match (version, is_classic) {
                (Some(version), true) => format!("yarn@{version}"),
                (None, true) => "yarn@1".to_owned(),
                (Some(version), false) => format!("@yarnpkg/cli-dist@{version}"),
                (None, false) => "@yarnpkg/cli-dist".to_owned(),
            };
            let install = match (is_classic, lock) {
                (true, Some(_)) => "yarn install --frozen-lockfile --non-interactive",
                (true, None) => "yarn install --no-lockfile --non-interactive",
                (false, Some(_)) => "yarn install --immutable",
                (false, None) => "yarn install",
            };
            (Some(("yarn", package)), install)
        }
        (Manager::Bun, lock) => {
            let package = version.map_or("bun".to_owned(), |version| format!("bun@{version}"));
            let install = match lock {
                Some(_) => "bun install --frozen-lockfile",
                None => "bun install --no-save",
            };
            (Some(("bun", package)), install)
        }
    };
    let mut text = String::new();
    if let Some((program, package)) = get {
        text = format!(
            "command -v {program} >/dev/null || npm install -g --no-audit --no-fund {package}\n"
        );
    }
    if manager == Manager::Pnpm {
        text.push_str(PNPM_STORE);
    }
    text.push_str(&directory.within(install));
    let files = ["package.json", lock.unwrap_or("package.json")];
    let mut once = directory.those(&files);
    once.dedup();
    work.step(
        format!("JavaScript packages ({})", once.join(", ")),
        text,
        false,
        once,
    );
}

/// Plans a development server, where the script that starts it is one that is known.
fn serve(directory: Directory<'_>, manager: Manager, package: &Node, work: &mut Work) {
    let scripts = package.get("scripts");
    let server = ["dev", "start"].into_iter().find_map(|script| {
        let line = scripts?.get(script)?.as_str()?;
        let (port, flags) = server(line)?;
        Some((script, port, flags))
    });
    let Some((script, port, flags)) = server else {
        return;
    };
    let mut command = match manager {
        Manager::Npm => words(&["npm", "run", script]),
        Manager::Pnpm => words(&["pnpm", "run", script]),
        Manager::Yarn => words(&["yarn", "run", script]),
        Manager::Bun => words(&["bun", "run", script]),
    };
    if manager == Manager::Npm && !flags.is_empty() {
        command.push("--".to_owned());
    }
    command.extend(words(flags));
    work.serve(directory, port, command);
}

/// The port of a known server that a line of a script starts, and the flags that it lacks.
fn server(line: &str) -> Option<(u16, &'static [&'static str])> {
    // Who goes on in a shell's ways may do anything.
    if line.contains([
        '&', '|', ';', '<', '>', '$', '`', '(', '\'', '"', '\\', '\n',
    ]) {
        return None;
    }
    let is_assignment = |word: &&str| *word == "cross-env" || word.contains('=');
    let line: Vec<&str> = line.split_whitespace().skip_while(is_assignment).collect();
    let end = line.iter().position(|word| word.starts_with('-'));
    let (named, flags) = line.split_at(end.unwrap_or(line.len()));
    let (_, port, lacks) = SERVERS.iter().find(|(server, ..)| *server == named)?;
    let mut flags = flags.iter();
    let (mut port, mut lacks) = (*port, *lacks);
    while let Some(flag) = flags.next() {
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (*flag, None),
        };
        match name {
            "--port" | "-p" => port = value.or_else(|| flags.next().copied())?.parse().ok()?,
            "--host" | "--hostname" | "-H" => lacks = &[],
            _ => {}
        }
    }
    Some((port, lacks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_first_words_alone() {
        for (line, expected) in [
            ("vite", Some((5173, HOST))),
            ("vite dev --port 4000", Some((4000, HOST))),
            ("vite --host", Some((5173, &[][..]))),
            (
                "cross-env NODE_ENV=development next dev -p 3001",
                Some((3001, &[][..])),
            ),
            ("next dev --turbopack", Some((3000, &[][..]))),
            ("react-scripts start", Some((3000, &[][..]))),
            ("ng serve --port=4300", Some((4300, HOST))),
            ("vite build", None),
            ("vite && node x.js", None),
            ("vite; rm -rf /", None),
            ("next dev -p $PORT", None),
            ("next dev -p x", None),
            ("node server.js", None),
            ("", None),
        ] {
            assert_eq!(server(line), expected, "{line}");
        }
    }

    #[test]
    fn a_pinned_version_is_of_a_narrow_alphabet() {
        for (text, version) in [
            ("yarn@4.5.0+sha512.abc", Some("4.5.0")),
            ("pnpm@9.0.0-rc.1", Some("9.0.0-rc.1")),
            ("yarn@1; rm -rf /", None),
            ("yarn@$(id)", None),
            ("yarn@", None),
            ("npm", None),
            ("deno@2.0.0", None),
        ] {
            let read = pinned(text).map(|(_, version)| version);
            assert_eq!(read.as_deref(), version, "{text}");
        }
    }
}
