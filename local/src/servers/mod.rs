//! The embedded servers: DynamoDB with its streams, Kinesis and SQS, each on a loopback port of its own, with its data in a
//! file of its own. Clients reach them as they reach AWS, over HTTP; nothing here is called in any other way, so any of
//! them can be swapped for another endpoint.

pub mod conflicts;
pub mod dynamodb;
mod forward;
pub mod guard;
pub mod kinesis;
pub mod provision;
pub mod sqs;
pub mod transaction_gate;

use std::{net::TcpListener, path::Path};

use anyhow::Context;
use tokio::{sync::watch, task::JoinSet};

use crate::aws;

/// Where the servers listen, as `http://127.0.0.1:<port>`.
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

/// Open ports that nobody serves yet: with them the endpoints are known before anything runs.
#[derive(Debug)]
pub struct Ports {
    dynamodb: TcpListener,
    kinesis: TcpListener,
    sqs: TcpListener,
}

impl Ports {
    /// Opens free ports on loopback; gives them and where they are.
    ///
    /// # Errors
    /// If no port can be bound.
    pub fn open() -> anyhow::Result<(Self, Endpoints)> {
        let ((dynamodb, at_dynamodb), (kinesis, at_kinesis), (sqs, at_sqs)) = (bind()?, bind()?, bind()?);
        let endpoints = Endpoints { dynamodb: at_dynamodb, kinesis: at_kinesis, sqs: at_sqs };
        Ok((Self { dynamodb, kinesis, sqs }, endpoints))
    }
}

/// The running servers; dropping it aborts them, [`Servers::shutdown`] ends them in order.
#[derive(Debug)]
pub struct Servers {
    stop: watch::Sender<bool>,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Servers {
    /// Starts all servers, with their data in `directory`.
    ///
    /// # Errors
    /// If a port cannot be served; what goes wrong later comes from [`Servers::failure`].
    pub fn start(ports: Ports, directory: &Path) -> anyhow::Result<Self> {
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        let stopped = || {
            let mut stop = stop.subscribe();
            async move {
                // An error means that the sender is gone, and so is everything that would use the server.
                stop.wait_for(|stop| *stop).await.ok();
            }
        };

        let (shutdown, database) = (stopped(), directory.join("dynamodb.sqlite"));
        tasks.spawn(async move { dynamodb::serve(ports.dynamodb, Some(&database), shutdown).await });
        let (shutdown, database) = (stopped(), directory.join("kinesis.sqlite"));
        let listener = tokio::net::TcpListener::from_std(ports.kinesis)?;
        tasks.spawn(async move { kinesis::serve(listener, Some(&database), shutdown).await });
        let (shutdown, database) = (stopped(), directory.join("sqs.sqlite"));
        let listener = tokio::net::TcpListener::from_std(ports.sqs)?;
        tasks.spawn(async move { sqs::serve(listener, Some(&database), shutdown).await });
        Ok(Self { stop, tasks })
    }

    /// Waits until a server ends, which none does by itself unless it fails; gives why.
    pub async fn failure(&mut self) -> anyhow::Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Err(error)) => error.into(),
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("a server ended"),
        }
    }

    /// Lets the servers answer what they have begun, and ends them.
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
