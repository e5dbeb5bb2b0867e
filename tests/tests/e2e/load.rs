//! Random commands by a few users who all know each other. Tests then compare everything with the reference model. Each
//! user keeps the part of the model that only this user's commands can change. So the model is exact without
//! coordination between users.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use harness::{
    client::{ApiError, Post, ProfileInput, User},
    deployment::{Deployment, unique, unique_handle},
    model::{Judge, Member, Model, Remark, Said, Window},
    wait::persist,
};
use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, IteratorRandom},
};
use tokio::task::JoinSet;

/// Longer than a killed stack needs to come back.
const PATIENCE: Duration = Duration::from_secs(180);

/// One of so many users in a crowd only writes.
const QUIET: u64 = 2;

/// The tags of random posts.
const TAGS: [&str; 4] = ["rust", "café", "日本語", "loud"];

/// What to do about a command without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Send it again, posts with the same idempotency key. This is right while other processes may still work on it.
    SendAgain,
    /// Ask whether it was accepted, and accept both answers. This is right if every process that worked on it is dead.
    /// Posts and deletions are sent again even so, because only a projection knows about them.
    ReadTruth,
}

/// One of the users.
#[derive(Debug)]
pub(crate) struct Actor {
    user: User,
    accepted: Member,
    random: StdRng,
    /// The ids of all users' posts, deleted posts included.
    posts: Arc<Mutex<Vec<String>>>,
    /// Whether this user only writes. Only such users are blocked: a block also removes follows of the blocked user, so
    /// another user's command would change this user's part of the model.
    quiet: bool,
}

/// The users whom commands can be about.
#[derive(Debug, Clone, Default)]
struct Others {
    all: Vec<String>,
    quiet: Vec<String>,
}

#[derive(Debug)]
enum Command {
    Post { text: String, key: String },
    Edit { post: String, text: String },
    Delete(String),
    Like(String),
    Unlike(String),
    Comment { post: String, text: String, key: String },
    DeleteComment { post: String, comment: String },
    Follow(String),
    Unfollow(String),
    Mute(String, bool),
    Block(String, bool),
    Rename(ProfileInput),
}

/// Creates users with profiles. `seed` determines their commands.
pub(crate) async fn crowd(deployment: &Deployment, size: u64, seed: u64) -> Result<Vec<Actor>> {
    eprintln!("random commands from seed {seed}");
    let posts = Arc::default();
    let actor = async |number| {
        let user = deployment.newcomer("actor").await?;
        let profile =
            ProfileInput { handle: unique_handle(), display_name: format!("Actor {number}"), avatar_url: None };
        user.put_profile(&profile).await?;
        let accepted = Member { profile: Some(profile), ..Member::default() };
        let random = StdRng::seed_from_u64(seed.wrapping_add(number));
        anyhow::Ok(Actor { user, accepted, random, posts: Arc::clone(&posts), quiet: number < QUIET })
    };
    try_join_all((0..size).map(actor)).await
}

/// Each user sends `count` commands, one after the other. All users send at the same time. Returns while the commands
/// are in progress.
pub(crate) fn start(crowd: Vec<Actor>, count: usize, unanswered: Unanswered) -> JoinSet<Result<Actor>> {
    let ids = |quiet_only: bool, but: &str| -> Vec<String> {
        let others = crowd.iter().filter(|other| other.user.id != but && (other.quiet || !quiet_only));
        others.map(|other| other.user.id.clone()).collect()
    };
    let others: Vec<_> = crowd
        .iter()
        .map(|actor| Others { all: ids(false, &actor.user.id), quiet: ids(true, &actor.user.id) })
        .collect();
    let mut acting = JoinSet::new();
    for (mut actor, others) in crowd.into_iter().zip(others) {
        acting.spawn(async move {
            for _ in 0..count {
                actor.act(&others, unanswered).await?;
            }
            Ok(actor)
        });
    }
    acting
}

/// Waits until all users are done.
pub(crate) async fn finish(mut acting: JoinSet<Result<Actor>>) -> Result<Vec<Actor>> {
    let mut crowd = Vec::new();
    while let Some(actor) = acting.join_next().await {
        crowd.push(actor??);
    }
    Ok(crowd)
}

/// INV-2, and all lists and counts: compares everything that any user can see of any other with the reference model.
pub(crate) async fn judge(crowd: &[Actor]) -> Result<()> {
    let model = model(crowd);
    let judge = Judge::new(&model);
    let mut differences = Vec::new();
    for (at, viewer) in crowd.iter().enumerate() {
        let limit = [100, 7, 2, 20][at % 4];
        let home = viewer.user.walk_home(limit).await?;
        differences.extend(judge.compare_home(&viewer.user.id, &home));
        let order = ["ranked", "personalized"][at % 2];
        let home = viewer.user.walk_home_by(order, limit).await?;
        differences.extend(judge.compare_ranked_home(&viewer.user.id, order, &home));
        let subjects = crowd.iter().map(|subject| judge.compare_user(&viewer.user, &subject.user.id, limit));
        differences.extend(try_join_all(subjects).await?.concat());
        for post in viewer.accepted.posts.keys() {
            let comments = viewer.user.walk_comments(post, "oldest", limit).await?;
            differences.extend(judge.compare_comments(&viewer.user.id, post, &comments));
        }
    }
    for tag in TAGS {
        // Other crowds use the same tags.
        let ours = |post: &Post| model.members.contains_key(&post.author.id);
        let shown: Vec<_> = crowd[0].user.walk_posts_with(tag, 100).await?.into_iter().filter(ours).collect();
        differences.extend(judge.compare_tag(&crowd[0].user.id, tag, &shown));
    }
    let told: Vec<_> = differences.iter().take(10).map(ToString::to_string).collect();
    ensure!(differences.is_empty(), "{} differences: {told:#?}", differences.len());
    Ok(())
}

fn model(crowd: &[Actor]) -> Model {
    Model { members: crowd.iter().map(|actor| (actor.user.id.clone(), actor.accepted.clone())).collect() }
}

impl Actor {
    async fn act(&mut self, others: &Others, unanswered: Unanswered) -> Result<(), ApiError> {
        let Some(command) = self.choose(others) else {
            return Ok(());
        };
        let user = &self.user;
        let profile = self.accepted.profile.clone();
        let sent = Window::open();
        let again = async || persist(PATIENCE, |_| {}, || send(user, &command)).await;
        let outcome = match send(user, &command).await {
            Err(error) if error.is_transient() => match (&command, unanswered) {
                (Command::Follow(other) | Command::Unfollow(other), Unanswered::ReadTruth) => {
                    let seen = persist(PATIENCE, |_| {}, || user.user(other)).await?;
                    Ok(Happened::Follows(seen.relation.following))
                }
                (Command::Rename(renamed), Unanswered::ReadTruth) => {
                    let now = persist(PATIENCE, |_| {}, || user.profile()).await?;
                    Ok(Happened::Is(if now.handle == renamed.handle { Some(renamed.clone()) } else { profile }))
                }
                _ => again().await,
            },
            outcome => outcome,
        };
        let outcome = match outcome {
            // The post of another user may have been deleted in the meantime, or its author may be blocked by this
            // user.
            Err(ApiError::Status { code: Some(code), .. })
                if command.is_reaction() && ["post_not_found", "blocked"].contains(&code.as_str()) =>
            {
                return Ok(());
            }
            outcome => outcome?,
        };
        let at = sent.closed();
        match (command, outcome) {
            (Command::Post { text, .. }, Happened::Posted(id)) => {
                self.posts.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
                self.accepted.posts.insert(id, Said::new(&text));
            }
            (Command::Edit { post, text }, Happened::Edited(version)) => {
                self.accepted.posts.insert(post, Said::edited(&text, version));
            }
            (Command::Like(post), _) => {
                self.accepted.likes.entry(post).or_insert(at);
            }
            (Command::Unlike(post), _) => {
                self.accepted.likes.remove(&post);
            }
            (Command::Comment { post, text, .. }, Happened::Commented(id)) => {
                self.accepted.comment(id, Remark { post, text, at });
            }
            (Command::DeleteComment { comment, .. }, _) => {
                self.accepted.comments.remove(&comment);
            }
            (Command::Mute(other, mute), _) => {
                if mute {
                    self.accepted.mutes.insert(other)
                } else {
                    self.accepted.mutes.remove(&other)
                };
            }
            (Command::Block(other, block), _) => {
                self.accepted.follows.retain(|followed| !block || *followed != other);
                if block {
                    self.accepted.blocks.insert(other)
                } else {
                    self.accepted.blocks.remove(&other)
                };
            }
            (Command::Delete(id), _) => {
                self.accepted.posts.remove(&id);
            }
            (Command::Follow(other) | Command::Unfollow(other), Happened::Follows(true)) => {
                self.accepted.follows.insert(other);
            }
            (Command::Follow(other) | Command::Unfollow(other), _) => {
                self.accepted.follows.remove(&other);
            }
            (_, Happened::Is(profile)) => self.accepted.profile = profile,
            (_, _) => {}
        }
        Ok(())
    }

    /// A sensible command. From time to time it changes nothing.
    fn choose(&mut self, others: &Others) -> Option<Command> {
        let Self { user, accepted, random, posts, quiet } = self;
        let Others { all, quiet: blockable } = others;
        let text = format!("{} says {} #{}", user.id, random.random::<u32>(), TAGS.choose(random)?);
        let posts = posts.lock().unwrap_or_else(PoisonError::into_inner);
        Some(match random.random_range(0..if *quiet { 38 } else { 106 }) {
            0..25 => Command::Post { text, key: unique() },
            25..31 => Command::Edit { post: accepted.posts.keys().choose(random)?.clone(), text },
            31..38 => Command::Delete(accepted.posts.keys().choose(random)?.clone()),
            38..52 => Command::Like(posts.choose(random)?.clone()),
            52..58 => Command::Unlike(accepted.likes.keys().choose(random).or(posts.first())?.clone()),
            58..66 => Command::Comment { post: posts.choose(random)?.clone(), text, key: unique() },
            66..69 => {
                let (comment, remark) = accepted.comments.iter().choose(random)?;
                Command::DeleteComment { post: remark.post.clone(), comment: comment.clone() }
            }
            69..84 => Command::Follow(all.iter().filter(|id| !accepted.blocks.contains(*id)).choose(random)?.clone()),
            84..93 => Command::Unfollow(accepted.follows.iter().choose(random).or(all.first())?.clone()),
            93..97 => Command::Mute(all.choose(random)?.clone(), random.random()),
            97..101 => Command::Block(blockable.choose(random)?.clone(), random.random()),
            _ => Command::Rename(ProfileInput {
                handle: unique_handle(),
                display_name: format!("Renamed {}", random.random::<u16>()),
                avatar_url: random.random::<bool>().then(|| "https://example.org/a.png".to_owned()),
            }),
        })
    }
}

impl Command {
    /// Whether the command is about a post that may belong to another user.
    fn is_reaction(&self) -> bool {
        matches!(self, Self::Like(_) | Self::Unlike(_) | Self::Comment { .. } | Self::DeleteComment { .. })
    }
}

/// The result of a command.
#[derive(Debug)]
enum Happened {
    Posted(String),
    Edited(u64),
    Commented(String),
    Done,
    Follows(bool),
    Is(Option<ProfileInput>),
}

async fn send(user: &User, command: &Command) -> Result<Happened, ApiError> {
    Ok(match command {
        Command::Post { text, key } => Happened::Posted(user.post(text, Some(key)).await?.value.id),
        Command::Edit { post, text } => Happened::Edited(user.edit_post(post, text).await?.value.version),
        Command::Delete(post) => user.delete_post(post).await.map(|_| Happened::Done)?,
        Command::Like(post) => user.like(post).await.map(|_| Happened::Done)?,
        Command::Unlike(post) => user.unlike(post).await.map(|_| Happened::Done)?,
        Command::Comment { post, text, key } => {
            Happened::Commented(user.comment(post, text, Some(key)).await?.value.id)
        }
        Command::DeleteComment { post, comment } => user.delete_comment(post, comment).await.map(|_| Happened::Done)?,
        Command::Follow(other) => user.follow(other).await.map(|_| Happened::Follows(true))?,
        Command::Unfollow(other) => user.unfollow(other).await.map(|_| Happened::Follows(false))?,
        Command::Mute(other, true) => user.mute(other).await.map(|_| Happened::Done)?,
        Command::Mute(other, false) => user.unmute(other).await.map(|_| Happened::Done)?,
        Command::Block(other, true) => user.block(other).await.map(|_| Happened::Done)?,
        Command::Block(other, false) => user.unblock(other).await.map(|_| Happened::Done)?,
        Command::Rename(profile) => user.put_profile(profile).await.map(|_| Happened::Is(Some(profile.clone())))?,
    })
}
