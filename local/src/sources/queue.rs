//! A mapping from an SQS queue. It polls with long polls, makes batches, invokes the function up to the mapping's
//! concurrency, and deletes processed messages. A message that failed stays in the queue: it becomes visible after the
//! queue's visibility timeout, and the queue's redrive policy counts its receives. While Lambda throttles the function,
//! the mapping tries again, until the messages become visible (AWS Lambda Developer Guide, "Handling errors for an SQS
//! event source in Lambda").

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::Context as _;
use aws_limits::sqs::Pollers;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName,
    QueueAttributeName,
};
use bytes::Bytes;
use rand::seq::SliceRandom as _;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use super::{
    activity::LONG_POLL_EMPTY_AFTER,
    batch_processor::RETRY_PAUSE_GROWTH_MAX,
    failure::reported_failures,
    filter::Filters,
    lifecycle::{Mode, Stopped},
    parts::Parts,
    record_json,
};
use crate::{
    invoke::{Invoke, InvokeError},
    lambda::PAYLOAD_BYTES_MAX,
    lineage::TraceHeader,
    template::model::QueueSource,
};

/// The most messages of one receive, and of one delete.
const MESSAGES_PER_CALL: usize = 10;
/// The most concurrent batches of one mapping on one machine, even if its `MaximumConcurrency` allows more on AWS.
const CONCURRENCY_MAX: u32 = 8;
const ERROR_PAUSE: Duration = Duration::from_millis(500);
const DELETE_ATTEMPTS: u32 = 5;
/// The name of the only reader in the mapping's activity.
const READER: &str = "queue";

pub(super) struct Mapping<I> {
    parts: Parts<I>,
    source: QueueSource,
    filters: Filters,
    queue_url: String,
    queue_arn: String,
    /// How long a received message stays hidden.
    visibility: Duration,
}

/// A message with the JSON for the function.
struct Received {
    message: Message,
    event: Bytes,
    /// When it was received.
    at: Instant,
}

/// For how long a queue has had messages.
struct BusyTime {
    total: Duration,
    /// The end of the last poll.
    until: Instant,
}

impl BusyTime {
    fn begin(now: Instant) -> Self {
        Self { total: Duration::ZERO, until: now }
    }

    /// A poll has ended. While one waits for messages, the queue has none. A poll that finds nothing begins anew: "when
    /// traffic is low, Lambda scales back" (guide, "Configuring scaling behavior for SQS event source mappings").
    fn polled(&mut self, asked: Instant, answered: Instant, has_found: bool) {
        let had_to_wait = answered - asked >= LONG_POLL_EMPTY_AFTER;
        let busy_until = if had_to_wait { asked } else { answered };
        self.total = if has_found { self.total + (busy_until - self.until) } else { Duration::ZERO };
        self.until = answered;
    }
}

impl<I: Invoke> Mapping<I> {
    pub(super) async fn open(parts: Parts<I>, source: QueueSource) -> anyhow::Result<Arc<Self>> {
        let sqs = &parts.clients.sqs;
        let found = sqs.get_queue_url().queue_name(&source.queue).send().await;
        let queue_url = found
            .with_context(|| format!("cannot find queue {}", source.queue))?
            .queue_url
            .with_context(|| format!("queue {} has no URL", source.queue))?;
        let [arn, visibility] = [QueueAttributeName::QueueArn, QueueAttributeName::VisibilityTimeout];
        let request = sqs.get_queue_attributes().queue_url(&queue_url);
        let described = request.attribute_names(arn.clone()).attribute_names(visibility.clone()).send().await;
        let described = described.with_context(|| format!("cannot describe queue {}", source.queue))?;
        let mut attributes = described.attributes.unwrap_or_default();
        let queue_arn = attributes.remove(&arn).with_context(|| format!("queue {} has no ARN", source.queue))?;
        let visibility = attributes.get(&visibility).and_then(|seconds| seconds.parse().ok());
        let visibility = visibility.with_context(|| format!("queue {} has no visibility timeout", source.queue))?;
        let visibility = Duration::from_secs(visibility);
        let filters = Filters::parse(&source.filters, Some("body"))?;
        parts.activity.add_reader(READER);
        parts.activity.set_discovered(true);
        Ok(Arc::new(Self { parts, source, filters, queue_url, queue_arn, visibility }))
    }

    /// Runs until the mapping has to stop and the batches in flight have ended.
    pub(super) async fn run(self: Arc<Self>) {
        let mut batches = JoinSet::new();
        // `poll` returns only when the mapping has to stop.
        let Err(Stopped) = self.poll(&mut batches).await;
        while batches.join_next().await.is_some() {}
    }

    async fn poll(self: &Arc<Self>, batches: &mut JoinSet<()>) -> Result<std::convert::Infallible, Stopped> {
        let lifecycle = &self.parts.lifecycle;
        let mut busy = BusyTime::begin(Instant::now());
        let mut granted = self.batches_at_once(busy.total);
        let mut next_poll = None::<Instant>;
        let places = Arc::new(Semaphore::new(granted));
        loop {
            while batches.try_join_next().is_some() {}
            let wanted = self.batches_at_once(busy.total);
            if wanted > granted {
                places.add_permits(wanted - granted);
                granted = wanted;
            } else {
                granted -= places.forget_permits(granted - wanted);
            }
            lifecycle.running().await?;
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => place.map_err(|_| Stopped)?,
                () = lifecycle.stopped() => return Err(Stopped),
            };
            if let Some(next_poll) = next_poll {
                lifecycle.sleep(next_poll.saturating_duration_since(Instant::now())).await?;
            }
            let asked = Instant::now();
            next_poll = self.pollers().and_then(|pollers| pollers.poll_interval()).map(|interval| asked + interval);
            let received = self.receive(self.batch_size(), self.parts.pace.long_poll).await?;
            busy.polled(asked, Instant::now(), !received.is_empty());
            let received = self.fill_batch(received).await?;
            if lifecycle.mode() != Mode::Running {
                self.put_back(&received).await;
                self.parts.activity.end(received.len());
                continue;
            }
            let received = self.drop_filtered(received).await;
            if !received.is_empty() {
                let mapping = Arc::clone(self);
                batches.spawn(async move {
                    let messages = received.len();
                    mapping.process(received).await;
                    mapping.parts.activity.end(messages);
                    drop(place);
                });
            }
        }
    }

    /// The pollers, if limits are set.
    fn pollers(&self) -> Option<Pollers> {
        let usual = self.parts.pace.pollers?;
        Some(self.source.provisioned_pollers.map_or(usual, Pollers::provisioned))
    }

    /// How many batches the mapping processes at once after the queue has had messages for this time.
    fn batches_at_once(&self, busy: Duration) -> usize {
        let batches = match self.pollers() {
            Some(pollers) => pollers.at_once(busy).min(self.source.max_concurrency.unwrap_or(u32::MAX)),
            None => self.source.max_concurrency.unwrap_or(CONCURRENCY_MAX).min(CONCURRENCY_MAX),
        };
        usize::try_from(batches.max(1)).unwrap_or(1)
    }

    fn batch_size(&self) -> usize {
        usize::try_from(self.source.batch_size).unwrap_or(usize::MAX).max(1)
    }

    /// A whole batch, of which this was received: that alone, or, with a batching window, as many receives as fit into
    /// the window and the batch size. Each message of the batch counts as in flight.
    async fn fill_batch(&self, mut batch: Vec<Received>) -> Result<Vec<Received>, Stopped> {
        let batch_size = self.batch_size();
        if self.source.batching_window.is_zero() || batch.is_empty() {
            return Ok(batch);
        }
        let deadline = Instant::now() + self.source.batching_window;
        let bytes = |batch: &[Received]| batch.iter().map(|received| received.event.len() + 1).sum::<usize>();
        // The batch must have room for a whole receive, so it is closed early.
        while batch.len() < batch_size && bytes(&batch) < PAYLOAD_BYTES_MAX / 2 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.parts.lifecycle.mode() != Mode::Running {
                break;
            }
            batch.extend(self.receive(batch_size - batch.len(), left.min(self.parts.pace.long_poll)).await?);
        }
        Ok(batch)
    }

    /// One receive. It is never interrupted: see [`super::Pace::long_poll`].
    async fn receive(&self, messages_max: usize, wait: Duration) -> Result<Vec<Received>, Stopped> {
        let activity = &self.parts.activity;
        let poll = self.parts.lifecycle.last_requested_poll();
        activity.set_long_poll(READER);
        let request = self
            .parts
            .clients
            .sqs
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(i32::try_from(messages_max.min(MESSAGES_PER_CALL)).unwrap_or(1))
            .wait_time_seconds(whole_seconds(wait))
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All");
        match request.send().await {
            Ok(answer) => {
                let at = Instant::now();
                let messages = answer.messages.unwrap_or_default();
                if messages.is_empty() {
                    activity.set_empty(READER, poll);
                } else {
                    activity.begin(messages.len());
                    activity.set_found(READER);
                }
                let with_event = |message: Message| {
                    let event = record_json::sqs(&message, &self.queue_arn).to_string().into();
                    Received { message, event, at }
                };
                Ok(messages.into_iter().map(with_event).collect())
            }
            Err(error) => {
                activity.set_found(READER);
                let error = aws_sdk_sqs::error::DisplayErrorContext(error);
                tracing::warn!(source = self.source.id, %error, "cannot receive messages; will try again");
                self.parts.lifecycle.sleep(ERROR_PAUSE).await?;
                Ok(Vec::new())
            }
        }
    }

    /// Deletes the messages that do not pass the filters, as Lambda does.
    async fn drop_filtered(&self, received: Vec<Received>) -> Vec<Received> {
        if self.filters.is_empty() {
            return received;
        }
        let passes = |received: &Received| {
            let event = record_json::sqs(&received.message, &self.queue_arn);
            self.filters.matches_body(event, "body", received.message.body.as_deref().unwrap_or_default().as_bytes())
        };
        let (passing, filtered): (Vec<_>, Vec<_>) = received.into_iter().partition(passes);
        if !filtered.is_empty() {
            self.delete(filtered.iter()).await;
            self.parts.activity.end(filtered.len());
        }
        passing
    }

    async fn process(&self, mut received: Vec<Received>) {
        let chaos = self.parts.chaos.get();
        if chaos.reorder_records {
            received.shuffle(&mut rand::rng());
        }
        let Some(mut failed) = self.invoke(&received).await else {
            // Whoever stops between two tries hides no message.
            if self.parts.lifecycle.mode() == Mode::Stopped {
                self.put_back(&received).await;
            }
            return;
        };
        if chaos.duplicate_records && rand::random_bool(0.25) {
            let again: Vec<_> = received.iter().filter(|_| rand::random_bool(0.5)).collect();
            if !again.is_empty() {
                let all = || again.iter().map(|received| id(received).to_owned()).collect();
                failed.extend(self.invoke(again.iter().copied()).await.unwrap_or_else(all));
            }
        }
        self.delete(received.iter().filter(|received| !failed.contains(id(received)))).await;
    }

    /// The ids of the failed messages. `None` if all failed.
    async fn invoke<'a>(
        &self,
        batch: impl IntoIterator<Item = &'a Received> + Clone + Send,
    ) -> Option<HashSet<String>> {
        let payload = record_json::records(batch.clone().into_iter().map(|received| &received.event));
        let trace = chain(&self.parts.function, batch.clone().into_iter().map(|received| &received.message));
        let oldest = batch.clone().into_iter().map(|received| received.at).min()?;
        let answer = self.invoke_until(payload, &trace, oldest + self.visibility).await?;
        if !self.source.report_failures {
            return Some(HashSet::new());
        }
        let ids: HashSet<&str> = batch.into_iter().map(id).collect();
        let failed = reported_failures(&answer).filter(|failed| failed.iter().all(|id| ids.contains(id.as_str())));
        if failed.is_none() {
            tracing::warn!(source = self.source.id, "the function's answer is not a valid partial batch response");
        }
        failed.map(HashSet::from_iter)
    }

    /// What the function answers. `None` if it failed, or if nothing ran until the messages become visible again.
    async fn invoke_until(&self, payload: Bytes, trace: &TraceHeader, until: Instant) -> Option<Bytes> {
        let Parts { invoker, function, pace, lifecycle, .. } = &self.parts;
        let mut pause = pace.retry_pause;
        loop {
            match invoker.invoke_in_chain(function, payload.clone(), trace).await {
                Ok(answer) => return Some(answer),
                Err(error @ (InvokeError::Throttled | InvokeError::Unavailable(_)))
                    if Instant::now() + pause < until =>
                {
                    tracing::warn!(source = self.source.id, %error, "cannot invoke the function; will try again");
                }
                Err(error) => {
                    tracing::warn!(source = self.source.id, %error, "the batch failed, and will be delivered again");
                    return None;
                }
            }
            lifecycle.sleep(pause).await.ok()?;
            lifecycle.running().await.ok()?;
            pause = (pause * 2).min(pace.retry_pause * RETRY_PAUSE_GROWTH_MAX);
        }
    }

    /// Deletes messages. Messages that cannot be deleted are delivered again.
    async fn delete<'a>(&self, messages: impl Iterator<Item = &'a Received>) {
        let handles: Vec<_> = messages.filter_map(|received| received.message.receipt_handle.clone()).collect();
        for chunk in handles.chunks(MESSAGES_PER_CALL) {
            let mut left: Vec<&String> = chunk.iter().collect();
            for _ in 0..DELETE_ATTEMPTS {
                let entries = left.iter().enumerate().map(|(position, handle)| {
                    DeleteMessageBatchRequestEntry::builder().id(position.to_string()).receipt_handle(*handle).build()
                });
                let Ok(entries) = entries.collect::<Result<Vec<_>, _>>() else {
                    break;
                };
                let request = self.parts.clients.sqs.delete_message_batch().queue_url(&self.queue_url);
                match request.set_entries(Some(entries)).send().await {
                    Ok(answer) => {
                        let failed: HashSet<_> = answer.failed.iter().map(|failure| failure.id.clone()).collect();
                        let mut position = 0..left.len();
                        left.retain(|_| position.next().is_some_and(|position| failed.contains(&position.to_string())));
                    }
                    Err(error) => {
                        let error = aws_sdk_sqs::error::DisplayErrorContext(error);
                        tracing::warn!(source = self.source.id, %error, "cannot delete messages");
                    }
                }
                if left.is_empty() || self.parts.lifecycle.sleep(ERROR_PAUSE).await.is_err() {
                    break;
                }
            }
        }
    }

    /// Makes messages visible again that will not be processed now.
    async fn put_back(&self, received: &[Received]) {
        for chunk in received.chunks(MESSAGES_PER_CALL) {
            let entries = chunk.iter().enumerate().filter_map(|(position, received)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(position.to_string())
                    .receipt_handle(received.message.receipt_handle.clone()?)
                    .visibility_timeout(0)
                    .build()
                    .ok()
            });
            let request = self.parts.clients.sqs.change_message_visibility_batch().queue_url(&self.queue_url);
            if let Err(error) = request.set_entries(Some(entries.collect())).send().await {
                let error = aws_sdk_sqs::error::DisplayErrorContext(error);
                let source = &self.source.id;
                tracing::warn!(source, %error, "cannot release messages before their visibility timeout");
            }
        }
    }
}

fn id(received: &Received) -> &str {
    received.message.message_id.as_deref().unwrap_or_default()
}

/// The trace header of a batch: that of the message whose chain has invoked the function most often.
fn chain<'a>(function: &str, messages: impl Iterator<Item = &'a Message>) -> TraceHeader {
    let header = |message: &Message| {
        let header = message.attributes.as_ref()?.get(&MessageSystemAttributeName::AwsTraceHeader)?;
        Some(TraceHeader::parse(header))
    };
    messages.filter_map(header).max_by_key(|trace| trace.invocations(function)).unwrap_or_default()
}

/// The length of a long poll in seconds. SQS accepts whole seconds only. They are rounded up, because 0 s would turn
/// this into a busy loop.
fn whole_seconds(wait: Duration) -> i32 {
    i32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_poll_takes_whole_seconds_and_no_less_than_it_should() {
        let waits = [0, 1, 1_000, 1_001, 4_000].map(|ms| whole_seconds(Duration::from_millis(ms)));
        assert_eq!(waits, [0, 1, 1, 2, 4]);
    }

    #[test]
    fn a_queue_is_busy_without_the_waits_for_messages_until_a_poll_finds_none() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut busy = BusyTime::begin(begun);
        let polls = [
            // Asked at, answered at, found something; busy for so long.
            (1_000, 1_010, true, 1_010),
            (3_000, 8_000, true, 3_000),
            (8_500, 8_510, true, 3_510),
            (9_000, 29_000, false, 0),
            (29_000, 29_005, true, 5),
        ];
        for (asked, answered, has_found, total) in polls {
            busy.polled(at(asked), at(answered), has_found);
            assert_eq!(busy.total, Duration::from_millis(total), "{asked}");
        }
    }
}
