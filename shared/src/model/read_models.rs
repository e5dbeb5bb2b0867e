//! The read models and their two tables each. Readers use one table of a model, the active one. A rebuild fills the
//! other one and then switches ([decision 0040](../../../docs/decisions/0040-a-read-model-has-two-tables.md)).

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Timestamp, clock::CLOCK_DIFFERENCE_MAX};

/// Longest that a process goes by what it was told of the tables, before it asks again. `deliver` and queries ask once
/// in each invocation (`Timeout` in the template). `fanout` and `trending`, which may run longer, ask for each user or
/// counter, and give up what takes longer.
pub const OPERATION_MAX: Duration = Duration::from_secs(15);
/// Several times what the clocks of two processes may differ by.
const CLOCK_MARGIN: Duration = CLOCK_DIFFERENCE_MAX.saturating_mul(5);

/// A read model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadModel {
    /// Which posts stand in which timeline.
    Timelines,
    /// How far each log is applied, and whom each viewer follows, mutes and blocks.
    Viewers,
    /// Contents of posts and profiles, with their counts.
    Cards,
    /// In which posts words stand, and in which names.
    Search,
}

/// All read models, in the order in which they were added.
pub const READ_MODELS: [ReadModel; MODELS] =
    [ReadModel::Timelines, ReadModel::Viewers, ReadModel::Cards, ReadModel::Search];
/// Number of read models.
const MODELS: usize = 4;
/// Number of read models of releases before 0.3. They know no sets with more letters.
const FIRST_MODELS: usize = 3;

/// One of the two tables of a read model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableOf {
    /// The first one. It is active until the first rebuild.
    #[default]
    A,
    /// The second one.
    B,
}

impl TableOf {
    /// Whether it is the first one.
    pub fn is_first(&self) -> bool {
        *self == Self::A
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// A table of each read model. What stands in them belongs together: the viewer items tell what of the logs is in the
/// other tables.
///
/// As text, it is one letter for each model, in the order of [`READ_MODELS`]: `aba`. Models that were added later have
/// none as long as their first table is meant, and those behind them, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelSet([TableOf; MODELS]);

impl ModelSet {
    /// The table of this model.
    pub fn table(self, model: ReadModel) -> TableOf {
        self.0[model as usize]
    }

    /// The set with another table of this model.
    #[must_use]
    pub fn with(mut self, model: ReadModel, table: TableOf) -> Self {
        self.0[model as usize] = table;
        self
    }

    /// The set in one byte.
    pub(crate) fn bits(self) -> u8 {
        self.0.iter().fold(0, |bits, table| bits << 1 | u8::from(*table == TableOf::B))
    }

    /// The set of [`ModelSet::bits`].
    pub(crate) fn of_bits(bits: u8) -> Self {
        Self(std::array::from_fn(|at| if bits >> (MODELS - 1 - at) & 1 == 1 { TableOf::B } else { TableOf::A }))
    }
}

impl fmt::Display for ModelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().rposition(|table| *table == TableOf::B).map_or(0, |last| last + 1);
        let shown = self.0.iter().take(shown.max(FIRST_MODELS));
        shown.map(|table| if *table == TableOf::A { "a" } else { "b" }).try_for_each(|letter| f.write_str(letter))
    }
}

/// A text is no set of tables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no set of tables, such as `aba`")]
pub struct InvalidModelSet(String);

impl FromStr for ModelSet {
    type Err = InvalidModelSet;

    fn from_str(text: &str) -> Result<Self, InvalidModelSet> {
        let table = |letter| match letter {
            b'a' => Some(TableOf::A),
            b'b' => Some(TableOf::B),
            _ => None,
        };
        let invalid = || InvalidModelSet(text.to_owned());
        if !(FIRST_MODELS..=MODELS).contains(&text.len()) {
            return Err(invalid());
        }
        let mut set = Self::default();
        for (of, letter) in set.0.iter_mut().zip(text.bytes()) {
            *of = table(letter).ok_or_else(invalid)?;
        }
        Ok(set)
    }
}

impl TryFrom<String> for ModelSet {
    type Error = InvalidModelSet;

    fn try_from(text: String) -> Result<Self, InvalidModelSet> {
        text.parse()
    }
}

impl From<ModelSet> for String {
    fn from(set: ModelSet) -> Self {
        set.to_string()
    }
}

/// The phases of a rebuild, in their order. All segments of a phase end before the next phase begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The tables that are not active are emptied.
    Clear,
    /// Every user's log is applied to the target. Posts are not put into homes, and cards show no counters.
    Fill,
    /// Homes of the target are filled, counters are shown, and it is verified that every log is applied. From now on,
    /// the target is kept current in full.
    Settle,
    /// Readers use the target, or the rebuild was cancelled. Tables that are not active are emptied.
    Retire,
}

impl Phase {
    /// The phase after this one.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Clear => Some(Self::Fill),
            Self::Fill => Some(Self::Settle),
            Self::Settle => Some(Self::Retire),
            Self::Retire => None,
        }
    }
}

/// A rebuild of read models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuild {
    /// When it was started. This identifies the rebuild.
    pub started_at: Timestamp,
    /// The models that it fills.
    pub models: Vec<ReadModel>,
    /// The tables that it fills, and those of the other models.
    pub target: ModelSet,
    /// Its phase.
    pub phase: Phase,
    /// When the phase began.
    pub phase_at: Timestamp,
    /// When its tables became those that are read.
    #[serde(default)]
    pub switched_at: Option<Timestamp>,
    /// The tables that were active before the switch.
    #[serde(default)]
    pub replaced: Option<ModelSet>,
    /// Whether an operator cancelled it.
    #[serde(default)]
    pub cancelled: bool,
    /// Parts into which the command table is divided. They are worked on at once.
    pub segments: u32,
    /// Read and write units in each second that all segments together may use.
    pub units_per_second: u32,
    /// What was done in the phases before.
    #[serde(default)]
    pub done: Work,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Work {
    /// Users whose logs were applied, or were found applied. Each user is visited in two phases.
    pub users: u64,
    /// Users whose logs could not be applied to their ends. Tasks in the work queue do that.
    pub users_left: u64,
    /// Shards of counters that were shown.
    pub tallies: u64,
    /// Follows whose homes were filled.
    pub follows: u64,
    /// Likes, and ended ones, that were shown.
    pub likes: u64,
    /// Rows that were put into homes.
    pub home_rows: u64,
    /// Items that were deleted from tables that are not active.
    pub cleared: u64,
    /// Read units that were used.
    pub read_units: u64,
    /// Write units that were used.
    pub write_units: u64,
    /// Time that steps took, all segments together, without the pauses between them. In milliseconds.
    pub busy_ms: u64,
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, more: Self) {
        self.users += more.users;
        self.users_left += more.users_left;
        self.tallies += more.tallies;
        self.follows += more.follows;
        self.likes += more.likes;
        self.home_rows += more.home_rows;
        self.cleared += more.cleared;
        self.read_units += more.read_units;
        self.write_units += more.write_units;
        self.busy_ms += more.busy_ms;
    }
}

/// Which tables are active, and the rebuild that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReadModelsState {
    /// Number of writes so far.
    #[serde(default)]
    pub revision: u64,
    /// The tables that readers use.
    #[serde(default)]
    pub active: ModelSet,
    /// The rebuild that is under way.
    #[serde(default)]
    pub rebuild: Option<Rebuild>,
    /// The rebuild that ended last.
    #[serde(default)]
    pub last: Option<Rebuild>,
}

/// When posts are put into the homes of a set of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HomeRows {
    /// Whenever an event asks for it.
    Now,
    /// Not yet: [`Phase::Settle`] does so.
    Later,
}

/// A set of tables that projections keep current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Maintained {
    /// The tables.
    pub set: ModelSet,
    /// When posts are put into their homes.
    pub homes: HomeRows,
}

/// How long it takes until every process knows of a change to the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwitchPolicy {
    /// How long a process uses the state that it has read. If it cannot read the state again, it uses it for twice as
    /// long.
    pub lifetime: Duration,
}

impl SwitchPolicy {
    /// From this moment on, everything that is done is done in knowledge of the change. That is after three lifetimes,
    /// of which one is for clocks that differ, and after the longest operation.
    pub fn known_after(&self, change: Timestamp) -> Timestamp {
        change.after(3 * self.lifetime + OPERATION_MAX)
    }

    /// From this moment on, everything that is done began after [`SwitchPolicy::known_after`].
    pub fn settled_after(&self, change: Timestamp) -> Timestamp {
        self.known_after(change).after(OPERATION_MAX + CLOCK_MARGIN)
    }
}

impl Maintained {
    /// Whether posts are put into homes as events ask for it.
    pub fn fills_homes(&self) -> bool {
        self.homes == HomeRows::Now
    }
}

impl Rebuild {
    /// When the phase's work begins. By then, every process does what the phase needs.
    pub fn work_begins_at(&self, policy: &SwitchPolicy) -> Timestamp {
        match self.phase {
            // Nobody has used these tables since they were retired.
            Phase::Clear => self.phase_at,
            // Every process maintains the target, or none maintains the retired tables.
            Phase::Fill | Phase::Retire => policy.settled_after(self.phase_at),
            // Every process puts posts into the target's homes.
            Phase::Settle => policy.known_after(self.phase_at),
        }
    }
}

impl ReadModelsState {
    /// The sets of tables that projections keep current at this moment. The active one comes first.
    pub fn maintained(&self, now: Timestamp, policy: &SwitchPolicy) -> Vec<Maintained> {
        let mut maintained = vec![Maintained { set: self.active, homes: HomeRows::Now }];
        let Some(rebuild) = &self.rebuild else { return maintained };
        let further = match rebuild.phase {
            // Not at once: until every process knows of the target, some remove nothing from it.
            Phase::Fill if now >= policy.known_after(rebuild.phase_at) => Some((rebuild.target, HomeRows::Later)),
            Phase::Settle => Some((rebuild.target, HomeRows::Now)),
            // Until every process reads the new tables, the old ones are kept current.
            Phase::Retire if now < policy.known_after(rebuild.phase_at) => {
                rebuild.replaced.map(|set| (set, HomeRows::Now))
            }
            Phase::Clear | Phase::Fill | Phase::Retire => None,
        };
        maintained.extend(further.filter(|(set, _)| *set != self.active).map(|(set, homes)| Maintained { set, homes }));
        maintained
    }

    /// The set of tables with this name, if any process may maintain it at this moment.
    pub fn known(&self, set: ModelSet, now: Timestamp, policy: &SwitchPolicy) -> Option<Maintained> {
        let target = self.rebuild.as_ref().filter(|rebuild| rebuild.target == set && rebuild.phase == Phase::Fill);
        let is_filled = target.map(|_| Maintained { set, homes: HomeRows::Later });
        self.maintained(now, policy).into_iter().find(|maintained| maintained.set == set).or(is_filled)
    }

    /// If a rebuild fills this table of timelines, beside the one that is read or in place: what is written there and
    /// was done until this moment may have been seen before. It is the moment of the switch, once there was one. It
    /// stays until another rebuild has ended, because a task may come when this one has.
    pub fn timelines_filled_until(&self, table: TableOf) -> Option<Timestamp> {
        let fills = |rebuild: &&Rebuild| {
            let (models, target) = (&rebuild.models, rebuild.target);
            models.contains(&ReadModel::Timelines) && target.table(ReadModel::Timelines) == table
        };
        let until = |rebuild: &Rebuild| match rebuild.phase {
            Phase::Clear | Phase::Fill | Phase::Settle => Timestamp::from_ms(u64::MAX),
            Phase::Retire => rebuild.phase_at,
        };
        let last = self.last.as_ref().filter(fills).and_then(|rebuild| rebuild.switched_at);
        self.rebuild.as_ref().filter(fills).map(until).or(last)
    }

    /// Whether a rebuild is making the cards of this table. It shows all counters on them afterwards.
    pub fn makes_cards(&self, table: TableOf) -> bool {
        self.rebuild.as_ref().is_some_and(|rebuild| {
            let has_begun = matches!(rebuild.phase, Phase::Clear | Phase::Fill);
            let (models, target) = (&rebuild.models, rebuild.target);
            has_begun && models.contains(&ReadModel::Cards) && target.table(ReadModel::Cards) == table
        })
    }

    /// The tables of a model in which something may stand that has to be removed at this moment. What stands in retired
    /// tables, once nobody keeps them current, is left to their emptying. A removal beside it might write again what
    /// the emptying has come past, such as the numbers of facts.
    pub fn with_content(&self, model: ReadModel, now: Timestamp, policy: &SwitchPolicy) -> Vec<TableOf> {
        let active = self.active.table(model);
        let has_more = self.rebuild.as_ref().is_some_and(|rebuild| match rebuild.phase {
            Phase::Clear => false,
            Phase::Fill | Phase::Settle => true,
            Phase::Retire => now < policy.known_after(rebuild.phase_at),
        });
        if has_more { vec![active, active.other()] } else { vec![active] }
    }

    /// Goes on to the next phase of the rebuild, with what was done in the one before. After the last phase, the
    /// rebuild has ended.
    #[must_use]
    pub fn advanced(mut self, done: Work, now: Timestamp) -> Self {
        let Some(mut rebuild) = self.rebuild.take() else { return self };
        rebuild.done += done;
        rebuild.phase_at = now;
        match rebuild.phase.next() {
            None => self.last = Some(rebuild),
            Some(next) => {
                if next == Phase::Retire {
                    rebuild.switched_at = Some(now);
                    rebuild.replaced = Some(self.active).filter(|active| *active != rebuild.target);
                    self.active = rebuild.target;
                }
                rebuild.phase = next;
                self.rebuild = Some(rebuild);
            }
        }
        self
    }

    /// Cancels the rebuild: what it has filled is emptied. None if there is nothing to cancel, or the switch has
    /// happened.
    #[must_use]
    pub fn cancelled(mut self, now: Timestamp) -> Option<Self> {
        let rebuild = self.rebuild.as_mut().filter(|rebuild| rebuild.phase != Phase::Retire)?;
        (rebuild.phase, rebuild.phase_at, rebuild.cancelled) = (Phase::Retire, now, true);
        Some(self)
    }
}

#[cfg(test)]
mod tests;
