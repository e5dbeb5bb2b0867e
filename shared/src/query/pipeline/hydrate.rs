//! Hydrate: posts become what the viewer sees of them: their cards, and whether the viewer likes them.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::ViewerState;
use crate::{
    error::Error,
    model::{Post, PostId, Profile, ranking::Explanation},
    query::caches::RecentCards,
    store::{
        Consistency,
        cards::{Cards, PostCard},
        command_table::CommandTable,
    },
};

/// A post as a viewer sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPost {
    /// The post with its author and its counts.
    pub card: PostCard,
    /// Whether the viewer likes the post.
    pub liked: bool,
    /// The factors of the post's score, in ranked feeds.
    pub explanation: Option<Explanation>,
    /// Why the post is in the viewer's home, if not because of its author.
    pub origin: Option<Origin>,
}

/// A reason for a post to be in a home, other than its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The post trends, and the home itself has shown only posts by the viewer.
    Trending,
}

impl FeedPost {
    /// A post without explanation and origin.
    pub fn new(card: PostCard, liked: bool) -> Self {
        Self { card, liked, explanation: None, origin: None }
    }
}

/// What became of posts that were hydrated.
#[derive(Debug, Default)]
pub(crate) struct Hydrated {
    /// Those that may be shown.
    pub(crate) posts: HashMap<PostId, FeedPost>,
    /// Those that the viewer likes, also of those that have no card.
    pub(crate) liked: HashSet<PostId>,
    /// Those that have no card. Of a new post, it comes a moment after the first row.
    pub(crate) without_card: HashSet<PostId>,
}

/// The stores from which posts are hydrated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hydrator<'a> {
    /// The viewer's likes, and the viewer's posts that projections have not reached.
    pub(crate) commands: &'a CommandTable,
    /// The cards.
    pub(crate) cards: &'a Cards,
    /// The cards that this process has read lately, for queries that may use them.
    pub(crate) recent_cards: Option<&'a RecentCards>,
}

impl Hydrator<'_> {
    /// The posts that have a card, are not deleted and may be shown to the viewer (INV-7), by their ids.
    pub(crate) async fn posts(
        self,
        state: &ViewerState<'_>,
        posts: &[PostId],
    ) -> Result<HashMap<PostId, FeedPost>, Error> {
        self.hydrate(state, posts).await.map(|hydrated| hydrated.posts)
    }

    /// The same, and what else became of the posts.
    ///
    /// All reads run at once: the cards, the viewer's likes of the posts, and those of the viewer's posts that
    /// projections have not reached.
    pub(crate) async fn hydrate(self, state: &ViewerState<'_>, posts: &[PostId]) -> Result<Hydrated, Error> {
        if posts.is_empty() {
            return Ok(Default::default());
        }
        let viewer = state.request.viewer;
        let unprojected: Vec<_> = posts.iter().copied().filter(|post| state.overlay.posts.contains(post)).collect();
        let profile = async {
            match state.has_unfinished_profile() || !unprojected.is_empty() {
                true => self.commands.profile(viewer).await,
                false => Ok(None),
            }
        };
        let (mut cards, liked, unprojected, profile) = tokio::try_join!(
            self.cards(state.consistency(), posts),
            self.commands.liked(viewer, posts, state.consistency()),
            self.commands.posts(&unprojected),
            profile
        )?;
        if let Some(profile) = profile {
            lay_over(&mut cards, unprojected, &profile);
        }
        let without_card = posts.iter().copied().filter(|post| !cards.contains_key(post)).collect();
        let visible = cards.into_iter().filter(|(_, card)| card.is_shown_to(viewer));
        let posts = visible.map(|(post, card)| (post, FeedPost::new(card, liked.contains(&post)))).collect();
        Ok(Hydrated { posts, liked, without_card })
    }

    async fn cards(self, consistency: Consistency, posts: &[PostId]) -> Result<HashMap<PostId, PostCard>, Error> {
        match (consistency, self.recent_cards) {
            (Consistency::Eventual, Some(recent)) => recent.posts(posts).await,
            _ => self.cards.posts(posts, consistency).await,
        }
    }
}

/// Makes the cards show the viewer's profile and the viewer's posts as the command table has them. The counts stay
/// those of the cards: other users change them, too.
fn lay_over(cards: &mut HashMap<PostId, PostCard>, posts: Vec<Post>, profile: &Profile) {
    for card in cards.values_mut().filter(|card| card.author == profile.user) {
        card.author_profile = profile.public.clone();
    }
    for post in posts {
        let counts = cards.get(&post.post).map(|card| (card.likes, card.comments, card.heat));
        let (likes, comments, heat) = counts.unwrap_or_default();
        cards.insert(post.post, PostCard { likes, comments, heat, ..PostCard::new(post, profile.clone()) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Text,
        samples::{post, profile, shown, user},
    };

    #[test]
    fn an_unprojected_edit_shows_its_text_with_the_counts_of_the_card() {
        let (old, mut edited) = (post(), post());
        edited.post = old.post;
        edited.text = Some(Text::try_from("edited".to_owned()).unwrap());
        let card = PostCard { likes: 2, comments: 3, heat: 4, ..PostCard::new(old, profile("ada")) };
        let mut cards = HashMap::from([(card.post, card.clone())]);
        lay_over(&mut cards, vec![edited.clone()], &profile("ada"));
        let PostCard { text, likes, comments, heat, .. } = &cards[&card.post];
        assert_eq!((text, likes, comments, heat), (&edited.text, &2, &3, &4));
    }

    #[test]
    fn an_unprojected_profile_shows_on_the_viewers_cards_only() {
        let own = PostCard::new(post(), profile("ada"));
        let other = PostCard { author: user("bob"), ..PostCard::new(post(), profile("bob")) };
        let mut cards = HashMap::from([(own.post, own.clone()), (other.post, other.clone())]);
        let renamed = Profile { public: shown("ada_2"), ..profile("ada") };
        lay_over(&mut cards, Vec::new(), &renamed);
        assert_eq!(cards[&own.post].author_profile, shown("ada_2"));
        assert_eq!(cards[&other.post], other);
    }
}
