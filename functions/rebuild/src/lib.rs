//! Starts, watches, resumes and cancels rebuilds of read models when an administrator asks for it. `deliver` does the
//! work step by step, see `projection/rebuild.rs`.

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};
use tidings::{
    error::Error,
    model::{Clock, ModelSet, Phase, READ_MODELS, ReadModel, ReadModelsState, Rebuild, Timestamp, Work},
    projection::rebuild::{SEGMENTS_MAX, UNITS_PER_SECOND_MAX, send_first_steps, target},
    read_models::ReadModels,
    store::{Consistency, command_table::CommandTable, read_models::Segment},
    stream::work_queue::WorkQueue,
};

/// Segments if the request does not say.
const SEGMENTS: u32 = 8;
/// Budget if the request does not say.
const UNITS_PER_SECOND: u32 = 1000;
/// How often a write of the state is tried again after a conflict.
const CONFLICTS_MAX: u32 = 5;

/// What the function works with.
#[derive(Debug)]
pub struct Operator {
    /// The truth.
    pub commands: CommandTable,
    /// How long it takes until every process knows of a change.
    pub read_models: ReadModels,
    /// The queue of the steps.
    pub work_queue: WorkQueue,
    /// The clock.
    pub clock: Clock,
}

/// The administrator's request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Rebuild read models.
    Start {
        /// Which ones. All of them if there is none. Viewer items are always filled, too.
        #[serde(default)]
        models: Vec<ReadModel>,
        /// Fill the tables that are read, because their content is lost.
        #[serde(default)]
        in_place: bool,
        /// Parts of the command table that are worked on at once.
        #[serde(default = "default_segments")]
        segments: u32,
        /// Read and write units in each second that the rebuild may use.
        #[serde(default = "default_units")]
        units_per_second: u32,
    },
    /// Tell how far the rebuild is.
    Status {},
    /// Send the next step of each segment again. A rebuild needs this only if its messages were deleted.
    Resume {},
    /// End the rebuild before the switch, and empty what it has filled.
    Cancel {},
}

fn default_segments() -> u32 {
    SEGMENTS
}

fn default_units() -> u32 {
    UNITS_PER_SECOND
}

/// What is known of rebuilds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The tables that are read: `a` or `b`, for timelines, viewers and cards.
    pub active: ModelSet,
    /// The rebuild that is under way.
    pub rebuild: Option<Progress>,
    /// The rebuild that ended last.
    pub last: Option<Ended>,
}

/// How far a rebuild is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// When it was started.
    pub started_at: String,
    /// The models that it fills.
    pub models: Vec<ReadModel>,
    /// The tables that are read after the switch.
    pub target: ModelSet,
    /// The phase: `clear`, `fill`, `settle` or `retire`.
    pub phase: Phase,
    /// When the phase began.
    pub phase_at: String,
    /// When the work of the phase begins or began. Before, processes get to know of the phase.
    pub work_begins_at: String,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// Parts of the command table.
    pub segments: u32,
    /// Segments of this phase that are done.
    pub segments_done: usize,
    /// When a segment of this phase last made a step.
    pub last_step_at: Option<String>,
    /// Read and write units in each second that it may use.
    pub units_per_second: u32,
    /// What was done in this phase and those before.
    pub done: Work,
}

/// A rebuild that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// When it was started.
    pub started_at: String,
    /// When it ended.
    pub ended_at: String,
    /// The models that it filled.
    pub models: Vec<ReadModel>,
    /// Whether it was cancelled.
    pub cancelled: bool,
    /// What was done.
    pub done: Work,
}

/// Does what the administrator asks for. Answers with what is then known.
///
/// # Errors
/// The request is at fault; or as those of the stores and the queue. The administrator reads the error.
pub async fn handle(operator: &Operator, request: Request) -> anyhow::Result<Status> {
    match request {
        Request::Start { models, in_place, segments, units_per_second } => {
            ensure!((1..=SEGMENTS_MAX).contains(&segments), "`segments` must be 1 to {SEGMENTS_MAX}");
            let budget = 1..=UNITS_PER_SECOND_MAX;
            ensure!(budget.contains(&units_per_second), "`units_per_second` must be 1 to {UNITS_PER_SECOND_MAX}");
            let models = chosen(models);
            start(operator, models, in_place, segments, units_per_second).await?;
        }
        Request::Status {} => {}
        Request::Resume {} => resume(operator).await?,
        Request::Cancel {} => cancel(operator).await?,
    }
    status(operator).await
}

/// The models, each once and in order. None means all.
fn chosen(models: Vec<ReadModel>) -> Vec<ReadModel> {
    READ_MODELS.into_iter().filter(|model| models.is_empty() || models.contains(model)).collect()
}

async fn start(
    operator: &Operator,
    models: Vec<ReadModel>,
    in_place: bool,
    segments: u32,
    units_per_second: u32,
) -> anyhow::Result<()> {
    let before = operator.commands.read_models(Consistency::Strong).await?;
    if let Some(rebuild) = &before.rebuild {
        bail!("a rebuild that was started at {} is under way; resume or cancel it", rebuild.started_at);
    }
    let now = operator.clock.now();
    let rebuild = Rebuild {
        started_at: now,
        target: target(before.active, &models, in_place),
        models,
        phase: Phase::Clear,
        phase_at: now,
        switched_at: None,
        replaced: None,
        cancelled: false,
        segments,
        units_per_second,
        done: Work::default(),
    };
    let after = ReadModelsState { rebuild: Some(rebuild.clone()), ..before.clone() };
    match operator.commands.put_read_models(&before, after).await {
        Err(Error::Conflict) => bail!("another rebuild was started at the same moment"),
        written => written?,
    }
    send_first_steps(&operator.work_queue, &rebuild, &[])
        .await
        .context("the rebuild was started, but its first steps were not all sent: resume it")
}

async fn resume(operator: &Operator) -> anyhow::Result<()> {
    let state = operator.commands.read_models(Consistency::Strong).await?;
    let rebuild = state.rebuild.context("no rebuild is under way")?;
    let mut begun = Vec::new();
    for number in 0..rebuild.segments {
        begun.push((number, operator.commands.segment(rebuild.started_at, rebuild.phase, number).await?));
    }
    Ok(send_first_steps(&operator.work_queue, &rebuild, &begun).await?)
}

async fn cancel(operator: &Operator) -> anyhow::Result<()> {
    for _ in 0..CONFLICTS_MAX {
        let before = operator.commands.read_models(Consistency::Strong).await?;
        let rebuild = before.rebuild.as_ref().context("no rebuild is under way")?;
        if rebuild.cancelled {
            // The request that cancelled it may have failed before all steps were sent.
            return resume(operator).await;
        }
        let cancelled = before.clone().cancelled(operator.clock.now());
        let cancelled = cancelled.context("readers use the rebuilt tables already")?;
        let rebuild = cancelled.rebuild.clone();
        match operator.commands.put_read_models(&before, cancelled).await {
            Err(Error::Conflict) => continue,
            written => written?,
        }
        let Some(rebuild) = rebuild else { return Ok(()) };
        return send_first_steps(&operator.work_queue, &rebuild, &[])
            .await
            .context("the rebuild was cancelled, but the steps that empty its tables were not all sent: resume it");
    }
    bail!("the rebuild moves on all the time; try again")
}

async fn status(operator: &Operator) -> anyhow::Result<Status> {
    let state = operator.commands.read_models(Consistency::Strong).await?;
    let rebuild = match &state.rebuild {
        None => None,
        Some(rebuild) => {
            let segments = operator.commands.segments(rebuild.started_at, rebuild.phase).await?;
            Some(progress(rebuild, &segments, rebuild.work_begins_at(operator.read_models.policy())))
        }
    };
    let ended = |last: Rebuild| Ended {
        started_at: last.started_at.to_string(),
        ended_at: last.phase_at.to_string(),
        models: last.models,
        cancelled: last.cancelled,
        done: last.done,
    };
    Ok(Status { active: state.active, rebuild, last: state.last.map(ended) })
}

fn progress(rebuild: &Rebuild, segments: &[Segment], work_begins_at: Timestamp) -> Progress {
    let mut done = rebuild.done;
    segments.iter().for_each(|segment| done += segment.done);
    Progress {
        started_at: rebuild.started_at.to_string(),
        models: rebuild.models.clone(),
        target: rebuild.target,
        phase: rebuild.phase,
        phase_at: rebuild.phase_at.to_string(),
        work_begins_at: work_begins_at.to_string(),
        cancelled: rebuild.cancelled,
        segments: rebuild.segments,
        segments_done: segments.iter().filter(|segment| segment.is_done).count(),
        last_step_at: segments.iter().map(|segment| segment.at).max().map(|at| at.to_string()),
        units_per_second: rebuild.units_per_second,
        done,
    }
}
