//! The sandbox's own services: what a repository declares with a command, as it was put here when the sandbox was made.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use amika_core::contract::path;
use amika_core::port::Protocol;
use amika_core::service::{Ready, Restart, Run, Service, Sidecar, Start};
use regex_lite::Regex;

use super::{ALL, Endpoint, Held, OWN, Probe, Request, RunAs, Scope, ServiceId, Spec, Stop};
use crate::files::read_roots_if_there;
use crate::lifecycle::{Course, Millis, Starts};
use crate::say::say;

/// How each is told to end.
pub(super) const STOP: Stop = Stop {
    term: Scope::Tree,
    grace: 5_000,
};

/// From one look whether it is up to the next.
const INTERVAL: Duration = Duration::from_millis(200);

/// How long an answer may take: a development server builds the page that it is asked for first.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What looks for a service beside the sandbox gives up by itself; for so much longer it is waited for.
const GIVE_UP: Millis = 5_000;

/// The largest file of them, in bytes.
const LIMIT: u64 = 1 << 20;

/// Reads them, from when on [`ServiceId::all`] has them too. Nothing is waited for where somebody is only to look into the
/// sandbox, with what is beside it not started. Later calls change nothing.
pub(crate) fn settle(is_rescue: bool) {
    let mut declared: Vec<Service> = read_roots_if_there(Path::new(path::SERVICES), LIMIT);
    declared.retain(|service| !(is_rescue && service.sidecar.is_some()));
    let specs = specs(declared).into_iter();
    ALL.get_or_init(|| {
        super::own()
            .iter()
            .copied()
            .chain(specs.map(leak))
            .collect()
    });
}

/// What they are, after amikad's own: those that have a command, and those beside the sandbox, for which setup waits.
fn specs(declared: Vec<Service>) -> Vec<Spec> {
    let run: Vec<(Service, Run)> = declared
        .into_iter()
        .filter_map(|mut service| {
            let run = match &service.sidecar {
                Some(sidecar) => look_at(&service.name, sidecar),
                None => service.run.take(),
            };
            Some((service, run?))
        })
        .collect();
    let names: Vec<String> = run
        .iter()
        .map(|(service, _)| service.name.clone())
        .collect();
    let id_of = |name: &String| {
        let at = names.iter().position(|other| other == name)?;
        Some(ServiceId(OWN.len() + at))
    };
    run.into_iter()
        .filter_map(|(service, run)| {
            let within = u64::from(run.ready_timeout_s) * 1_000;
            let is_beside = service.sidecar.is_some();
            let mut spec = spec(service, run, id_of)?;
            if is_beside {
                spec.course.starts = Starts::WithSetup;
                spec.awaited = Some(within + GIVE_UP);
            }
            Some(spec)
        })
        .collect()
}

/// What looks whether a service beside the sandbox is up; none where that it runs is all there is to see.
fn look_at(name: &str, sidecar: &Sidecar) -> Option<Run> {
    let (port, path) = match sidecar.ready.as_ref()? {
        Ready::Tcp { port } => (port, None),
        Ready::Http { port, path } => (port, Some(path.clone())),
        Ready::Log { .. } | Ready::Done => return None,
    };
    let seconds = sidecar.ready_timeout_s.to_string();
    let words = [path::AMIKAD, "reach", name].map(str::to_owned);
    let command = words.into_iter().chain([port.to_string(), seconds]);
    Some(Run {
        command: command.chain(path).collect(),
        cwd: None,
        env: BTreeMap::new(),
        ready: Some(Ready::Done),
        ready_timeout_s: sidecar.ready_timeout_s,
        restart: Restart::No,
        start: Start::Auto,
        wake: false,
        depends_on: Vec::new(),
    })
}

/// None for one without a word of a command, which nobody writes.
fn spec(service: Service, run: Run, id_of: impl Fn(&String) -> Option<ServiceId>) -> Option<Spec> {
    let tcp: Vec<u16> = service
        .ports
        .iter()
        .filter(|port| port.container.protocol() == Protocol::Tcp)
        .map(|port| port.container.port().get())
        .collect();
    let on_demand = run.start == Start::OnDemand;
    let mut words = run.command.into_iter().map(leak_text);
    let program = words.next()?;
    let name = leak_text(service.name);
    let variables: Vec<(&str, &str)> = run
        .env
        .into_iter()
        .map(|(name, value)| (leak_text(name), leak_text(value)))
        .collect();
    let depends_on: Vec<ServiceId> = run.depends_on.iter().filter_map(id_of).collect();
    let ready_within = run
        .ready
        .as_ref()
        // What has to be done takes as long as it takes.
        .filter(|ready| **ready != Ready::Done)
        .map(|_| u64::from(run.ready_timeout_s) * 1_000);
    Some(Spec {
        name,
        title: name,
        program,
        arguments: words.collect::<Vec<_>>().leak(),
        user: RunAs::Agent,
        is_agent: false,
        port: tcp.first().copied(),
        is_enabled: |_| true,
        prepare: || Ok(()),
        add_variables: |_, _| (),
        log: leak_text(format!("{}/{name}.log", path::SERVICE_LOG_DIR)),
        directory: run.cwd.map_or("", leak_text),
        variables: variables.leak(),
        held: if on_demand {
            Held::UntilWanted(tcp.leak())
        } else {
            Held::No
        },
        announce: || (),
        probe: probe(run.ready),
        course: Course {
            starts: if on_demand {
                Starts::OnDemand
            } else {
                Starts::AfterSetup
            },
            restart: run.restart,
            ready_within,
            depends_on: depends_on.leak(),
        },
        stop: STOP,
        awaited: None,
    })
}

fn probe(ready: Option<Ready>) -> Probe {
    match ready {
        None => Probe::Runs,
        Some(Ready::Http { port, path }) => Probe::Answers(Request {
            at: Endpoint::Port(port),
            path: leak_text(path),
            authorization: None,
            is_up: |_| true,
            interval: INTERVAL,
            timeout: TIMEOUT,
            goes_on: false,
        }),
        Some(Ready::Tcp { port }) => Probe::Listens(port),
        Some(Ready::Done) => Probe::Ends,
        Some(Ready::Log { matches }) => match Regex::new(&matches) {
            Ok(expression) => Probe::Log(expression),
            // It was tried when it was declared, by another version perhaps.
            Err(error) => {
                say(format!("`{matches}` is no regular expression: {error}"));
                Probe::Runs
            }
        },
    }
}

/// What is known of a service stays as long as the process, as what is known of amikad's own does.
fn leak(spec: Spec) -> &'static Spec {
    Box::leak(Box::new(spec))
}

fn leak_text(text: String) -> &'static str {
    text.leak()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setup_waits_for_those_beside_the_sandbox_that_tell_how_they_are_up() {
        let specs = specs_of(
            r#"[{"name":"cache","ports":[],"sidecar":{"image":"x"}},
                {"name":"db","ports":[],"sidecar":{"image":"postgres","ready":{"tcp":{"port":5432}},"ready_timeout_s":7}},
                {"name":"web","ports":[],"run":{"command":["serve"],"depends_on":["db","cache"]}}]"#,
        );
        let [db, web] = specs.as_slice() else {
            panic!("{}", specs.len());
        };
        assert_eq!((db.name, db.program), ("db", path::AMIKAD));
        assert_eq!(db.arguments, ["reach", "db", "5432", "7"]);
        assert_eq!(
            (db.course.starts, db.awaited),
            (Starts::WithSetup, Some(12_000))
        );
        assert!(matches!(db.probe, Probe::Ends));
        assert_eq!(web.course.depends_on, [ServiceId(OWN.len())]);
        assert_eq!(web.awaited, None);
    }

    fn specs_of(json: &str) -> Vec<Spec> {
        specs(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn only_those_with_a_command_are_run_and_they_know_each_other() {
        let specs = specs_of(
            r#"[{"name":"notes","ports":[]},
                {"name":"db","ports":[],"run":{"command":["postgres","-D","x"],"cwd":"db","env":{"A":"b"}}},
                {"name":"web","ports":[{"port":53,"protocol":"udp","url_scheme":null},{"port":80,"protocol":"tcp","url_scheme":null}],
                 "run":{"command":["sh","-c","npm start"],"depends_on":["db"],"start":"on-demand",
                        "ready":{"http":{"port":80,"path":"/"}},"ready_timeout_s":5}}]"#,
        );
        let [db, web] = specs.as_slice() else {
            panic!("{}", specs.len());
        };
        assert_eq!(
            (db.name, db.program, db.arguments),
            ("db", "postgres", &["-D", "x"][..])
        );
        assert_eq!((db.directory, db.variables), ("db", &[("A", "b")][..]));
        assert!(matches!(db.probe, Probe::Runs) && db.course.ready_within.is_none());
        assert_eq!(db.log, "/var/log/amikad/services/db.log");
        assert_eq!((db.course.starts, db.held), (Starts::AfterSetup, Held::No));
        let asked = web.request().unwrap();
        assert_eq!((asked.at, asked.path), (Endpoint::Port(80), "/"));
        assert_eq!((web.course.ready_within, web.port), (Some(5_000), Some(80)));
        assert_eq!(
            (web.course.starts, web.held),
            (Starts::OnDemand, Held::UntilWanted(&[80]))
        );
        assert_eq!(web.course.depends_on, [ServiceId(OWN.len())]);
    }
}
