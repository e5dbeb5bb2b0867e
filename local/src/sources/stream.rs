//! A mapping from a stream. It finds shards, reads each shard after its parents, distributes the records over lanes,
//! and moves the checkpoint of a shard forward when records are done. Memory is bounded: a shard is not read further
//! while too many of its records are in flight.

mod tracker;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinSet,
    time::Instant,
};

use super::{
    batch_processor::{BatchProcessor, Item},
    checkpoint::{Checkpoint, Checkpoints},
    failure::Destination,
    lane::Lane,
    lifecycle::Stopped,
    parts::Parts,
    shards::{Position, ReadError, Record, Shard, Stream},
};
use crate::{invoke::Invoke, template::model::StreamSource};
use tracker::Tracker;

/// The pause after a failed read.
const ERROR_PAUSE_MIN: Duration = Duration::from_millis(100);
const ERROR_PAUSE_MAX: Duration = Duration::from_secs(3);
/// How often the mapping looks for new shards. It also does so when a shard has ended.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(2);
/// For how long a shard without writes is not read: shorter than the lifetime of an iterator, which is five minutes
/// (Kinesis API reference, "GetShardIterator").
const UNREAD_MAX: Duration = Duration::from_secs(60);

/// One mapping from a stream to a function.
pub(super) struct Mapping<I> {
    parts: Parts<I>,
    source: Arc<StreamSource>,
    stream: Stream,
    checkpoints: Checkpoints,
    destination: Option<Arc<Destination>>,
}

impl<I: Invoke> Mapping<I> {
    pub(super) async fn open(
        parts: Parts<I>,
        source: StreamSource,
        checkpoints: Checkpoints,
    ) -> anyhow::Result<Arc<Self>> {
        let stream = Stream::open(&parts.clients, &source.stream, &source.filters).await?;
        let destination = match &source.on_failure_queue {
            Some(queue) => Some(Arc::new(Destination::open(&parts.clients, queue).await?)),
            None => None,
        };
        Ok(Arc::new(Self { parts, source: Arc::new(source), stream, checkpoints, destination }))
    }

    /// Runs until the mapping has to stop.
    pub(super) async fn run(self: Arc<Self>) {
        // `read_all` returns only when the mapping has to stop.
        let Err(Stopped) = self.read_all().await;
    }

    async fn read_all(self: &Arc<Self>) -> Result<std::convert::Infallible, Stopped> {
        let mut reading = HashSet::new();
        let mut readers = JoinSet::new();
        let mut present_at_start: Option<HashSet<String>> = None;
        let mut pause = ERROR_PAUSE_MIN;
        loop {
            let changes = self.changes_of_shards();
            match self.readable_shards(&reading).await {
                Ok((all, readable)) => {
                    pause = ERROR_PAUSE_MIN;
                    let present =
                        present_at_start.get_or_insert_with(|| all.into_iter().map(|shard| shard.id).collect());
                    for (shard, position) in readable {
                        let latest = !self.source.from_oldest && present.contains(&shard);
                        let start = position.unwrap_or(if latest { Position::Latest } else { Position::TrimHorizon });
                        self.parts.activity.add_reader(&shard);
                        reading.insert(shard.clone());
                        let mapping = Arc::clone(self);
                        readers.spawn(async move { (mapping.read_shard(&shard, start).await, shard) });
                    }
                    self.parts.activity.set_discovered(true);
                }
                Err(error) => {
                    tracing::warn!(
                        source = self.source.id,
                        error = format!("{error:#}"),
                        "cannot find shards; will try again"
                    );
                    self.parts.lifecycle.sleep(pause).await?;
                    pause = (pause * 2).min(ERROR_PAUSE_MAX);
                    continue;
                }
            }
            tokio::select! {
                Some(ended) = readers.join_next() => match ended {
                    Ok((result, shard)) => {
                        result?;
                        // The children of this shard can be read now.
                        self.parts.activity.set_discovered(false);
                        self.parts.activity.remove_reader(&shard);
                    }
                    Err(error) => tracing::error!(source = self.source.id, %error, "a shard reader has panicked"),
                },
                () = self.new_shards_are_possible(changes) => (),
                () = self.parts.lifecycle.stopped() => {
                    // Each reader ends when its records in flight are done.
                    while readers.join_next().await.is_some() {}
                    return Err(Stopped);
                }
            }
        }
    }

    /// How often something was written that may be in this shard, where that is known.
    fn writes(&self, shard: &str) -> Option<u64> {
        let writes = self.parts.clients.writes.as_ref()?;
        Some(self.stream.table().map_or_else(|| writes.to_shard(shard), |table| writes.to_table(table)))
    }

    /// How often something was written that may have changed the list of shards, where that is known. In memory, a
    /// stream of Kinesis keeps its shards.
    fn changes_of_shards(&self) -> Option<u64> {
        let writes = self.parts.clients.writes.as_ref()?;
        Some(self.stream.table().map_or(0, |table| writes.to_table(table)))
    }

    /// Waits until the mapping has to look for shards again, which it did after so many changes.
    async fn new_shards_are_possible(&self, before: Option<u64>) {
        loop {
            tokio::time::sleep(DISCOVERY_INTERVAL).await;
            if before.is_none() || self.changes_of_shards() != before {
                return;
            }
        }
    }

    /// All shards, and, with their checkpoints, those that can be read now but are not read yet.
    async fn readable_shards(
        &self,
        reading: &HashSet<String>,
    ) -> anyhow::Result<(Vec<Shard>, Vec<(String, Option<Position>)>)> {
        let shards = self.stream.shards().await?;
        let mut checkpoints = HashMap::new();
        for shard in &shards {
            let checkpoint = self.checkpoints.get(&self.source.id, self.stream.arn(), &shard.id)?;
            checkpoints.insert(shard.id.as_str(), checkpoint);
        }
        // A parent that is not listed any more has nothing left to read.
        let ended = |id: &String| checkpoints.get(id.as_str()).is_none_or(|found| *found == Some(Checkpoint::ShardEnd));
        let readable = shards
            .iter()
            .filter(|shard| !reading.contains(&shard.id) && !ended(&shard.id) && shard.parents.iter().all(ended))
            .map(|shard| {
                let position = match &checkpoints[shard.id.as_str()] {
                    Some(Checkpoint::After(sequence)) => Some(Position::After(sequence.clone())),
                    _ => None,
                };
                (shard.id.clone(), position)
            })
            .collect();
        Ok((shards, readable))
    }

    /// Reads one shard to its end.
    async fn read_shard(self: &Arc<Self>, shard: &str, start: Position) -> Result<(), Stopped> {
        let tracker = Arc::new(Tracker::new(
            self.checkpoints.clone(),
            [self.source.id.as_str(), self.stream.arn(), shard],
            Arc::clone(&self.parts.activity),
        ));
        let mut lanes = Lanes::start(self, shard, &tracker);
        let read = self.read_into(shard, start, &tracker, &lanes.senders).await;
        lanes.senders.clear();
        let mut ended = read;
        while let Some(lane) = lanes.tasks.join_next().await {
            ended = ended.and(lane.unwrap_or_else(|error| {
                // The records of this lane are not done, so the shard has not ended. It is read again after a restart.
                tracing::error!(source = self.source.id, %error, "a lane has panicked");
                Err(Stopped)
            }));
        }
        ended?;
        tracing::debug!(source = self.source.id, shard, "shard read to its end");
        tracker.shard_ended();
        Ok(())
    }

    /// Reads until the shard ends, and hands the records to lanes.
    async fn read_into(
        &self,
        shard: &str,
        start: Position,
        tracker: &Tracker,
        lanes: &[UnboundedSender<Arc<Item>>],
    ) -> Result<(), Stopped> {
        let lifecycle = &self.parts.lifecycle;
        let (mut position, mut iterator): (_, Option<String>) = (start, None);
        let pace = &self.parts.pace;
        let [poll_min, poll_max] = if self.stream.is_kinesis() { pace.kinesis_poll } else { pace.dynamodb_poll };
        let (mut poll_pause, mut error_pause) = (poll_min, ERROR_PAUSE_MIN);
        // The writes before the last read, if that came to the end of what there was, and when it was.
        let mut read_to_end: Option<(u64, Instant)> = None;
        loop {
            lifecycle.running().await?;
            tokio::select! {
                () = tracker.room() => (),
                () = lifecycle.stopped() => return Err(Stopped),
            }
            let poll = lifecycle.last_requested_poll();
            let writes = self.writes(shard);
            if let Some((before, at)) = read_to_end
                && writes == Some(before)
                && at.elapsed() < UNREAD_MAX
            {
                self.parts.activity.set_empty(shard, poll);
                lifecycle.sleep_until_poll(poll_pause, poll).await?;
                continue;
            }
            read_to_end = None;
            let page = match &iterator {
                Some(iterator) => self.stream.read(shard, iterator).await,
                None => match self.stream.iterator(shard, &position).await {
                    Ok(first) => self.stream.read(shard, &first).await,
                    Err(error) => Err(error),
                },
            };
            match page {
                Ok(page) => {
                    error_pause = ERROR_PAUSE_MIN;
                    let empty = page.records.is_empty();
                    if !page.is_full() {
                        read_to_end = writes.map(|writes| (writes, Instant::now()));
                    }
                    if let Some(last) = page.records.last() {
                        position = Position::After(last.sequence.clone());
                        self.parts.activity.set_found(shard);
                        hand_over(page.records, tracker, lanes);
                    }
                    let Some(next) = page.next else { return Ok(()) };
                    iterator = Some(next);
                    if empty {
                        self.parts.activity.set_empty(shard, poll);
                        lifecycle.sleep_until_poll(poll_pause, poll).await?;
                        poll_pause = (poll_pause * 5 / 4).min(poll_max);
                    } else {
                        poll_pause = poll_min;
                    }
                }
                Err(ReadError::Expired) => iterator = None,
                Err(error @ ReadError::Trimmed) => {
                    tracing::warn!(
                        source = self.source.id,
                        shard,
                        "{error}; continues with the oldest record that is left"
                    );
                    (position, iterator) = (Position::TrimHorizon, None);
                    lifecycle.sleep(ERROR_PAUSE_MIN).await?;
                }
                Err(error @ ReadError::Other(_)) => {
                    tracing::warn!(source = self.source.id, shard, %error, "cannot read the shard; will try again");
                    lifecycle.sleep(error_pause).await?;
                    error_pause = (error_pause * 2).min(ERROR_PAUSE_MAX);
                    iterator = None;
                }
            }
        }
    }
}

/// Hands each record to the lane of its key. Records that do not pass the filters are done.
fn hand_over(records: Vec<Record>, tracker: &Tracker, lanes: &[UnboundedSender<Arc<Item>>]) {
    let indices = tracker.add(&records);
    let mut filtered = Vec::new();
    for (index, record) in indices.zip(records) {
        if record.passes {
            let mut hasher = DefaultHasher::new();
            record.key.hash(&mut hasher);
            let lane = usize::try_from(hasher.finish() % lanes.len() as u64).unwrap_or(0);
            // A lane ends before its sender only when everything stops.
            drop(lanes[lane].send(Arc::new(Item { index, record })));
        } else {
            filtered.push(index);
        }
    }
    tracker.done(filtered.into_iter());
}

/// The lanes of a shard. Their number is the parallelization factor.
struct Lanes {
    senders: Vec<UnboundedSender<Arc<Item>>>,
    tasks: JoinSet<Result<(), Stopped>>,
}

impl Lanes {
    fn start<I: Invoke>(mapping: &Mapping<I>, shard: &str, tracker: &Arc<Tracker>) -> Self {
        let (mut senders, mut tasks) = (Vec::new(), JoinSet::new());
        for _ in 0..mapping.source.parallelization_factor.max(1) {
            let (sender, arriving) = unbounded_channel();
            senders.push(sender);
            let lane = Lane {
                batch_size: usize::try_from(mapping.source.batch_size).unwrap_or(usize::MAX).max(1),
                window: mapping.source.batching_window,
                chaos: mapping.parts.chaos.clone(),
                arriving,
                kept: VecDeque::new(),
                history: VecDeque::new(),
            };
            let processor = BatchProcessor {
                source: Arc::clone(&mapping.source),
                function: mapping.parts.function.clone(),
                stream_arn: mapping.stream.arn().to_owned(),
                is_kinesis: mapping.stream.is_kinesis(),
                shard: shard.to_owned(),
                destination: mapping.destination.clone(),
                retry_pause: mapping.parts.pace.retry_pause,
                lifecycle: mapping.parts.lifecycle.clone(),
                invoker: mapping.parts.invoker.clone(),
            };
            let tracker = Arc::clone(tracker);
            tasks.spawn(async move {
                lane.run(processor, |items: &[Arc<Item>]| {
                    tracker.done(items.iter().map(|item| item.index));
                })
                .await
            });
        }
        Self { senders, tasks }
    }
}
