//! Tests of the SQS contract through the real SDK client. Tests about the passing of time use the store, which gets the
//! time from its caller.

mod fairness;
mod messages;
mod queues;
mod receiving;
mod redrive;
mod restart;
mod throughput;

use std::{future::pending, path::Path, time::Duration};

use aws_limits::sqs::InFlightRules;
use aws_sdk_sqs::{
    Client,
    types::{Message, MessageSystemAttributeName, SendMessageBatchRequestEntry},
};
use tokio::net::TcpListener;

use super::{Store, api, serve};
use crate::aws;

/// A running server, which stops with its test.
struct Sqs {
    client: Client,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Drop for Sqs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sqs {
    async fn start(database: Option<&Path>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let database = database.map(Path::to_owned);
        let rules = InFlightRules::default();
        let task = tokio::spawn(async move { serve(listener, database.as_deref(), rules, pending()).await });
        Self { client: aws::sqs(&endpoint), task }
    }

    /// Creates a queue with these attributes. Returns its URL.
    async fn queue(&self, name: &str, attributes: &[(&str, &str)]) -> String {
        let mut request = self.client.create_queue().queue_name(name);
        for (name, value) in attributes {
            request = request.attributes((*name).into(), *value);
        }
        request.send().await.unwrap().queue_url.unwrap()
    }

    async fn send(&self, queue: &str, body: &str) {
        self.client.send_message().queue_url(queue).message_body(body).send().await.unwrap();
    }

    async fn send_in_group(&self, queue: &str, group: &str, bodies: impl Iterator<Item = String>) {
        for body in bodies {
            let request = self.client.send_message().queue_url(queue).message_body(body).message_group_id(group);
            request.send().await.unwrap();
        }
    }

    /// Receives up to ten messages, with all attributes.
    async fn receive(&self, queue: &str) -> Vec<Message> {
        let request = self.client.receive_message().queue_url(queue).max_number_of_messages(10);
        let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
        request.message_attribute_names("All").send().await.unwrap().messages.unwrap_or_default()
    }

    async fn attribute(&self, queue: &str, name: &str) -> String {
        let request = self.client.get_queue_attributes().queue_url(queue).attribute_names(name.into());
        request.send().await.unwrap().attributes.unwrap()[&name.into()].clone()
    }
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body().unwrap()).collect()
}

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap()
}

/// A redrive policy with the queue `name`.
fn redrive_policy(name: &str, max_receive_count: u32) -> String {
    let arn = super::store::arn(name);
    format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":{max_receive_count}}}"#)
}

/// The code by which the SDK distinguishes errors.
fn code<E: aws_sdk_sqs::error::ProvideErrorMetadata>(error: &E) -> &str {
    error.code().unwrap()
}

/// A store in memory with one queue, for tests that set the time. Everything begins at 0 ms.
fn store(attributes: &[(&str, &str)]) -> Store {
    let mut store = Store::open(None, "http://sqs".to_owned()).unwrap();
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    store.create_queue(0, api::CreateQueue { queue_name: "q".to_owned(), attributes }).unwrap();
    store
}

fn send_at(store: &mut Store, now_ms: i64, body: &str) {
    let content = api::NewMessage { message_body: body.to_owned(), ..Default::default() };
    store.send_message(now_ms, api::Single { queue_url: "q".to_owned(), content }).unwrap();
}

fn receive_at(store: &Store, now_ms: i64) -> Vec<api::Message> {
    let request = serde_json::from_str(r#"{"QueueUrl":"q","MaxNumberOfMessages":10}"#).unwrap();
    store.receive(now_ms, &request).unwrap()
}

/// Long enough for anything that happens at once, even on a busy machine.
const SOON: Duration = Duration::from_secs(10);
