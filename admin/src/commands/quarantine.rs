//! `quarantine`: tasks that failed for good. SQS shows messages only to those who receive them. So `list` and `show`
//! receive messages, and make them visible again at the end.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName as Attribute};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::require_yes;
use crate::{deployment::Deployment, output::Output};

/// Messages that are looked at, at most.
const MESSAGES_MAX: usize = 1000;
/// Messages of one receive at most (SQS, ReceiveMessage).
const RECEIVED_MAX: i32 = 10;
/// How long received messages are hidden from others, in seconds: as long as the command may take.
const HIDDEN_SECONDS: i32 = 120;
/// Receives without a new message after which the queue counts as read. SQS asks only some of its servers each time.
const EMPTY_RECEIVES: usize = 3;

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
    /// Moves tasks back to the work queue, once the cause is fixed
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
    let quarantine = Quarantine { deployment, url: deployment.name("Quarantine")? };
    let found = quarantine.receive().await?;
    let (done, gone) = match &command {
        Command::List => {
            output.rows(&["id", "kind", "user", "version", "error"], &found.values().map(row).collect::<Vec<_>>());
            (Ok(()), Vec::new())
        }
        Command::Show { id } => (quarantine.show(&found, id, output), Vec::new()),
        Command::Redrive(selection) => quarantine.remove(&found, selection, true).await,
        Command::Drop { selection, .. } => quarantine.remove(&found, selection, false).await,
    };
    for message in found.iter().filter(|(id, _)| !gone.contains(*id)).map(|(_, message)| message) {
        quarantine.release(message).await?;
    }
    done?;
    if !gone.is_empty() {
        let verb = if matches!(command, Command::Redrive(_)) { "moved back" } else { "deleted" };
        eprintln!("{} tasks {verb}, {} left", gone.len(), found.len() - gone.len());
    }
    Ok(())
}

struct Quarantine<'a> {
    deployment: &'a Deployment,
    url: &'a str,
}

impl Quarantine<'_> {
    /// The messages by their ids.
    async fn receive(&self) -> anyhow::Result<BTreeMap<String, Message>> {
        let (mut found, mut empty) = (BTreeMap::new(), 0);
        while empty < EMPTY_RECEIVES && found.len() < MESSAGES_MAX {
            let request = self.deployment.sqs.receive_message().queue_url(self.url);
            let request = request.max_number_of_messages(RECEIVED_MAX).visibility_timeout(HIDDEN_SECONDS);
            let request = request.message_system_attribute_names(Attribute::SentTimestamp);
            let answer = request.send().await.context("the quarantine cannot be read")?;
            let before = found.len();
            for message in answer.messages.unwrap_or_default() {
                found.insert(message.message_id().unwrap_or_default().to_owned(), message);
            }
            empty = if found.len() == before { empty + 1 } else { 0 };
        }
        Ok(found)
    }

    fn show(&self, found: &BTreeMap<String, Message>, id: &str, output: Output) -> anyhow::Result<()> {
        let message = found.get(id).with_context(|| format!("the quarantine has no message {id}; see `list`"))?;
        let task: Value = serde_json::from_str(message.body().unwrap_or_default()).unwrap_or_default();
        if output.json {
            output.object(&json!({ "id": id, "task": task }));
        } else {
            println!("{task:#}");
        }
        Ok(())
    }

    /// Moves messages back to the work queue, or deletes them. Returns the ids of those that are gone from here.
    async fn remove(
        &self,
        found: &BTreeMap<String, Message>,
        selection: &Selection,
        sends: bool,
    ) -> (anyhow::Result<()>, Vec<String>) {
        let mut gone = Vec::new();
        let done = async {
            let unknown = selection.ids.iter().find(|id| !found.contains_key(*id));
            ensure!(
                unknown.is_none(),
                "the quarantine has no message {}; see `list`",
                unknown.cloned().unwrap_or_default()
            );
            for (id, message) in found.iter().filter(|(id, _)| selection.all || selection.ids.contains(id)) {
                if sends {
                    let request = self.deployment.sqs.send_message().queue_url(self.deployment.name("Deliveries")?);
                    let sent = request.message_body(message.body().unwrap_or_default()).send().await;
                    sent.with_context(|| format!("the message {id} cannot be moved"))?;
                }
                // A crash in between leaves the message here, too. Tasks can be repeated.
                let request = self.deployment.sqs.delete_message().queue_url(self.url);
                let deleted = request.receipt_handle(message.receipt_handle().unwrap_or_default()).send().await;
                deleted.with_context(|| format!("the message {id} cannot be deleted"))?;
                gone.push(id.clone());
            }
            Ok(())
        };
        let done = done.await;
        (done, gone)
    }

    /// Lets others receive the message again.
    async fn release(&self, message: &Message) -> anyhow::Result<()> {
        let request = self.deployment.sqs.change_message_visibility().queue_url(self.url).visibility_timeout(0);
        let released = request.receipt_handle(message.receipt_handle().unwrap_or_default()).send().await;
        released.map(drop).context("messages stay hidden for two minutes")
    }
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
