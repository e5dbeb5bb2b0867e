//! Filter: which posts a feed may show to a viewer (INV-2, INV-7). The rules about authors need no card, so feeds apply
//! them before hydration wherever a row tells the author.

use std::collections::BTreeSet;

use super::ViewerState;
use crate::{
    error::Error,
    model::{Tag, UserId},
    store::{cards::PostCard, command_table::CommandTable},
};

/// The rule of a feed. A block between the viewer and the author hides a post in every feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter<'a> {
    /// Posts by the viewer, and by authors whom the viewer follows and neither mutes nor blocks.
    Home,
    /// Posts that come to the viewer: the viewer does not mute their authors.
    Visible,
    /// Visible posts by others than the viewer.
    VisibleOfOthers,
    /// Visible posts that have this tag now. A row can outlive the tag, but the card holds the current tags.
    Tagged(&'a Tag),
    /// Posts of one author, whom the viewer looks up, muted or not.
    LookedUp,
}

impl Filter<'_> {
    /// Whether posts by this author may be on the page, as far as the viewer decides: whom the viewer follows, mutes
    /// and blocks.
    pub(crate) fn admits_author(&self, state: &ViewerState<'_>, author: &UserId) -> bool {
        match self {
            Self::Home => state.viewer.sees(state.request.viewer, author),
            Self::Visible | Self::Tagged(_) => !state.viewer.hides(author),
            Self::VisibleOfOthers => author != state.request.viewer && !state.viewer.hides(author),
            Self::LookedUp => !state.viewer.blocks(author),
        }
    }

    /// The authors, of those given, whose posts may not be on the page because they block the viewer.
    ///
    /// In a home these are none: a block ends the viewer's follow. The viewer's log says so, and it also says when the
    /// viewer follows again, even if the projection of the blocker is behind (INV-4).
    pub(crate) async fn blockers<'b>(
        &self,
        state: &ViewerState<'_>,
        commands: &CommandTable,
        authors: impl IntoIterator<Item = &'b UserId>,
    ) -> Result<BTreeSet<&'b UserId>, Error> {
        match self {
            Self::Home => Ok(BTreeSet::new()),
            Self::Visible | Self::VisibleOfOthers | Self::Tagged(_) | Self::LookedUp => {
                state.blockers_among(commands, authors).await
            }
        }
    }

    /// Whether a post with this card may be on the page.
    pub(crate) fn admits_card(&self, card: &PostCard) -> bool {
        match self {
            Self::Tagged(tag) => card.tags.contains(tag),
            Self::Home | Self::Visible | Self::VisibleOfOthers | Self::LookedUp => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ReadRequest, *};
    use crate::{
        command::{BlockUser, FollowUser},
        model::{Blockers, EdgeKind, EdgeState, PostId},
        samples::{NOW, feed_post, user},
        test_world::World,
    };

    const AUTHORS: [&str; 6] = ["ada", "blocked", "blocker", "followed", "muted", "stranger"];

    /// The authors, of ada herself and five others, whose posts the filter admits for ada. `unlist` makes ada's viewer
    /// item one that does not list who blocks her.
    async fn admitted_with(filter: Filter<'_>, unlist: bool) -> Vec<&'static str> {
        let world = World::new();
        world.other.join(&AUTHORS).await;
        for followee in ["followed", "muted"] {
            world.other.follow("ada", followee).await;
        }
        let mute = crate::command::MuteUser { muted: user("muted"), wanted: EdgeState::Active };
        world.other.done("ada", &mute).await;
        world.other.block("ada", "blocked").await;
        world.other.block("blocker", "ada").await;
        world.other.catch_up(&AUTHORS).await;
        let ada = user("ada");
        let mut state = ViewerState::unread(ReadRequest { viewer: &ada, min_version: None });
        state.viewer = world.other.viewer("ada").await;
        if unlist {
            state.viewer.blocked_by = Blockers::Unlisted;
        }
        let authors = AUTHORS.map(user);
        let blockers = filter.blockers(&state, &world.other.commands, &authors).await.unwrap();
        let admits = |author: &&str| filter.admits_author(&state, &user(author)) && !blockers.contains(&user(author));
        AUTHORS.into_iter().filter(admits).collect()
    }

    async fn admitted(filter: Filter<'_>) -> Vec<&'static str> {
        let listed = admitted_with(filter, false).await;
        assert_eq!(admitted_with(filter, true).await, listed, "the truth says what the list says");
        listed
    }

    #[tokio::test(start_paused = true)]
    async fn a_home_has_only_own_posts_and_those_of_followed_authors() {
        assert_eq!(admitted(Filter::Home).await, ["ada", "followed"]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_comes_of_muted_and_blocked_authors_and_of_those_who_block() {
        let tag = "tag".parse().unwrap();
        assert_eq!(admitted(Filter::Visible).await, ["ada", "followed", "stranger"]);
        assert_eq!(admitted(Filter::Tagged(&tag)).await, ["ada", "followed", "stranger"]);
        assert_eq!(admitted(Filter::VisibleOfOthers).await, ["followed", "stranger"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_muted_author_can_be_looked_up_and_a_block_hides_each_from_the_other() {
        assert_eq!(admitted(Filter::LookedUp).await, ["ada", "followed", "muted", "stranger"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_follow_after_a_block_counts_at_home_before_the_blocker_is_projected() {
        let world = World::new();
        world.other.join(&["ada", "bob"]).await;
        world.other.block("bob", "ada").await;
        world.other.catch_up(&["ada", "bob"]).await;
        world.other.done("bob", &BlockUser { blocked: user("ada"), wanted: EdgeState::Ended }).await;
        world.other.done("ada", &FollowUser { followee: user("bob"), wanted: EdgeState::Active }).await;
        world.other.catch_up(&["ada"]).await;
        let ada = user("ada");
        let mut state = ViewerState::unread(ReadRequest { viewer: &ada, min_version: None });
        state.viewer = world.other.viewer("ada").await;
        let bob = user("bob");
        assert!(state.is_cut_off_from(&world.other.commands, &bob).await.unwrap(), "not projected yet");
        let blockers = Filter::Home.blockers(&state, &world.other.commands, [&bob]).await.unwrap();
        assert!(Filter::Home.admits_author(&state, &bob) && blockers.is_empty());
    }

    #[test]
    fn own_posts_are_admitted_whoever_is_hidden() {
        let ada = user("ada");
        let mut state = ViewerState::unread(ReadRequest { viewer: &ada, min_version: None });
        state.viewer.set(EdgeKind::Mutes, &user("bob"), EdgeState::Active);
        assert!(Filter::Visible.admits_author(&state, &ada) && !Filter::Visible.admits_author(&state, &user("bob")));
    }

    #[test]
    fn a_tag_feed_has_only_posts_that_have_the_tag_now() {
        let card = feed_post(PostId::new(NOW), user("ada"), 0).card;
        let (has, had) = ("you".parse().unwrap(), "me".parse().unwrap());
        assert!(Filter::Tagged(&has).admits_card(&card) && Filter::Home.admits_card(&card));
        assert!(!Filter::Tagged(&had).admits_card(&card));
    }
}
