//! `DeleteComment`: a comment is taken back by its author, or off a post by the post's. What it said is taken out of the
//! comment and of its event; that it was there stays.

use super::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{Comment, CommentId, Counts, Post, PostId, TallySubject, UserEvent, UserId},
    store::{commands::Commands, transaction::Change},
};

/// The caller wants this comment gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteComment {
    /// The post.
    pub post: PostId,
    /// The comment on it.
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

    async fn read(&self, _caller: &UserId, commands: &Commands) -> Result<State, Error> {
        let (post, comment) = tokio::try_join!(commands.post(self.post), commands.comment(self.post, self.comment))?;
        Ok(State { post, comment })
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        let comment = state.comment.as_ref().ok_or(Rejection::CommentNotFound)?;
        if comment.author != *caller && state.post.as_ref().is_none_or(|post| post.author != *caller) {
            return Err(Rejection::NotAuthor);
        }
        if comment.is_deleted() {
            return Ok(Decision::Unchanged(()));
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
