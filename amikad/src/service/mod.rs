//! The services that amikad keeps up: what each of them is, as data.
//!
//! `lifecycle::service` decides when one is started and ended, `supervisor::service` does it, `http` looks
//! whether it is up and shows its log. None of them knows a service by name: [`SERVICES`] is the list.

mod declared;
mod dockerd;
mod opencode;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use regex_lite::Regex;

use crate::environment::Environment;
use crate::lifecycle::{Course, Millis, ServicePlan};
use crate::secrets::Secrets;

pub(crate) use declared::settle;

/// Amikad's own, as they are unless the container's environment wants them otherwise. Their order is that of their
/// starts.
static OWN: [&Spec; 2] = [&opencode::SPEC, &dockerd::SPEC];

/// Amikad's own as the container's environment wants them.
static CHOSEN: OnceLock<[&'static Spec; OWN.len()]> = OnceLock::new();

/// All of them: its own, and those of the sandbox, which are known once the boot is prepared.
static ALL: OnceLock<Vec<&'static Spec>> = OnceLock::new();

fn all() -> &'static [&'static Spec] {
    ALL.get().map_or(own(), Vec::as_slice)
}

fn own() -> &'static [&'static Spec] {
    CHOSEN.get().unwrap_or(&OWN)
}

/// Makes its own what the container's environment wants them to be: once, before anything asks for them.
pub(crate) fn choose(environment: &Environment) {
    CHOSEN.get_or_init(|| [opencode::chosen(environment), &dockerd::SPEC]);
}

/// How long the answer of one of amikad's own may take.
const TIMEOUT: Duration = Duration::from_millis(900);

/// What a service is.
pub(crate) struct Spec {
    /// Its name in the API.
    pub(crate) name: &'static str,
    /// Its name for people.
    pub(crate) title: &'static str,
    /// The program, looked for in PATH.
    pub(crate) program: &'static str,
    /// What it is called with.
    pub(crate) arguments: &'static [&'static str],
    /// Whom it runs as.
    pub(crate) user: RunAs,
    /// Whether it is an agent, which is given what agents are.
    pub(crate) is_agent: bool,
    /// The container port that it listens on, if any.
    pub(crate) port: Option<u16>,
    /// Whether the container's environment wants it.
    pub(crate) is_enabled: fn(&Environment) -> bool,
    /// Done before each start, on the thread that reaps: it must not block. The error is why it would be of no
    /// use to start it; nobody tries again by himself then.
    pub(crate) prepare: fn() -> Result<(), String>,
    /// Adds to the environment of whom it runs as.
    pub(crate) add_variables: fn(&mut Environment, &Secrets),
    /// Where its output is kept.
    pub(crate) log: &'static str,
    /// The directory that it is started in, relative to that of whom it runs as; empty for that itself.
    pub(crate) directory: &'static str,
    /// Variables of its own.
    pub(crate) variables: &'static [(&'static str, &'static str)],
    /// How amikad has its ports until it is started on demand.
    pub(crate) held: Held,
    /// Done as soon as it is known to be installed, beside the thread that reaps.
    pub(crate) announce: fn(),
    /// How one sees that it is up.
    pub(crate) probe: Probe,
    /// When it is started, and what comes after.
    pub(crate) course: Course,
    /// How it is told to end.
    pub(crate) stop: Stop,
    /// For how long setup and CMD wait for it at most, where they may need it.
    pub(crate) awaited: Option<Millis>,
}

impl Spec {
    /// The request that it answers once it is up, if that is how one sees it.
    pub(crate) fn request(&self) -> Option<&Request> {
        match &self.probe {
            Probe::Answers(request) => Some(request),
            Probe::Runs | Probe::Ends | Probe::Listens(_) | Probe::Log(_) => None,
        }
    }
}

/// Whom a service runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunAs {
    /// The agent, in the agent's directory.
    Agent,
    /// Whoever amikad is, in `/`: root, where it is to work.
    Own,
}

/// How amikad has a service's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Not at all.
    No,
    /// These, until somebody comes: the service takes them over.
    UntilWanted(&'static [u16]),
    /// This one as long as there is a sandbox: the service listens on another.
    Always {
        /// Whom people connect to.
        outer: u16,
        /// Where the service listens, on the loopback.
        inner: u16,
    },
}

/// How a service is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Who gets TERM. KILL goes to the whole tree.
    pub(crate) term: Scope,
    /// From TERM to KILL.
    pub(crate) grace: Millis,
}

/// Who of a service's processes gets a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The one that was started, which ends the others in its own way.
    Leader,
    /// All that belong to it.
    Tree,
}

/// How one sees that a service is up.
pub(crate) enum Probe {
    /// That its program runs is all there is to see.
    Runs,
    /// It is when it ended with 0.
    Ends,
    /// It answers a request.
    Answers(Request),
    /// It listens on this port.
    Listens(u16),
    /// A line of its output matches.
    Log(Regex),
}

/// A request over HTTP/1.1 that a service answers once it is up.
pub(crate) struct Request {
    /// Where it is asked.
    pub(crate) at: Endpoint,
    /// The request's path.
    pub(crate) path: &'static str,
    /// Value of the header `Authorization`, where it wants one.
    pub(crate) authorization: Option<fn(&Secrets) -> String>,
    /// Whether the body of an answer below 400 says that it is up.
    pub(crate) is_up: fn(&[u8]) -> bool,
    /// From one request to the next until it is up.
    pub(crate) interval: Duration,
    /// How long an answer may take.
    pub(crate) timeout: Duration,
    /// Whether it is asked on, to notice that it hangs.
    pub(crate) goes_on: bool,
}

/// Where a service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A port on the container's loopback.
    Port(u16),
    /// A Unix socket.
    Socket(&'static str),
}

/// One of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServiceId(usize);

impl ServiceId {
    /// The one that is started first.
    #[cfg(test)]
    pub(crate) const FIRST: Self = Self(0);

    /// All, in the order of their starts.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::first(all().len())
    }

    /// So many of them, in that order.
    pub(crate) fn first(count: usize) -> impl Iterator<Item = Self> {
        (0..count).map(Self)
    }

    /// The service of this name in the API.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::all().find(|id| id.spec().name == name)
    }

    /// Whether it is one of the sandbox's own, and none of amikad's.
    pub(crate) fn is_declared(self) -> bool {
        self.0 >= OWN.len()
    }

    /// Its place in a list with one entry for each service.
    pub(crate) fn index(self) -> usize {
        self.0
    }

    /// What it is.
    pub(crate) fn spec(self) -> &'static Spec {
        all()[self.0]
    }
}

/// What the state machine has to know of each.
pub(crate) fn plans(environment: &Environment) -> Vec<ServicePlan> {
    let plan = |spec: &&Spec| ServicePlan {
        is_enabled: (spec.is_enabled)(environment),
        awaited: spec.awaited,
        grace: spec.stop.grace,
        course: spec.course,
    };
    all().iter().map(plan).collect()
}

/// The file that `program` means for whoever has this environment, if one may be executed.
pub(crate) fn find(program: &str, environment: &Environment) -> Option<PathBuf> {
    environment
        .candidates(program.as_ref())
        .into_iter()
        .find(|candidate| {
            candidate
                .metadata()
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
}

/// The programs of all of them, each in its environment; none where it is off or not installed.
pub(crate) fn find_all(environments: &[Option<Environment>]) -> Vec<Option<PathBuf>> {
    let pairs = all().iter().zip(environments);
    pairs
        .map(|(spec, environment)| find(spec.program, environment.as_ref()?))
        .collect()
}

/// Makes known which of them are installed.
pub(crate) fn announce(programs: &[Option<PathBuf>]) {
    for (spec, _) in all()
        .iter()
        .zip(programs)
        .filter(|(_, program)| program.is_some())
    {
        (spec.announce)();
    }
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * position) & 63) as usize];
            text.push(if position > chunk.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use amika_core::service::RESERVED_NAMES;

    use super::*;

    #[test]
    fn each_service_has_a_name_a_log_and_a_port_of_its_own() {
        let specs: Vec<_> = ServiceId::all().map(ServiceId::spec).collect();
        for (number, spec) in specs.iter().enumerate() {
            for other in &specs[..number] {
                assert_ne!(spec.name, other.name);
                assert_ne!(spec.log, other.log);
                assert!(spec.port.is_none() || spec.port != other.port);
            }
            // Words of the API that are no services.
            assert!(!["phase", "setup", "cmd", "amikad", "seq", "at"].contains(&spec.name));
            assert!(RESERVED_NAMES.contains(&spec.name), "{}", spec.name);
            assert_eq!(ServiceId::of_name(spec.name).unwrap().index(), number);
        }
        assert_eq!(ServiceId::of_name("nothing"), None);
    }

    #[test]
    fn all_end_within_the_time_that_an_engine_gives_a_sandbox() {
        // `amika` asks for 20 s; what is left after the services gets 3 s.
        for id in ServiceId::all() {
            assert!(id.spec().stop.grace <= 17_000, "{}", id.spec().name);
        }
        const { assert!(declared::STOP.grace <= 17_000) };
    }

    #[test]
    fn base64_matches_the_vectors_of_the_rfc() {
        let vectors = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, coded) in vectors {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
