//! What the control groups say of the sandbox as a whole, of either version.
//!
//! Engines show a container its own group, read-only, as the root of what is mounted; where they show the host's
//! hierarchy, the way from there is in `/proc/self/cgroup`.

use std::fs;
use std::path::{Path, PathBuf};

/// Where engines mount the hierarchies.
const MOUNT: &str = "/sys/fs/cgroup";

/// The sandbox's group.
#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    mount: PathBuf,
    /// Text of `/proc/self/cgroup`.
    membership: String,
}

impl Cgroup {
    /// The group of this process.
    pub(crate) fn own() -> Self {
        Self {
            mount: MOUNT.into(),
            membership: fs::read_to_string("/proc/self/cgroup").unwrap_or_default(),
        }
    }

    /// Processors that it may use at a time, in thousandths; none without a limit.
    pub(crate) fn cpus(&self) -> Option<u64> {
        if let Some(text) = self.unified("cpu.max") {
            let (quota, period) = text.trim().split_once(' ')?;
            return per_mille(quota.parse().ok()?, period.parse().ok()?);
        }
        let number = |file| self.legacy("cpu", file)?.trim().parse::<i64>().ok();
        let quota = u64::try_from(number("cpu.cfs_quota_us")?).ok()?;
        per_mille(quota, u64::try_from(number("cpu.cfs_period_us")?).ok()?)
    }

    /// Bytes of memory that it may use; none without a limit.
    pub(crate) fn memory(&self) -> Option<u64> {
        /// What version 1 has for no limit, cut to whole pages of any size.
        const UNLIMITED: u64 = i64::MAX as u64 - (1 << 20);
        let text = self
            .unified("memory.max")
            .or_else(|| self.legacy("memory", "memory.limit_in_bytes"))?;
        let bytes = text.trim().parse::<u64>().ok()?;
        (bytes < UNLIMITED).then_some(bytes)
    }

    /// Processes of it that the kernel ended for want of memory; none where the kernel does not count them.
    pub(crate) fn out_of_memory_kills(&self) -> Option<u64> {
        let text = self
            .unified("memory.events")
            .or_else(|| self.legacy("memory", "memory.oom_control"))?;
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }

    /// A file of version 2.
    fn unified(&self, file: &str) -> Option<String> {
        let group = member(&self.membership, |id, names| id == "0" && names.is_empty())?;
        // The host's own root has no such file.
        let is_own = self.mount.join("cgroup.events").exists();
        if !is_own && !self.mount.join("cgroup.controllers").exists() {
            return None;
        }
        fs::read_to_string(within(&self.mount, group, is_own).join(file)).ok()
    }

    /// A file of version 1.
    fn legacy(&self, controller: &str, file: &str) -> Option<String> {
        let is_its = |names: &str| names.split(',').any(|name| name == controller);
        let group = member(&self.membership, |_, names| is_its(names))?;
        let mount = self.mount.join(controller);
        // The host's own root alone has this file.
        let is_own = !mount.join("release_agent").exists();
        fs::read_to_string(within(&mount, group, is_own).join(file)).ok()
    }
}

/// The directory of a group.
fn within(mount: &Path, group: &str, is_own: bool) -> PathBuf {
    if is_own {
        return mount.to_owned();
    }
    mount.join(group.trim_start_matches('/'))
}

/// The path in the line of `/proc/self/cgroup` whose hierarchy and controllers are meant.
fn member(text: &str, is_meant: impl Fn(&str, &str) -> bool) -> Option<&str> {
    text.lines().find_map(|line| {
        let (id, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        is_meant(id, names).then_some(path)
    })
}

fn per_mille(quota: u64, period: u64) -> Option<u64> {
    quota.checked_mul(1000)?.checked_div(period)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mount with these files, and a process that is a member.
    fn cgroup(directory: &Path, membership: &str, files: &[(&str, &str)]) -> Cgroup {
        for (file, text) in files {
            let file = directory.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Cgroup {
            mount: directory.to_owned(),
            membership: membership.to_owned(),
        }
    }

    fn told(cgroup: &Cgroup) -> (Option<u64>, Option<u64>, Option<u64>) {
        (cgroup.cpus(), cgroup.memory(), cgroup.out_of_memory_kills())
    }

    #[test]
    fn version_2_is_read_at_the_root_of_a_namespace_wherever_the_process_went() {
        let files = [
            ("cgroup.controllers", "cpu memory"),
            ("cgroup.events", "populated 1"),
            ("cpu.max", "150000 100000\n"),
            ("memory.max", "536870912\n"),
            ("memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n"),
            ("init/cpu.max", "max 100000\n"),
        ];
        for membership in ["0::/\n", "0::/init\n"] {
            let directory = tempfile::tempdir().unwrap();
            let cgroup = cgroup(directory.path(), membership, &files);
            assert_eq!(told(&cgroup), (Some(1500), Some(512 << 20), Some(2)));
        }
    }

    #[test]
    fn version_2_of_the_host_is_read_at_the_process_s_place() {
        let directory = tempfile::tempdir().unwrap();
        let files = [
            ("cgroup.controllers", "cpu memory"),
            ("cpu.max", "1 1"),
            ("docker/c0ffee/cpu.max", "max 100000\n"),
            ("docker/c0ffee/memory.max", "max\n"),
            ("docker/c0ffee/memory.events", "oom_kill 7\n"),
        ];
        let cgroup = cgroup(directory.path(), "0::/docker/c0ffee\n", &files);
        assert_eq!(told(&cgroup), (None, None, Some(7)));
    }

    #[test]
    fn version_1_is_read_by_controller() {
        let membership =
            "8:memory:/docker/c0ffee\n2:cpuacct,cpu:/docker/c0ffee\n0::/docker/c0ffee\n";
        let files = [
            ("cpu/cpu.cfs_quota_us", "50000\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
            ("memory/memory.limit_in_bytes", "268435456\n"),
            (
                "memory/memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            ),
        ];
        let directory = tempfile::tempdir().unwrap();
        let own = cgroup(directory.path(), membership, &files);
        assert_eq!(told(&own), (Some(500), Some(256 << 20), Some(1)));

        let directory = tempfile::tempdir().unwrap();
        let of_host = [
            ("cpu/release_agent", ""),
            ("cpu/docker/c0ffee/cpu.cfs_quota_us", "-1\n"),
            ("cpu/docker/c0ffee/cpu.cfs_period_us", "100000\n"),
            ("memory/release_agent", ""),
            (
                "memory/docker/c0ffee/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ];
        let unlimited = cgroup(directory.path(), membership, &of_host);
        assert_eq!(told(&unlimited), (None, None, None));
    }

    #[test]
    fn without_control_groups_nothing_is_known() {
        let directory = tempfile::tempdir().unwrap();
        for membership in ["", "0::/\n", "x", "1:cpu"] {
            assert_eq!(
                told(&cgroup(directory.path(), membership, &[])),
                (None, None, None)
            );
        }
    }
}
