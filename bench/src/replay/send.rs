//! Sends one command, compares the answer with what the model expects, and updates the model.

use anyhow::{Context, Result};
use harness::{
    client::{Accepted as Answered, ApiError, User},
    model::{Difference, Member, Model, Remark, Said, Window},
    wait::persist,
};
use rand::seq::IndexedRandom;
use tokio::time::Instant;

use super::{Accepted, Posted, Shared};
use crate::{
    command::Command,
    command::{Reaction, ReactionKind},
    target::PATIENCE,
    texts::Draft,
};

/// A post whose lag is measured.
pub(super) struct Sample {
    pub(super) reader: usize,
    pub(super) post: String,
    pub(super) accepted: Instant,
}

/// The codes of the refusals that the model knows.
const BLOCKED: &str = "blocked";
const POST_NOT_FOUND: &str = "post_not_found";

impl Shared {
    /// Sends one command until it is answered, and adds it to the model if it was accepted.
    pub(super) async fn send(&self, command: Command) -> Result<Option<Sample>> {
        let sender = &self.users[command.sender()];
        match command {
            Command::Follow { follower, followee, on } => {
                let id = &self.users[followee].id;
                let refusal = self.accepted().model.blocks_between(&sender.id, id).then_some(BLOCKED).filter(|_| on);
                let send = async || if on { sender.follow(id).await } else { sender.unfollow(id).await };
                if self.answer(sender, &format!("follow of {id}: {on}"), refusal, send).await?.is_none() {
                    return Ok(None);
                }
                let mut accepted = self.accepted();
                change(&mut accepted.model.member(sender).follows, id, on);
                if on && !self.fickle.follows.contains(&(follower, followee)) {
                    accepted.followers[followee].push(follower);
                }
                Ok(None)
            }
            Command::Mute { author, on, .. } => {
                let id = &self.users[author].id;
                let send = async || if on { sender.mute(id).await } else { sender.unmute(id).await };
                self.answer(sender, &format!("mute of {id}: {on}"), None, send).await?;
                change(&mut self.accepted().model.member(sender).mutes, id, on);
                Ok(None)
            }
            Command::Block { blocked, on, .. } => {
                let other = &self.users[blocked];
                let send = async || if on { sender.block(&other.id).await } else { sender.unblock(&other.id).await };
                self.answer(sender, &format!("block of {}: {on}", other.id), None, send).await?;
                let mut accepted = self.accepted();
                change(&mut accepted.model.member(sender).blocks, &other.id, on);
                if on {
                    accepted.model.member(sender).follows.remove(&other.id);
                    accepted.model.member(other).follows.remove(&sender.id);
                }
                Ok(None)
            }
            Command::Post { number, draft } => self.post(sender, number, draft).await,
            Command::Delete { number, .. } => {
                let Posted { id, .. } = self.posted(number)?;
                self.answer(sender, &format!("deletion of {id}"), None, || sender.delete_post(&id)).await?;
                self.accepted().model.member(sender).posts.remove(&id);
                Ok(None)
            }
            Command::React(reaction) => self.react(sender, reaction).await.map(|()| None),
        }
    }

    async fn post(&self, sender: &User, number: usize, draft: Draft) -> Result<Option<Sample>> {
        let key = format!("replay-{number}");
        let post = self.answer(sender, "a post", None, || sender.post(&draft.text, Some(&key))).await?;
        let id = post.context("a post was refused")?.id;
        let arrived = Instant::now();
        let mut accepted = self.accepted();
        accepted.model.member(sender).posts.insert(id.clone(), Said::new(&draft.text));
        accepted.posts.insert(number, Posted { id: id.clone(), author: sender.id.clone() });
        if !number.is_multiple_of(self.sample_every) || self.fickle.posts.contains(&number) {
            return Ok(None);
        }
        // An author without followers reads the post in their own home.
        let reader = accepted.followers[draft.author].choose(&mut rand::rng()).copied().unwrap_or(draft.author);
        Ok(Some(Sample { reader, post: id, accepted: arrived }))
    }

    async fn react(&self, sender: &User, reaction: Reaction) -> Result<()> {
        let posted = self.posted(reaction.post)?;
        let refusal = self.accepted().model.refusal(sender, &posted, &reaction.what);
        let (post, what) = (posted.id, format!("{:?} on {}", reaction.what, posted.author));
        let at = Window::open();
        match reaction.what {
            ReactionKind::Like => {
                if self.answer(sender, &what, refusal, || sender.like(&post)).await?.is_some() {
                    let at = at.closed();
                    self.accepted().model.member(sender).likes.entry(post).or_insert(at);
                }
            }
            ReactionKind::Unlike => {
                if self.answer(sender, &what, refusal, || sender.unlike(&post)).await?.is_some() {
                    self.accepted().model.member(sender).likes.remove(&post);
                }
            }
            ReactionKind::Comment { number, text } => {
                let key = format!("replay-comment-{number}");
                let send = || sender.comment(&post, &text, Some(&key));
                if let Some(comment) = self.answer(sender, &what, refusal, send).await? {
                    let mut accepted = self.accepted();
                    accepted.comments.insert(number, comment.id.clone());
                    let remark = Remark { post: post.clone(), text, at: at.closed() };
                    accepted.model.member(sender).comment(comment.id, remark);
                }
            }
            ReactionKind::DeleteComment { number } => {
                // The same user sent the comment before. There is none if it was refused.
                let comment = self.accepted().comments.get(&number).cloned();
                if let Some(comment) = comment {
                    self.answer(sender, &what, refusal, || sender.delete_comment(&post, &comment)).await?;
                    self.accepted().model.member(sender).comments.remove(&comment);
                }
            }
            ReactionKind::Edit { text } => {
                if let Some(edited) = self.answer(sender, &what, refusal, || sender.edit_post(&post, &text)).await? {
                    let said = Said::edited(&text, edited.version);
                    self.accepted().model.member(sender).posts.insert(post, said);
                }
            }
        }
        Ok(())
    }

    /// Sends until there is an answer. Returns the accepted value if the command had to be accepted. An answer that
    /// differs from an expected refusal is a difference. A refusal of a command that had to be accepted is an error,
    /// because the model could not go on.
    async fn answer<T, F>(
        &self,
        sender: &User,
        what: &str,
        refusal: Option<&'static str>,
        send: impl FnMut() -> F,
    ) -> Result<Option<T>>
    where
        F: Future<Output = Result<Answered<T>, ApiError>>,
    {
        let retried = |error: &ApiError| *self.accepted().retries.entry(kind(error)).or_default() += 1;
        let answer = persist(PATIENCE, retried, send).await;
        let Some(refusal) = refusal else {
            return Ok(Some(answer.with_context(|| format!("{what} by {}", sender.id))?.value));
        };
        self.accepted().judge(sender, what, refusal, answer.map(|_| ()));
        Ok(None)
    }

    /// The post with this number, which was accepted before.
    fn posted(&self, number: usize) -> Result<Posted> {
        self.accepted().posts.get(&number).cloned().with_context(|| format!("post {number} was not accepted yet"))
    }
}

impl Accepted {
    fn judge(&mut self, sender: &User, what: &str, refusal: &str, answer: Result<(), ApiError>) {
        let problem = match answer {
            Err(ApiError::Status { code: Some(code), .. }) if code == refusal => {
                self.refused += 1;
                return;
            }
            Err(error) => format!("expected {refusal}, got {error}"),
            Ok(()) => format!("expected {refusal}, but the command was accepted"),
        };
        self.differences.push(Difference { viewer: sender.id.clone(), place: what.to_owned(), problem });
    }
}

/// What a replay asks the model.
trait Ask {
    fn member(&mut self, user: &User) -> &mut Member;
    fn blocks_between(&self, one: &str, other: &str) -> bool;
    fn refusal(&self, sender: &User, posted: &Posted, what: &ReactionKind) -> Option<&'static str>;
}

impl Ask for Model {
    fn member(&mut self, user: &User) -> &mut Member {
        self.members.entry(user.id.clone()).or_default()
    }

    fn blocks_between(&self, one: &str, other: &str) -> bool {
        let blocks = |one: &str, other: &str| self.members.get(one).is_some_and(|one| one.blocks.contains(other));
        blocks(one, other) || blocks(other, one)
    }

    /// The code with which a reaction must be refused, if it must be.
    fn refusal(&self, sender: &User, posted: &Posted, what: &ReactionKind) -> Option<&'static str> {
        let is_there = self.members.get(&posted.author).is_some_and(|author| author.posts.contains_key(&posted.id));
        let likes = self.members.get(&sender.id).is_some_and(|member| member.likes.contains_key(&posted.id));
        let says_something = match what {
            // A second like changes nothing, so it is never refused.
            ReactionKind::Like => !likes,
            ReactionKind::Comment { .. } => true,
            ReactionKind::Unlike | ReactionKind::DeleteComment { .. } | ReactionKind::Edit { .. } => false,
        };
        match is_there {
            // A like can still be taken back, as every end of an edge is possible.
            false => (*what != ReactionKind::Unlike).then_some(POST_NOT_FOUND),
            true => (says_something && self.blocks_between(&sender.id, &posted.author)).then_some(BLOCKED),
        }
    }
}

fn change(set: &mut std::collections::BTreeSet<String>, id: &str, on: bool) {
    if on {
        set.insert(id.to_owned())
    } else {
        set.remove(id)
    };
}

/// A short name of the error after which a command was sent again.
fn kind(error: &ApiError) -> String {
    match error {
        ApiError::Transport { .. } => "no answer".to_owned(),
        ApiError::Status { status, code, .. } => match code {
            Some(code) => format!("{} {code}", status.as_u16()),
            None => status.as_u16().to_string(),
        },
        ApiError::Malformed { .. } => "malformed answer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_knows_what_must_be_refused_and_any_other_answer_is_a_difference() {
        let user = |id: &str| User::new(reqwest::Client::new(), "http://localhost", id, "token");
        let (ada, bob, eve) = (user("ada"), user("bob"), user("eve"));
        let mut accepted = Accepted::default();
        accepted.model.member(&ada).posts.insert("1".to_owned(), Said::new("one"));
        accepted.model.member(&ada).blocks.insert("bob".to_owned());
        let posted = |id: &str| Posted { id: id.to_owned(), author: "ada".to_owned() };
        assert_eq!(accepted.model.refusal(&bob, &posted("1"), &ReactionKind::Like), Some(BLOCKED));
        assert_eq!(accepted.model.refusal(&bob, &posted("1"), &ReactionKind::Unlike), None);
        assert_eq!(accepted.model.refusal(&eve, &posted("1"), &ReactionKind::Like), None);
        assert_eq!(accepted.model.refusal(&eve, &posted("2"), &ReactionKind::Like), Some(POST_NOT_FOUND));
        assert_eq!(accepted.model.refusal(&eve, &posted("2"), &ReactionKind::Unlike), None);
        assert!(accepted.model.blocks_between("bob", "ada") && !accepted.model.blocks_between("eve", "ada"));

        let refused = |code: &str| ApiError::Status {
            request: String::new(),
            status: reqwest::StatusCode::FORBIDDEN,
            code: Some(code.to_owned()),
            body: String::new(),
        };
        accepted.judge(&bob, "a like", BLOCKED, Err(refused(BLOCKED)));
        assert_eq!((accepted.refused, accepted.differences.len()), (1, 0));
        accepted.judge(&bob, "a like", BLOCKED, Ok(()));
        accepted.judge(&bob, "a like", BLOCKED, Err(refused(POST_NOT_FOUND)));
        assert_eq!((accepted.refused, accepted.differences.len()), (1, 2));
    }
}
