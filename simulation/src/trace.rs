//! What happened, in order: each line goes into a hash, by which two runs are compared, and is kept if somebody wants
//! to read it.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
};

use crate::determinism::elapsed;

/// Which lines are kept for reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Detail {
    /// None.
    #[default]
    Nothing,
    /// What users did and saw, and which faults there were.
    Users,
    /// Every call of an AWS service as well.
    Calls,
}

/// Whether a trace takes note of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Noting {
    #[default]
    On,
    Off,
}

/// What happened so far.
#[derive(Debug, Default)]
pub struct Trace {
    kept: Detail,
    noting: Noting,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hash: u64,
    lines: Vec<String>,
}

impl Trace {
    /// Nothing yet.
    pub fn new(kept: Detail) -> Self {
        Self { kept, ..Self::default() }
    }

    /// A trace that takes note of nothing, because there is too much.
    pub fn off() -> Self {
        Self { noting: Noting::Off, ..Self::default() }
    }

    /// Whether it takes note of anything.
    pub fn is_on(&self) -> bool {
        self.noting == Noting::On
    }

    /// Takes note of something of this detail.
    pub fn note(&self, detail: Detail, line: impl Display) {
        if !self.is_on() {
            return;
        }
        let line = format!("{:>11.3} {line}", elapsed().as_secs_f64());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.hash = hash(state.hash, line.as_bytes());
        if detail <= self.kept {
            eprintln!("{line}");
            state.lines.push(line);
        }
    }

    /// The hash of everything so far.
    pub fn hash(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).hash
    }
}

/// The hash of what has this hash and of a line after it, eight bytes at a time: a history has megabytes of lines. It
/// has to tell runs apart, not to resist anybody.
fn hash(before: u64, line: &[u8]) -> u64 {
    let add = |hash: u64, word: u64| (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    let (words, rest) = line.as_chunks::<8>();
    let hash = words.iter().fold(before ^ 0xcbf2_9ce4_8422_2325, |hash, word| add(hash, u64::from_le_bytes(*word)));
    rest.iter().fold(hash, |hash, byte| add(hash, u64::from(*byte)))
}
