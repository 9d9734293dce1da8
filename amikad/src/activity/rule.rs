//! The rule: samples in, verdict out. It knows no clock and reads nothing.
//!
//! The thresholds are published (`docs/protocol.md`): whoever stops idle sandboxes relies on them.

use amika_core::wire::Reason;

use crate::lifecycle::Millis;

/// From one sample to the next.
pub(crate) const INTERVAL: Millis = 10_000;
/// What a tunnel may carry inwards in a sample without counting, in bytes.
const TUNNEL_BYTES: u64 = 1024;
/// Processor time of one core that does not count, in per mille.
const CPU_PER_MILLE: u64 = 50;
/// Traffic that does not count, in bytes a second.
const NETWORK_BYTES: u64 = 4096;

/// What was found at one moment. What only grows is counted from an unknown beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a reason by itself, and any of them may hold"
)]
pub(crate) struct Sample {
    /// When, in milliseconds of a clock that never jumps.
    pub(crate) at: Millis,
    /// Whether setup runs.
    pub(crate) setup: bool,
    /// Whether an agent's turn runs.
    pub(crate) turn: bool,
    /// Whether a job runs.
    pub(crate) job: bool,
    /// Whether something was read from a standard input since the last sample.
    pub(crate) input: bool,
    /// Requests to OpenCode so far that somebody made.
    pub(crate) requests: u64,
    /// The most that one tunnel carried inwards since the last sample, in bytes.
    pub(crate) tunnel: u64,
    /// Processor time since the last sample, in milliseconds.
    pub(crate) cpu: u64,
    /// Traffic so far that counts, in bytes.
    pub(crate) network: u64,
}

/// What the samples so far come to.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    previous: Sample,
    last_active: Millis,
    because: Vec<Reason>,
}

impl Verdict {
    /// Begins with a first sample: of what came before nothing is known, so it counts as active.
    pub(crate) fn begin(sample: Sample) -> Self {
        Self {
            previous: sample,
            last_active: sample.at,
            because: at_once(&sample),
        }
    }

    /// Takes in the next sample; one that came late is measured by the time that it took.
    pub(crate) fn observe(&mut self, sample: Sample) {
        let time = sample.at.saturating_sub(self.previous.at);
        self.because = reasons(&self.previous, &sample, time);
        if !self.because.is_empty() {
            self.last_active = sample.at;
        }
        self.previous = sample;
    }

    /// How long it has been idle at a moment, and why it was active in the last sample.
    pub(crate) fn told(&self, at: Millis) -> (Millis, Vec<Reason>) {
        (at.saturating_sub(self.last_active), self.because.clone())
    }

    /// Looks between two samples: what already comes to more than a whole one may have is active now.
    pub(crate) fn peek(&mut self, sample: &Sample) -> (Millis, Vec<Reason>) {
        let time = sample.at.saturating_sub(self.previous.at).max(INTERVAL);
        let now = reasons(&self.previous, sample, time);
        if !now.is_empty() {
            self.last_active = sample.at;
        }
        let (idle, before) = self.told(sample.at);
        let mut because = [now, before].concat();
        because.sort_unstable();
        because.dedup();
        (idle, because)
    }

    /// When the last sample was taken.
    pub(crate) fn sampled_at(&self) -> Millis {
        self.previous.at
    }
}

/// The reasons that a single sample shows.
fn at_once(sample: &Sample) -> Vec<Reason> {
    let held = [
        (Reason::Setup, sample.setup),
        (Reason::Turn, sample.turn),
        (Reason::Job, sample.job),
        (Reason::Input, sample.input),
    ];
    chosen(&held)
}

fn reasons(old: &Sample, new: &Sample, time: Millis) -> Vec<Reason> {
    let network = new.network.saturating_sub(old.network);
    let held = [
        (Reason::Request, new.requests > old.requests),
        (Reason::Tunnel, new.tunnel > TUNNEL_BYTES),
        (
            Reason::Cpu,
            new.cpu.saturating_mul(1000) > CPU_PER_MILLE.saturating_mul(time),
        ),
        (
            Reason::Network,
            network.saturating_mul(1000) > NETWORK_BYTES.saturating_mul(time),
        ),
    ];
    [at_once(new), chosen(&held)].concat()
}

fn chosen(held: &[(Reason, bool)]) -> Vec<Reason> {
    let held = held.iter().filter(|(_, holds)| *holds);
    held.map(|(reason, _)| *reason).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(at: Millis) -> Sample {
        Sample {
            at,
            ..Sample::default()
        }
    }

    #[test]
    fn each_reason_counts_from_its_threshold_on_and_not_below() {
        let second = |sample: Sample| {
            let mut verdict = Verdict::begin(at(0));
            verdict.observe(Sample {
                at: INTERVAL,
                ..sample
            });
            verdict.because
        };
        let quiet = Sample::default();
        #[rustfmt::skip]
        let cases = [
            (quiet, None),
            (Sample { setup: true, ..quiet }, Some(Reason::Setup)),
            (Sample { turn: true, ..quiet }, Some(Reason::Turn)),
            (Sample { job: true, ..quiet }, Some(Reason::Job)),
            (Sample { input: true, ..quiet }, Some(Reason::Input)),
            (Sample { requests: 1, ..quiet }, Some(Reason::Request)),
            (Sample { tunnel: 1024, ..quiet }, None),
            (Sample { tunnel: 1025, ..quiet }, Some(Reason::Tunnel)),
            (Sample { cpu: 500, ..quiet }, None),
            (Sample { cpu: 501, ..quiet }, Some(Reason::Cpu)),
            (Sample { network: 40_960, ..quiet }, None),
            (Sample { network: 40_961, ..quiet }, Some(Reason::Network)),
        ];
        for (sample, reason) in cases {
            assert_eq!(second(sample), Vec::from_iter(reason), "{sample:?}");
        }
    }

    #[test]
    fn a_sample_that_came_late_is_measured_by_its_time() {
        let mut verdict = Verdict::begin(at(0));
        verdict.observe(Sample {
            cpu: 900,
            network: 80_000,
            ..at(2 * INTERVAL)
        });
        assert_eq!(verdict.because, []);
    }

    #[test]
    fn it_counts_as_active_until_it_is_known_to_be_idle() {
        let mut verdict = Verdict::begin(at(5_000));
        assert_eq!(verdict.peek(&at(5_000)), (0, vec![]));
        assert_eq!(verdict.peek(&at(65_000)), (60_000, vec![]));
    }

    #[test]
    fn idle_time_begins_anew_with_each_active_sample() {
        let mut verdict = Verdict::begin(at(0));
        verdict.observe(at(10_000));
        verdict.observe(Sample {
            cpu: 9_000,
            ..at(20_000)
        });
        assert_eq!(verdict.peek(&at(21_000)), (1_000, vec![Reason::Cpu]));
        verdict.observe(at(30_000));
        assert_eq!(verdict.peek(&at(31_000)), (11_000, vec![]));
    }

    #[test]
    fn a_look_between_samples_sees_what_is_beyond_doubt_and_no_burst() {
        let mut verdict = Verdict::begin(at(0));
        let burst = Sample {
            cpu: 400,
            network: 30_000,
            ..at(1_000)
        };
        assert_eq!(verdict.peek(&burst), (1_000, vec![]));
        let work = Sample { cpu: 600, ..burst };
        assert_eq!(verdict.peek(&work), (0, vec![Reason::Cpu]));
        let turn = Sample {
            turn: true,
            ..at(1_000)
        };
        assert_eq!(verdict.peek(&turn), (0, vec![Reason::Turn]));
        verdict.observe(at(INTERVAL));
        assert_eq!(
            verdict.told(INTERVAL),
            (9_000, vec![]),
            "what was seen stays seen"
        );
    }

    proptest! {
        #[test]
        fn no_sample_makes_it_panic_and_idle_time_is_never_longer_than_the_watch(
            samples in proptest::collection::vec(
                (any::<u64>(), any::<bool>(), any::<u64>(), any::<u64>(), any::<u64>()), 1..20)
        ) {
            let sample = |(at, turn, tunnel, cpu, network): (u64, bool, u64, u64, u64)| Sample {
                at, turn, tunnel, cpu, network, ..Sample::default()
            };
            let mut verdict = Verdict::begin(sample(samples[0]));
            for &next in &samples[1..] {
                let next = sample(next);
                let (idle, because) = verdict.peek(&next);
                prop_assert!(idle <= next.at);
                prop_assert!(!next.turn || because.contains(&Reason::Turn));
                verdict.observe(next);
            }
        }
    }
}
