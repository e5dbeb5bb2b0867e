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
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, Pipeline, RedisError,
    ServerErrorKind, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
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
    /// Sends the commands at once. One connection takes them as one request, which costs a fraction of the work.
    async fn send(&mut self, commands: Vec<Cmd>) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        match self {
            Self::Single(connection) => {
                let (count, mut pipeline) = (commands.len(), Pipeline::with_capacity(commands.len()));
                for command in commands {
                    pipeline.add_command(command);
                }
                let values = connection.req_packed_commands(&pipeline, 0, count).await?;
                Ok(values.into_iter().map(Value::extract_error).collect())
            }
            Self::Cluster(connection) => {
                let send = |command: Cmd| {
                    let mut connection = connection.clone();
                    async move { command.query_async(&mut connection).await }
                };
                Ok(join_all(commands.into_iter().map(send)).await)
            }
        }
    }

    /// Sends the calls at once. A server that does not know a script yet gets its text.
    async fn answer(&mut self, calls: &[Call]) -> Result<Vec<Result<Value, RedisError>>, RedisError> {
        let mut values = self.send(calls.iter().map(|call| command(call, By::Name)).collect()).await?;
        let is_unknown = |value: &Result<Value, RedisError>| {
            value.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
        };
        let unknown: Vec<_> = (0..values.len()).filter(|at| values.get(*at).is_some_and(is_unknown)).collect();
        if unknown.is_empty() {
            return Ok(values);
        }
        let again = unknown.iter().filter_map(|at| calls.get(*at)).map(|call| command(call, By::Text)).collect();
        for (at, value) in unknown.into_iter().zip(self.send(again).await?) {
            if let Some(place) = values.get_mut(at) {
                *place = value;
            }
        }
        Ok(values)
    }
}

/// How a script is named.
#[derive(Debug, Clone, Copy)]
enum By {
    Name,
    Text,
}

/// The command of a call.
fn command(call: &Call, by: By) -> Cmd {
    let key = call.key();
    let script = |script: &Script| {
        let mut command = match by {
            By::Name => redis::cmd("EVALSHA").arg(&script.sha1).take(),
            By::Text => redis::cmd("EVAL").arg(script.text).take(),
        };
        command.arg(1).arg(key);
        command
    };
    let write = |entry: &[u8], kept: Duration, fence: &Option<Duration>| {
        let fence = ms(fence.unwrap_or_default());
        script(&WRITE).arg(entry).arg(ms(kept)).arg(fence).arg(ms(REMEMBERED)).take()
    };
    match call {
        Call::Get { .. } => redis::cmd("GET").arg(key).take(),
        Call::Take { token, seen, at_once, is_useless, .. } => {
            let mut command = script(&TAKE);
            command.arg(token).arg(seen).arg(u8::from(*at_once)).arg(ms(LEASE)).arg(ms(REMEMBERED));
            command.arg(u8::from(*is_useless)).take()
        }
        Call::Fill { token, entry, kept, .. } => script(&FILL).arg(token).arg(entry).arg(ms(*kept)).take(),
        Call::Replace { entry, kept, fence, .. } => write(entry, *kept, fence),
        Call::Forget { fence, .. } => write(&[], Duration::ZERO, fence),
        Call::Block { .. } => redis::cmd("SET").arg(key).arg("B").arg("PX").arg(ms(REMEMBERED)).take(),
        Call::Delete { .. } => redis::cmd("DEL").arg(key).take(),
    }
}

fn reply(call: &Call, value: Value) -> Reply {
    match (call, value) {
        (Call::Get { .. }, Value::BulkString(content)) => Reply::Content(Some(content)),
        (Call::Get { .. }, _) => Reply::Content(None),
        (Call::Take { .. }, Value::Int(1)) => Reply::Granted { is_fresh_write: false },
        (Call::Take { .. }, Value::Int(2)) => Reply::Granted { is_fresh_write: true },
        _ => Reply::Done,
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Server for Redis {
    fn call(&self, calls: Vec<Call>) -> BoxFuture<'_, Result<Vec<Result<Reply, Failure>>, Failure>> {
        async move {
            let values = self.connection().await?.answer(&calls).await;
            // With an answer of the server, the connection is sound. What the server refuses is an error of the call.
            let broken = match &values {
                Ok(values) => values.iter().find_map(|value| value.as_ref().err().filter(|error| is_broken(error))),
                Err(error) => Some(error),
            };
            if let Some(error) = broken {
                self.forget();
                return Err(Failure(error.to_string()));
            }
            let failed = |error: RedisError| Failure(error.to_string());
            let values = values.map_err(failed)?.into_iter().zip(&calls);
            Ok(values.map(|(value, call)| value.map(|value| reply(call, value)).map_err(failed)).collect())
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
