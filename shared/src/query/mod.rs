//! Queries: one file a feed or list. A query reads the denormalised tables, filters at the reader, and cuts a page.

mod author;
mod cards;
mod conversation;
pub mod cursor;
mod home;
mod page;
pub mod people;
mod posts;
mod profile;
mod pulled;
mod ranked;
mod rows;
mod served;
mod sight;
mod tag;
mod trending;

pub use cards::RecentCards;
pub use conversation::CommentWithAuthor;
pub use home::{HomePage, HomePosition, HomeWalk};
pub use page::Page;
pub use posts::{FeedPost, Source};
pub use profile::{ProfileView, Relation};
pub use pulled::PulledRows;
pub use ranked::{RankedPosition, Ranking};
pub use sight::{ReadRequest, Sight};
pub use trending::{TrendingCache, TrendingPosition};

use crate::{
    celebrities::Celebrities,
    error::{Error, Rejection},
    model::{Clock, UserId, UserRef},
    store::{cards::Cards, command_table::CommandTable, timelines::Timelines, viewers::Viewers},
};

/// What feeds are read from.
#[derive(Debug, Clone)]
pub struct Feeds {
    /// The truth: who has a handle, who exists, and what the viewer likes.
    pub commands: CommandTable,
    /// Which posts.
    pub timelines: Timelines,
    /// Whom the viewer follows.
    pub viewers: Viewers,
    /// Whose posts the viewer pulls.
    pub celebrities: Celebrities,
    /// And these.
    pub pulled: PulledRows,
    /// What is shown of them.
    pub cards: Cards,
    /// What was shown of them a moment ago.
    pub recent_cards: RecentCards,
    /// What trends.
    pub trending: TrendingCache,
    /// The time.
    pub clock: Clock,
}

/// What single posts and their comments are read from.
#[derive(Debug, Clone)]
pub struct Conversations {
    /// The truth: comments, and what the viewer likes.
    pub commands: CommandTable,
    /// Whom the viewer mutes and blocks.
    pub viewers: Viewers,
    /// What is shown of posts and authors.
    pub cards: Cards,
}

/// What profiles and lists of people are read from.
#[derive(Debug, Clone)]
pub struct People {
    /// The truth: edges, handles, and who exists.
    pub commands: CommandTable,
    /// What has been projected of the reader.
    pub viewers: Viewers,
    /// What is shown of people.
    pub cards: Cards,
}

/// Whom a path means. An id is taken as it is: whether its user exists shows where it is used.
///
/// # Errors
/// [`Rejection::UserNotFound`] if nobody has the handle.
pub async fn resolve(commands: &CommandTable, user: &UserRef) -> Result<UserId, Error> {
    match user {
        UserRef::Id(id) => Ok(id.clone()),
        UserRef::Handle(handle) => Ok(commands.handle_owner(handle).await?.ok_or(Rejection::UserNotFound)?),
    }
}

/// Tells a user who has nothing from nobody.
async fn require_user(commands: &CommandTable, user: &UserId) -> Result<(), Error> {
    match commands.profile(user).await? {
        Some(_) => Ok(()),
        None => Err(Rejection::UserNotFound.into()),
    }
}
