//! Posts as a viewer sees them: their cards, and which of them the viewer likes.

use std::collections::HashMap;

use serde::Serialize;

use super::{Feeds, ReadRequest, RecentCards, Sight};
use crate::{
    error::Error,
    model::{PostId, ranking::Explanation},
    store::{
        cards::{Cards, PostCard},
        command_table::CommandTable,
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
    /// Where it comes from, if not from whom the viewer follows.
    pub source: Option<Source>,
}

/// What brings a post into a home feed beside the authors that the viewer follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// It trends, and the viewer follows nobody.
    Trending,
}

impl FeedPost {
    /// A post by itself.
    pub fn new(card: PostCard, liked: bool) -> Self {
        Self { card, liked, explanation: None, source: None }
    }
}

impl Feeds {
    /// Those of the posts that have something to show: see [`read`].
    pub(super) async fn posts(
        &self,
        reader: ReadRequest<'_>,
        sight: &Sight,
        posts: &[PostId],
    ) -> Result<HashMap<PostId, FeedPost>, Error> {
        read(&self.commands, &self.cards, Some(&self.recent_cards), reader, sight, posts).await
    }
}

/// Those of the posts that have something to show and are not deleted (INV-7). One round trip: the cards, be they `recent` or
/// read now, the viewer's likes between the oldest and the newest of the posts, in one query for all, and of the reader's posts that projections have not
/// reached the truth.
pub(super) async fn read(
    commands: &CommandTable,
    cards: &Cards,
    recent: Option<&RecentCards>,
    reader: ReadRequest<'_>,
    sight: &Sight,
    posts: &[PostId],
) -> Result<HashMap<PostId, FeedPost>, Error> {
    let (Some(&oldest), Some(&newest)) = (posts.iter().min(), posts.iter().max()) else { return Ok(HashMap::new()) };
    let unreached: Vec<_> = posts.iter().copied().filter(|post| sight.overlay.posts.contains(post)).collect();
    let profile = async {
        match sight.overlay.profile || !unreached.is_empty() {
            true => commands.profile(reader.user).await,
            false => Ok(None),
        }
    };
    let cards = async {
        match recent.filter(|_| !reader.consistent()) {
            Some(recent) => recent.posts(posts).await,
            None => cards.posts(posts, reader.consistent()).await,
        }
    };
    let (mut cards, liked, truth, profile) = tokio::try_join!(
        cards,
        commands.liked(reader.user, oldest, newest, reader.consistent()),
        commands.posts(&unreached),
        profile
    )?;
    if let Some(profile) = profile {
        for card in cards.values_mut().filter(|card| card.author == *reader.user) {
            card.author_profile = profile.public.clone();
        }
        for post in truth {
            let counted = cards.get(&post.post).map(|card| (card.likes, card.comments, card.heat));
            let (likes, comments, heat) = counted.unwrap_or_default();
            cards.insert(post.post, PostCard { likes, comments, heat, ..PostCard::new(post, profile.clone()) });
        }
    }
    let shown = cards.into_iter().filter(|(_, card)| !card.deleted);
    Ok(shown.map(|(post, card)| (post, FeedPost::new(card, liked.contains(&post)))).collect())
}
