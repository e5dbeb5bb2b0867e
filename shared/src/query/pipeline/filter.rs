//! Filter: which posts a feed may show to a viewer (INV-2, INV-7). The rule about authors needs no card, so feeds apply
//! it before hydration wherever a row tells the author.

use super::ViewerState;
use crate::{
    model::{Tag, UserId},
    store::cards::PostCard,
};

/// The rule of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filter<'a> {
    /// Posts by the viewer, and by authors whom the viewer follows and neither mutes nor blocks.
    Home,
    /// Posts by authors whom the viewer neither mutes nor blocks.
    Visible,
    /// Visible posts by others than the viewer.
    VisibleOfOthers,
    /// Visible posts that have this tag now. A row can outlive the tag, but the card holds the current tags.
    Tagged(&'a Tag),
}

impl Filter<'_> {
    /// Whether posts by this author may be on the page.
    pub(crate) fn admits_author(&self, state: &ViewerState<'_>, author: &UserId) -> bool {
        match self {
            Self::Home => state.viewer.sees(state.request.viewer, author),
            Self::Visible | Self::Tagged(_) => !state.viewer.hides(author),
            Self::VisibleOfOthers => author != state.request.viewer && !state.viewer.hides(author),
        }
    }

    /// Whether a post with this card may be on the page.
    pub(crate) fn admits_card(&self, card: &PostCard) -> bool {
        match self {
            Self::Tagged(tag) => card.tags.contains(tag),
            Self::Home | Self::Visible | Self::VisibleOfOthers => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ReadRequest, *};
    use crate::{
        model::{EdgeKind, EdgeState, PostId},
        samples::{NOW, feed_post, user},
    };

    /// The authors, of ada herself and four others, whose posts the filter admits for ada.
    fn admitted(filter: Filter<'_>) -> Vec<&'static str> {
        let ada = user("ada");
        let mut state = ViewerState::unread(ReadRequest { viewer: &ada, min_version: None });
        for (kind, other) in [
            (EdgeKind::Follows, "followed"),
            (EdgeKind::Follows, "muted"),
            (EdgeKind::Mutes, "muted"),
            (EdgeKind::Blocks, "blocked"),
        ] {
            state.viewer.set(kind, &user(other), EdgeState::Active);
        }
        let authors = ["ada", "followed", "muted", "blocked", "stranger"];
        authors.into_iter().filter(|author| filter.admits_author(&state, &user(author))).collect()
    }

    #[test]
    fn a_home_has_only_own_posts_and_those_of_followed_authors() {
        assert_eq!(admitted(Filter::Home), ["ada", "followed"]);
    }

    #[test]
    fn muted_and_blocked_authors_are_visible_nowhere() {
        let tag = "tag".parse().unwrap();
        assert_eq!(admitted(Filter::Visible), ["ada", "followed", "stranger"]);
        assert_eq!(admitted(Filter::Tagged(&tag)), ["ada", "followed", "stranger"]);
        assert_eq!(admitted(Filter::VisibleOfOthers), ["followed", "stranger"]);
    }

    #[test]
    fn a_tag_feed_has_only_posts_that_have_the_tag_now() {
        let card = feed_post(PostId::new(NOW), user("ada"), 0).card;
        let (has, had) = ("you".parse().unwrap(), "me".parse().unwrap());
        assert!(Filter::Tagged(&has).admits_card(&card) && Filter::Home.admits_card(&card));
        assert!(!Filter::Tagged(&had).admits_card(&card));
    }
}
