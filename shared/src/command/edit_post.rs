//! `EditPost`: an author replaces the text of a post. The post keeps its position in every feed. Its card and its tags
//! change.

use super::{
    decision::{Command, Decision, Turn, require_open},
    mentions::mentioned,
};
use crate::{
    error::{Error, Rejection},
    model::{Post, PostId, Profile, Text, UserEvent, UserId, limits::POST_EDITS_MAX},
    store::{command_table::CommandTable, transaction::Change},
};

/// The caller replaces the text of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditPost {
    /// The post.
    pub post: PostId,
    /// The new text.
    pub text: Text,
}

/// What the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    post: Option<Post>,
    caller: Option<Profile>,
    /// The users whom the new text mentions.
    mentions: Vec<UserId>,
}

impl Command for EditPost {
    type State = State;
    type Output = (Post, Profile);

    async fn read(&self, caller: &UserId, commands: &CommandTable) -> Result<State, Error> {
        let text = self.text.entities();
        let (post, mentions, caller) =
            tokio::try_join!(commands.post(self.post), mentioned(commands, &text, caller), commands.profile(caller))?;
        Ok(State { post, caller, mentions })
    }

    fn decide(&self, caller: &UserId, state: &State, turn: Turn) -> Result<Decision<Self::Output>, Rejection> {
        let post = require_open(state.post.as_ref(), caller)?;
        if post.author != *caller {
            return Err(Rejection::NotAuthor);
        }
        let author = state.caller.clone().ok_or(Rejection::ProfileRequired)?;
        if post.text.as_ref() == Some(&self.text) {
            return Ok(Decision::Unchanged((post.clone(), author)));
        }
        if post.edits() >= POST_EDITS_MAX {
            return Err(Rejection::EditLimitReached);
        }
        let edited = post.edited(self.text.clone(), &state.mentions, turn.at);
        Ok(Decision::Append {
            event: UserEvent::PostEdited { post: self.post },
            totals: turn.totals,
            changes: vec![Change::ReplacePost(edited.clone())],
            output: (edited, author),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{NOW, post, profile, turn, user};

    fn state() -> State {
        State { post: Some(post()), caller: Some(profile("ada")), mentions: Vec::new() }
    }

    fn decide(caller: &str, text: &str, state: &State) -> Result<Decision<(Post, Profile)>, Rejection> {
        let text = text.to_owned().try_into().unwrap();
        EditPost { post: post().post, text }.decide(&user(caller), state, turn())
    }

    #[test]
    fn an_edit_replaces_text_and_tags_and_keeps_the_list_of_all_tags() {
        let Ok(Decision::Append { output: (post, _), changes, .. }) = decide("ada", "bye #me", &state()) else {
            panic!("not appended")
        };
        assert_eq!(post.tags, ["me".parse().unwrap()]);
        assert_eq!(post.tags_ever, ["you".parse().unwrap(), "me".parse().unwrap()]);
        assert_eq!((post.version, post.edited_at), (2, Some(NOW)));
        assert_eq!(changes, [Change::ReplacePost(post)]);
    }

    #[test]
    fn the_same_text_changes_nothing() {
        assert!(matches!(decide("ada", "hello #you", &state()), Ok(Decision::Unchanged(_))));
    }

    #[test]
    fn what_cannot_be_is_rejected() {
        assert_eq!(decide("bob", "bye", &state()), Err(Rejection::NotAuthor));
        let mut deleted = state();
        deleted.post = deleted.post.map(|post| post.scrubbed(NOW));
        assert_eq!(decide("ada", "bye", &deleted), Err(Rejection::PostNotFound));
        let mut often = state();
        often.post = often.post.map(|post| Post { version: POST_EDITS_MAX + 1, ..post });
        assert_eq!(decide("ada", "bye", &often), Err(Rejection::EditLimitReached));
    }

    #[test]
    fn what_administrators_do_with_a_post_is_no_edit() {
        let mut often = state();
        for _ in 0..POST_EDITS_MAX {
            often.post = often.post.map(|post| post.taken_down(Some(NOW)).taken_down(None));
        }
        assert!(matches!(decide("ada", "bye", &often), Ok(Decision::Append { .. })));
    }
}
