//! A sweep goes through all tables. It does so in rounds, and in steps that stay within a budget of read units, so that
//! a round of a large deployment takes days, and of a small one seconds.
//!
//! What looks wrong is looked at again a moment later. Most of it was only on its way.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    check::{Auditor, GRACE},
    findings::Finding,
};
use crate::{
    deadline::Deadline,
    error::Error,
    model::{PostId, TallySubject, Timestamp, UserId},
    store::{
        Meter,
        audit_state::{AuditState, Position, Table},
        scan::{ScanKey, ScanPage, TimelineItem, TruthItem},
        search::Indexed,
    },
    stream::work_queue::{Task, WorkQueue},
};

/// Items read at a time.
const PAGE: i32 = 25;
/// Rows read at a time. The posts of so many are one call of BatchGetItem.
const ROWS_PAGE: i32 = 100;
/// Items that are looked at at once.
const AT_ONCE: usize = 4;
/// How long to wait before something that looks wrong is looked at again. Projections are a second or two behind.
const SECOND_LOOK: Duration = Duration::from_secs(5);
/// The next round begins this long after the last one began, at the earliest.
const ROUND_MIN: Duration = Duration::from_secs(24 * 60 * 60);
/// Units are granted for this much time at most, however long ago the last run was.
const GRANTED_MAX: Duration = Duration::from_secs(60 * 60);

/// Sweeps all tables.
#[derive(Debug, Clone)]
pub struct Sweeper {
    /// Looks at single items.
    pub auditor: Auditor,
    /// Takes the tasks that repair what was found.
    pub work_queue: WorkQueue,
    /// Measures what the reads cost.
    pub meter: Meter,
    /// Read units that may be spent in an hour.
    pub units_per_hour: u64,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Run {
    /// Items that it looked at.
    pub checked: u64,
    /// What was wrong.
    pub found: u64,
    /// Tasks that it sent.
    pub repairs: u64,
    /// Read units that it spent.
    pub units: u64,
}

/// A page of one of the tables.
enum Page {
    Commands(ScanPage<TruthItem>),
    Timelines(ScanPage<TimelineItem>),
    Viewers(ScanPage<UserId>),
    Cards(ScanPage<TallySubject>),
    Search(ScanPage<Indexed>),
}

impl Sweeper {
    /// Has the trending list merged, so that it becomes right after a message was lost, and posts that have become too
    /// old make room for others. Then goes on with the round, or begins the next one if it is time, until the budget is
    /// spent or the deadline is near.
    ///
    /// # Errors
    /// As those of the stores and the queue. The next run goes on where the last complete page ended, and pays for what
    /// this one has read.
    pub async fn run(&self, deadline: Deadline) -> Result<Run, Error> {
        let Auditor { commands, clock, .. } = &self.auditor;
        let began_at = clock.now();
        self.work_queue.send(vec![Task::MergeTrending { asked_at: began_at }]).await?;
        let mut state = commands.audit_state().await?;
        let granted = self.grant(&state, began_at);
        let (debt, left) = (state.debt_units.saturating_sub(granted), granted.saturating_sub(state.debt_units));
        (state.debt_units, state.last_run_at) = (debt, Some(began_at));
        if !begin_round(&mut state, began_at) {
            return Ok(Run::default());
        }
        self.meter.reset();
        let (mut run, mut looked) = (Run::default(), Ok(()));
        while let Some(position) = state.position.clone()
            && run.units < left
            && !deadline.is_near()
        {
            looked = self.page(position, &mut state, &mut run).await;
            run.units = self.units();
            if looked.is_err() {
                break;
            }
        }
        state.debt_units = debt + run.units.saturating_sub(left);
        self.save(&mut state).await?;
        looked?;
        if state.position.is_none() {
            self.end_round(&state).await?;
        }
        self.report(&state, &run);
        Ok(run)
    }

    /// What is wrong with a user, and still is a moment later.
    ///
    /// # Errors
    /// As the stores'.
    pub async fn user(&self, user: &UserId) -> Result<Vec<Finding>, Error> {
        self.auditor.read_models.use_active().await?;
        twice(async || self.auditor.user(user).await).await
    }

    /// What is wrong with a post, and still is a moment later.
    ///
    /// # Errors
    /// As the stores'.
    pub async fn post(&self, post: PostId) -> Result<Vec<Finding>, Error> {
        self.auditor.read_models.use_active().await?;
        twice(async || self.auditor.post(post).await).await
    }

    /// Sends the tasks that repair what was found. Returns how many they are.
    ///
    /// # Errors
    /// As those of the queue.
    pub async fn repair(&self, findings: &[Finding]) -> Result<u64, Error> {
        let mut repairs: Vec<_> = findings.iter().filter_map(|finding| finding.repair.clone()).collect();
        repairs.dedup();
        let count = repairs.len() as u64;
        self.work_queue.send(repairs).await?;
        Ok(count)
    }

    async fn save(&self, state: &mut AuditState) -> Result<(), Error> {
        state.revision += 1;
        match self.auditor.commands.put_audit_state(state).await {
            // Another audit went through the same items at the same time.
            Err(Error::Conflict) => Ok(()),
            saved => saved,
        }
    }

    /// If the round began after a sweep was requested, the request is fulfilled.
    async fn end_round(&self, state: &AuditState) -> Result<(), Error> {
        let AuditState { round, checked, found, .. } = state;
        tracing::info!(round, checked, ?found, "a round of the audit is complete");
        match (state.sweep_requested_at, state.round_began_at) {
            (Some(requested_at), Some(began_at)) if includes(began_at, requested_at) => {
                self.auditor.commands.end_sweep(requested_at).await
            }
            _ => Ok(()),
        }
    }

    fn report(&self, state: &AuditState, run: &Run) {
        let Run { checked, found, repairs, units } = run;
        let (round, position) = (state.round, &state.position);
        tracing::info!(checked, found, repairs, units, round, ?position, "audited");
    }

    /// Units granted since the last run.
    fn grant(&self, state: &AuditState, now: Timestamp) -> u64 {
        let since = state.last_run_at.map_or(GRANTED_MAX, |last| now.since(last).min(GRANTED_MAX));
        self.units_per_hour.saturating_mul(since.as_secs()) / 3600
    }

    fn units(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sum of units, at least 0")]
        let units = self.meter.cost().read_units.ceil() as u64;
        units
    }

    /// Looks at the next page, and has repaired what is wrong. After an error, the page is still the next one.
    async fn page(&self, position: Position, state: &mut AuditState, run: &mut Run) -> Result<(), Error> {
        let (checked, findings, next) = self.step(position).await?;
        run.repairs += self.repair(&findings).await?;
        for finding in &findings {
            tracing::warn!(kind = finding.kind.name(), repair = ?finding.repair, "the audit found something");
            *state.found.entry(finding.kind.name().to_owned()).or_default() += 1;
        }
        state.position = next;
        state.checked += checked;
        run.checked += checked;
        run.found += findings.len() as u64;
        Ok(())
    }

    /// Looks at the next page. Returns how many items it has, what is wrong with them, and the place behind it.
    async fn step(&self, position: Position) -> Result<(u64, Vec<Finding>, Option<Position>), Error> {
        let Position { table, after } = position;
        // Tables that are not active any more are kept current for longer than a step takes.
        self.auditor.read_models.use_active().await?;
        let page = self.read(table, after.as_ref()).await?;
        let findings = twice(async || self.look_at(&page).await).await?;
        let next = match page.next() {
            Some(next) => Some(Position { table, after: Some(next.clone()) }),
            None => table.next().map(|table| Position { table, after: None }),
        };
        Ok((page.items() as u64, findings, next))
    }

    async fn read(&self, table: Table, after: Option<&ScanKey>) -> Result<Page, Error> {
        let Auditor { commands, timelines, viewers, cards, search, .. } = &self.auditor;
        Ok(match table {
            Table::Commands => Page::Commands(commands.scan(after, PAGE).await?),
            Table::Timelines => Page::Timelines(timelines.scan(after, ROWS_PAGE).await?),
            Table::Viewers => Page::Viewers(viewers.scan(after, PAGE).await?),
            Table::Cards => Page::Cards(cards.scan(after, PAGE).await?),
            Table::Search => Page::Search(search.scan(after, ROWS_PAGE).await?),
        })
    }

    async fn look_at(&self, page: &Page) -> Result<Vec<Finding>, Error> {
        let auditor = &self.auditor;
        let found: Vec<Vec<Finding>> = match page {
            Page::Timelines(page) => {
                let (mut rows, mut counted) = (Vec::new(), Vec::new());
                for shown in &page.found {
                    match shown {
                        TimelineItem::Row(timeline, row) => rows.push((timeline.clone(), row.clone())),
                        TimelineItem::Counted(item) => counted.push(item.clone()),
                    }
                }
                vec![
                    all_readable(&rows, async |rows| auditor.rows(rows).await).await?,
                    all_readable(&counted, async |items| auditor.counted_items(items).await).await?,
                ]
            }
            Page::Search(page) => {
                vec![all_readable(&page.found, async |items| auditor.index_items(items).await).await?]
            }
            Page::Commands(page) => {
                let looks = stream::iter(&page.found).map(async |item| readable(auditor.truth_item(item).await));
                looks.buffered(AT_ONCE).try_collect().await?
            }
            Page::Viewers(page) => {
                let looks = stream::iter(&page.found).map(async |user| readable(auditor.viewer_item(user).await));
                looks.buffered(AT_ONCE).try_collect().await?
            }
            Page::Cards(page) => {
                let looks = stream::iter(&page.found).map(async |subject| readable(auditor.card(subject).await));
                looks.buffered(AT_ONCE).try_collect().await?
            }
        };
        Ok(found.concat())
    }
}

/// What is wrong at two moments.
async fn twice(look: impl AsyncFn() -> Result<Vec<Finding>, Error>) -> Result<Vec<Finding>, Error> {
    let mut findings = look().await?;
    if !findings.is_empty() {
        tokio::time::sleep(SECOND_LOOK).await;
        let again = look().await?;
        findings.retain(|finding| again.contains(finding));
    }
    Ok(findings)
}

/// An item that makes no sense must not end the round. Nor must one that only a newer release can read.
fn readable(look: Result<Vec<Finding>, Error>) -> Result<Vec<Finding>, Error> {
    match look {
        Err(error @ Error::Poison { .. }) => {
            tracing::error!(%error, "an item makes no sense, and is not audited");
            Ok(Vec::new())
        }
        Err(error @ Error::NewerRelease { .. }) => {
            tracing::warn!(%error, "an item is left to a newer release, and is not audited");
            Ok(Vec::new())
        }
        look => look,
    }
}

/// The same for items that are looked at together: if one of them is such an item, each is looked at by itself.
async fn all_readable<T>(
    items: &[T],
    look: impl AsyncFn(&[T]) -> Result<Vec<Finding>, Error>,
) -> Result<Vec<Finding>, Error> {
    match look(items).await {
        Err(Error::Poison { .. } | Error::NewerRelease { .. }) => {
            let looks = stream::iter(items).map(async |item| readable(look(std::slice::from_ref(item)).await));
            Ok(looks.buffered(AT_ONCE).try_collect::<Vec<_>>().await?.concat())
        }
        looked => looked,
    }
}

impl Page {
    fn next(&self) -> Option<&ScanKey> {
        match self {
            Self::Commands(page) => page.next.as_ref(),
            Self::Timelines(page) => page.next.as_ref(),
            Self::Viewers(page) => page.next.as_ref(),
            Self::Cards(page) => page.next.as_ref(),
            Self::Search(page) => page.next.as_ref(),
        }
    }

    fn items(&self) -> usize {
        match self {
            Self::Commands(page) => page.found.len(),
            Self::Timelines(page) => page.found.len(),
            Self::Viewers(page) => page.found.len(),
            Self::Cards(page) => page.found.len(),
            Self::Search(page) => page.found.len(),
        }
    }
}

impl Table {
    fn next(self) -> Option<Self> {
        match self {
            Self::Commands => Some(Self::Timelines),
            Self::Timelines => Some(Self::Viewers),
            Self::Viewers => Some(Self::Cards),
            Self::Cards => Some(Self::Search),
            Self::Search => None,
        }
    }
}

/// Whether a round that began at this moment looks at all that was written up to the other one.
fn includes(round_began_at: Timestamp, written_at: Timestamp) -> bool {
    round_began_at >= written_at.after(GRACE)
}

/// Begins the next round if the last one is complete and it is time. False if there is nothing to do yet.
fn begin_round(state: &mut AuditState, now: Timestamp) -> bool {
    if state.position.is_some() {
        return true;
    }
    let is_due = state.round_began_at.is_none_or(|began_at| now.since(began_at) >= ROUND_MIN);
    let is_wanted = state.sweep_requested_at.is_some_and(|requested_at| includes(now, requested_at));
    if is_due || is_wanted {
        state.round += 1;
        (state.round_began_at, state.checked) = (Some(now), 0);
        state.found.clear();
        state.position = Some(Position { table: Table::Commands, after: None });
    }
    state.position.is_some()
}

#[cfg(test)]
mod tests;
