//! Routes under `/dev` for tests and for people who want to look inside: what the stack is doing, and switches that
//! disturb it. These routes exist only on this machine. The gateway makes sure that only this machine can call them.
//!
//! [`live`] tells as it happens, [`faults`] disturbs, and this file has what tests need: whether the stack is idle.

mod faults;
mod live;

use std::sync::Arc;

use anyhow::Context;
use aws_sdk_sqs::types::QueueAttributeName;
use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    demo::Demo,
    json,
    lambda::Lambda,
    observe::Observer,
    servers::Endpoints,
    sources::Sources,
    template::model::{EventSource, System},
};

/// The handlers of the routes, with the parts of the stack that they ask.
#[derive(Clone)]
pub struct DevRoutes {
    inner: Arc<Inner>,
}

struct Inner {
    lambda: Lambda,
    sources: Arc<Sources>,
    endpoints: Endpoints,
    sqs: aws_sdk_sqs::Client,
    observer: Observer,
    demo: Demo,
    /// The names of all functions.
    functions: Vec<String>,
    /// The physical names of the queues, and whether an event source reads each queue.
    queues: Vec<(String, bool)>,
}

/// How deep a queue is.
#[derive(Serialize)]
struct Depth {
    name: String,
    /// Messages that wait, with or without a delay.
    visible: u64,
    /// Messages that somebody has received and not deleted.
    in_flight: u64,
}

/// A process of a function.
#[derive(Serialize)]
struct Process {
    function: String,
    pid: u32,
    memory_bytes: u64,
}

impl DevRoutes {
    /// The routes of the running `system`.
    pub fn new(
        system: &System,
        lambda: Lambda,
        sources: Arc<Sources>,
        endpoints: Endpoints,
        sqs: aws_sdk_sqs::Client,
        observer: Observer,
        demo: Demo,
    ) -> Self {
        let is_read = |name: &str| {
            let mut sources = system.functions.iter().flat_map(|function| &function.sources);
            sources.any(|source| matches!(source, EventSource::Queue(source) if source.queue == name))
        };
        let queues = system.queues.iter().map(|queue| (queue.name.clone(), is_read(&queue.name))).collect();
        let functions = system.functions.iter().map(|function| function.name.clone()).collect();
        Self { inner: Arc::new(Inner { lambda, sources, endpoints, sqs, observer, demo, functions, queues }) }
    }

    /// All routes.
    pub fn router(self) -> Router {
        Router::new()
            .route("/dev/status", get(status))
            .route("/dev/sources", post(sources))
            .route("/dev/live", get(live::live))
            .route("/dev/chaos", post(faults::chaos))
            .route("/dev/kill", post(faults::kill))
            .route("/dev/throttle", post(faults::throttle))
            .route("/dev/demo", post(faults::demo))
            .with_state(self)
    }

    async fn queues(&self) -> anyhow::Result<Vec<Depth>> {
        let Inner { endpoints, sqs, queues, .. } = &*self.inner;
        let mut depths = Vec::with_capacity(queues.len());
        for (name, _) in queues {
            let (visible, in_flight) = count(sqs, &endpoints.queue_url(name)).await?;
            depths.push(Depth { name: name.clone(), visible, in_flight });
        }
        Ok(depths)
    }

    fn processes(&self) -> Vec<Process> {
        let process = |(function, pid)| Process { function, pid, memory_bytes: memory_bytes(pid) };
        self.inner.lambda.processes().into_iter().map(process).collect()
    }

    /// The processes, the sources, the queues, and whether the stack is idle. A message can be between two places,
    /// where none of these counts it. So only several idle answers in a row mean that the stack is at rest.
    async fn status(&self) -> anyhow::Result<Value> {
        let Inner { sources, endpoints, queues, .. } = &*self.inner;
        let counted = self.queues().await?;
        let mut idle =
            counted.iter().zip(queues).all(|(queue, (_, read))| !read || queue.visible + queue.in_flight == 0);
        let sources = sources.status().await;
        idle &= sources.iter().all(|source| source.idle);
        let sources: Vec<_> = sources
            .into_iter()
            .map(|source| json!({ "id": source.id, "function": source.function, "idle": source.idle }))
            .collect();
        Ok(json!({
            "idle": idle,
            "processes": self.processes(),
            "sources": sources,
            "queues": counted,
            "endpoints": { "dynamodb": endpoints.dynamodb, "kinesis": endpoints.kinesis, "sqs": endpoints.sqs },
        }))
    }
}

async fn status(State(routes): State<DevRoutes>) -> Response {
    match routes.status().await {
        Ok(status) => Json(status).into_response(),
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({ "message": format!("{error:#}") }))).into_response()
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourcesRequest {
    paused: bool,
}

async fn sources(State(routes): State<DevRoutes>, body: Bytes) -> Response {
    let request: SourcesRequest = match json::object(&body) {
        Ok(request) => request,
        Err(error) => {
            let text = format!(r#"the body must be {{"paused":true}} or {{"paused":false}}: {error}"#);
            return (StatusCode::BAD_REQUEST, Json(json!({ "message": text }))).into_response();
        }
    };
    if request.paused {
        routes.inner.sources.pause();
    } else {
        routes.inner.sources.resume();
    }
    StatusCode::NO_CONTENT.into_response()
}

/// The number of messages that wait, with or without a delay, and the number of messages that somebody has received.
async fn count(sqs: &aws_sdk_sqs::Client, url: &str) -> anyhow::Result<(u64, u64)> {
    use QueueAttributeName as Name;
    let asked = [
        Name::ApproximateNumberOfMessages,
        Name::ApproximateNumberOfMessagesDelayed,
        Name::ApproximateNumberOfMessagesNotVisible,
    ];
    let answer = sqs.get_queue_attributes().queue_url(url).set_attribute_names(Some(asked.to_vec())).send().await?;
    let number = |name: &Name| -> anyhow::Result<u64> {
        let text = answer
            .attributes()
            .and_then(|attributes| attributes.get(name))
            .context("SQS did not return the number of messages")?;
        Ok(text.parse()?)
    };
    let [waiting, delayed, in_flight] = asked.each_ref().map(number);
    Ok((waiting? + delayed?, in_flight?))
}

/// The resident memory of a process. 0 if the process is gone, or if the operating system does not tell.
fn memory_bytes(pid: u32) -> u64 {
    let resident_kib = || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    resident_kib().unwrap_or_default() * 1024
}
