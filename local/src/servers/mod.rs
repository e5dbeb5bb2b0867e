//! The embedded servers: DynamoDB with its streams, Kinesis and SQS. Each has its own loopback port and its own file.
//! Clients reach the servers only over HTTP, as they reach AWS, so any server can be replaced by another endpoint.

pub mod conflicts;
pub mod dynamodb;
mod forward;
pub mod guard;
pub mod kinesis;
pub mod limits;
pub mod provision;
pub mod sqs;
pub mod transaction_gate;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
};

use anyhow::Context;
use aws_limits::sqs::InFlightRules;
use tokio::{sync::watch, task::JoinSet};

use crate::{aws, observe::Observer};
pub(crate) use sqs::oldest_messages;

/// The file of the queues, if the servers' data is in `directory`.
pub(crate) fn queues_file(directory: &Path) -> PathBuf {
    directory.join("sqs.sqlite")
}

/// The URLs of the servers, as `http://127.0.0.1:<port>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// DynamoDB and DynamoDB Streams.
    pub dynamodb: String,
    /// Kinesis.
    pub kinesis: String,
    /// SQS.
    pub sqs: String,
}

impl Endpoints {
    /// The URL of the queue with this name.
    pub fn queue_url(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.sqs, aws::ACCOUNT)
    }
}

/// Open ports that nobody serves yet. With them, the endpoints are known before any server runs.
#[derive(Debug)]
pub struct Ports {
    dynamodb: TcpListener,
    kinesis: TcpListener,
    sqs: TcpListener,
}

impl Ports {
    /// Opens free ports on loopback. Returns them and their URLs.
    ///
    /// # Errors
    /// If no port can be bound.
    pub fn open() -> anyhow::Result<(Self, Endpoints)> {
        let ((dynamodb, at_dynamodb), (kinesis, at_kinesis), (sqs, at_sqs)) = (bind()?, bind()?, bind()?);
        let endpoints = Endpoints { dynamodb: at_dynamodb, kinesis: at_kinesis, sqs: at_sqs };
        Ok((Self { dynamodb, kinesis, sqs }, endpoints))
    }
}

/// The running servers. Dropping this value aborts them; [`Servers::shutdown`] stops them in order.
#[derive(Debug)]
pub struct Servers {
    stop: watch::Sender<bool>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Servers {
    /// Starts all servers. Their data is in `directory`. `observer` is told what is written to tables. `rules` is
    /// that of the queues.
    ///
    /// # Errors
    /// If a port cannot be served. Later failures come from [`Servers::failure`].
    pub fn start(ports: Ports, directory: &Path, observer: Observer, rules: InFlightRules) -> anyhow::Result<Self> {
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let stopped = || {
            let mut stop = stop.subscribe();
            async move {
                // An error means that the sender is gone, and with it every user of the server.
                stop.wait_for(|stop| *stop).await.ok();
            }
        };

        let (shutdown, database) = (stopped(), directory.join("dynamodb.sqlite"));
        tasks.spawn(async move { dynamodb::serve(ports.dynamodb, Some(&database), observer, shutdown).await });
        let (shutdown, database) = (stopped(), directory.join("kinesis.sqlite"));
        let listener = tokio::net::TcpListener::from_std(ports.kinesis)?;
        tasks.spawn(async move { kinesis::serve(listener, Some(&database), shutdown).await });
        let (shutdown, database) = (stopped(), queues_file(directory));
        let listener = tokio::net::TcpListener::from_std(ports.sqs)?;
        tasks.spawn(async move { sqs::serve(listener, Some(&database), rules, shutdown).await });
        Ok(Self { stop, tasks })
    }

    /// Waits until a server fails. Returns the failure. Servers do not stop by themselves.
    pub async fn failure(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => error.into(),
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("a server has stopped"),
        }
    }

    /// Lets the servers answer the requests in progress, and stops them.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended.map_err(anyhow::Error::from).flatten() {
                tracing::warn!("{error:#}");
            }
        }
    }
}

fn bind() -> anyhow::Result<(TcpListener, String)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot open a port on 127.0.0.1")?;
    listener.set_nonblocking(true)?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    Ok((listener, endpoint))
}

#[cfg(test)]
mod tests {
    use reqwest::{Method, StatusCode, header};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn no_server_answers_a_web_page() {
        let directory = tempfile::tempdir().unwrap();
        let (ports, endpoints) = Ports::open().unwrap();
        let servers = Servers::start(ports, directory.path(), Observer::default(), InFlightRules::default()).unwrap();
        let client = reqwest::Client::new();
        for url in [&endpoints.dynamodb, &endpoints.kinesis, &endpoints.sqs] {
            let refusal = async |method: Method, name: header::HeaderName, value: &str| {
                let request = client.request(method, url).header(name, value).body("{}");
                let answer = request.send().await.unwrap();
                let allowed = answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN);
                // Kinesis answers a request without a signature with 403, too.
                let forbidden = answer.status() == StatusCode::FORBIDDEN;
                (forbidden && answer.text().await.unwrap().contains("Forbidden"), allowed)
            };
            let refused = (true, false);
            for method in [Method::POST, Method::GET, Method::OPTIONS] {
                // A page of a host that resolves to 127.0.0.1, and a page that sends a request to another origin.
                assert_eq!(refusal(method.clone(), header::HOST, "page.example").await, refused, "{method} {url}");
                for origin in ["http://page.example", "null", "http://localhost.page.example"] {
                    let answered = refusal(method.clone(), header::ORIGIN, origin).await;
                    assert_eq!(answered, refused, "{method} {url} {origin}");
                }
            }
            for (name, value) in [(header::HOST, "localhost:1"), (header::ORIGIN, "http://127.0.0.1:3000")] {
                assert!(!refusal(Method::POST, name, value).await.0, "{url} {value}");
            }
        }
        servers.shutdown().await;
    }
}
