//! A like, or its end. The edge and the count change in one transaction, the count only if the edge does (INV-3). It is
//! not in the user's log, and so no [`super::Command`]: likes are too many, and nothing has to follow from them in order.

use rand::Rng;

use super::{Committed, attempts::Attempts};
use crate::{
    error::{Error, Rejection},
    model::{Clock, Counts, EdgeKey, Like, PostId, TallyShard, TallySubject, Timestamp, UserId, ranking},
    store::{command_table::CommandTable, likes::Reaction, transaction::Change},
};

/// Makes the caller like a post, or no longer. Twice is once.
///
/// It costs a round trip of reads, one more for blocks where it is the post of somebody else, and one transaction of two
/// items. The version of the answer is that of the caller's log,
/// which does not change.
///
/// # Errors
/// [`Rejection::PostNotFound`] if there is no such post; [`Error::Conflict`] if races were lost too often or for too long;
/// otherwise as the store's. After an error other than a rejection the like may have been committed.
pub async fn react_to_post(
    caller: &UserId,
    post: PostId,
    liked: bool,
    commands: &CommandTable,
    clock: &Clock,
) -> Result<Committed<()>, Error> {
    let mut attempts = Attempts::start();
    loop {
        let attempt = attempts.next().await?;
        let (head, reaction) = tokio::try_join!(commands.head(caller), commands.reaction(caller, post))?;
        let committed = Committed { version: head.version, output: () };
        let Some((like, more)) = decide(&reaction, liked, clock.now())? else { return Ok(committed) };
        // Before, not within: a block that comes between is too late for this like, which says nothing to anybody.
        let author = &like.author;
        if liked && author != caller {
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
            // A try whose answer was lost may have been committed after all: then the edge is as wanted when read again.
            Err(Error::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The edge as it is to be, and what that counts; nothing if it is so already.
fn decide(reaction: &Reaction, liked: bool, at: Timestamp) -> Result<Option<(Like, Counts)>, Rejection> {
    let post = reaction.post.as_ref().filter(|post| !post.is_deleted()).ok_or(Rejection::PostNotFound)?;
    let before = reaction.like.as_ref();
    if before.is_some_and(|like| like.liked) == liked {
        return Ok(None);
    }
    // What the like added, its end takes away.
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

    proptest! {
        #[test]
        fn whatever_is_clicked_the_counts_are_those_of_the_edge(clicks in proptest::collection::vec(any::<bool>(), 0..20)) {
            let mut reaction = Reaction { post: Some(post()), like: None };
            let mut counted = Counts::default();
            for (hour, liked) in clicks.iter().enumerate() {
                let at = NOW.after(Duration::from_secs(60 * 60 * hour as u64));
                if let Some((like, more)) = decide(&reaction, *liked, at).unwrap() {
                    prop_assert_eq!(like.version, reaction.like.map_or(1, |like| like.version + 1));
                    counted = counted + more;
                    reaction.like = Some(like);
                }
            }
            let likes = clicks.last().copied().unwrap_or_default();
            let heat = reaction.like.filter(|like| like.liked).map_or(0, |like| like.heat);
            prop_assert_eq!(counted, Counts { likes: likes.into(), heat, ..Counts::default() });
        }
    }

    #[test]
    fn a_post_that_is_not_there_is_not_liked() {
        let deleted = Reaction { post: Some(post().scrubbed(NOW)), like: None };
        for reaction in [Reaction::default(), deleted] {
            assert_eq!(decide(&reaction, true, NOW), Err(Rejection::PostNotFound));
            assert_eq!(decide(&reaction, false, NOW), Err(Rejection::PostNotFound));
        }
    }
}
