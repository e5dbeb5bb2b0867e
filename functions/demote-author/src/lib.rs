//! Begins the demotion of a celebrity when an administrator asks for it. `deliver` then does the work step by step, see
//! `projection/walks/demotion.rs`. If the demotion has already begun, it begins anew.

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tidings::{
    celebrities::Celebrities,
    error::{Error, Rejection},
    http::Members,
    model::{Clock, UserId, UserRef},
    projection::walks::WAIT_MAX,
    query,
    read_models::ReadModels,
    store::{Consistency, cards::Cards, command_table::CommandTable},
    stream::{walk::Walk, work_queue::WorkQueue},
};

/// What the function works with.
#[derive(Debug)]
pub struct Demoter {
    /// The truth.
    pub commands: CommandTable,
    /// Which tables are read.
    pub read_models: ReadModels,
    /// The numbers of followers.
    pub cards: Cards,
    /// Which authors become celebrities.
    pub celebrities: Celebrities,
    /// The queue of the demotion's steps.
    pub work_queue: WorkQueue,
    /// The clock.
    pub clock: Clock,
}

/// The administrator's request.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Members")]
pub struct Request {
    /// The author to demote: a user id or `@handle`.
    pub user: String,
}

impl TryFrom<Members> for Request {
    type Error = Rejection;

    fn try_from(members: Members) -> Result<Self, Rejection> {
        Ok(Self { user: members.only(&["user"])?.text("user")? })
    }
}

/// The demotion that has begun.
#[derive(Debug, Serialize)]
pub struct Begun {
    /// The author.
    author: UserId,
    /// When the backfill of the followers' homes begins. Readers pull until it is complete.
    fills_homes_from: String,
}

/// Begins the demotion.
///
/// # Errors
/// There is no such user; the user is not a celebrity, or would become one again at once; otherwise as those of the
/// stores and the queue. The administrator reads the error.
pub async fn handle(demoter: &Demoter, request: Request) -> anyhow::Result<Begun> {
    let Demoter { commands, read_models, cards, celebrities, work_queue, clock } = demoter;
    let user: UserRef = request.user.parse()?;
    let author = query::resolve(commands, &user).await?;
    let policy = celebrities.policy();
    let read = async || cards.users(std::slice::from_ref(&author), Consistency::Strong).await;
    let card = read_models.reading(read).await?.remove(&author);
    let followers = card.map_or(0, |card| card.followers);
    ensure!(
        followers < policy.followers_min,
        "{author} has {followers} followers and would become a celebrity again with the next post. First raise \
         CelebrityFollowers, which is {} now",
        policy.followers_min
    );
    let celebrity = match commands.begin_demotion(&author, clock.now()).await {
        Err(Error::Conflict) => anyhow::bail!("{author} is not a celebrity"),
        begun => begun?,
    };
    let begun_at = celebrity.demoted_at.context("the demotion was not stored")?;
    let known_at = policy.known_after(begun_at);
    let first = Walk::Demotion { author: author.clone(), begun_at: Some(begun_at), after: None };
    work_queue.send_after(known_at.since(clock.now()).min(WAIT_MAX), vec![first.into()]).await?;
    Ok(Begun { author, fills_homes_from: known_at.to_string() })
}
