//! `CreatePost`: the caller writes a post, once for each idempotency key (INV-6).

use serde::{Deserialize, Serialize};

use super::{
    decision::{Command, Decision, Turn},
    mentions::mentioned,
    once::Once,
};
use crate::{
    error::{Error, Rejection},
    model::{IdempotencyKey, Mentioned, Post, PostId, Profile, Text, Totals, UserEvent, UserId, Version},
    store::{
        command_table::{CommandTable, Remembered},
        transaction::Change,
    },
};

/// The caller writes a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatePost {
    /// Id of the post. It is the same in every attempt.
    pub post: PostId,
    /// The text.
    pub text: Text,
    /// Key under which the response is stored, if the client sent one.
    pub key: Option<IdempotencyKey>,
}

/// A post with the profile that its author had then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The post.
    pub post: Post,
    /// The author's profile.
    pub author: Profile,
}

/// What the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    author: Option<Profile>,
    /// The users whom the text mentions.
    mentions: Vec<UserId>,
    remembered: Option<Remembered>,
}

/// The part of a response that the request does not carry.
#[derive(Serialize, Deserialize)]
struct Response {
    post: PostId,
    author: Profile,
}

impl CreatePost {
    fn once<'a>(&'a self, caller: &'a UserId) -> Once<'a> {
        let request = format!("POST /v1/posts\n{}", self.text.as_str());
        Once { user: caller, key: self.key(), request }
    }

    fn written(&self, post: PostId, author: Profile, version: Version, mentioned: Vec<Mentioned>) -> Written {
        let tags = self.text.tags();
        let post = Post {
            post,
            author: author.user.clone(),
            text: Some(self.text.clone()),
            tags: tags.clone(),
            tags_ever: tags,
            mentioned,
            version: 1,
            moderations: 0,
            event_version: version,
            edited_at: None,
            taken_down_at: None,
            deleted_at: None,
        };
        Written { post, author }
    }
}

impl Command for CreatePost {
    type State = State;
    type Output = Written;

    fn key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        let remembered = Once::read(commands, caller, self.key());
        let text = self.text.entities();
        let (author, mentions, remembered) =
            tokio::try_join!(commands.profile(caller), mentioned(commands, &text, caller), remembered)?;
        Ok(State { author, mentions, remembered })
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<Written>, Rejection> {
        let once = self.once(caller);
        // Whom the text mentions is no part of the answer.
        let again = |Response { post, author }, remembered: &Remembered| {
            self.written(post, author, remembered.version, Vec::new())
        };
        if let Some(replay) = once.replay(state.remembered.as_ref(), turn.at, again)? {
            return Ok(replay);
        }
        let author = state.author.clone().ok_or(Rejection::ProfileRequired)?;
        let remember = once.remember(&Response { post: self.post, author: author.clone() }, turn);
        let mentioned = state.mentions.iter().map(|user| Mentioned { user: user.clone(), at: turn.at }).collect();
        let output = self.written(self.post, author, turn.version, mentioned);
        let mut changes = vec![Change::CreatePost(output.post.clone())];
        changes.extend(remember);
        Ok(Decision::Append {
            event: UserEvent::PostCreated {
                post: self.post,
                text: output.post.text.clone(),
                tags: output.post.tags.clone(),
            },
            totals: Totals { posts: turn.totals.posts + 1, ..turn.totals },
            changes,
            output,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::{Timestamp, limits::IDEMPOTENCY_KEY_LIFETIME},
        samples::{self, NOW},
    };

    fn author() -> Profile {
        samples::profile("ada")
    }

    fn command(text: &str) -> CreatePost {
        CreatePost {
            post: PostId::new(NOW),
            text: text.to_owned().try_into().unwrap(),
            key: Some("k".parse().unwrap()),
        }
    }

    fn turn(at: Timestamp) -> Turn {
        Turn { at, ..samples::turn() }
    }

    /// Decides the first command, then `later` the second one, with the stored response of the first.
    fn again(first: &CreatePost, second: &CreatePost, later: Duration) -> Result<Decision<Written>, Rejection> {
        let state = State { author: Some(author()), mentions: Vec::new(), remembered: None };
        let Decision::Append { mut changes, .. } = first.decide(&author().user, &state, turn(NOW)).unwrap() else {
            panic!("a first post is appended")
        };
        let Some(Change::Remember { remembered, .. }) = changes.pop() else { panic!("nothing is stored") };
        let state = State { author: Some(author()), mentions: Vec::new(), remembered: Some(remembered) };
        second.decide(&author().user, &state, turn(NOW.after(later)))
    }

    #[test]
    fn a_post_is_counted() {
        let state = State { author: Some(author()), mentions: Vec::new(), remembered: None };
        let totals = Totals { posts: 3, following: 2, ..Totals::default() };
        let turn = Turn { totals, ..turn(NOW) };
        let decision = command("hello").decide(&author().user, &state, turn).unwrap();
        let Decision::Append { totals, .. } = decision else { panic!("{decision:?}") };
        assert_eq!((totals.posts, totals.following), (4, 2));
    }

    #[test]
    fn a_post_needs_a_profile() {
        let state = State { author: None, mentions: Vec::new(), remembered: None };
        let decision = command("hello").decide(&author().user, &state, turn(NOW));
        assert_eq!(decision, Err(Rejection::ProfileRequired));
    }

    #[test]
    fn the_same_request_gets_the_same_response() {
        let (first, second) = (command("hello #you"), command("hello #you"));
        let Ok(Decision::Replay { version, output }) = again(&first, &second, Duration::from_secs(1)) else {
            panic!("not replayed")
        };
        assert_eq!(version, samples::version(9));
        assert_eq!(output, first.written(first.post, author(), version, Vec::new()));
        assert_ne!(output.post.post, second.post);
    }

    #[test]
    fn another_request_with_the_same_key_is_rejected() {
        let decision = again(&command("hello"), &command("goodbye"), Duration::from_secs(1));
        assert_eq!(decision, Err(Rejection::IdempotencyKeyReused));
    }

    #[test]
    fn a_key_is_free_after_a_day() {
        let decision = again(&command("hello"), &command("goodbye"), IDEMPOTENCY_KEY_LIFETIME);
        assert!(matches!(decision, Ok(Decision::Append { .. })));
    }

    #[test]
    fn the_stored_response_does_not_hold_the_text() {
        let state = State { author: Some(author()), mentions: Vec::new(), remembered: None };
        let decision = command("a secret").decide(&author().user, &state, turn(NOW)).unwrap();
        let Decision::Append { changes, .. } = decision else { panic!("not appended") };
        assert!(!format!("{:?}", changes[1]).contains("secret"));
    }
}
