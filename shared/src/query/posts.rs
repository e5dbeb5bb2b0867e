//! Posts as a viewer sees them: their cards, and which of them the viewer likes.

use std::collections::HashMap;

use crate::{
    error::Error,
    model::{PostId, UserId, ranking::Explanation},
    store::{
        cards::{Cards, PostCard},
        commands::Commands,
    },
};

/// A post as a viewer sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPost {
    /// The post.
    pub card: PostCard,
    /// Whether the viewer likes it.
    pub liked: bool,
    /// Why it stands where it stands, where posts are ranked.
    pub explanation: Option<Explanation>,
}

impl FeedPost {
    /// A post by itself.
    pub fn new(card: PostCard, liked: bool) -> Self {
        Self { card, liked, explanation: None }
    }
}

/// Those of the posts that have a card and are not deleted (INV-7). One round trip: the cards, and the viewer's likes
/// between the oldest and the newest of the posts, in one query for all.
pub(super) async fn read(
    commands: &Commands,
    cards: &Cards,
    viewer: &UserId,
    posts: &[PostId],
) -> Result<HashMap<PostId, FeedPost>, Error> {
    let (Some(&oldest), Some(&newest)) = (posts.iter().min(), posts.iter().max()) else { return Ok(HashMap::new()) };
    let (cards, liked) = tokio::try_join!(cards.posts(posts), commands.liked(viewer, oldest, newest))?;
    let shown = cards.into_iter().filter(|(_, card)| !card.deleted);
    Ok(shown.map(|(post, card)| (post, FeedPost::new(card, liked.contains(&post)))).collect())
}
