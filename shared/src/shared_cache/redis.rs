//! The client of a Redis or Valkey server. One connection carries all calls of a process: they are written one after
//! the other without waiting. A connection that fails is given up, and the next call makes another one.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use aws_config::SdkConfig;
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, RedisError,
    ServerErrorKind, Value, aio::MultiplexedConnection, cluster::ClusterClient, cluster_async::ClusterConnection,
};
use tokio::time::timeout;

use super::{
    address::Address,
    entry::{LEASE, REMEMBERED},
    scripts::{FILL, Script, TAKE, WRITE},
    server::{Call, Failure, Reply, Server},
    token,
};
use crate::model::Clock;

/// How long a connection may take. A caller waits for less, and the next one finds the connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// A client.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    address: Address,
    config: SdkConfig,
    clock: Clock,
    connection: Mutex<Option<Connection>>,
    /// Held by whoever waits for a connection.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Redis {
    /// A client of the server at this address. Nothing is sent yet. `config` has credentials, if IAM authenticates.
    pub fn new(address: Address, config: SdkConfig, clock: Clock) -> Self {
        let (connection, connecting) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { address, config, clock, connection, connecting }))
    }

    async fn connection(&self) -> Result<Connection, Failure> {
        if let Some(connection) = self.known() {
            return Ok(connection);
        }
        let _waiting = self.0.connecting.lock().await;
        if let Some(connection) = self.known() {
            return Ok(connection);
        }
        // In a task of its own, because the caller may stop waiting. The next call finds the connection.
        let inner = Arc::clone(&self.0);
        let connected = tokio::spawn(async move {
            let connection = timeout(CONNECT_MAX, inner.open()).await.context("connecting took too long")??;
            *inner.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
            anyhow::Ok(connection)
        });
        connected.await.map_err(|error| Failure(error.to_string()))?.map_err(|error| Failure(format!("{error:#}")))
    }

    fn known(&self) -> Option<Connection> {
        self.0.connection.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn forget(&self) {
        *self.0.connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Inner {
    async fn open(&self) -> anyhow::Result<Connection> {
        let mut info: ConnectionInfo = self.address.url.as_str().into_connection_info()?;
        if let Some(cache) = &self.address.iam {
            let user = self.address.url.username();
            let password = token::token(&self.config, cache, user, self.clock.now()).await?;
            let settings = info.redis_settings().clone().set_password(password);
            info = info.set_redis_settings(settings);
        }
        if self.address.is_cluster {
            // A second attempt could take longer than anybody waits.
            let client = ClusterClient::builder([info]).connection_timeout(CONNECT_MAX).retries(0).build()?;
            return Ok(Connection::Cluster(client.get_async_connection().await?));
        }
        let timeouts =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_MAX)).set_response_timeout(None);
        let connection = Client::open(info)?.get_multiplexed_async_connection_with_config(&timeouts).await?;
        Ok(Connection::Single(connection))
    }
}

impl Connection {
    async fn send(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::Single(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    async fn answer(mut self, call: Call) -> Result<Reply, RedisError> {
        let reply = match &call {
            Call::Get { key } => {
                let content = self.send(redis::cmd("GET").arg(key)).await?;
                return Ok(Reply::Content(match content {
                    Value::BulkString(content) => Some(content),
                    _ => None,
                }));
            }
            Call::Take { key, token, seen, at_once, is_useless } => {
                let script = |command: &mut Cmd| {
                    let command = command.arg(1).arg(key).arg(token).arg(seen).arg(u8::from(*at_once));
                    command.arg(ms(LEASE)).arg(ms(REMEMBERED)).arg(u8::from(*is_useless));
                };
                let granted = self.run(&TAKE, script).await?;
                return Ok(match granted {
                    Value::Int(1) => Reply::Granted { is_fresh_write: false },
                    Value::Int(2) => Reply::Granted { is_fresh_write: true },
                    _ => Reply::Done,
                });
            }
            Call::Fill { key, token, entry, kept } => {
                let script = |command: &mut Cmd| {
                    command.arg(1).arg(key).arg(token).arg(entry).arg(ms(*kept));
                };
                self.run(&FILL, script).await
            }
            Call::Replace { key, entry, kept, fence } => self.write(key, entry, *kept, *fence).await,
            Call::Forget { key, fence } => self.write(key, &[], Duration::ZERO, *fence).await,
            Call::Block { key } => self.send(redis::cmd("SET").arg(key).arg("B").arg("PX").arg(ms(REMEMBERED))).await,
            Call::Delete { key } => self.send(redis::cmd("DEL").arg(key)).await,
        };
        reply.map(|_| Reply::Done)
    }

    async fn write(
        &mut self,
        key: &str,
        entry: &[u8],
        kept: Duration,
        fence: Option<Duration>,
    ) -> Result<Value, RedisError> {
        let script = |command: &mut Cmd| {
            let command = command.arg(1).arg(key).arg(entry).arg(ms(kept));
            command.arg(ms(fence.unwrap_or_default())).arg(ms(REMEMBERED));
        };
        self.run(&WRITE, script).await
    }

    /// Runs a script by its name. A server that does not know it yet gets its text.
    async fn run(&mut self, script: &Script, arguments: impl Fn(&mut Cmd)) -> Result<Value, RedisError> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script);
            arguments(&mut command);
            command
        };
        match self.send(&command("EVALSHA", &script.sha1)).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&command("EVAL", script.text)).await
            }
            answered => answered,
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Server for Redis {
    fn call(&self, calls: Vec<Call>) -> BoxFuture<'_, Result<Vec<Result<Reply, Failure>>, Failure>> {
        async move {
            let connection = self.connection().await?;
            let replies = join_all(calls.into_iter().map(|call| connection.clone().answer(call))).await;
            // With an answer of the server, the connection is sound. What the server refuses is an error of the call.
            let broken = replies.iter().find_map(|reply| reply.as_ref().err().filter(|error| is_broken(error)));
            if let Some(error) = broken {
                let why = error.to_string();
                self.forget();
                return Err(Failure(why));
            }
            Ok(replies.into_iter().map(|reply| reply.map_err(|error| Failure(error.to_string()))).collect())
        }
        .boxed()
    }

    fn connect(&self) -> BoxFuture<'_, ()> {
        async {
            if let Err(Failure(why)) = self.connection().await {
                tracing::warn!(why, "there is no connection to the shared cache yet");
            }
        }
        .boxed()
    }

    fn reset(&self) {
        self.forget();
    }
}

fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}
