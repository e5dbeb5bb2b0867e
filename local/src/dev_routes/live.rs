//! `GET /dev/live`: server-sent events about what the stack is doing. Observations come as they happen, and the state
//! of queues, processes and switches once a second.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, Sse},
    },
};
use futures::{Stream, stream};
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::DevRoutes;
use crate::observe::{Next, Watcher};

/// How often the state is told.
const STATE_INTERVAL: Duration = Duration::from_secs(1);
/// How soon a browser connects again after the connection ended.
const RECONNECT: Duration = Duration::from_secs(1);

pub(super) async fn live(State(routes): State<DevRoutes>) -> Response {
    let Some(watcher) = routes.inner.observer.watch() else {
        let text = "too many already watch; close one of the pages that show the system";
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "message": text }))).into_response();
    };
    let headers: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];
    (headers, Sse::new(events(routes, watcher))).into_response()
}

fn events(routes: DevRoutes, watcher: Watcher) -> impl Stream<Item = Result<Event, Infallible>> {
    let mut states = interval(STATE_INTERVAL);
    states.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((routes, watcher, states), |(routes, mut watcher, mut states)| async move {
        let event = next(&routes, &mut watcher, &mut states).await?;
        Some((Ok(event), (routes, watcher, states)))
    })
}

/// The next event. `None` when the stack stops.
async fn next(routes: &DevRoutes, watcher: &mut Watcher, states: &mut Interval) -> Option<Event> {
    tokio::select! {
        next = watcher.next() => match next {
            Next::Observation(observation) => Some(event(observation.kind(), &*observation)),
            Next::Skipped(skipped) => Some(event("skipped", &json!({ "skipped": skipped }))),
            Next::Closed => None,
        },
        _tick = states.tick() => Some(event("state", &state(routes).await).retry(RECONNECT)),
    }
}

fn event(name: &str, data: &impl serde::Serialize) -> Event {
    let event = Event::default().event(name);
    event.json_data(data).unwrap_or_else(|error| Event::default().event("error").data(error.to_string()))
}

async fn state(routes: &DevRoutes) -> Value {
    let inner = &routes.inner;
    // While the stack stops, the queues may be gone already. The page then shows none.
    let queues = routes.queues().await.unwrap_or_default();
    let chaos = inner.sources.chaos();
    let in_flight: Vec<_> = inner
        .sources
        .in_flight()
        .into_iter()
        .map(|(id, function, records)| json!({ "id": id, "function": function, "in_flight": records }))
        .collect();
    json!({
        "paused": inner.sources.is_paused(),
        "duplicate_records": chaos.duplicate_records,
        "reorder_records": chaos.reorder_records,
        "throttled": inner.lambda.throttled(),
        "functions": inner.functions,
        "processes": routes.processes(),
        "queues": queues,
        "sources": in_flight,
        "demo": inner.demo.status(),
    })
}
