//! Random commands by a few users who all know each other, for the tests that then compare everything with the
//! reference model. Each user keeps the part of the model that only their own commands can change, so the model is
//! exact without any agreement between users.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use harness::{
    client::{ApiError, ProfileInput, User},
    deployment::{Deployment, unique, unique_handle},
    model::{Member, Model},
    wait::persist,
};
use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, IteratorRandom},
};
use tokio::task::JoinSet;

/// Longer than a killed stack takes to come back.
const PATIENCE: Duration = Duration::from_secs(180);

/// What to do about a command that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// Send it again, posts with the same key. Right while other parts may still be at work on it.
    SendAgain,
    /// Ask whether it happened, and take either for an answer. Right where everything that worked on it is dead. Posts
    /// and deletions are sent again all the same: only a projection can be asked about them.
    ReadTruth,
}

/// One of the users.
#[derive(Debug)]
pub(crate) struct Actor {
    user: User,
    accepted: Member,
    random: StdRng,
}

#[derive(Debug)]
enum Command {
    Post { text: String, key: String },
    Delete(String),
    Follow(String),
    Unfollow(String),
    Rename(ProfileInput),
}

/// New users with profiles, whose commands come from `seed`.
pub(crate) async fn crowd(deployment: &Deployment, size: u64, seed: u64) -> Result<Vec<Actor>> {
    eprintln!("random commands from seed {seed}");
    let actor = async |number| {
        let user = deployment.newcomer("actor").await?;
        let profile =
            ProfileInput { handle: unique_handle(), display_name: format!("Actor {number}"), avatar_url: None };
        user.put_profile(&profile).await?;
        let accepted = Member { profile: Some(profile), ..Member::default() };
        anyhow::Ok(Actor { user, accepted, random: StdRng::seed_from_u64(seed.wrapping_add(number)) })
    };
    try_join_all((0..size).map(actor)).await
}

/// Everybody sends `count` commands, each one after the other, all at the same time. The commands are on their way as
/// soon as this returns.
pub(crate) fn start(crowd: Vec<Actor>, count: usize, unanswered: Unanswered) -> JoinSet<Result<Actor>> {
    let ids: Vec<_> = crowd.iter().map(|actor| actor.user.id.clone()).collect();
    let mut acting = JoinSet::new();
    for mut actor in crowd {
        let ids = ids.clone();
        acting.spawn(async move {
            for _ in 0..count {
                actor.act(&ids, unanswered).await?;
            }
            Ok(actor)
        });
    }
    acting
}

/// Waits until everybody is done.
pub(crate) async fn finish(mut acting: JoinSet<Result<Actor>>) -> Result<Vec<Actor>> {
    let mut crowd = Vec::new();
    while let Some(actor) = acting.join_next().await {
        crowd.push(actor??);
    }
    Ok(crowd)
}

/// INV-2 and all the lists and counts: compares everything that anybody can see of anybody with the reference model.
pub(crate) async fn judge(crowd: &[Actor]) -> Result<()> {
    let members = crowd.iter().map(|actor| (actor.user.id.clone(), actor.accepted.clone())).collect();
    let model = Model { members };
    let mut differences = Vec::new();
    for (at, viewer) in crowd.iter().enumerate() {
        let limit = [100, 7, 2, 20][at % 4];
        let home = viewer.user.walk_home(limit).await?;
        differences.extend(model.compare_home(&viewer.user.id, &home));
        let subjects = crowd.iter().map(|subject| model.compare_user(&viewer.user, &subject.user.id, limit));
        differences.extend(try_join_all(subjects).await?.concat());
    }
    let told: Vec<_> = differences.iter().take(10).map(ToString::to_string).collect();
    ensure!(differences.is_empty(), "{} differences: {told:#?}", differences.len());
    Ok(())
}

impl Actor {
    async fn act(&mut self, everybody: &[String], unanswered: Unanswered) -> Result<(), ApiError> {
        let Some(command) = self.choose(everybody) else {
            return Ok(());
        };
        let user = &self.user;
        let profile = self.accepted.profile.clone();
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
        }?;
        match (command, outcome) {
            (Command::Post { text, .. }, Happened::Posted(id)) => {
                self.accepted.posts.insert(id, text);
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
            (_, Happened::Posted(_) | Happened::Deleted | Happened::Follows(_)) => {}
        }
        Ok(())
    }

    /// A command that makes sense; now and then one that changes nothing.
    fn choose(&mut self, everybody: &[String]) -> Option<Command> {
        let Self { user, accepted, random } = self;
        let others: Vec<_> = everybody.iter().filter(|id| **id != user.id).cloned().collect();
        Some(match random.random_range(0..100) {
            0..40 => Command::Post { text: format!("{} says {}", user.id, random.random::<u32>()), key: unique() },
            40..52 => Command::Delete(accepted.posts.keys().choose(random)?.clone()),
            52..76 => Command::Follow(others.choose(random)?.clone()),
            76..90 => Command::Unfollow(accepted.follows.iter().choose(random).or(others.first())?.clone()),
            _ => Command::Rename(ProfileInput {
                handle: unique_handle(),
                display_name: format!("Renamed {}", random.random::<u16>()),
                avatar_url: random.random::<bool>().then(|| "https://example.org/a.png".to_owned()),
            }),
        })
    }
}

/// What a command came to.
#[derive(Debug)]
enum Happened {
    Posted(String),
    Deleted,
    Follows(bool),
    Is(Option<ProfileInput>),
}

async fn send(user: &User, command: &Command) -> Result<Happened, ApiError> {
    Ok(match command {
        Command::Post { text, key } => Happened::Posted(user.post(text, Some(key)).await?.value.id),
        Command::Delete(post) => user.delete_post(post).await.map(|_| Happened::Deleted)?,
        Command::Follow(other) => user.follow(other).await.map(|_| Happened::Follows(true))?,
        Command::Unfollow(other) => user.unfollow(other).await.map(|_| Happened::Follows(false))?,
        Command::Rename(profile) => user.put_profile(profile).await.map(|_| Happened::Is(Some(profile.clone())))?,
    })
}
