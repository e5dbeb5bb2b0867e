//! INV-5: walks through feeds by cursor while everything changes.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc, time::Duration};

use harness::{
    client::{ApiError, Post, User},
    model::{Feed, Judge, Model},
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom, seq::IteratorRandom};

use crate::{checks::Check, commands::TAGS, ledger::Ledger, queries::judge_authors};

/// Pages of one walk at most; no history has as many posts.
const PAGES_MAX: usize = 500;
/// Times that a page is asked for again.
const TRIES_MAX: usize = 200;

/// A walk through one feed.
#[derive(Debug, Clone)]
struct Walk {
    feed: Feed,
    order: &'static str,
    limit: u32,
}

/// Walks through a feed from a moment at rest on, and judges what was shown.
pub(crate) async fn walk(user: User, ledger: Rc<RefCell<Ledger>>, mut random: StdRng) -> Result<(), ApiError> {
    let (at_rest, version) = (ledger.borrow().model.clone(), ledger.borrow().version(&user.id));
    // A deletion may have been refused, because the author was suspended.
    let exists = |post: &String| at_rest.members.values().any(|member| member.posts.contains_key(post));
    let deleted = ledger.borrow().deleted.iter().filter(|post| !exists(post)).cloned().collect();
    // Half of the walkers ask for their own writes, whatever they write meanwhile.
    let user = if random.random_bool(0.5) { user.at_least(version) } else { user };
    // Where everybody is gone, somebody who is gone has no posts.
    let author = at_rest.members.keys().choose(&mut random).unwrap_or(&user.id).clone();
    let tag = TAGS.choose(&mut random).copied().unwrap_or("rust").to_owned();
    let feeds = [
        (Feed::Home, "chronological"),
        (Feed::Home, "ranked"),
        (Feed::Home, "personalized"),
        (Feed::Author(author), "chronological"),
        (Feed::Tag(tag), "chronological"),
        (Feed::All, "trending"),
    ];
    let (feed, order) = feeds.choose(&mut random).cloned().unwrap_or((Feed::Home, "chronological"));
    let limit = *[1, 2, 3, 5, 7, 20].choose(&mut random).unwrap_or(&5);
    let walk = Walk { feed, order, limit };
    let (mut shown, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let (posts, next) = match walk.page_persistently(&user, cursor.as_deref(), &mut random).await {
            Err(ApiError::Status { code: Some(code), .. }) if code == "tag_not_found" || code == "user_not_found" => {
                // The author was suspended, or the account deleted.
                return Ok(());
            }
            page => page?,
        };
        let ends_home = posts.iter().any(|post| post.source.is_some());
        shown.extend(posts.into_iter().filter(|post| post.source.is_none()));
        cursor = next;
        if cursor.is_none() || ends_home {
            let ledger = &mut ledger.borrow_mut();
            walk.judge_deletions(&deleted, &user.id, &shown, ledger);
            judge_authors(ledger, &user.id, shown.iter().map(|post| &post.author.id));
            walk.judge(&at_rest, version, &user.id, &shown, ledger);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..800))).await;
    }
    let problem = || format!("{}: {walk:?} does not end", user.id);
    ledger.borrow_mut().checks.decide(Check::WalkWithoutRepetition, false, problem);
    Ok(())
}

impl Walk {
    async fn page_persistently(
        &self,
        user: &User,
        cursor: Option<&str>,
        random: &mut StdRng,
    ) -> Result<(Vec<Post>, Option<String>), ApiError> {
        let mut tries = 0;
        loop {
            match self.page(user, cursor).await {
                Err(error) if error.is_transient() && tries < TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(random.random_range(100..3000))).await;
                }
                page => return page,
            }
        }
    }

    async fn page(&self, user: &User, cursor: Option<&str>) -> Result<(Vec<Post>, Option<String>), ApiError> {
        let page = match &self.feed {
            Feed::Home => {
                let page = match self.order {
                    "chronological" => user.home(self.limit, cursor).await?,
                    order => user.home_by(order, self.limit, cursor).await?,
                };
                return Ok((page.posts, page.next_cursor));
            }
            Feed::Author(author) => user.posts_of(author, self.limit, cursor).await?,
            Feed::Tag(tag) => user.posts_with(tag, self.limit, cursor).await?,
            Feed::All => user.trending(self.limit, cursor).await?,
        };
        Ok((page.posts, page.next_cursor))
    }

    /// A post that was deleted before the walk began is on none of its pages.
    fn judge_deletions(&self, deleted: &BTreeSet<String>, viewer: &str, shown: &[Post], ledger: &mut Ledger) {
        let gone: Vec<_> = shown.iter().map(|post| &post.id).filter(|id| deleted.contains(*id)).collect();
        let problem = || format!("{viewer}: {self:?} shows {gone:?}, which were deleted before");
        ledger.checks.decide(Check::DeletedPosts, gone.is_empty(), problem);
    }

    /// What was there at the beginning was there all along, unless its author deleted it, took the tag off, or the
    /// viewer hid or no longer followed the author in between. A command of the viewer that is not answered yet may
    /// have done so, too.
    fn judge(&self, before: &Model, version_before: u64, viewer: &str, shown: &[Post], ledger: &mut Ledger) {
        let mut seen = BTreeSet::new();
        let twice: Vec<_> = shown.iter().map(|post| &post.id).filter(|id| !seen.insert(*id)).collect();
        let problem = || format!("{viewer}: {self:?} shows {twice:?} twice");
        ledger.checks.decide(Check::WalkWithoutRepetition, twice.is_empty(), problem);
        if self.order == "chronological" {
            // So it shows nothing newer than its first page, either.
            let ids: Vec<_> = shown.iter().map(|post| &post.id).collect();
            let sorted = ids.is_sorted_by(|newer, older| newer > older);
            let problem = || format!("{viewer}: {self:?} shows {ids:?}, which is not newest first");
            ledger.checks.decide(Check::NewestFirst, sorted, problem);
        }
        if self.feed == Feed::All || ledger.deletions_begun.contains(viewer) {
            // What trends changes with every like.
            return;
        }
        let views = ledger.views.get(viewer).into_iter().flatten();
        let later: Vec<_> = views.filter(|view| view.version > version_before).collect();
        let stayed = |id: &&String| {
            let Some(author) = ledger.authors.get(*id) else { return false };
            let muted = later.iter().any(|view| view.mutes.contains(author));
            let left = later.iter().any(|view| !view.follows.contains(author));
            let both = (viewer.to_owned(), author.clone());
            // The author can end the follow, too, and each can block the other.
            let (ended, blocked) = (ledger.ended_by_followee.contains(&both), ledger.blocks_begun.contains(&both));
            let edited = ledger.texts.get(*id).map_or(0, BTreeSet::len) > 1;
            let open = ledger.is_open(viewer, author);
            let visible = match self.feed {
                Feed::Home => author == viewer || !(muted || left || ended || open),
                Feed::Tag(_) => !muted && !open && !blocked && !edited,
                _ => !blocked,
            };
            let withdrawn = ledger.may_be_withdrawn(id) && author != viewer;
            visible && !withdrawn && !ledger.deleted.contains(*id)
        };
        let was = Judge::new(before).ids(viewer, &self.feed);
        let skipped: Vec<_> = was.iter().filter(stayed).filter(|id| !seen.contains(id)).cloned().collect();
        let problem = || format!("{viewer}: {self:?} skips {skipped:?}");
        ledger.checks.decide(Check::WalkWithoutGap, skipped.is_empty(), problem);
    }
}

#[cfg(test)]
mod tests {
    use harness::{client::ProfileInput, model::Said};

    use super::*;

    /// Ada follows Bob, whose one post she has seen at rest, as of version 1 of her log.
    fn at_rest() -> Ledger {
        let mut ledger = Ledger::default();
        let (handle, display_name) = ("bob".to_owned(), "Bob".to_owned());
        ledger.member("bob").profile = Some(ProfileInput { handle, display_name, avatar_url: None });
        ledger.member("bob").posts.insert("post".to_owned(), Said::new("hello"));
        ledger.member("ada").follows.insert("bob".to_owned());
        ledger.authors.insert("post".to_owned(), "bob".to_owned());
        ledger.views("ada", 1);
        ledger
    }

    /// What is wrong with a walk of Ada's that began at rest and has shown nothing.
    fn judged(mut ledger: Ledger, before: &Model) -> Vec<String> {
        let walk = Walk { feed: Feed::Home, order: "personalized", limit: 1 };
        walk.judge(before, 1, "ada", &[], &mut ledger);
        ledger.checks.violations
    }

    #[test]
    fn a_walk_may_skip_whom_the_viewer_unfollows_or_mutes_before_that_is_answered() {
        for begins in [Ledger::follow_begins, Ledger::mute_begins] {
            let mut ledger = at_rest();
            let before = ledger.model.clone();
            begins(&mut ledger, "ada", "bob");
            assert_eq!(judged(ledger, &before), Vec::<String>::new());
        }
    }

    #[test]
    fn a_walk_may_not_skip_whom_the_viewer_has_followed_all_along() {
        let mut ledger = at_rest();
        let before = ledger.model.clone();
        ledger.follow_begins("ada", "bob");
        ledger.follow_ends("ada", "bob", None);
        ledger.mute_begins("ada", "bob");
        ledger.mute_ends("ada", "bob", None);
        assert_eq!(judged(ledger, &before).len(), 1);
    }
}
