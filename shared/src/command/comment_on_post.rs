//! `CommentOnPost`: the caller comments on a post, once for each idempotency key (INV-6).

use serde::{Deserialize, Serialize};

use super::{
    decision::{Command, Decision, Turn},
    once::Once,
};
use crate::{
    error::{Error, Rejection},
    model::{
        Comment, CommentId, CommentText, Counts, EdgeKey, IdempotencyKey, Post, PostId, Profile, TallySubject,
        UserEvent, UserId, Version, ranking,
    },
    store::{
        command_table::{CommandTable, Remembered},
        edges::Edges,
        transaction::Change,
    },
};

/// The caller comments on a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentOnPost {
    /// The post.
    pub post: PostId,
    /// Id of the comment. It is the same in every attempt.
    pub comment: CommentId,
    /// The text.
    pub text: CommentText,
    /// Key under which the response is stored, if the client sent one.
    pub key: Option<IdempotencyKey>,
}

/// A comment with the profile that its author had then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commented {
    /// The comment.
    pub comment: Comment,
    /// The author's profile.
    pub author: Profile,
}

/// What the decision rests on. The transaction does not require that the post is not deleted: with that condition, all
/// comments on one post would conflict. If a deletion comes in between, nobody sees the comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    author: Option<Profile>,
    post: Option<Post>,
    /// The blocks between the caller and the author of the post.
    edges: Edges,
    remembered: Option<Remembered>,
}

/// The part of a response that the request does not carry.
#[derive(Serialize, Deserialize)]
struct Response {
    comment: CommentId,
    author: Profile,
    heat: i64,
}

impl CommentOnPost {
    fn once<'a>(&'a self, caller: &'a UserId) -> Once<'a> {
        let request = format!("POST /v1/posts/{}/comments\n{}", self.post, self.text.as_str());
        Once { user: caller, key: self.key(), request }
    }

    fn commented(&self, Response { comment, author, heat }: Response, version: Version) -> Commented {
        let comment = Comment {
            comment,
            post: self.post,
            author: author.user.clone(),
            text: Some(self.text.clone()),
            heat,
            event_version: version,
            deleted_at: None,
        };
        Commented { comment, author }
    }
}

impl Command for CommentOnPost {
    type State = State;
    type Output = Commented;

    fn key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        let remembered = Once::read(commands, caller, self.key());
        let post = async {
            let post = commands.post(self.post).await?;
            let edges = match &post {
                Some(post) if post.author != *caller => commands.edges(&EdgeKey::blocks(caller, &post.author)).await?,
                _ => Edges::default(),
            };
            Ok((post, edges))
        };
        let (author, (post, edges), remembered) = tokio::try_join!(commands.profile(caller), post, remembered)?;
        Ok(State { author, post, edges, remembered })
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<Commented>, Rejection> {
        let once = self.once(caller);
        let again = |response, remembered: &Remembered| self.commented(response, remembered.version);
        if let Some(replay) = once.replay(state.remembered.as_ref(), turn.at, again)? {
            return Ok(replay);
        }
        let author = state.author.clone().ok_or(Rejection::ProfileRequired)?;
        let post = state.post.as_ref().filter(|post| !post.is_deleted()).ok_or(Rejection::PostNotFound)?;
        if state.edges.block_between(caller, &post.author) {
            return Err(Rejection::Blocked);
        }
        let heat = ranking::comment_heat(post.post.created_at(), turn.at);
        let response = Response { comment: self.comment, author, heat };
        let remember = once.remember(&response, turn);
        let output = self.commented(response, turn.version);
        let more = Counts { comments: 1, heat, ..Counts::default() };
        let mut changes = vec![
            Change::CreateComment(output.comment.clone()),
            Change::Count { subject: TallySubject::Post(self.post), shard: turn.shard, more },
        ];
        if *caller != post.author {
            changes.push(Change::RequireNoBlock { between: [caller.clone(), post.author.clone()] });
        }
        changes.extend(remember);
        Ok(Decision::Append {
            event: UserEvent::PostCommented { post: self.post, comment: self.comment, text: Some(self.text.clone()) },
            totals: turn.totals,
            changes,
            output,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, post, profile, turn, version};

    fn decide(command: &CommentOnPost, state: &State) -> Result<Decision<Commented>, Rejection> {
        command.decide(&profile("bob").user, state, turn())
    }

    fn command(post: &Post, text: &str) -> CommentOnPost {
        let text = text.to_owned().try_into().unwrap();
        CommentOnPost { post: post.post, comment: CommentId::new(NOW), text, key: Some("k".parse().unwrap()) }
    }

    #[test]
    fn a_comment_is_counted_with_the_heat_of_three_likes() {
        let post = post();
        let state =
            State { author: Some(profile("bob")), post: Some(post.clone()), edges: Edges::default(), remembered: None };
        let Ok(Decision::Append { changes, output, .. }) = decide(&command(&post, "nice"), &state) else {
            panic!("not appended")
        };
        assert_eq!(changes[0], Change::CreateComment(output.comment.clone()));
        let more = Counts { comments: 1, heat: 3000, ..Counts::default() };
        let subject = TallySubject::Post(post.post);
        assert_eq!(changes[1], Change::Count { subject, shard: turn().shard, more });
        assert_eq!(output.comment.heat, 3000, "its deletion subtracts the same heat");
    }

    #[test]
    fn the_same_request_gets_the_same_response_and_another_one_none() {
        let post = post();
        let mut state =
            State { author: Some(profile("bob")), post: Some(post.clone()), edges: Edges::default(), remembered: None };
        let first = command(&post, "nice");
        let Ok(Decision::Append { mut changes, output, .. }) = decide(&first, &state) else { panic!("not appended") };
        let Some(Change::Remember { remembered, .. }) = changes.pop() else { panic!("nothing is stored") };
        assert!(!remembered.response.contains("nice"), "a deletion must leave no text behind");
        state.remembered = Some(remembered);
        let replay = Decision::Replay { version: version(9), output };
        assert_eq!(decide(&command(&post, "nice"), &state), Ok(replay));
        assert_eq!(decide(&command(&post, "other"), &state), Err(Rejection::IdempotencyKeyReused));
    }

    #[test]
    fn what_cannot_be_is_rejected() {
        let post = post();
        let command = command(&post, "nice");
        let state = |author, post| State { author, post, edges: Edges::default(), remembered: None };
        assert_eq!(decide(&command, &state(Some(profile("bob")), None)), Err(Rejection::PostNotFound));
        assert_eq!(
            decide(&command, &state(Some(profile("bob")), Some(post.scrubbed(NOW)))),
            Err(Rejection::PostNotFound)
        );
        assert_eq!(decide(&command, &state(None, Some(post))), Err(Rejection::ProfileRequired));
    }
}
