//! `quarantine`: tasks, and reports of failed batches, that can never succeed as things are.

use std::collections::BTreeMap;

use anyhow::Context;
use aws_sdk_sqs::types::Message;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::require_yes;
use crate::{
    deployment::Deployment,
    output::Output,
    queue::{Counts, Queue},
};

/// What is done with the quarantine.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Lists the tasks
    List,
    /// Prints a task
    Show {
        /// The id of its message
        id: String,
    },
    /// Moves messages back to the queues they came from, once the cause is fixed
    Redrive(Selection),
    /// Deletes tasks, which are never done then
    Drop {
        #[command(flatten)]
        selection: Selection,
        /// Do it, although it cannot be undone
        #[arg(long)]
        yes: bool,
    },
}

/// Which tasks are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Selection {
    /// The ids of their messages
    ids: Vec<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

/// Runs the subcommand.
pub(crate) async fn run(deployment: &Deployment, output: Output, command: Command) -> anyhow::Result<()> {
    if let Command::Drop { yes, .. } = &command {
        require_yes(*yes, "the deletion of tasks")?;
    }
    let quarantine = Queue::open(deployment, "Quarantine")?;
    let found = quarantine.receive().await?;
    let mut gone = Vec::new();
    let (done, outcome) = match &command {
        Command::List => {
            output.rows(&["id", "kind", "user", "version", "error"], &found.values().map(row).collect::<Vec<_>>());
            (Ok(()), None)
        }
        Command::Show { id } => (show(&found, id, output), None),
        Command::Redrive(selection) => {
            (redrive(deployment, &quarantine, &found, selection, &mut gone).await, Some("moved_back"))
        }
        Command::Drop { selection, .. } => (discard(&quarantine, &found, selection, &mut gone).await, Some("deleted")),
    };
    if let Some(outcome) = outcome {
        // The queue may have more messages than were received. If SQS does not say how many, `left` is null.
        let left = quarantine.count().await.ok().map(Counts::sum);
        output.object(&json!({ outcome: gone, "left": left }));
    }
    let kept = found.iter().filter(|(id, _)| !gone.contains(*id)).map(|(_, message)| message);
    let released = quarantine.release(kept).await;
    done.and(released)
}

fn show(found: &BTreeMap<String, Message>, id: &str, output: Output) -> anyhow::Result<()> {
    let message = found.get(id).with_context(|| unknown(id))?;
    let body = message.body().unwrap_or_default();
    let task: Value = serde_json::from_str(body).unwrap_or_else(|_| body.into());
    if output.json {
        output.object(&json!({ "id": id, "task": task }));
    } else {
        println!("{task:#}");
    }
    Ok(())
}

fn unknown(id: &str) -> String {
    format!("the quarantine has no message {id}; see `admin quarantine list`")
}

impl Selection {
    /// Those of the messages that are meant.
    ///
    /// # Errors
    /// If one of them is not there.
    fn of<'a>(&self, found: &'a BTreeMap<String, Message>) -> anyhow::Result<Vec<(&'a String, &'a Message)>> {
        if self.all {
            return Ok(found.iter().collect());
        }
        self.ids.iter().map(|id| found.get_key_value(id).with_context(|| unknown(id))).collect()
    }
}

/// Moves messages back to the queue from which they came. `gone` has the ids of those that are not here any more.
async fn redrive(
    deployment: &Deployment,
    quarantine: &Queue<'_>,
    found: &BTreeMap<String, Message>,
    selection: &Selection,
    gone: &mut Vec<String>,
) -> anyhow::Result<()> {
    for (id, message) in selection.of(found)? {
        Queue::open(deployment, origin(message))?.send(message).await?;
        // A crash in between leaves the message here, too. Tasks and reports can be repeated.
        quarantine.delete(message).await?;
        gone.push(id.clone());
    }
    Ok(())
}

/// Deletes messages. `gone` has the ids of those that are deleted.
async fn discard(
    quarantine: &Queue<'_>,
    found: &BTreeMap<String, Message>,
    selection: &Selection,
    gone: &mut Vec<String>,
) -> anyhow::Result<()> {
    for (id, message) in selection.of(found)? {
        quarantine.delete(message).await?;
        gone.push(id.clone());
    }
    Ok(())
}

/// The queue from which a message came: that of failed batches if it reports one, or that of tasks.
fn origin(message: &Message) -> &'static str {
    let body: Value = serde_json::from_str(message.body().unwrap_or_default()).unwrap_or_default();
    let is_report = ["KinesisBatchInfo", "DDBStreamBatchInfo"].iter().any(|batch| body.get(batch).is_some());
    if is_report { "FailedBatches" } else { "Deliveries" }
}

/// What a list shows of a message.
fn row(message: &Message) -> Value {
    let task: Value = serde_json::from_str(message.body().unwrap_or_default()).unwrap_or_default();
    let (kind, task) = task.as_object().and_then(|task| task.iter().next()).unzip();
    let of = |name: &str| task.and_then(|task| task.get(name)).cloned().unwrap_or_default();
    let users = ["user", "author", "viewer", "follower"].map(of);
    let user = users.into_iter().find(|user| !user.is_null()).unwrap_or_default();
    json!({
        "id": message.message_id(), "kind": kind, "user": user, "version": of("version"), "error": of("error"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_goes_back_to_the_queue_it_came_from() {
        let message = |body: &str| Message::builder().body(body).build();
        assert_eq!(origin(&message(r#"{"KinesisBatchInfo":{}}"#)), "FailedBatches");
        assert_eq!(origin(&message(r#"{"DDBStreamBatchInfo":{}}"#)), "FailedBatches");
        assert_eq!(origin(&message(r#"{"redo":{"user":"ada","version":3,"error":"no"}}"#)), "Deliveries");
        assert_eq!(origin(&message("broken")), "Deliveries");
    }

    #[test]
    fn a_row_tells_whose_task_failed_and_why() {
        let message = |body: &str| Message::builder().message_id("1").body(body).build();
        let redo = row(&message(r#"{"redo":{"user":"ada","version":3,"error":"no"}}"#));
        assert_eq!(redo, json!({"id": "1", "kind": "redo", "user": "ada", "version": 3, "error": "no"}));
        let spread = row(&message(r#"{"spread":{"post":"p","author":"bob","after":null,"found":0}}"#));
        assert_eq!(
            (&spread["kind"], &spread["user"], &spread["error"]),
            (&"spread".into(), &"bob".into(), &Value::Null)
        );
        assert_eq!(row(&message("broken"))["kind"], Value::Null);
    }
}
