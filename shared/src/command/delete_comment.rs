//! `DeleteComment`: the author of a comment, or that of the post, deletes the comment. The text is removed from the
//! comment and from its event. Both stay without it.

use super::decision::{Command, Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{
        Comment, CommentId, Commenter, Counts, Post, PostId, TallyShard, TallySubject, Timestamp, UserEvent, UserId,
    },
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
    /// What all comments of the comment's author on the post add up to.
    commenter: Option<Commenter>,
}

impl Command for DeleteComment {
    type State = State;
    type Output = ();

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        let Self { post, comment } = *self;
        let (post, comment, mut commenter) =
            tokio::try_join!(commands.post(post), commands.comment(post, comment), commands.commenter(caller, post))?;
        if let Some(comment) = comment.as_ref().filter(|comment| comment.author != *caller) {
            commenter = commands.commenter(&comment.author, self.post).await?;
        }
        Ok(State { post, comment, commenter })
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<()>, Rejection> {
        // The comments of a deleted post are removed in the background, so they are not there from its deletion on.
        let post = state.post.as_ref().filter(|post| !post.is_deleted()).ok_or(Rejection::PostNotFound)?;
        let comment = state.comment.as_ref().ok_or(Rejection::CommentNotFound)?;
        let may = comment.author == *caller || post.author == *caller;
        match (may, comment.is_deleted()) {
            (true, true) => return Ok(Decision::Unchanged(())),
            (true, false) => {}
            (false, true) => return Err(Rejection::CommentNotFound),
            (false, false) => return Err(Rejection::NotAuthor),
        }
        let changes = removal_of_comment(comment, state.commenter.as_ref(), turn.shard, turn.at);
        Ok(Decision::Append {
            event: UserEvent::CommentDeleted { post: self.post, comment: self.comment },
            totals: turn.totals,
            changes,
            output: (),
        })
    }
}

/// The changes of the deletion of a comment. `commenter` is what all comments of the comment's author on the post add
/// up to.
pub(crate) fn removal_of_comment(
    comment: &Comment,
    commenter: Option<&Commenter>,
    shard: TallyShard,
    at: Timestamp,
) -> Vec<Change> {
    let (post, mut heat) = (comment.post, comment.heat);
    let mut changes = vec![
        Change::DeleteComment(comment.scrubbed(at)),
        Change::ScrubEvent { user: comment.author.clone(), version: comment.event_version },
    ];
    // A comment with heat of its own is older than commenters, and not among the comments of one.
    if let Some(before) = commenter.filter(|_| comment.heat == 0) {
        let (commenter, less) = before.with_one_less();
        heat = less;
        changes.push(Change::PutCommenter { user: comment.author.clone(), post, commenter });
    }
    let more = -Counts { comments: 1, heat, ..Counts::default() };
    changes.push(Change::Count { subject: TallySubject::Post(post), shard, more });
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::PartitionShard,
        samples::{NOW, post, turn, user, version},
    };

    /// A post of ada's, and a comment of bob's on it, one of two.
    fn state() -> State {
        let post = post();
        let comment = Comment {
            comment: CommentId::new(NOW),
            post: post.post,
            author: user("bob"),
            text: Some("nice".to_owned().try_into().unwrap()),
            heat: 0,
            event_version: version(7),
            mentioned: Vec::new(),
            shard: PartitionShard::default(),
            deleted_at: None,
        };
        let commenter = Commenter { comments: 2, heat: 3210, version: 5 };
        State { post: Some(post), comment: Some(comment), commenter: Some(commenter) }
    }

    /// What the deletion of bob's comment changes in the counter, and the heat that bob's other comments have then.
    fn counted(state: &State) -> (Counts, Option<i64>) {
        let Ok(Decision::Append { changes, .. }) = decide("bob", state) else { panic!("not appended") };
        let (mut counts, mut heat) = (Counts::default(), None);
        for change in changes {
            match change {
                Change::Count { more, .. } => counts = counts + more,
                Change::PutCommenter { user, commenter, .. } if user.as_str() == "bob" => heat = Some(commenter.heat),
                _ => {}
            }
        }
        (counts, heat)
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
            let counted = Counts { comments: -1, ..Counts::default() };
            assert!(matches!(&changes[3], Change::Count { more, .. } if *more == counted));
        }
    }

    #[test]
    fn the_deletion_of_a_users_last_comment_removes_the_heat() {
        let less = |heat: i64| Counts { comments: -1, heat: -heat, ..Counts::default() };
        assert_eq!(counted(&state()), (less(0), Some(3210)), "another comment is left");
        let commenter = Some(Commenter { comments: 1, heat: 3210, version: 6 });
        assert_eq!(counted(&State { commenter, ..state() }), (less(3210), Some(0)));
        assert_eq!(counted(&State { commenter: None, ..state() }), (less(0), None), "on one's own post");
        let mut old = state();
        old.comment = old.comment.map(|comment| Comment { heat: 3456, ..comment });
        assert_eq!(counted(&old), (less(3456), None), "a comment of an earlier release has heat of its own");
    }

    #[test]
    fn nobody_else_deletes_a_comment() {
        assert_eq!(decide("eve", &state()), Err(Rejection::NotAuthor));
        assert_eq!(decide("bob", &State { comment: None, ..state() }), Err(Rejection::CommentNotFound));
        let comment = state().comment.map(|comment| comment.scrubbed(NOW));
        assert_eq!(decide("eve", &State { comment, ..state() }), Err(Rejection::CommentNotFound));
        let post = state().post.map(|post| Post { deleted_at: Some(NOW), ..post });
        assert_eq!(decide("bob", &State { post, ..state() }), Err(Rejection::PostNotFound));
    }

    #[test]
    fn a_second_deletion_changes_nothing() {
        let before = state();
        let comment = before.comment.map(|comment| comment.scrubbed(NOW));
        assert_eq!(decide("bob", &State { comment, ..state() }), Ok(Decision::Unchanged(())));
    }
}
