//! `status` and `watch`: what waits in queues, and how large tables are.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::{
    deployment::Deployment,
    output::Output,
    queue::{Counts, Queue},
};

/// Queues, each with what a message in it means.
const QUEUES: [(&str, &str); 3] = [
    ("Deliveries", "work under way"),
    ("FailedBatches", "batches that streams gave up"),
    ("Quarantine", "what waits for a person"),
];
/// Tables. Each read model has two, and a rebuild switches between them.
const TABLES: [&str; 9] =
    ["Commands", "Timelines", "Viewers", "Cards", "SearchIndex", "TimelinesB", "ViewersB", "CardsB", "SearchIndexB"];

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
        let Counts { waiting, in_flight, delayed } = Queue::open(deployment, queue)?.count().await?;
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
            line.insert(queue.to_owned(), Queue::open(deployment, queue)?.count().await?.sum().into());
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
