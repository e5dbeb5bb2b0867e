//! The plan for a page of a log: its effects, equal ones once. Without it, each of thirty profile changes would update
//! the cards of all posts of their author, while everybody else waits.

use std::collections::BTreeMap;

use super::Effect;
use crate::model::{EdgeKind, LogEvent, PostId, UserEvent, UserId, Version};

/// An effect of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::projection) struct Planned {
    /// The event at which the log is stuck if the effect fails: the first one that needs the effect.
    pub(in crate::projection) version: Version,
    /// The effect.
    pub(in crate::projection) effect: Effect,
}

/// The effects of these events, which are consecutive events of one log, in the order of the events.
///
/// An effect shows what the truth says after the last of the events, so it is needed once. For a post, the removal does
/// the work of all other effects. Of follows and unfollows of the same user, only the last one matters.
pub(in crate::projection) fn plan<'a>(events: impl IntoIterator<Item = &'a LogEvent>) -> Vec<Planned> {
    let events: Vec<_> = events.into_iter().collect();
    if let Some(LogEvent { version, event: UserEvent::AccountDeleted, .. }) = events.last() {
        // The erasure does the work of all other effects.
        return vec![Planned { version: *version, effect: Effect::EraseAccount }];
    }
    let mut others = BTreeMap::<Effect, Version>::new();
    let mut posts = BTreeMap::<PostId, Planned>::new();
    let mut follows = BTreeMap::<&UserId, Planned>::new();
    for LogEvent { version, event, .. } in events {
        for (_, followee) in event.edges().into_iter().filter(|(kind, _)| *kind == EdgeKind::Follows) {
            follows.remove(followee);
        }
        for effect in Effect::of(event) {
            let planned = Planned { version: *version, effect };
            match event {
                UserEvent::UserFollowed { followee } | UserEvent::UserUnfollowed { followee } => {
                    follows.insert(followee, planned);
                }
                // A post is created before it is edited or deleted, and showing a new post shows all of it.
                UserEvent::PostCreated { post, .. } | UserEvent::PostEdited { post } => {
                    posts.entry(*post).or_insert(planned);
                }
                UserEvent::PostDeleted { post } => {
                    let effect = planned.effect.clone();
                    posts.entry(*post).or_insert(planned).effect = effect;
                }
                _ => {
                    others.entry(planned.effect).or_insert(planned.version);
                }
            }
        }
    }
    let others = others.into_iter().map(|(effect, version)| Planned { version, effect });
    let mut planned: Vec<_> = others.chain(posts.into_values()).chain(follows.into_values()).collect();
    planned.sort_by_key(|planned| planned.version);
    planned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{CommandId, Spent, Standing, Totals},
        samples::{NOW, shown, user, version},
    };

    fn planned(events: &[UserEvent]) -> Vec<(u64, Effect)> {
        let event = |(at, event): (usize, &UserEvent)| LogEvent {
            user: user("ada"),
            version: version(at as u64 + 1),
            command: CommandId::new(NOW),
            at: NOW,
            totals: Totals::default(),
            spent: Spent::default(),
            standing: Standing::Active,
            event: event.clone(),
        };
        let events: Vec<_> = events.iter().enumerate().map(event).collect();
        plan(&events).into_iter().map(|planned| (planned.version.get(), planned.effect)).collect()
    }

    fn renamed() -> UserEvent {
        UserEvent::ProfileChanged(shown("ada"))
    }

    fn created(post: PostId) -> UserEvent {
        UserEvent::PostCreated { post, text: None, tags: Vec::new() }
    }

    fn followed(followee: &str) -> UserEvent {
        UserEvent::UserFollowed { followee: user(followee) }
    }

    fn unfollowed(followee: &str) -> UserEvent {
        UserEvent::UserUnfollowed { followee: user(followee) }
    }

    #[test]
    fn thirty_profile_changes_have_one_effect() {
        let events: Vec<_> = (0..30).map(|_| renamed()).collect();
        assert_eq!(planned(&events), [(1, Effect::ShowProfile)]);
    }

    #[test]
    fn all_changes_of_a_post_have_one_effect() {
        let (new, old) = (PostId::new(NOW), PostId::new(NOW));
        let edited = |post| UserEvent::PostEdited { post };
        let events = [edited(old), created(new), edited(new), edited(old), UserEvent::PostDeleted { post: new }];
        assert_eq!(planned(&events), [(1, Effect::ShowPost(old)), (2, Effect::RemovePost(new))]);
    }

    #[test]
    fn of_follows_and_unfollows_of_a_user_the_last_one_matters() {
        let fill = |followee| Effect::FillHome(user(followee));
        let clear = |followee| Effect::ClearHome(user(followee));
        assert_eq!(planned(&[followed("bob"), unfollowed("bob"), followed("bob")]), [(3, fill("bob"))]);
        let events = [followed("bob"), followed("carol"), unfollowed("bob")];
        assert_eq!(planned(&events), [(2, fill("carol")), (3, clear("bob"))]);
        let blocked = UserEvent::UserBlocked { blocked: user("bob") };
        let effects = [(2, clear("bob")), (2, Effect::ShowBlock(user("bob")))];
        assert_eq!(planned(&[followed("bob"), blocked]), effects);
    }

    #[test]
    fn events_that_only_the_viewer_item_follows_have_no_effect() {
        let muted = UserEvent::UserMuted { muted: user("bob") };
        assert_eq!(planned(&[muted]), []);
    }

    #[test]
    fn the_owner_is_shown_the_end_of_a_follow_that_the_owner_ended() {
        let removed = UserEvent::FollowerRemoved { follower: user("bob") };
        assert_eq!(planned(&[removed]), [(1, Effect::ShowLostFollower(user("bob")))]);
    }
}
