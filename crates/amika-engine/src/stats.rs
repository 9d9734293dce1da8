//! What running containers use, sample by sample.

use bollard::models::{ContainerBlkioStatEntry, ContainerMemoryStats, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::{Stream, StreamExt as _};

use super::{Engine, EngineError};

/// What a container uses at one moment. Counters run since its start.
#[derive(
    Clone, Debug, Default, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
pub struct Usage {
    /// Share of one processor since the sample before, in percent: 200 is two of them. None in the
    /// first sample of a stream.
    pub cpu_percent: Option<f64>,
    /// Bytes of memory, page cache that can be given up not counted.
    pub memory_bytes: u64,
    /// Bytes of memory that it may use; the machine's when it has no limit of its own.
    pub memory_limit_bytes: u64,
    /// Bytes received.
    pub network_received_bytes: u64,
    /// Bytes sent.
    pub network_sent_bytes: u64,
    /// Bytes read from disks; 0 where the kernel does not count them.
    pub disk_read_bytes: u64,
    /// Bytes written to disks; 0 where the kernel does not count them.
    pub disk_written_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

impl Engine {
    /// Samples of one container's usage: about one a second with `stream`, else one, which takes
    /// the engine a second or two. It ends when the container does.
    pub fn usage(
        &self,
        container: &str,
        stream: bool,
    ) -> impl Stream<Item = Result<Usage, EngineError>> + Send + use<> {
        let options = StatsOptionsBuilder::new()
            .stream(stream)
            .one_shot(false)
            .build();
        let samples = self.docker.stats(container, Some(options));
        self.keeping_open(samples)
            .map(|sample| sample.map_err(EngineError::from_bollard))
            // Of a container that ended the engine goes on to send samples without a time.
            .take_while(|sample| {
                let alive = sample.as_ref().map_or(true, has_time);
                std::future::ready(alive)
            })
            .map(|sample| sample.map(|sample| usage(&sample)))
    }

    /// Bytes of memory that a container uses now, which the engine tells within a second; none of one that ended.
    pub async fn memory(&self, container: &str) -> Result<Option<u64>, EngineError> {
        let options = StatsOptionsBuilder::new()
            .stream(false)
            .one_shot(true)
            .build();
        let samples = self.docker.stats(container, Some(options));
        let mut samples = std::pin::pin!(self.keeping_open(samples));
        let sample = samples.next().await.transpose();
        let sample = sample.map_err(EngineError::from_bollard)?;
        Ok(sample.filter(has_time).map(|it| usage(&it).memory_bytes))
    }
}

fn has_time(sample: &ContainerStatsResponse) -> bool {
    sample
        .read
        .as_ref()
        .is_some_and(|time| !time.starts_with("0001"))
}

fn usage(sample: &ContainerStatsResponse) -> Usage {
    let networks = sample
        .networks
        .iter()
        .flat_map(|networks| networks.values());
    let (received, sent) = networks.fold((0, 0), |(received, sent), network| {
        (
            received + network.rx_bytes.unwrap_or_default(),
            sent + network.tx_bytes.unwrap_or_default(),
        )
    });
    let disk = sample
        .blkio_stats
        .as_ref()
        .and_then(|stats| stats.io_service_bytes_recursive.as_deref())
        .unwrap_or_default();
    let memory = sample.memory_stats.as_ref();
    Usage {
        cpu_percent: cpu_percent(sample),
        memory_bytes: memory.map(memory_used).unwrap_or_default(),
        memory_limit_bytes: memory.and_then(|memory| memory.limit).unwrap_or_default(),
        network_received_bytes: received,
        network_sent_bytes: sent,
        disk_read_bytes: disk_bytes(disk, "read"),
        disk_written_bytes: disk_bytes(disk, "write"),
        pids: sample
            .pids_stats
            .as_ref()
            .and_then(|pids| pids.current)
            .unwrap_or_default(),
    }
}

/// As the docker command reckons it: the container's share of the machine's time, times the
/// machine's processors.
fn cpu_percent(sample: &ContainerStatsResponse) -> Option<f64> {
    let (now, before) = (sample.cpu_stats.as_ref()?, sample.precpu_stats.as_ref()?);
    let total = |stats: &bollard::models::ContainerCpuStats| stats.cpu_usage.as_ref()?.total_usage;
    let used = total(now)?.checked_sub(total(before)?)?;
    let passed = now
        .system_cpu_usage?
        .checked_sub(before.system_cpu_usage.filter(|time| *time > 0)?)?;
    let cpus = now.online_cpus.filter(|count| *count > 0)?;
    if passed == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let share = used as f64 / passed as f64;
    Some((share * f64::from(cpus) * 10_000.0).round() / 100.0)
}

/// Page cache that nobody used of late counts for nobody: cgroup v1 and v2 call it differently.
fn memory_used(memory: &ContainerMemoryStats) -> u64 {
    let usage = memory.usage.unwrap_or_default();
    let stats = memory.stats.as_ref();
    let inactive = stats.and_then(|stats| {
        stats
            .get("total_inactive_file")
            .or_else(|| stats.get("inactive_file"))
    });
    usage.saturating_sub(inactive.copied().unwrap_or_default())
}

fn disk_bytes(entries: &[ContainerBlkioStatEntry], operation: &str) -> u64 {
    entries
        .iter()
        .filter(|entry| {
            entry
                .op
                .as_deref()
                .is_some_and(|op| op.eq_ignore_ascii_case(operation))
        })
        .filter_map(|entry| entry.value)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_reckoned_as_docker_does() {
        let sample: ContainerStatsResponse = serde_json::from_value(serde_json::json!({
            "read": "2026-01-01T00:00:01Z",
            "cpu_stats": {"cpu_usage": {"total_usage": 3_000}, "system_cpu_usage": 20_000, "online_cpus": 4},
            "precpu_stats": {"cpu_usage": {"total_usage": 1_000}, "system_cpu_usage": 12_000, "online_cpus": 4},
            "memory_stats": {"usage": 5_000, "limit": 9_000, "stats": {"inactive_file": 1_500}},
            "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}},
            "blkio_stats": {"io_service_bytes_recursive": [
                {"major": 8, "minor": 0, "op": "Read", "value": 7},
                {"major": 8, "minor": 16, "op": "read", "value": 70},
                {"major": 8, "minor": 0, "op": "write", "value": 5}
            ]},
            "pids_stats": {"current": 6}
        }))
        .unwrap();
        assert!(has_time(&sample));
        assert_eq!(
            usage(&sample),
            Usage {
                cpu_percent: Some(100.0),
                memory_bytes: 3_500,
                memory_limit_bytes: 9_000,
                network_received_bytes: 11,
                network_sent_bytes: 22,
                disk_read_bytes: 77,
                disk_written_bytes: 5,
                pids: 6,
            }
        );
    }

    #[test]
    fn a_first_sample_has_no_share_and_an_ended_container_no_time() {
        let first: ContainerStatsResponse = serde_json::from_value(serde_json::json!({
            "read": "0001-01-01T00:00:00Z",
            "cpu_stats": {"cpu_usage": {"total_usage": 3_000}, "system_cpu_usage": 20_000, "online_cpus": 4},
            "precpu_stats": {"cpu_usage": {"total_usage": 0}}
        }))
        .unwrap();
        assert!(!has_time(&first));
        assert_eq!(usage(&first).cpu_percent, None);
    }
}
