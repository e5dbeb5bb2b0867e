//! Calls that AWS does only in part. The stores must send the rest again, and report what was never done. The embedded
//! servers always do the whole call, so these tests use a server that does not.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, extract::State};
use serde_json::{Value, json};
use tidings::{
    error::Error,
    model::{PostId, Timestamp, UserId},
    store::{
        Consistency, Dynamo,
        cards::Cards,
        timelines::{Row, Timeline, Timelines},
    },
    stream::{
        bus::Bus,
        cloud_event::{CloudEvent, StreamChange},
    },
};
use tidings_local::aws;

const TABLE: &str = "table";

/// Stands in for DynamoDB and Kinesis. Does at most so many parts of each call, and these are the last ones.
#[derive(Clone)]
struct Partly {
    at_most: usize,
    done: Arc<Mutex<Vec<Value>>>,
}

impl Partly {
    /// Does some of these parts, and returns the others as not done.
    fn take(&self, parts: &mut Vec<Value>) {
        let rest = parts.len().saturating_sub(self.at_most);
        self.done.lock().unwrap().extend(parts.split_off(rest));
    }

    /// The parts that were done, in alphabetical order. `name` finds the name of a part.
    fn done(&self, name: impl Fn(&Value) -> &Value) -> Vec<String> {
        let done = self.done.lock().unwrap();
        let mut names: Vec<_> = done.iter().map(|part| name(part).as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

async fn answer(State(server): State<Partly>, body: String) -> Json<Value> {
    let request: Value = serde_json::from_str(&body).unwrap();
    if let Some(records) = request["Records"].as_array() {
        let mut failed = records.clone();
        server.take(&mut failed);
        let refusal = json!({ "ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "too fast" });
        let mut results = vec![refusal; failed.len()];
        results.resize(records.len(), json!({ "SequenceNumber": "1", "ShardId": "shardId-000000000000" }));
        return Json(json!({ "FailedRecordCount": failed.len(), "Records": results }));
    }
    let table = &request["RequestItems"][TABLE];
    let left = |parts: &Vec<Value>, what: Value| if parts.is_empty() { json!({}) } else { json!({ TABLE: what }) };
    if let Some(keys) = table["Keys"].as_array() {
        let mut keys = keys.clone();
        server.take(&mut keys);
        let unprocessed = left(&keys, json!({ "Keys": keys }));
        return Json(json!({ "Responses": { TABLE: [] }, "UnprocessedKeys": unprocessed }));
    }
    let mut writes = table.as_array().unwrap().clone();
    server.take(&mut writes);
    Json(json!({ "UnprocessedItems": left(&writes, json!(writes)) }))
}

/// Such a server, and its address.
async fn start(at_most: usize) -> (Partly, String) {
    let server = Partly { at_most, done: Arc::default() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (server, url)
}

fn users(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("user{number:02}")).collect()
}

fn events(count: usize) -> Vec<CloudEvent> {
    let item =
        |user: String| json!({ "PK": format!("USER#{user}"), "SK": "EVENT#000000000001", "type": "UserFollowed" });
    let event = |item: Value| StreamChange::from_item(item.as_object().unwrap().clone()).unwrap().into_event();
    users(count).into_iter().map(item).map(event).collect()
}

#[tokio::test]
async fn records_that_the_bus_did_not_accept_are_sent_again_and_no_others() {
    let (server, url) = start(5).await;
    let bus = Bus::new(&aws::config(&url), "events".to_owned());
    assert_eq!(bus.publish(&events(23)).await, [true; 23]);
    assert_eq!(server.done(|record| &record["PartitionKey"]), users(23));
}

#[tokio::test]
async fn records_that_the_bus_never_accepted_are_reported() {
    // One item of each of six calls.
    let (server, url) = start(1).await;
    let bus = Bus::new(&aws::config(&url), "events".to_owned());
    let published = bus.publish(&events(8)).await;
    assert_eq!(published, [false, false, true, true, true, true, true, true]);
    assert_eq!(server.done(|record| &record["PartitionKey"]), users(8)[2..]);
}

fn rows(count: usize) -> Vec<Row> {
    let author: UserId = "ada".parse().unwrap();
    let post = |ms: usize| PostId::lowest(Timestamp::from_ms(ms as u64));
    (0..count).map(|ms| Row { post: post(ms), author: author.clone() }).collect()
}

fn written(server: &Partly) -> Vec<String> {
    server.done(|write| &write["PutRequest"]["Item"]["SK"]["S"])
}

#[tokio::test]
async fn rows_left_unprocessed_are_written_again_and_no_others() {
    let (server, url) = start(5).await;
    let timelines = Timelines::new(Dynamo::new(&aws::config(&url)), TABLE.into());
    let rows = rows(60);
    timelines.put_rows(&[Timeline::Home("bob".parse().unwrap())], &rows).await.unwrap();
    assert_eq!(written(&server), rows.iter().map(|row| row.post.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn rows_that_are_never_written_are_an_error_to_try_again() {
    let (server, url) = start(1).await;
    let timelines = Timelines::new(Dynamo::new(&aws::config(&url)), TABLE.into());
    let outcome = timelines.put_rows(&[Timeline::Home("bob".parse().unwrap())], &rows(25)).await;
    assert!(matches!(outcome, Err(Error::Transient { .. })), "{outcome:?}");
    assert!(written(&server).len() < 25);
}

#[tokio::test]
async fn keys_left_unprocessed_are_asked_for_again_and_no_others() {
    let (server, url) = start(30).await;
    let cards = Cards::new(Dynamo::new(&aws::config(&url)), TABLE.into());
    let posts: Vec<_> = rows(130).into_iter().map(|row| row.post).collect();
    assert!(cards.posts(&posts, Consistency::Eventual).await.unwrap().is_empty());
    assert_eq!(server.done(|key| &key["PK"]["S"]).len(), 130);

    let (_, url) = start(1).await;
    let cards = Cards::new(Dynamo::new(&aws::config(&url)), TABLE.into());
    let outcome = cards.posts(&posts[..25], Consistency::Eventual).await;
    assert!(matches!(outcome, Err(Error::Throttled { .. })), "{outcome:?}");
}
