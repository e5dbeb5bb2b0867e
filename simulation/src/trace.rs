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
        // FNV-1a: it has to tell runs apart, not to resist anybody.
        let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        state.hash = line.bytes().fold(state.hash ^ 0xcbf2_9ce4_8422_2325, add);
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
