//! Likes and unlikes. The like and the count change in one transaction, and the count changes only if the like does
//! (INV-3). Likes are in no log, so this is not a [`super::Command`]: there are too many likes, and their effects need
//! no order.

use rand::Rng;

use super::{attempts::Attempts, decision::Committed, run::require_profile};
use crate::{
    error::{Error, Rejection},
    model::{Clock, Counts, EdgeKey, EdgeState, Like, PostId, TallyShard, TallySubject, Timestamp, UserId, ranking},
    store::{command_table::CommandTable, likes::Reaction, transaction::Change},
};

/// Makes the caller like a post, or no longer like it. Repeating this changes nothing.
///
/// This costs one round trip of reads, a second one to check blocks if the post is another user's, and one transaction
/// of two items. The returned version is that of the caller's log, which a like does not change.
///
/// # Errors
/// [`Rejection::ProfileRequired`] if the caller has no profile; [`Rejection::PostNotFound`] if there is no such post,
/// or if it is deleted and the caller wants to like it; [`Rejection::Blocked`] if one of the two users blocks the
/// other; [`Error::Conflict`] if races were lost too often or for too long; otherwise as the store's. After an error
/// other than a rejection, the like may have been committed.
pub async fn react_to_post(
    caller: &UserId,
    post: PostId,
    wanted: EdgeState,
    commands: &CommandTable,
    clock: &Clock,
) -> Result<Committed<()>, Error> {
    let mut attempts = Attempts::start();
    loop {
        let attempt = attempts.next().await?;
        let (head, reaction) = tokio::try_join!(commands.head(caller), commands.reaction(caller, post))?;
        require_profile(&head)?;
        let committed = Committed { version: head.version, output: () };
        let Some((like, more)) = decide(&reaction, wanted, clock.now())? else { return Ok(committed) };
        // This is checked before the transaction, not in it. A block that comes in between is too late for this like,
        // which tells nobody anything.
        let author = &like.author;
        if wanted.is_active() && author != caller {
            let edges = commands.edges(&EdgeKey::blocks(caller, author)).await?;
            if edges.block_between(caller, author) {
                return Err(Rejection::Blocked.into());
            }
        }
        let shard = TallyShard::for_attempt(attempt, rand::rng().random());
        let changes = [
            Change::PutLike { user: caller.clone(), post, like },
            Change::Count { subject: TallySubject::Post(post), shard, more },
        ];
        match commands.commit_unlogged(&changes).await {
            Ok(()) => return Ok(committed),
            // A try whose answer was lost may have been committed. Then the next attempt finds the like as it is
            // wanted.
            Err(Error::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The like as it is to be stored, and what to add to the post's counter. None if the like is as it is wanted already.
fn decide(reaction: &Reaction, wanted: EdgeState, at: Timestamp) -> Result<Option<(Like, Counts)>, Rejection> {
    let (before, liked) = (reaction.like.as_ref(), wanted.is_active());
    // An unlike stays possible after the post was deleted, as every end of an edge does.
    let post = reaction.post.as_ref().filter(|post| !liked || !post.is_deleted()).ok_or(Rejection::PostNotFound)?;
    if before.is_some_and(|like| like.liked) == liked {
        return Ok(None);
    }
    // An unlike subtracts the heat that the like added.
    let heat = match before {
        Some(like) if !liked => like.heat,
        _ => ranking::like_heat(post.post.created_at(), at),
    };
    let like = Like { liked, author: post.author.clone(), heat, version: before.map_or(1, |like| like.version + 1) };
    let one = Counts { likes: 1, heat, ..Counts::default() };
    Ok(Some((like, if liked { one } else { -one })))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::samples::{NOW, post};

    fn clicks() -> impl Strategy<Value = Vec<EdgeState>> {
        proptest::collection::vec(prop_oneof![Just(EdgeState::Active), Just(EdgeState::Ended)], 0..20)
    }

    proptest! {
        #[test]
        fn after_any_clicks_the_counts_are_those_of_the_like(clicks in clicks()) {
            let mut reaction = Reaction { post: Some(post()), like: None };
            let mut counted = Counts::default();
            for (hour, wanted) in clicks.iter().enumerate() {
                let at = NOW.after(Duration::from_secs(60 * 60 * hour as u64));
                if let Some((like, more)) = decide(&reaction, *wanted, at).unwrap() {
                    prop_assert_eq!(like.version, reaction.like.map_or(1, |like| like.version + 1));
                    counted = counted + more;
                    reaction.like = Some(like);
                }
            }
            let likes = clicks.last().is_some_and(|wanted| wanted.is_active());
            let heat = reaction.like.filter(|like| like.liked).map_or(0, |like| like.heat);
            prop_assert_eq!(counted, Counts { likes: likes.into(), heat, ..Counts::default() });
        }
    }

    #[test]
    fn a_missing_or_deleted_post_cannot_be_liked() {
        let deleted = Reaction { post: Some(post().scrubbed(NOW)), like: None };
        for reaction in [Reaction::default(), deleted.clone()] {
            assert_eq!(decide(&reaction, EdgeState::Active, NOW), Err(Rejection::PostNotFound));
        }
        assert_eq!(decide(&Reaction::default(), EdgeState::Ended, NOW), Err(Rejection::PostNotFound));
        assert_eq!(decide(&deleted, EdgeState::Ended, NOW), Ok(None));
    }

    #[test]
    fn a_like_can_be_taken_back_after_the_post_was_deleted() {
        let (like, _) = decide(&Reaction { post: Some(post()), like: None }, EdgeState::Active, NOW).unwrap().unwrap();
        let deleted = Reaction { post: Some(post().scrubbed(NOW)), like: Some(like.clone()) };
        let (unlike, more) = decide(&deleted, EdgeState::Ended, NOW).unwrap().unwrap();
        assert!(!unlike.liked);
        assert_eq!((more.likes, more.heat), (-1, -like.heat));
    }
}
