//! Runs: a walk on its way through the queue. SQS may deliver a message twice, and a worker may be killed after it has
//! sent the next step, so that the step comes again and sends the next one again. Each time the walk would go on twice
//! from there, and with enough steps there would be thousands of copies. So a step carries which run it belongs to, and
//! which step of it it is, and a copy that is behind another one ends ([`crate::store::runs`]).

use std::{fmt, str::FromStr};

use rand::Rng;
use ring::digest::{SHA256, digest};

/// A step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunStep {
    /// Which run.
    pub run: u64,
    /// The steps before this one.
    pub steps: u64,
}

/// The text is no step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not RUN-STEPS")]
pub struct InvalidRun;

impl RunStep {
    /// The first step of a new run.
    pub fn first() -> Self {
        Self { run: rand::rng().random(), steps: 0 }
    }

    /// The steps that come after this one, where the walk goes on in so many parts. The last part goes on with the run,
    /// and the others are runs of their own: the same ones if this step is repeated.
    pub fn next(self, parts: usize) -> impl Iterator<Item = Self> {
        let steps = self.steps.saturating_add(1);
        let run_of = move |part| if part == parts { self.run } else { self.run_of(part) };
        (1..=parts).map(move |part| Self { run: run_of(part), steps })
    }

    /// The same step in a run of its own for the part of this name. A step that is repeated may be split otherwise, and
    /// parts that are not the same must not end each other.
    pub fn of_part(self, name: &str) -> Self {
        Self { run: self.run_of(name), ..self }
    }

    fn run_of(self, part: impl fmt::Display) -> u64 {
        let hash = digest(&SHA256, format!("{self}-{part}").as_bytes());
        hash.as_ref().iter().take(8).fold(0, |run, byte| run << 8 | u64::from(*byte))
    }
}

impl fmt::Display for RunStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.run, self.steps)
    }
}

impl FromStr for RunStep {
    type Err = InvalidRun;

    fn from_str(text: &str) -> Result<Self, InvalidRun> {
        let (run, steps) = text.split_once('-').ok_or(InvalidRun)?;
        let run = u64::from_str_radix(run, 16).map_err(|_| InvalidRun)?;
        Ok(Self { run, steps: steps.parse().map_err(|_| InvalidRun)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_run_is_read_as_it_was_written(run in any::<u64>(), steps in any::<u64>()) {
            let step = RunStep { run, steps };
            prop_assert_eq!(step.to_string().parse(), Ok(step));
        }

        #[test]
        fn a_repeated_step_has_the_same_parts_and_all_parts_are_other_runs(run in any::<u64>(), parts in 1usize..30) {
            let step = RunStep { run, steps: 7 };
            let next: Vec<_> = step.next(parts).collect();
            prop_assert_eq!(&next, &step.next(parts).collect::<Vec<_>>());
            prop_assert_eq!(next.last(), Some(&RunStep { run, steps: 8 }));
            let runs: std::collections::BTreeSet<_> = next.iter().map(|step| step.run).collect();
            prop_assert_eq!(runs.len(), parts);
        }
    }

    #[test]
    fn what_is_no_run_is_refused() {
        for text in ["", "-", "1", "x-1", "1-x", "1-1-1"] {
            assert_eq!(text.parse::<RunStep>(), Err(InvalidRun), "{text}");
        }
    }
}
