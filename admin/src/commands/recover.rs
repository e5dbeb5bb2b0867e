//! `recover`: does what event source mappings gave up, at once. The function Recover takes the reports in the queue
//! `FailedBatches` by itself. This command does not wait for its event source, and tells what became of each report.

use anyhow::Context;
use aws_sdk_sqs::types::Message;
use serde_json::{Value, json};

use crate::{deployment::Deployment, output::Output, queue::Queue};

/// Has every report worked on that is visible.
pub(crate) async fn recover(deployment: &Deployment, output: Output) -> anyhow::Result<()> {
    let queue = Queue::open(deployment, "FailedBatches")?;
    let mut open = queue.receive().await?.into_iter().collect::<Vec<_>>();
    open.sort_by_key(|(_, message)| sent_at(message));
    let (mut rows, mut kept, mut failed) = (Vec::new(), Vec::new(), None);
    for (id, message) in &open {
        if failed.is_some() {
            kept.push(message);
            continue;
        }
        match work_on(deployment, &queue, message).await {
            Ok(outcome) => rows.push(row(id, message, outcome)),
            Err(error) => {
                kept.push(message);
                failed = Some(error);
            }
        }
    }
    output.rows(&["id", "function", "stream", "shard", "records", "outcome"], &rows);
    // If SQS does not answer, this hint must not hide what has failed before.
    if let Ok(counts) = queue.count().await {
        let (done, left) = (done(&rows), counts.sum());
        eprintln!("{done} reports done, {left} left; those that were put off come back within half an hour");
    }
    let released = queue.release(kept).await;
    failed.map_or(released, |error| Err(error).context("the other reports were not worked on"))
}

/// Has a report worked on, and tells what became of it.
async fn work_on(deployment: &Deployment, queue: &Queue<'_>, message: &Message) -> anyhow::Result<&'static str> {
    let answer = deployment.invoke("Recover", &event(message)).await?;
    if !answer["batchItemFailures"].as_array().is_none_or(Vec::is_empty) {
        return Ok("put off");
    }
    queue.delete(message).await?;
    Ok("done")
}

fn done(rows: &[Value]) -> usize {
    rows.iter().filter(|row| row["outcome"] == "done").count()
}

/// The event with which SQS invokes a function.
fn event(message: &Message) -> Value {
    let attributes = message.attributes().into_iter().flatten();
    let attributes: serde_json::Map<_, _> =
        attributes.map(|(name, value)| (name.as_str().to_owned(), Value::from(value.as_str()))).collect();
    json!({ "Records": [{
        "messageId": message.message_id(),
        "receiptHandle": message.receipt_handle(),
        "body": message.body(),
        "md5OfBody": message.md5_of_body(),
        "attributes": attributes,
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "",
        "awsRegion": "",
    }]})
}

fn sent_at(message: &Message) -> u64 {
    let sent = aws_sdk_sqs::types::MessageSystemAttributeName::SentTimestamp;
    let attributes = message.attributes();
    attributes.and_then(|all| all.get(&sent)).and_then(|at| at.parse().ok()).unwrap_or_default()
}

fn row(id: &str, message: &Message, outcome: &str) -> Value {
    let report: Value = serde_json::from_str(message.body().unwrap_or_default()).unwrap_or_default();
    let (stream, batch) = match (report.get("KinesisBatchInfo"), report.get("DDBStreamBatchInfo")) {
        (Some(batch), _) => (Some("events"), batch),
        (None, Some(batch)) => (Some("commands"), batch),
        (None, None) => (None, &Value::Null),
    };
    let function = report["requestContext"]["functionArn"].as_str();
    // arn:aws:lambda:region:account:function:name[:alias]
    let function = function.and_then(|arn| arn.split(':').nth(6));
    json!({
        "id": id, "function": function, "stream": stream, "shard": batch["shardId"], "records": batch["batchSize"],
        "outcome": outcome,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_which_function_gave_up_how_many_records_of_which_stream() {
        let report = json!({
            "requestContext": { "functionArn": "arn:aws:lambda:eu-west-1:1:function:tidings-Fanout:live" },
            "KinesisBatchInfo": { "shardId": "shard-1", "batchSize": 7 },
        });
        let message = Message::builder().body(report.to_string()).build();
        let expected = json!({
            "id": "1", "function": "tidings-Fanout", "stream": "events", "shard": "shard-1", "records": 7,
            "outcome": "done",
        });
        assert_eq!(row("1", &message, "done"), expected);
        let nonsense = row("1", &Message::builder().body("broken").build(), "put off");
        assert_eq!((&nonsense["stream"], &nonsense["outcome"]), (&Value::Null, &"put off".into()));
    }
}
