//! Makes an author a celebrity no longer, when an administrator asks for it. This only begins it: `deliver` does the work,
//! step by step (see `projection/demotion.rs`). Asked again, it begins none anew but sends the first step once more.

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use tidings::{
    celebrities::Celebrities,
    error::Error,
    model::{Clock, UserId, UserRef},
    query,
    store::{Consistency, cards::Cards, command_table::CommandTable},
    stream::work_queue::{Task, WorkQueue},
};

/// What the function works with.
#[derive(Debug)]
pub struct Demoter {
    /// The truth.
    pub commands: CommandTable,
    /// Numbers of followers.
    pub cards: Cards,
    /// Who becomes a celebrity.
    pub celebrities: Celebrities,
    /// Where the work is done.
    pub work_queue: WorkQueue,
    /// The time.
    pub clock: Clock,
}

/// What an administrator asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Whom to demote: a user's id or `@handle`.
    pub user: String,
}

/// That it has begun.
#[derive(Debug, Serialize)]
pub struct Begun {
    /// Who.
    author: UserId,
    /// When the followers' homes begin to be filled. Readers pull until all are full.
    fills_homes_from: String,
}

/// Begins the demotion.
///
/// # Errors
/// For the administrator to read: there is no such user, the user is no celebrity, or would become one again at once; or
/// as the stores'.
pub async fn handle(demoter: &Demoter, request: Request) -> anyhow::Result<Begun> {
    let Demoter { commands, cards, celebrities, work_queue, clock } = demoter;
    let user: UserRef = request.user.parse()?;
    let author = query::resolve(commands, &user).await?;
    let policy = celebrities.policy();
    let card = cards.users(std::slice::from_ref(&author), Consistency::Strong).await?.remove(&author);
    let followers = card.map_or(0, |card| card.followers);
    ensure!(
        followers < policy.followers_min,
        "{author} has {followers} followers and would become a celebrity again with the next post; raise CelebrityFollowers \
         (now {}) first",
        policy.followers_min
    );
    let celebrity = match commands.begin_demotion(&author, clock.now()).await {
        Err(Error::Conflict) => anyhow::bail!("{author} is no celebrity"),
        begun => begun?,
    };
    let begun_at = celebrity.demoted_at.context("the demotion was not written")?;
    let known_at = policy.known_after(begun_at);
    let first = Task::BackfillHomes { author: author.clone(), after: None };
    work_queue.send_after(known_at.since(clock.now()), vec![first]).await?;
    Ok(Begun { author, fills_homes_from: known_at.to_string() })
}
