//! What differs between histories beside faults.

use std::time::Duration;

use harness::stack::{RATE_LIMITS, UNLIMITED};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use tidings::model::{CLOCK_DIFFERENCE_MAX, limits::USER_ID_BYTES_MAX};

/// Share of the histories with a shared cache.
const HAS_CACHE: f64 = 0.3;
/// Share of the histories in which homes that nobody reads get no rows, and longest pause of a user there.
const HAS_DORMANT: f64 = 0.3;
const DORMANT_PAUSE_MS_MAX: u64 = 6000;
/// So many followers that nobody becomes a celebrity.
const NOBODY: u32 = 10_000;

/// What a history is like.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) users: usize,
    /// Whether the last user's id is as long as an id may be.
    pub(crate) has_long_id: bool,
    pub(crate) celebrity_followers: u32,
    pub(crate) celebrity_list_seconds: u32,
    /// Users who also post and comment with a second device.
    pub(crate) second_devices: usize,
    /// Longest pause of a user between two commands.
    pause_ms_max: u64,
    /// Followers of the first user who never do anything: enough of them make a large audience.
    pub(crate) ghosts: usize,
    /// Rows that one step of a walk reads or writes at most. With few of them, walks take many steps.
    pub(crate) walk_step_rows: u32,
    /// Decisions of an operator about posts and users, while users act.
    pub(crate) decisions: usize,
    /// Whether users may delete their accounts.
    pub(crate) accounts_are_deleted: bool,
    /// How much each user may do of each kind in an hour or a day, if that is little.
    pub(crate) rate_limit: Option<u32>,
    /// Whether there is a shared cache.
    pub(crate) has_cache: bool,
    /// After how many seconds without a visit a home gets no rows, if it ever does not.
    pub(crate) dormant_seconds: Option<u32>,
}

impl Plan {
    /// What this history is like.
    pub(crate) fn draw(random: &mut StdRng) -> Self {
        let ghosts = if random.random_bool(0.1) { random.random_range(101..700) } else { 0 };
        Self {
            users: random.random_range(3..8),
            has_long_id: random.random_bool(0.2),
            celebrity_followers: if ghosts > 0 { NOBODY } else { *[2, 3, NOBODY].choose(random).unwrap_or(&NOBODY) },
            celebrity_list_seconds: *[1, 5, 20].choose(random).unwrap_or(&5),
            second_devices: random.random_range(0..3),
            pause_ms_max: *[20, 100, 500].choose(random).unwrap_or(&100),
            ghosts,
            walk_step_rows: if ghosts > 0 {
                *[50, 150, 500].choose(random).unwrap_or(&500)
            } else {
                *[1, 2, 3, 10, 500].choose(random).unwrap_or(&500)
            },
            decisions: if random.random_bool(0.4) { random.random_range(1..20) } else { 0 },
            // Ghosts have no logs, which could hold the end of a follow.
            accounts_are_deleted: ghosts == 0 && random.random_bool(0.4),
            rate_limit: random.random_bool(0.1).then(|| random.random_range(1..8)),
            has_cache: random.random_bool(HAS_CACHE),
            dormant_seconds: random.random_bool(HAS_DORMANT).then(|| random.random_range(22..60)),
        }
    }

    /// The users' ids.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = (0..self.users).map(|number| format!("user{number}")).collect();
        if let Some(last) = names.last_mut().filter(|_| self.has_long_id) {
            *last = format!("{last:x<USER_ID_BYTES_MAX$}");
        }
        names
    }

    /// Whether users with a few followers are celebrities.
    pub(crate) fn has_celebrities(&self) -> bool {
        self.celebrity_followers < NOBODY
    }

    /// Three lifetimes of the list of celebrities, and what clocks may differ.
    pub(crate) fn celebrities_known_within(&self) -> Duration {
        Duration::from_secs(u64::from(3 * self.celebrity_list_seconds)) + CLOCK_DIFFERENCE_MAX
    }

    /// The template's parameters.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let count = self.rate_limit.map_or_else(|| UNLIMITED.to_owned(), |count| count.to_string());
        let rate_limits = RATE_LIMITS.map(|name| (name, count.clone()));
        let mut parameters = vec![
            ("CelebrityFollowers", self.celebrity_followers.to_string()),
            ("CelebrityListSeconds", self.celebrity_list_seconds.to_string()),
            ("WalkStepRows", self.walk_step_rows.to_string()),
            // Longer than any function runs.
            ("ErasureDelaySeconds", "120".to_owned()),
            ("SearchDays", "30".to_owned()),
            ("StatisticsDays", "400".to_owned()),
            ("DormantDays", self.dormant_seconds.map_or(0.0, |seconds| f64::from(seconds) / 86_400.0).to_string()),
        ];
        parameters.extend(rate_limits);
        parameters
    }

    /// Longest pause of a user between two commands, in milliseconds.
    pub(crate) fn pause_ms_max(&self) -> u64 {
        if self.dormant_seconds.is_some() { DORMANT_PAUSE_MS_MAX } else { self.pause_ms_max }
    }
}
