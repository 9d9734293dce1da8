//! What children are told of the sandbox's limits, in the variables that their tools read.
//!
//! A quota of processor time is in no number of processors that a program can count, so that builds start as many
//! jobs as the machine has. The table with its sources is in `docs/configuration.md`.

use std::fs;

use crate::cgroup::Cgroup;
use crate::environment::Environment;

/// Take a number of processors.
const CPU_VARIABLES: [&str; 6] = [
    "OMP_NUM_THREADS",
    "GOMAXPROCS",
    "PYTHON_CPU_COUNT",
    "CARGO_BUILD_JOBS",
    "JULIA_CPU_THREADS",
    "NUMBA_NUM_THREADS",
];
/// Takes the memory that Go's collector keeps its heap below, in bytes.
const MEMORY_VARIABLE: &str = "GOMEMLIMIT";

/// The limits, as far as there are any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Whole processors, a begun one counted.
    cpus: Option<u64>,
    /// Bytes.
    memory: Option<u64>,
}

impl Limits {
    /// Those of this process's control group.
    pub(crate) fn read() -> Self {
        let cgroup = Cgroup::own();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self::of(cgroup.cpus(), cgroup.memory(), allowed(&status))
    }

    /// `quota` is in thousandths of a processor; `allowed` is how many there are to run on.
    fn of(quota: Option<u64>, memory: Option<u64>, allowed: Option<u64>) -> Self {
        let cpus = quota.map(|quota| {
            let whole = quota.div_ceil(1000).max(1);
            allowed.map_or(whole, |allowed| whole.min(allowed))
        });
        Self { cpus, memory }
    }

    /// Sets what is not set yet.
    pub(crate) fn tell(self, environment: &mut Environment) {
        for name in CPU_VARIABLES {
            if let Some(cpus) = self.cpus {
                environment.set_default(name, cpus.to_string());
            }
        }
        if let Some(memory) = self.memory {
            // A tenth is for what is no heap, and for other programs.
            environment.set_default(MEMORY_VARIABLE, (memory / 10 * 9).to_string());
        }
    }
}

/// The processors that a process may run on, by its `/proc/PID/status`.
fn allowed(status: &str) -> Option<u64> {
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("Cpus_allowed:"))?;
    let bits = mask.chars().filter_map(|digit| digit.to_digit(16));
    let count = bits.map(|digit| u64::from(digit.count_ones())).sum();
    (count > 0).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(limits: Limits, set: &[(&str, &str)]) -> Environment {
        let mut environment: Environment = set
            .iter()
            .map(|(key, value)| (key.into(), value.into()))
            .collect();
        limits.tell(&mut environment);
        environment
    }

    #[test]
    fn a_begun_processor_counts_and_no_more_than_there_are() {
        for (quota, allowed, cpus) in [
            (Some(2000), Some(8), Some(2)),
            (Some(1500), Some(8), Some(2)),
            (Some(100), Some(8), Some(1)),
            (Some(0), Some(8), Some(1)),
            (Some(16_000), Some(8), Some(8)),
            (Some(2000), None, Some(2)),
            (None, Some(8), None),
        ] {
            assert_eq!(Limits::of(quota, None, allowed).cpus, cpus, "{quota:?}");
        }
    }

    #[test]
    fn tools_are_told_unless_somebody_chose() {
        let limits = Limits::of(Some(1500), Some(1 << 30), Some(4));
        let environment = told(limits, &[("GOMAXPROCS", "7")]);
        assert_eq!(environment.get("GOMAXPROCS").unwrap(), "7");
        for name in ["OMP_NUM_THREADS", "PYTHON_CPU_COUNT", "CARGO_BUILD_JOBS"] {
            assert_eq!(environment.get(name).unwrap(), "2", "{name}");
        }
        assert_eq!(environment.get("GOMEMLIMIT").unwrap(), "966367638");
    }

    #[test]
    fn without_limits_nobody_is_told_anything() {
        assert_eq!(told(Limits::default(), &[]), Environment::default());
    }

    #[test]
    fn processors_are_counted_in_the_mask() {
        assert_eq!(
            allowed("Name:\tx\nCpus_allowed:\tff,00000003\nCpus_allowed_list:\t0\n"),
            Some(10)
        );
        assert_eq!(allowed("Cpus_allowed:\t0\n"), None);
        assert_eq!(allowed(""), None);
    }
}
