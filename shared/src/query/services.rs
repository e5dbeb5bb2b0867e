//! Three of the six services that answer queries, with the stores that each reads from: feeds, single posts, people.
//! [`super`] names the others, which are in files of their own.

use super::{
    caches::{PulledRows, RecentAnnouncements, RecentCards, TrendingList},
    pipeline::Hydrator,
};
use crate::{
    celebrities::Celebrities,
    model::{Clock, DormancyPolicy},
    read_models::ReadModels,
    store::{cards::Cards, command_table::CommandTable, timelines::Timelines, viewers::Viewers},
};

/// Pages of feeds. Each feed is a method in the file of its name, `feeds/home.rs` and so on.
#[derive(Debug, Clone)]
pub struct Feeds {
    /// Which tables are read. Each invocation asks this first.
    pub read_models: ReadModels,
    /// The truth: handles, users, the viewer's likes and the viewer's log.
    pub commands: CommandTable,
    /// The stored rows of homes, authors and tags.
    pub(super) timelines: Timelines,
    /// The projected state of the viewer.
    pub(super) viewers: Viewers,
    /// The cards that strongly consistent queries read.
    pub(super) cards: Cards,
    /// The authors whose rows are pulled instead of pushed.
    pub(super) celebrities: Celebrities,
    /// After what time without a visit a home gets no rows.
    pub(super) dormancy: DormancyPolicy,
    /// The newest rows of these authors.
    pub(super) pulled_rows: PulledRows,
    /// The posts that were added to these rows.
    pub(super) announcements: RecentAnnouncements,
    /// The cards that all other queries read.
    pub(super) recent_cards: RecentCards,
    /// The posts that trend.
    pub(super) trending_list: TrendingList,
    /// The time.
    pub clock: Clock,
}

impl Feeds {
    /// The service on top of these stores, with empty caches. Clones share the caches.
    pub fn new(
        read_models: ReadModels,
        commands: CommandTable,
        timelines: Timelines,
        viewers: Viewers,
        cards: Cards,
        celebrities: Celebrities,
        clock: Clock,
    ) -> Self {
        Self {
            read_models,
            commands,
            viewers,
            celebrities,
            dormancy: DormancyPolicy(None),
            pulled_rows: PulledRows::new(timelines.clone(), clock.clone()),
            announcements: RecentAnnouncements::new(timelines.clone(), clock.clone()),
            timelines,
            recent_cards: RecentCards::new(cards.clone(), clock.clone()),
            trending_list: TrendingList::new(cards.clone(), clock.clone()),
            cards,
            clock,
        }
    }

    /// The same where homes that nobody reads get no rows.
    #[must_use]
    pub fn with_dormancy(self, dormancy: DormancyPolicy) -> Self {
        Self { dormancy, ..self }
    }

    /// The stage that turns rows into posts. It uses cards of the last two seconds again.
    pub(super) fn hydrator(&self) -> Hydrator<'_> {
        Hydrator { commands: &self.commands, cards: &self.cards, recent_cards: Some(&self.recent_cards) }
    }
}

/// Single posts and their comments.
#[derive(Debug, Clone)]
pub struct Conversations {
    /// Which tables are read. Each invocation asks this first.
    pub read_models: ReadModels,
    /// The truth: comments, the viewer's likes, and posts that no projection has reached.
    pub commands: CommandTable,
    /// The projected state of the viewer.
    pub viewers: Viewers,
    /// The cards of posts and of comment authors.
    pub cards: Cards,
}

/// Profiles and lists of people.
#[derive(Debug, Clone)]
pub struct People {
    /// Which tables are read. Each invocation asks this first.
    pub read_models: ReadModels,
    /// The truth: edges, handles and users.
    pub commands: CommandTable,
    /// The projected state of the viewer.
    pub viewers: Viewers,
    /// The cards of users.
    pub cards: Cards,
}
