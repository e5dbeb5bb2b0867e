//! `status` and `watch`: what waits in queues, and how large tables are.

use std::time::Duration;

use anyhow::Context;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use clap::Args;
use serde_json::{Value, json};

use crate::{deployment::Deployment, output::Output};

/// Queues, each with what a message in it means.
const QUEUES: [(&str, &str); 3] = [
    ("Deliveries", "work under way"),
    ("FailedBatches", "batches that streams gave up"),
    ("Quarantine", "tasks that wait for a person"),
];
const TABLES: [&str; 4] = ["Commands", "Timelines", "Viewers", "Cards"];

/// How `watch` works.
#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// Seconds between two lines
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// End after so many lines [default: until it is interrupted]
    #[arg(long)]
    lines: Option<u64>,
}

/// Prints queues and tables.
pub(crate) async fn status(deployment: &Deployment, output: Output) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (queue, means) in QUEUES {
        let [waiting, in_flight, delayed] = count(deployment, queue).await?;
        rows.push(json!({
            "queue": queue, "waiting": waiting, "in_flight": in_flight, "delayed": delayed, "holds": means,
        }));
    }
    let mut tables = Vec::new();
    for table in TABLES {
        let answer = deployment.dynamodb.describe_table().table_name(deployment.name(table)?).send().await;
        let answer = answer.with_context(|| format!("the table {table} cannot be described"))?;
        let described = answer.table.with_context(|| format!("there is no table {table}"))?;
        let status = described.table_status().map(|status| status.as_str().to_owned());
        // DynamoDB counts items every six hours.
        tables.push(json!({
            "table": table, "status": status, "items": described.item_count(), "bytes": described.table_size_bytes(),
        }));
    }
    if output.json {
        output.object(&json!({ "queues": rows, "tables": tables }));
        return Ok(());
    }
    output.rows(&["queue", "waiting", "in_flight", "delayed", "holds"], &rows);
    println!();
    output.rows(&["table", "status", "items", "bytes"], &tables);
    Ok(())
}

/// Prints a line for each interval.
pub(crate) async fn watch(deployment: &Deployment, output: Output, arguments: &WatchArguments) -> anyhow::Result<()> {
    let mut printed = 0;
    loop {
        let mut line = serde_json::Map::new();
        for (queue, _) in QUEUES {
            let counts = count(deployment, queue).await?;
            line.insert(queue.to_owned(), Value::from(counts.iter().sum::<u64>()));
        }
        if output.json {
            println!("{}", Value::Object(line));
        } else {
            let cells: Vec<_> = line.iter().map(|(queue, count)| format!("{queue} {count}")).collect();
            println!("{}", cells.join(", "));
        }
        printed += 1;
        if arguments.lines.is_some_and(|lines| printed >= lines) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    }
}

/// Messages that wait, that somebody has received, and that are delayed.
async fn count(deployment: &Deployment, queue: &str) -> anyhow::Result<[u64; 3]> {
    let names = [
        Name::ApproximateNumberOfMessages,
        Name::ApproximateNumberOfMessagesNotVisible,
        Name::ApproximateNumberOfMessagesDelayed,
    ];
    let request = deployment.sqs.get_queue_attributes().queue_url(deployment.name(queue)?);
    let answer = request.set_attribute_names(Some(names.to_vec())).send().await;
    let answer = answer.with_context(|| format!("the queue {queue} cannot be asked"))?;
    let attributes = answer.attributes.unwrap_or_default();
    Ok(names.map(|name| attributes.get(&name).and_then(|count| count.parse().ok()).unwrap_or_default()))
}
