//! The routes `GET /dev/metrics` and `GET /dev/alarms`. With `?seconds=N`, the first describes the last N seconds. With
//! `?period=N`, the second evaluates alarms as if all their periods were N seconds long.

use std::{path::PathBuf, sync::Arc, time::Duration};

use aws_sdk_sqs::types::QueueAttributeName;
use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use tokio::task::JoinHandle;

use crate::{
    metrics::{Metrics, alarms},
    servers::{Endpoints, oldest_messages},
    template::model::{Alarm, CompositeAlarm, MetricId, System},
};

/// How often queues are looked at. CloudWatch gets their metrics once a minute.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// What `GET /dev/metrics` describes without `?seconds=`.
const SECONDS_DEFAULT: u32 = 300;
/// The longest span that can be asked for: as much as is kept.
const SECONDS_MAX: u32 = 3600;

/// What the routes answer from.
#[derive(Clone)]
struct Watch {
    metrics: Metrics,
    alarms: Arc<[Alarm]>,
    composites: Arc<[CompositeAlarm]>,
}

/// The routes for the alarms of `system`.
pub fn router(system: &System, metrics: Metrics) -> Router {
    let (alarms, composites) = (system.alarms.clone().into(), system.composite_alarms.clone().into());
    Router::new().route("/dev/metrics", get(overview)).route("/dev/alarms", get(states)).with_state(Watch {
        metrics,
        alarms,
        composites,
    })
}

/// Records the length of each queue and the age of its oldest message every second, until the task is aborted.
/// `database` is the file of the SQS server.
pub fn watch_queues(
    system: &System,
    metrics: Metrics,
    endpoints: Endpoints,
    sqs: aws_sdk_sqs::Client,
    database: PathBuf,
) -> JoinHandle<()> {
    let names: Vec<_> = system.queues.iter().map(|queue| queue.name.clone()).collect();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(SAMPLE_INTERVAL).await;
            for name in &names {
                let asked = QueueAttributeName::ApproximateNumberOfMessages;
                let url = endpoints.queue_url(name);
                let Ok(answer) = sqs.get_queue_attributes().queue_url(url).attribute_names(asked.clone()).send().await
                else {
                    continue;
                };
                let count = answer.attributes().and_then(|known| known.get(&asked)?.parse().ok());
                if let Some(count) = count {
                    metrics.record(of_queue("ApproximateNumberOfMessagesVisible", name), "Count", count);
                }
            }
            let database = database.clone();
            let now_ms = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
            match tokio::task::spawn_blocking(move || oldest_messages(&database)).await {
                Ok(Ok(oldest)) => {
                    for name in &names {
                        let sent_ms = oldest.get(name).copied().map_or(now_ms, i128::from);
                        let age_s = (now_ms - sent_ms).max(0) / 1000;
                        metrics.record(of_queue("ApproximateAgeOfOldestMessage", name), "Seconds", age_s as f64);
                    }
                }
                Ok(Err(error)) => tracing::debug!("the ages of messages are unknown: {error:#}"),
                Err(error) => tracing::debug!(%error, "the ages of messages are unknown"),
            }
        }
    })
}

fn of_queue(metric: &str, queue: &str) -> MetricId {
    MetricId::new("AWS/SQS", metric, [("QueueName", queue.to_owned())])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Span {
    seconds: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Period {
    period: Option<u32>,
}

async fn overview(
    State(watch): State<Watch>,
    span: Result<Query<Span>, axum::extract::rejection::QueryRejection>,
) -> Response {
    match span.map(|Query(span)| span.seconds.unwrap_or(SECONDS_DEFAULT)) {
        Ok(seconds @ 1..=SECONDS_MAX) => {
            let until = OffsetDateTime::now_utc().unix_timestamp() + 1;
            let metrics = watch.metrics.overview(until - i64::from(seconds), until);
            Json(json!({ "seconds": seconds, "metrics": metrics })).into_response()
        }
        _ => refuse("seconds"),
    }
}

async fn states(
    State(watch): State<Watch>,
    period: Result<Query<Period>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let period = match period.map(|Query(period)| period.period) {
        Ok(period) if period.is_none_or(|seconds| (1..=SECONDS_MAX).contains(&seconds)) => period,
        _ => return refuse("period"),
    };
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let alarms = alarms::states(&watch.metrics, &watch.alarms, &watch.composites, now, period);
    Json(json!({ "alarms": alarms })).into_response()
}

fn refuse(name: &str) -> Response {
    let message = format!("the only parameter is `{name}`, a number of seconds from 1 to {SECONDS_MAX}");
    (StatusCode::BAD_REQUEST, Json(json!({ "message": message }))).into_response()
}
