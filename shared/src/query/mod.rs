//! Queries: pages of feeds, posts with their comments, profiles, and lists of people. Queries only read.
//!
//! Six services answer all queries: [`Feeds`], [`Conversations`], [`People`], [`Notifications`], [`search::Search`] and
//! [`StatisticsOfDays`]. A page of a feed passes through five stages. The file of each feed in `feeds/` names them from
//! top to bottom:
//!
//! 1. *Viewer state*: whom the viewer follows, mutes and blocks, and which of the viewer's writes projections have not
//!    reached.
//! 2. *Sources*: the rows that could be on the page, newest first.
//! 3. *Filter*: the rows and cards that this feed may show to this viewer.
//! 4. *Hydrate*: rows become posts with their cards and the viewer's likes.
//! 5. *Page*: the first `limit` posts, and the position from which the next page goes on.
//!
//! | module | content |
//! |---|---|
//! | `feeds/home.rs`, `ranked.rs`, `trending.rs`, `author.rs`, `tag.rs` | one feed each |
//! | `feeds/newer.rs`, `newest.rs` | what is new in a home since a client asked last |
//! | `feeds/liked.rs`, `likers.rs` | the posts that the viewer likes; who likes a post |
//! | `feeds/served.rs` | the posts that a walk through a ranked or trending feed has shown |
//! | `pipeline/` | the five stages, one file each, and the two ranking stages of ranked feeds |
//! | `caches/` | what a process keeps between requests: cards, rows of celebrities, the trending list |
//! | `conversation.rs` | a post by itself, and its comments |
//! | `lookup.rs` | posts and users by their ids, many at once |
//! | `notifications.rs` | what others did that concerns the viewer |
//! | [`search`] | posts by their words, and users by the beginnings of their names |
//! | `people.rs`, `profile.rs` | followers, follows, mutes and blocks; a profile and its relation to the caller |
//! | `export.rs` | everything that the command table holds about a user |
//! | `statistics.rs` | what happened on each day |
//! | `users.rs` | users read from the command table: by handle, or before their card exists |
//! | [`cursor`] | the signed text that carries a position from page to page |
//!
//! The modules of `pipeline/` and `caches/` know nothing of feeds: they get stores and values as arguments.

mod caches;
mod conversation;
pub mod cursor;
mod export;
mod feeds;
mod lookup;
mod newest;
mod notifications;
pub mod people;
mod pipeline;
mod profile;
pub mod search;
mod services;
mod statistics;
mod users;

pub use conversation::{CommentWithAuthor, CommentsOf, HiddenComments};
pub use export::{ExportAt, Exported, export};
pub use feeds::{HomePage, HomePosition, HomeWalk, LikerAt, NewPosts, RankedPosition, Ranking, TrendingPosition};
pub use newest::Newest;
pub use notifications::{Notification, Notifications, NotificationsPage, NotificationsPosition};
pub use pipeline::{FeedPost, Origin, Page, ReadRequest};
pub use profile::{OwnProfileView, ProfileView, Relation};
pub use services::{Conversations, Feeds, People};
pub use statistics::{SiteDay, StatisticsOfDays};
pub use users::resolve;

#[cfg(test)]
mod tests;
