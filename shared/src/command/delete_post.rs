//! `DeletePost`: an author deletes a post. The text is removed from the post and from its event. Both stay without it.
//! Projections remove the rest: see [`crate::projection::purge`].

use super::decision::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{Post, PostId, Totals, UserEvent, UserId},
    store::{command_table::CommandTable, transaction::Change},
};

/// The caller deletes a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletePost {
    /// The post.
    pub post: PostId,
}

impl Command for DeletePost {
    type State = Option<Post>;
    type Output = ();

    async fn read(&self, _caller: &UserId, commands: &CommandTable) -> Result<Option<Post>, Error> {
        commands.post(self.post).await
    }

    fn decide(&self, caller: &UserId, state: &Option<Post>, turn: Turn) -> Result<Decision<()>, Rejection> {
        let post = state.as_ref().ok_or(Rejection::PostNotFound)?;
        match (post.author == *caller, post.is_deleted()) {
            (true, true) => return Ok(Decision::Unchanged(())),
            (true, false) => {}
            (false, true) => return Err(Rejection::PostNotFound),
            (false, false) => return Err(Rejection::NotAuthor),
        }
        Ok(Decision::Append {
            event: UserEvent::PostDeleted { post: self.post },
            totals: Totals { posts: turn.totals.posts.saturating_sub(1), ..turn.totals },
            changes: vec![
                Change::ReplacePost(post.scrubbed(turn.at)),
                Change::ScrubEvent { user: caller.clone(), version: post.event_version },
            ],
            output: (),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, post, turn, user};

    fn decide(caller: &str, state: Option<Post>) -> Result<Decision<()>, Rejection> {
        DeletePost { post: post().post }.decide(&user(caller), &state, three_posts())
    }

    fn three_posts() -> Turn {
        Turn { totals: Totals { posts: 3, ..Totals::default() }, ..turn() }
    }

    #[test]
    fn a_deletion_removes_the_text_and_keeps_the_post() {
        let Ok(Decision::Append { changes, totals, .. }) = decide("ada", Some(post())) else { panic!("not appended") };
        assert_eq!(totals.posts, 2);
        let Change::ReplacePost(deleted) = &changes[0] else { panic!("{changes:?}") };
        assert_eq!((&deleted.text, deleted.tags.len(), deleted.version), (&None, 0, 2));
        assert_eq!(deleted.tags_ever, post().tags_ever, "the rows of these tags must still be found");
        assert_eq!(changes[1], Change::ScrubEvent { user: post().author, version: post().event_version });
    }

    #[test]
    fn nobody_else_deletes_a_post() {
        assert_eq!(decide("bob", Some(post())), Err(Rejection::NotAuthor));
        assert_eq!(decide("bob", None), Err(Rejection::PostNotFound));
        let deleted = Some(post().scrubbed(NOW));
        assert_eq!(decide("bob", deleted), Err(Rejection::PostNotFound), "it does not exist for others");
    }

    #[test]
    fn a_second_deletion_changes_nothing() {
        assert_eq!(decide("ada", Some(post().scrubbed(NOW))), Ok(Decision::Unchanged(())));
    }
}
