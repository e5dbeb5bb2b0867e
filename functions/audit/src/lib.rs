//! Runs the audit for as long as its budget lasts, see `shared/src/audit`. A schedule invokes it. An administrator can
//! ask it for single users and posts, too.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings::{
    audit::{Finding, sweep::Sweeper},
    deadline::Deadline,
    metrics,
    model::{PostId, UserRef},
    query,
    store::audit_state::AuditState,
    stream::work_queue::Task,
};

/// An administrator's request, for example `{"user": {"user": "@ada", "repair": true}}`. The event of a schedule, and
/// an empty one, ask for nothing: the audit goes on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Request {
    /// Look at a user.
    User {
        /// A user id or `@handle`.
        user: String,
        /// Send the tasks that repair what was found.
        #[serde(default)]
        repair: bool,
    },
    /// Look at a post.
    Post {
        /// The post.
        post: PostId,
        /// Send the tasks that repair what was found.
        #[serde(default)]
        repair: bool,
    },
    /// Look at everything that was written up to now, as soon as the budget allows, and repair it.
    Sweep {},
    /// Tell how far the audit has come.
    State {},
}

/// What the audit did, or found.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// The audit went on.
    Run {
        /// Items that it looked at.
        checked: u64,
        /// What was wrong.
        found: u64,
        /// Tasks that it sent to repair it.
        repairs: u64,
        /// Read units that it spent.
        units: u64,
    },
    /// What is wrong with a user or a post.
    Found {
        /// What is wrong.
        findings: Vec<Wrong>,
        /// Tasks that were sent to repair it.
        repairs: u64,
    },
    /// How far the audit has come.
    State(State),
}

/// Something that is not as it should be.
#[derive(Debug, Serialize)]
pub struct Wrong {
    kind: &'static str,
    /// The task that repairs it. None if only a person can.
    repair: Option<Task>,
}

/// How far the audit has come. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Serialize)]
pub struct State {
    #[serde(flatten)]
    state: AuditState,
    /// When somebody last asked for a sweep that is not complete.
    sweep_requested_at: Option<u64>,
}

/// Goes on with the audit, or does what an administrator asks for.
///
/// # Errors
/// There is no such user or request; otherwise as [`Sweeper::run`]. A run that failed is repeated by the schedule.
pub async fn handle(sweeper: &Sweeper, event: Value, deadline: Deadline) -> anyhow::Result<Answer> {
    let is_request = event.as_object().is_some_and(|event| !event.is_empty() && !event.contains_key("source"));
    if !is_request {
        let run = sweeper.run(deadline).await?;
        metrics::AUDITS.add(1);
        metrics::AUDITED.add(run.checked as usize);
        metrics::REPAIRED.add(run.repairs as usize);
        return Ok(Answer::Run { checked: run.checked, found: run.found, repairs: run.repairs, units: run.units });
    }
    let auditor = &sweeper.auditor;
    match serde_json::from_value(event).context("this is no request to the audit")? {
        Request::User { user, repair } => {
            let user: UserRef = user.parse()?;
            let user = query::resolve(&auditor.commands, &user).await?;
            found(sweeper, deadline.limit(sweeper.user(&user)).await?, repair).await
        }
        Request::Post { post, repair } => found(sweeper, deadline.limit(sweeper.post(post)).await?, repair).await,
        Request::Sweep {} => {
            auditor.commands.request_sweep(auditor.clock.now()).await?;
            state(sweeper).await
        }
        Request::State {} => state(sweeper).await,
    }
}

async fn found(sweeper: &Sweeper, findings: Vec<Finding>, repair: bool) -> anyhow::Result<Answer> {
    let repairs = if repair { sweeper.repair(&findings).await? } else { 0 };
    metrics::REPAIRED.add(repairs as usize);
    let findings = findings.into_iter().map(|found| Wrong { kind: found.kind.name(), repair: found.repair });
    Ok(Answer::Found { findings: findings.collect(), repairs })
}

async fn state(sweeper: &Sweeper) -> anyhow::Result<Answer> {
    let state = sweeper.auditor.commands.audit_state().await?;
    let sweep_requested_at = state.sweep_requested_at.map(|at| at.as_ms());
    Ok(Answer::State(State { state, sweep_requested_at }))
}
