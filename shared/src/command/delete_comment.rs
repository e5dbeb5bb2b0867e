//! `DeleteComment`: the author of a comment, or that of the post, deletes the comment. The text is removed from the
//! comment and from its event. Both stay without it.

use super::decision::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{Comment, CommentId, Counts, Post, PostId, TallySubject, UserEvent, UserId},
    store::{command_table::CommandTable, transaction::Change},
};

/// The caller deletes a comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteComment {
    /// The post.
    pub post: PostId,
    /// The comment on the post.
    pub comment: CommentId,
}

/// What the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    post: Option<Post>,
    comment: Option<Comment>,
}

impl Command for DeleteComment {
    type State = State;
    type Output = ();

    async fn read(&self, _caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        let (post, comment) = tokio::try_join!(commands.post(self.post), commands.comment(self.post, self.comment))?;
        Ok(State { post, comment })
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        let comment = state.comment.as_ref().ok_or(Rejection::CommentNotFound)?;
        let may = comment.author == *caller || state.post.as_ref().is_some_and(|post| post.author == *caller);
        match (may, comment.is_deleted()) {
            (true, true) => return Ok(Decision::Unchanged(())),
            (true, false) => {}
            (false, true) => return Err(Rejection::CommentNotFound),
            (false, false) => return Err(Rejection::NotAuthor),
        }
        let more = -Counts { comments: 1, heat: comment.heat, ..Counts::default() };
        Ok(Decision::Append {
            event: UserEvent::CommentDeleted { post: self.post, comment: self.comment },
            totals: turn.totals,
            changes: vec![
                Change::DeleteComment(comment.scrubbed(turn.at)),
                Change::ScrubEvent { user: comment.author.clone(), version: comment.event_version },
                Change::Count { subject: TallySubject::Post(self.post), shard: turn.shard, more },
            ],
            output: (),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, post, turn, user, version};

    /// A post of ada's, and a comment of bob's on it.
    fn state() -> State {
        let post = post();
        let comment = Comment {
            comment: CommentId::new(NOW),
            post: post.post,
            author: user("bob"),
            text: Some("nice".to_owned().try_into().unwrap()),
            heat: 3210,
            event_version: version(7),
            deleted_at: None,
        };
        State { post: Some(post), comment: Some(comment) }
    }

    fn decide(caller: &str, state: &State) -> Result<Decision<()>, Rejection> {
        let command = DeleteComment { post: PostId::new(NOW), comment: CommentId::new(NOW) };
        command.decide(&user(caller), state, turn())
    }

    #[test]
    fn the_authors_of_comment_and_post_delete_a_comment_with_its_count() {
        for caller in ["bob", "ada"] {
            let Ok(Decision::Append { changes, .. }) = decide(caller, &state()) else { panic!("not appended") };
            let Change::DeleteComment(deleted) = &changes[0] else { panic!("{changes:?}") };
            assert!(deleted.text.is_none() && deleted.is_deleted());
            let scrub = Change::ScrubEvent { user: user("bob"), version: version(7) };
            assert_eq!(changes[1], scrub, "in the log of the comment's author");
            let counted = Counts { comments: -1, heat: -3210, ..Counts::default() };
            assert!(matches!(&changes[2], Change::Count { more, .. } if *more == counted));
        }
    }

    #[test]
    fn nobody_else_deletes_a_comment() {
        assert_eq!(decide("eve", &state()), Err(Rejection::NotAuthor));
        assert_eq!(decide("bob", &State { comment: None, ..state() }), Err(Rejection::CommentNotFound));
        let comment = state().comment.map(|comment| comment.scrubbed(NOW));
        assert_eq!(decide("eve", &State { comment, ..state() }), Err(Rejection::CommentNotFound));
    }

    #[test]
    fn a_second_deletion_changes_nothing() {
        let before = state();
        let comment = before.comment.map(|comment| comment.scrubbed(NOW));
        assert_eq!(decide("bob", &State { comment, ..state() }), Ok(Decision::Unchanged(())));
    }
}
