use serde_json::{Value, json};

use super::*;

/// Answers every call in the same way.
#[derive(Clone)]
struct Answering(Result<Bytes, InvokeError>);

impl Invoke for Answering {
    async fn invoke(&self, _: &str, _: Bytes) -> Result<Bytes, InvokeError> {
        self.0.clone()
    }
}

/// What a watcher is told about a call with this payload and this answer, as JSON without times.
async fn observed(payload: &Value, answer: Result<Value, InvokeError>) -> Vec<Value> {
    let observer = Observer::default();
    let mut watcher = observer.watch().unwrap();
    let answer = answer.map(|answer| Bytes::from(answer.to_string()));
    let invoker = Observed::new(Answering(answer.clone()), observer.clone());
    assert_eq!(invoker.invoke("Fanout", Bytes::from(payload.to_string())).await, answer);
    observer.close();
    let mut told = Vec::new();
    while let Ok(observation) = watcher.observations.try_recv() {
        let mut json = serde_json::to_value(&*observation).unwrap();
        assert_eq!(json["kind"], observation.kind());
        for time in ["at", "ms"] {
            json.as_object_mut().unwrap().remove(time);
        }
        told.push(json);
    }
    assert!(matches!(watcher.next().await, Next::Closed));
    told
}

#[tokio::test]
async fn a_request_is_told_with_its_caller_its_cost_and_its_version() {
    let request = json!({
        "routeKey": "POST /v1/posts", "rawPath": "/v1/posts",
        "requestContext": { "authorizer": { "jwt": { "claims": { "sub": "ada" } } } },
    });
    let answer = json!({
        "statusCode": 201, "body": "{}",
        "headers": { "tidings-cost": "calls=1", "tidings-version": "7", "location": "/v1/posts/p" },
    });
    let expected = json!({
        "kind": "request", "function": "Fanout", "route": "POST /v1/posts", "path": "/v1/posts", "user": "ada",
        "status": 201, "cost": "calls=1", "version": 7, "location": "/v1/posts/p",
    });
    assert_eq!(observed(&request, Ok(answer)).await, [expected]);
    let crashed = observed(&request, Err(InvokeError::Crashed)).await;
    assert_eq!(crashed[0]["status"], Value::Null);
}

#[tokio::test]
async fn an_event_has_the_same_id_in_the_stream_of_the_table_and_on_the_bus() {
    let change = json!({ "eventSource": "aws:dynamodb", "dynamodb": {
        "Keys": { "PK": { "S": "USER#a%7Cb" }, "SK": { "S": "EVENT#000000000007" } },
        "NewImage": {
            "user": { "S": "a|b" }, "version": { "N": "7" }, "at": { "N": "1700000000123" },
            "type": { "S": "PostCreated" }, "data": { "M": { "post": { "S": "p" } } },
        },
    } });
    let told = observed(&json!({ "Records": [change] }), Ok(json!({ "batchItemFailures": [] }))).await;
    let record = json!({ "type": "PostCreated", "id": "a|b/7", "post": "p", "decided_at": 1_700_000_000_123_i64 });
    let (source, size) = ("dynamodb", 1);
    let started = json!({ "kind": "started", "invocation": 0, "function": "Fanout", "source": source, "size": size,
        "records": [record] });
    assert_eq!(told, [started, json!({ "kind": "ended", "invocation": 0, "function": "Fanout", "outcome": "done" })]);

    let event = json!({ "type": "tidings.post.created.v1", "id": "a|b/7", "data": { "post": "p" } });
    let data = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, event.to_string());
    let batch = json!({ "Records": [{ "eventSource": "aws:kinesis", "kinesis": { "data": data } }] });
    let told = observed(&batch, Ok(json!({ "batchItemFailures": [{ "itemIdentifier": "1" }] }))).await;
    assert_eq!(told[0]["records"], json!([{ "type": "tidings.post.created.v1", "id": "a|b/7", "post": "p" }]));
    assert_eq!(told[1]["outcome"], "partly_failed");
}

#[tokio::test]
async fn a_task_is_told_with_the_number_of_its_users() {
    let task = json!({ "deliver": { "post": "p", "author": "ada", "viewers": ["x", "y"] } }).to_string();
    let batch = json!({ "Records": [{ "eventSource": "aws:sqs", "messageId": "m", "body": task }] });
    let told = observed(&batch, Err(InvokeError::Throttled)).await;
    assert_eq!(told[0]["records"], json!([{ "type": "deliver", "id": "m", "post": "p", "users": 2 }]));
    assert_eq!(told[1]["outcome"], "throttled");
}

#[tokio::test]
async fn what_nobody_understands_is_passed_on_untold() {
    for payload in [json!({}), json!({ "user": "ada" }), json!({ "Records": [] }), json!([1]), json!("text")] {
        assert_eq!(observed(&payload, Ok(json!(null))).await, Vec::<Value>::new(), "{payload}");
    }
    for record in [json!(1), json!({ "eventSource": "aws:sqs" }), json!({ "eventSource": "aws:sqs", "body": "[1]" })] {
        observed(&json!({ "Records": [record] }), Ok(json!(null))).await;
    }
}

#[tokio::test]
async fn only_so_many_can_watch_and_a_slow_one_is_told_what_is_lost() {
    let observer = Observer::default();
    assert!(!observer.is_watched());
    let mut watchers: Vec<_> = (0..WATCHERS_MAX).map(|_| observer.watch().unwrap()).collect();
    assert!(observer.is_watched() && observer.watch().is_none());
    for _ in 0..BACKLOG_MAX + 50 {
        observer.tell_written(Written { function: String::new(), operation: String::new(), items: Vec::new() });
    }
    assert!(matches!(watchers[0].next().await, Next::Skipped(50)));
    assert!(matches!(watchers[0].next().await, Next::Observation(_)));
    watchers.clear();
    assert!(!observer.is_watched());
}

#[test]
fn the_items_of_every_writing_operation_are_found() {
    let found = |operation: &str, body: Value| {
        assert!(writes::can_write(operation));
        let items = writes::items(operation, body.to_string().as_bytes());
        let shown = |item: writes::Item| {
            let sk = item.sk.map_or_else(String::new, |sk| format!("/{sk}"));
            format!("{}:{}{sk}{}", item.table, item.pk, if item.deleted { " deleted" } else { "" })
        };
        items.into_iter().map(shown).collect::<Vec<_>>()
    };
    let key = |pk: &str| json!({ "PK": { "S": pk }, "SK": { "S": "s" }, "n": { "N": "1" } });
    assert_eq!(found("PutItem", json!({ "TableName": "T", "Item": key("a") })), ["T:a/s"]);
    assert_eq!(found("UpdateItem", json!({ "TableName": "T", "Key": { "PK": { "S": "a" } } })), ["T:a"]);
    assert_eq!(found("DeleteItem", json!({ "TableName": "T", "Key": key("a") })), ["T:a/s deleted"]);
    let batch = json!({ "T": [{ "PutRequest": { "Item": key("a") } }, { "DeleteRequest": { "Key": key("b") } }] });
    assert_eq!(found("BatchWriteItem", json!({ "RequestItems": batch })), ["T:a/s", "T:b/s deleted"]);
    let transaction = json!([
        { "Put": { "TableName": "T", "Item": key("a") } },
        { "ConditionCheck": { "TableName": "T", "Key": key("x") } },
        { "Update": { "TableName": "T", "Key": key("b") } },
        { "Delete": { "TableName": "T", "Key": key("c") } },
    ]);
    assert_eq!(
        found("TransactWriteItems", json!({ "TransactItems": transaction })),
        ["T:a/s", "T:b/s", "T:c/s deleted"]
    );
    assert!(!writes::can_write("Query") && found("PutItem", json!([])).is_empty());
}
