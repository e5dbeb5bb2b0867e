//! A schedule: invokes a function again and again, as EventBridge does. The invocation is asynchronous: if it fails,
//! Lambda invokes the function twice more, after one minute and after two (AWS Lambda, "Asynchronous invocation").

use std::{sync::Arc, time::Duration};

use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    lifecycle::{Mode, Stopped},
    parts::Parts,
};
use crate::{
    aws::{ACCOUNT, REGION},
    invoke::Invoke,
    template::model::ScheduleSource,
};

/// The pauses before the second and the third try of an asynchronous invocation.
const RETRY_PAUSES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// The name of the only reader in the schedule's activity.
const READER: &str = "schedule";

/// A running schedule.
pub(super) struct Schedule<I> {
    parts: Parts<I>,
    source: ScheduleSource,
}

impl<I: Invoke> Schedule<I> {
    pub(super) fn open(parts: Parts<I>, source: ScheduleSource) -> Arc<Self> {
        parts.activity.add_reader(READER);
        parts.activity.set_discovered(true);
        Arc::new(Self { parts, source })
    }

    /// Runs until the schedule has to stop. Invocations that would fall into a pause are left out.
    pub(super) async fn run(self: Arc<Self>) {
        // `tick` returns only when the schedule has to stop.
        let Err(Stopped) = self.tick().await;
    }

    async fn tick(&self) -> Result<std::convert::Infallible, Stopped> {
        let lifecycle = &self.parts.lifecycle;
        let mut due = tokio::time::Instant::now() + self.source.every;
        loop {
            // Nothing waits at a schedule, so every poll finds nothing.
            let poll = lifecycle.last_requested_poll();
            self.parts.activity.set_empty(READER, poll);
            let left = due.saturating_duration_since(tokio::time::Instant::now());
            lifecycle.sleep_until_poll(left, poll).await?;
            if tokio::time::Instant::now() < due {
                continue;
            }
            due += self.source.every;
            if lifecycle.mode() == Mode::Running {
                self.parts.activity.begin(1);
                let invoked = self.invoke().await;
                self.parts.activity.end(1);
                invoked?;
            }
        }
    }

    async fn invoke(&self) -> Result<(), Stopped> {
        let mut pauses = RETRY_PAUSES.into_iter();
        loop {
            let error = match self.parts.invoker.invoke(&self.parts.function, self.event().into()).await {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let Some(pause) = pauses.next() else {
                tracing::warn!(source = self.source.id, %error, "a scheduled invocation failed, and is given up");
                return Ok(());
            };
            tracing::warn!(source = self.source.id, %error, "a scheduled invocation failed; will try again");
            self.parts.lifecycle.sleep(pause).await?;
        }
    }

    /// The event of a rule (EventBridge, "Scheduled events"), unless the schedule has an input of its own.
    fn event(&self) -> String {
        if let Some(input) = &self.source.input {
            return input.clone();
        }
        json!({
            "version": "0",
            "id": uuid::Uuid::new_v4().to_string(),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": ACCOUNT,
            "time": OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
            "region": REGION,
            "resources": [format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{}", self.source.id)],
            "detail": {},
        })
        .to_string()
    }
}
