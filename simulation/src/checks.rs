//! What is checked, by name, and how often each check had something to decide: one that never had proves nothing.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

/// A check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// INV-1: each event of a log, and the last state of each counter, reached the bus.
    EventsReachTheBus,
    /// INV-2: a home feed at rest is what the reference model says, in each order.
    HomeAtRest,
    /// INV-2: a home that got no rows for a while shows its owner everything.
    LeftOutHomes,
    /// INV-2: other feeds and lists at rest are what the reference model says.
    FeedsAtRest,
    /// INV-2: rows, cards and viewer items at rest follow from the command table.
    ReadModelsAtRest,
    /// INV-10: notices at rest follow from the command table.
    NoticesAtRest,
    /// INV-10: notifications at rest are what the reference model says. So are liked posts, and those who like a post.
    NotificationsAtRest,
    /// INV-10: what a user has seen does not become unread unless it grows.
    SeenStaysSeen,
    /// INV-11: daily statistics are what a count of the command table says.
    StatisticsAtRest,
    /// INV-12: the search index follows from the command table, and searches find what a look at every text and every
    /// name finds.
    SearchAtRest,
    /// INV-3: counters equal the edges, comments and likes that they count, in the command table and on cards.
    CountsAtRest,
    /// INV-4: a query with `Tidings-Min-Version` shows the viewer's own commands.
    OwnWrites,
    /// INV-5: a walk shows nothing twice.
    WalkWithoutRepetition,
    /// INV-5: a walk skips nothing that was there all along.
    WalkWithoutGap,
    /// INV-5: a walk that shows a post of a celebrity skips none that was in the author's timeline before it, whichever
    /// processes make the pages.
    PulledWithoutGap,
    /// INV-5: a chronological feed is newest first, across all pages of a walk.
    NewestFirst,
    /// INV-5: a client that asks with `newer_than` until nothing is new gets every post that came into the home since.
    NewIsReported,
    /// INV-6: a repeated idempotency key has one effect and one response.
    OneEffectPerKey,
    /// INV-6: an idempotency key with another request is refused.
    KeyOfAnotherRequest,
    /// INV-7: a page shows no author who is not followed, or is muted or blocked, as of the version that it tells.
    HiddenAuthors,
    /// INV-7: nobody sees a post of their own that they deleted, and no walk shows one that was deleted before it.
    DeletedPosts,
    /// At rest, no table holds a text or a tag of a deleted post, of comments on it, or of a deleted comment.
    NothingOfTheDeleted,
    /// INV-8: a rebuilt read model equals the one that was kept current, attribute by attribute, and nothing is left of
    /// a rebuild.
    RebuiltAtRest,
    /// INV-9: nothing is lost: queues are empty in the end. Nothing is poison any more, so the quarantine is empty.
    NothingIsLost,
    /// What a newer release wrote into an item is still there after this one changed the item.
    NewerIsKept,
    /// After an audit, damaged read models follow from the command table again.
    DamageIsRepaired,
    /// An accepted command is in the command table, once; nothing else is.
    CommandsAreKept,
    /// A log has no gaps, and both sides of an edge agree.
    LogsAreWhole,
    /// No follow and block stand between the same two people.
    BlocksEndFollows,
    /// A handle belongs to one person.
    HandlesAreUnique,
    /// A request is refused only for a reason that there is.
    RefusalsHaveReasons,
    /// A post shows a text that its author gave it.
    TextsAreTheAuthors,
    /// What trends is what the reference model says.
    TrendingAtRest,
    /// Every follower of a large audience has the author's posts.
    LargeAudience,
    /// Nobody has done more than the rate limits allow.
    RateLimitsHold,
}

/// All checks.
pub const ALL: [Check; 35] = [
    Check::EventsReachTheBus,
    Check::HomeAtRest,
    Check::LeftOutHomes,
    Check::FeedsAtRest,
    Check::ReadModelsAtRest,
    Check::NoticesAtRest,
    Check::NotificationsAtRest,
    Check::SeenStaysSeen,
    Check::StatisticsAtRest,
    Check::SearchAtRest,
    Check::CountsAtRest,
    Check::OwnWrites,
    Check::WalkWithoutRepetition,
    Check::WalkWithoutGap,
    Check::PulledWithoutGap,
    Check::NewestFirst,
    Check::NewIsReported,
    Check::OneEffectPerKey,
    Check::KeyOfAnotherRequest,
    Check::HiddenAuthors,
    Check::DeletedPosts,
    Check::NothingOfTheDeleted,
    Check::RebuiltAtRest,
    Check::NothingIsLost,
    Check::NewerIsKept,
    Check::DamageIsRepaired,
    Check::CommandsAreKept,
    Check::LogsAreWhole,
    Check::BlocksEndFollows,
    Check::HandlesAreUnique,
    Check::RefusalsHaveReasons,
    Check::TextsAreTheAuthors,
    Check::TrendingAtRest,
    Check::LargeAudience,
    Check::RateLimitsHold,
];

/// Decisions of each check, and what was found to be wrong.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Checks {
    /// How often each check decided something.
    pub decided: BTreeMap<Check, u64>,
    /// What is wrong.
    pub violations: Vec<String>,
}

/// More are not kept: the first ones tell enough.
const VIOLATIONS_MAX: usize = 20;

impl Checks {
    /// The check decides something: it holds, or `problem` says what is wrong.
    pub fn decide(&mut self, check: Check, holds: bool, problem: impl FnOnce() -> String) {
        *self.decided.entry(check).or_default() += 1;
        if !holds && self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(format!("{check}: {}", problem()));
        }
    }

    /// The check decides that nothing of these is wrong.
    pub fn expect_none(&mut self, check: Check, problems: impl IntoIterator<Item = impl fmt::Display>) {
        let problems: Vec<_> = problems.into_iter().map(|problem| problem.to_string()).collect();
        self.decide(check, problems.is_empty(), || problems.into_iter().take(3).collect::<Vec<_>>().join("; "));
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let invariant = match self {
            Self::EventsReachTheBus => "INV-1",
            Self::HomeAtRest
            | Self::LeftOutHomes
            | Self::FeedsAtRest
            | Self::ReadModelsAtRest
            | Self::LargeAudience => "INV-2",
            Self::CountsAtRest | Self::TrendingAtRest => "INV-3",
            Self::OwnWrites => "INV-4",
            Self::WalkWithoutRepetition
            | Self::WalkWithoutGap
            | Self::PulledWithoutGap
            | Self::NewestFirst
            | Self::NewIsReported => "INV-5",
            Self::OneEffectPerKey | Self::KeyOfAnotherRequest => "INV-6",
            Self::HiddenAuthors | Self::DeletedPosts => "INV-7",
            Self::RebuiltAtRest => "INV-8",
            Self::NothingIsLost => "INV-9",
            Self::SearchAtRest => "INV-12",
            Self::NoticesAtRest | Self::NotificationsAtRest | Self::SeenStaysSeen => "INV-10",
            Self::StatisticsAtRest => "INV-11",
            _ => "truth",
        };
        let name = serde_json::to_value(self).map_err(|_| fmt::Error)?;
        write!(f, "{invariant} {}", name.as_str().ok_or(fmt::Error)?)
    }
}
