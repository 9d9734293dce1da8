//! What the engine is asked for when a container is made.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use amika_core::capability::Capability;
use amika_core::limit::{Cpus, Memory, OOM_SCORE_ADJ};
use amika_core::port::Protocol;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum,
    HostConfigLogConfig, Mount, MountType, MountVolumeOptions, NetworkingConfig, PortBinding,
};

use crate::spec::{ContainerSpec, MountSpec};

/// How often the health check is run.
const HEALTH_INTERVAL: Duration = Duration::from_secs(30);
/// For so long after a start, a check that never succeeded makes nobody call the container unhealthy:
/// one that is set up is not to be restarted by those who look after unhealthy ones.
const LONGEST_SETUP: Duration = Duration::from_hours(24);

pub(super) fn body(spec: &ContainerSpec) -> ContainerCreateBody {
    let key = |port: u16, protocol: Protocol| format!("{port}/{protocol}");
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.ports {
        let binding = PortBinding {
            host_ip: Some(port.host_ip.clone()),
            host_port: Some(
                port.host_port
                    .map_or_else(String::new, |port| port.to_string()),
            ),
        };
        bindings
            .entry(key(port.container_port, port.protocol))
            .or_insert_with(|| Some(Vec::new()))
            .get_or_insert_default()
            .push(binding);
    }
    let mut host = HostConfig {
        network_mode: Some(spec.network.clone()),
        mounts: Some(spec.mounts.iter().map(mount).collect()),
        init: Some(false),
        nano_cpus: spec.limits.cpus.map(Cpus::nano),
        memory: spec.limits.memory.map(Memory::bytes),
        // The engine would give as much swap again: a sandbox that fills it takes the host's disk down.
        memory_swap: spec.limits.memory.map(Memory::bytes),
        // A score that the host gave cannot be lowered inside, and an engine inside gives its containers 0.
        oom_score_adj: (!spec.nested_engine).then_some(OOM_SCORE_ADJ),
        // 0 is none; left out, Podman has a limit of its own.
        pids_limit: Some(spec.limits.pids.unwrap_or_default()),
        // The kernel's ephemeral range reaches 60999: without this an outgoing connection could
        // take the port of OpenCode or amikad before they bind it.
        sysctls: Some(HashMap::from([(
            "net.ipv4.ip_local_reserved_ports".to_owned(),
            format!(
                "{}-{}",
                amika_core::contract::RESERVED_PORTS.start(),
                amika_core::contract::RESERVED_PORTS.end()
            ),
        )])),
        ..HostConfig::default()
    };
    if spec.bound_log {
        host.log_config = Some(HostConfigLogConfig {
            typ: Some("json-file".into()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "10m".to_owned()),
                ("max-file".to_owned(), "3".to_owned()),
            ])),
        });
    }
    host.security_opt = (spec.seccomp.as_ref()).map(|profile| vec![format!("seccomp={profile}")]);
    let words = |set: &BTreeSet<Capability>| {
        let words = set.iter().map(ToString::to_string);
        (!set.is_empty()).then(|| words.collect())
    };
    host.cap_add = words(&spec.capabilities.added);
    host.cap_drop = words(&spec.capabilities.dropped);
    if !spec.dns.is_empty() {
        host.dns = Some(spec.dns.clone());
    }
    if spec.nested_engine {
        host.security_opt = Some(vec![
            "seccomp=unconfined".into(),
            "apparmor=unconfined".into(),
        ]);
        // `systempaths=unconfined` is the docker command's word for empty lists.
        host.masked_paths = Some(Vec::new());
        host.readonly_paths = Some(Vec::new());
        host.privileged = Some(spec.privileged);
        host.cgroupns_mode = Some(HostConfigCgroupnsModeEnum::PRIVATE);
    }
    let exposed: Vec<String> = bindings.keys().cloned().collect();
    if !bindings.is_empty() {
        host.port_bindings = Some(bindings);
    }
    ContainerCreateBody {
        hostname: Some(spec.hostname.as_ref().unwrap_or(&spec.name).clone()),
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.cmd.clone(),
        env: Some(spec.env.clone()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        user: spec.user.clone(),
        exposed_ports: Some(exposed),
        open_stdin: Some(true),
        stop_timeout: Some(20),
        healthcheck: (!spec.healthcheck.is_empty()).then(|| HealthConfig {
            test: Some(
                std::iter::once("CMD".to_owned())
                    .chain(spec.healthcheck.iter().cloned())
                    .collect(),
            ),
            interval: Some(nanoseconds(HEALTH_INTERVAL)),
            start_period: Some(nanoseconds(LONGEST_SETUP)),
            ..HealthConfig::default()
        }),
        networking_config: spec
            .hostname
            .as_ref()
            .map(|name| found_as(name, &spec.network)),
        host_config: Some(host),
        ..ContainerCreateBody::default()
    }
}

/// The engine knows others on a network by their containers' names alone, unless it is told another.
fn found_as(name: &str, network: &str) -> NetworkingConfig {
    let endpoint = EndpointSettings {
        aliases: Some(vec![name.to_owned()]),
        ..EndpointSettings::default()
    };
    NetworkingConfig {
        endpoints_config: Some(HashMap::from([(network.to_owned(), endpoint)])),
    }
}

/// A time as the engine counts it.
fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn mount(spec: &MountSpec) -> Mount {
    match spec {
        MountSpec::Volume {
            name,
            target,
            read_only,
            labels,
            no_copy,
        } => Mount {
            typ: Some(MountType::VOLUME),
            source: Some(name.clone()),
            target: Some(target.clone()),
            read_only: Some(*read_only),
            volume_options: Some(MountVolumeOptions {
                no_copy: Some(*no_copy),
                labels: Some(labels.clone().into_iter().collect()),
                ..MountVolumeOptions::default()
            }),
            ..Mount::default()
        },
        MountSpec::Bind {
            source,
            target,
            read_only,
        } => Mount {
            typ: Some(MountType::BIND),
            source: Some(source.clone()),
            target: Some(target.clone()),
            read_only: Some(*read_only),
            ..Mount::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use amika_core::capability::{Capabilities, Purpose};
    use pretty_assertions::assert_eq;

    use super::*;

    fn host(spec: &ContainerSpec) -> serde_json::Value {
        serde_json::to_value(body(spec).host_config.unwrap()).unwrap()
    }

    #[test]
    fn an_engine_inside_gets_the_least_rights_that_work() {
        let capabilities = Capabilities::of(Purpose::NestedEngine, &BTreeSet::new(), false);
        let found = host(&ContainerSpec {
            nested_engine: true,
            capabilities: capabilities.clone(),
            ..ContainerSpec::default()
        });
        assert_eq!(
            found["CapAdd"],
            serde_json::json!(["NET_ADMIN", "SYS_ADMIN"])
        );
        assert_eq!(found["CapDrop"], serde_json::Value::Null);
        assert_eq!(found["Privileged"], serde_json::json!(false));
        let unconfined = ["seccomp=unconfined", "apparmor=unconfined"];
        assert_eq!(found["SecurityOpt"], serde_json::json!(unconfined));
        for paths in ["MaskedPaths", "ReadonlyPaths"] {
            assert_eq!(found[paths], serde_json::json!([]), "{paths}");
        }
        assert_eq!(found["CgroupnsMode"], "private");
        assert_eq!(found["OomScoreAdj"], serde_json::Value::Null);
        let other = host(&ContainerSpec::default());
        for key in ["SecurityOpt", "MaskedPaths", "Privileged", "CgroupnsMode"] {
            assert_eq!(other[key], serde_json::Value::Null, "{key}");
        }
        assert_eq!(other["OomScoreAdj"], OOM_SCORE_ADJ);
    }

    #[test]
    fn a_privileged_one_is_asked_for_as_such() {
        let found = host(&ContainerSpec {
            nested_engine: true,
            privileged: true,
            capabilities: Capabilities::privileged(),
            ..ContainerSpec::default()
        });
        assert_eq!(found["Privileged"], serde_json::json!(true));
        assert_eq!(found["CapAdd"], serde_json::json!(["ALL"]));
        assert_eq!(found["CapDrop"], serde_json::Value::Null);
    }
}
