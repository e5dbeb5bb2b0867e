//! `DeletePost`: an author takes a post back. What it said is taken out of the post and of its event; that it was there
//! stays.

use super::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{Post, PostId, UserEvent, UserId},
    store::{command_table::CommandTable, transaction::Change},
};

/// The caller wants this post gone.
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
        if post.author != *caller {
            return Err(Rejection::NotAuthor);
        }
        if post.is_deleted() {
            return Ok(Decision::Unchanged(()));
        }
        Ok(Decision::Append {
            event: UserEvent::PostDeleted { post: self.post },
            totals: turn.totals,
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
        DeletePost { post: post().post }.decide(&user(caller), &state, turn())
    }

    #[test]
    fn an_author_deletes_what_the_post_said_but_not_that_it_was() {
        let Ok(Decision::Append { changes, .. }) = decide("ada", Some(post())) else { panic!("not appended") };
        let Change::ReplacePost(deleted) = &changes[0] else { panic!("{changes:?}") };
        assert_eq!((&deleted.text, deleted.tags.len(), deleted.version), (&None, 0, 2));
        assert_eq!(deleted.tags_ever, post().tags_ever, "their rows must still be found");
        assert_eq!(changes[1], Change::ScrubEvent { user: post().author, version: post().event_version });
    }

    #[test]
    fn nobody_else_does() {
        assert_eq!(decide("bob", Some(post())), Err(Rejection::NotAuthor));
        assert_eq!(decide("bob", None), Err(Rejection::PostNotFound));
    }

    #[test]
    fn a_second_delete_changes_nothing() {
        assert_eq!(decide("ada", Some(post().scrubbed(NOW))), Ok(Decision::Unchanged(())));
    }
}
