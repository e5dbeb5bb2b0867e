//! Does what an administrator decides about posts and accounts: take-downs, suspensions, erasures and exports. Every
//! decision is an event in the log of the user concerned. The function has no route: whoever may invoke it is an
//! administrator.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tidings::{
    command::{self, DeleteAccount, ModeratePost, ModerateUser, Moderation},
    model::{Clock, PostId, UserId, UserRef, Version},
    query::{self, ExportAt, Exported},
    store::command_table::CommandTable,
};

/// Entries on a page of an export. 100 events with the posts that they made are some hundred kB, and an answer of
/// Lambda may have 6 MB.
const EXPORT_PAGE: usize = 100;

/// The administrator's request, for example `{"take_down": {"post": "…"}}`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Hide a post from everybody but its author.
    TakeDown {
        /// The post.
        post: PostId,
    },
    /// Show a post again that was taken down.
    Restore {
        /// The post.
        post: PostId,
    },
    /// Hide everything by a user, and refuse the user's commands.
    Suspend {
        /// A user id or `@handle`.
        user: String,
    },
    /// End a suspension.
    Reinstate {
        /// A user id or `@handle`.
        user: String,
    },
    /// Delete the account of a user, for good.
    Erase {
        /// A user id or `@handle`.
        user: String,
    },
    /// Return a page of what the command table holds about a user.
    Export {
        /// A user id or `@handle`.
        user: String,
        /// Where the page begins: what the page before returned as `next`.
        #[serde(default)]
        at: Option<ExportAt>,
    },
}

/// What was done.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// A decision is in the log of this user.
    Decided {
        /// The user.
        user: UserId,
        /// The version of the user's log that has the decision.
        version: Version,
    },
    /// A page of an export.
    Exported {
        /// The user.
        user: UserId,
        /// What is stored.
        entries: Vec<Exported>,
        /// Where the next page begins. None on the last page.
        next: Option<ExportAt>,
    },
}

/// Does what the administrator asks for. Repeating it changes nothing.
///
/// # Errors
/// There is no such post or user; otherwise as the command table's. The administrator reads the error.
pub async fn handle(commands: &CommandTable, clock: &Clock, request: Request) -> anyhow::Result<Answer> {
    match request {
        Request::TakeDown { post } => of_post(commands, clock, post, Moderation::Withdrawn).await,
        Request::Restore { post } => of_post(commands, clock, post, Moderation::Restored).await,
        Request::Suspend { user } => of_user(commands, clock, &user, Moderation::Withdrawn).await,
        Request::Reinstate { user } => of_user(commands, clock, &user, Moderation::Restored).await,
        Request::Erase { user } => {
            let user = resolve(commands, &user).await?;
            let committed = command::run(&DeleteAccount, &user, commands, clock).await;
            let version = committed.with_context(|| format!("the account of {user} cannot be deleted"))?.version;
            Ok(Answer::Decided { user, version })
        }
        Request::Export { user, at } => {
            let user = resolve(commands, &user).await?;
            let page = query::export(commands, &user, at, EXPORT_PAGE).await?;
            Ok(Answer::Exported { user, entries: page.entries, next: page.next })
        }
    }
}

async fn of_post(commands: &CommandTable, clock: &Clock, post: PostId, wanted: Moderation) -> anyhow::Result<Answer> {
    let found = commands.post(post).await?.filter(|post| !post.is_deleted());
    let user = found.with_context(|| format!("there is no post {post}, or its author deleted it"))?.author;
    let version = command::run(&ModeratePost { post, wanted }, &user, commands, clock).await?.version;
    Ok(Answer::Decided { user, version })
}

async fn of_user(commands: &CommandTable, clock: &Clock, user: &str, wanted: Moderation) -> anyhow::Result<Answer> {
    let user = resolve(commands, user).await?;
    let moderated = command::run(&ModerateUser { wanted }, &user, commands, clock).await;
    let version = moderated.with_context(|| format!("{user} cannot be suspended or reinstated"))?.version;
    Ok(Answer::Decided { user, version })
}

async fn resolve(commands: &CommandTable, user: &str) -> anyhow::Result<UserId> {
    let user: UserRef = user.parse()?;
    Ok(query::resolve(commands, &user).await?)
}
