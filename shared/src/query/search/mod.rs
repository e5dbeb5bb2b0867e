//! Search: posts by the words of their texts, and users by the beginnings of their names.
//!
//! The index tells which posts may match. What is shown is decided by the cards, as in every feed: a post is on a page
//! only if the text on its card matches the query. So a row that is old shows nothing, and what the index does not
//! know, such as the order of words, needs no rows.
//!
//! - `join` goes through the lists of several words at once, newest post first.
//! - `posts` searches for posts, newest first or best first.
//! - `people` searches for users.

mod join;
mod people;
mod posts;

use std::time::Duration;

pub use people::PeoplePosition;
pub use posts::TopPosition;

use super::{caches::RecentCards, pipeline::Hydrator};
use crate::{
    error::{Error, Rejection},
    model::Clock,
    read_models::ReadModels,
    store::{cards::Cards, command_table::CommandTable, search::SearchIndex, timelines::Timelines, viewers::Viewers},
};

/// Answers searches.
#[derive(Debug, Clone)]
pub struct Search {
    /// Which tables are read. Each invocation asks this first.
    pub read_models: ReadModels,
    /// The truth: handles, and the viewer's likes and own writes.
    pub(super) commands: CommandTable,
    /// The posts of authors.
    pub(super) timelines: Timelines,
    /// The projected state of the viewer.
    pub(super) viewers: Viewers,
    /// The cards of posts and users.
    pub(super) cards: Cards,
    /// The cards that queries read which need not be strongly consistent.
    pub(super) recent_cards: RecentCards,
    /// The lists of words and names.
    pub(super) index: SearchIndex,
    /// How far back searches go. None if they are off.
    kept: Option<Duration>,
    /// The time.
    pub clock: Clock,
}

/// The tables that searches read.
#[derive(Debug, Clone)]
pub struct SearchTables {
    /// The truth.
    pub commands: CommandTable,
    /// The posts of authors.
    pub timelines: Timelines,
    /// The projected state of viewers.
    pub viewers: Viewers,
    /// The cards of posts and users.
    pub cards: Cards,
    /// The lists of words and names.
    pub index: SearchIndex,
}

impl Search {
    /// Searches in these tables, going so far back, or none at all.
    pub fn new(tables: SearchTables, read_models: ReadModels, kept: Option<Duration>, clock: Clock) -> Self {
        let SearchTables { commands, timelines, viewers, cards, index } = tables;
        let recent_cards = RecentCards::new(cards.clone(), clock.clone());
        Self { read_models, commands, timelines, viewers, cards, recent_cards, index, kept, clock }
    }

    /// How far back searches go.
    ///
    /// # Errors
    /// [`Rejection::SearchOff`] if they are off.
    pub fn kept(&self) -> Result<Duration, Error> {
        self.kept.ok_or_else(|| Rejection::SearchOff.into())
    }

    fn hydrator(&self) -> Hydrator<'_> {
        Hydrator { commands: &self.commands, cards: &self.cards, recent_cards: Some(&self.recent_cards) }
    }
}

#[cfg(test)]
mod tests;
