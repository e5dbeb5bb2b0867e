//! DynamoDB and DynamoDB Streams in this process: dynoxide, on SQLite. This module also does what dynoxide leaves to
//! its user: it expires items by their TTL, keeps the search for stream records fast, and deletes them after 24 h, as
//! AWS does. `operations` has what dynoxide's own HTTP server would do.

pub mod operations;

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::Context;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode, header},
    middleware,
    response::{IntoResponse as _, Response},
};
use dynoxide::Database;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::guard::access_key;
use crate::{
    http_server::{self, Patience},
    loopback::only_this_machine,
    observe::{
        Observer,
        writes::{self, Written},
    },
};

/// The largest request, on AWS and here.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How often items are expired. AWS expires them "within a few days"; here a minute makes the expiry observable.
const CHORES_INTERVAL: Duration = Duration::from_secs(60);
/// How long a stream keeps a record, on AWS and here.
const STREAM_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// How many stream records are deleted at a time. A write never waits long for the database.
const TRIM_BATCH: u32 = 500;
/// Every request holds the one lock of the database while it runs, so more threads would only wait for each other.
const WORKER_THREADS: usize = 2;

/// dynoxide searches a table's newest stream record with every write, and the oldest and newest record of a shard with
/// every `DescribeStream`. It never deletes records. Without this index, both become slower with each record.
const STREAM_INDEX: &str = "CREATE INDEX IF NOT EXISTS tidings_stream_records
     ON _stream_records (table_name, CAST(sequence_number AS INTEGER), shard_id)";
/// Ids grow with time, so old records have the lowest ids. A search without the id would read the whole table.
const TRIM_STREAMS: &str = "DELETE FROM _stream_records
     WHERE id < (SELECT MIN(id) FROM _stream_records) + ?2 AND created_at < unixepoch() - ?1";

/// Makes searches of stream records fast in the SQLite file of a dynoxide database that is open.
///
/// # Errors
/// If the file is not such a database.
pub fn index_stream_records(path: &Path) -> anyhow::Result<()> {
    StreamRecords::open(path).map(|_| ())
}

/// Serves DynamoDB on `listener` until `shutdown` completes. With a `database`, tables are stored in that SQLite file.
/// Without, tables are lost with the process. `observer` is told what is written.
///
/// The server has its own threads, because SQLite blocks them.
///
/// # Errors
/// If the database cannot be opened.
pub async fn serve(
    listener: TcpListener,
    database: Option<&Path>,
    observer: Observer,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let opened = match database {
        Some(path) => Database::new(path.to_str().context("the data directory's path is not UTF-8")?),
        None => Database::memory(),
    }
    .map_err(|error| anyhow::anyhow!("cannot open the DynamoDB database: {error}"))?;
    sync_at_checkpoints(&opened);
    let streams = database.and_then(|path| match StreamRecords::open(path) {
        Ok(streams) => Some(streams),
        Err(error) => {
            tracing::warn!("cannot index and trim stream records, so writes will become slower: {error:#}");
            None
        }
    });
    let (sender, ended) = oneshot::channel();
    thread::Builder::new().name("dynamodb".into()).spawn(move || {
        sender.send(run(listener, opened, streams, observer, shutdown)).ok();
    })?;
    ended.await.context("the DynamoDB thread ended")?
}

/// By default, dynoxide waits for the disk with every row, 25 times in a BatchWriteItem. To survive `kill -9`, a row
/// must only reach the operating system. A power cut may lose the last rows, but does not damage the file. dynoxide
/// restores exactly this setting after an import: `synchronous = NORMAL`, and defaults.
fn sync_at_checkpoints(database: &Database) {
    if let Err(error) = database.disable_bulk_loading() {
        tracing::warn!("cannot change how rows are written, so each write waits for the disk: {error}");
    }
}

fn run(
    listener: TcpListener,
    database: Database,
    streams: Option<StreamRecords>,
    observer: Observer,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .thread_name("dynamodb-worker")
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let chores = tokio::spawn(chores(database.clone(), streams));
        http_server::serve(listener, router(database, observer), Patience::LOCAL, shutdown).await;
        chores.abort();
        Ok(())
    })
}

fn router(database: Database, observer: Observer) -> Router {
    Router::new()
        .fallback(answer)
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .layer(middleware::from_fn(only_this_machine))
        .with_state((database, observer))
}

async fn answer(State((database, observer)): State<(Database, Observer)>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.rsplit('.').next().unwrap_or_default();
    let observed = observer.is_watched() && writes::can_write(operation);
    let items = if observed { writes::items(operation, &body) } else { Vec::new() };
    let (status, body) = operations::call(&database, operation, &body);
    if status == 200 && !items.is_empty() {
        let function = access_key(&headers).unwrap_or_default().to_owned();
        observer.tell_written(Written { function, operation: operation.to_owned(), items });
    }
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body).into_response()
}

async fn chores(database: Database, streams: Option<StreamRecords>) {
    loop {
        tokio::time::sleep(CHORES_INTERVAL).await;
        let (database, streams) = (database.clone(), streams.clone());
        let done = tokio::task::spawn_blocking(move || {
            let expired = database.sweep_ttl().map_err(|error| anyhow::anyhow!("cannot expire items: {error}"))?;
            let trimmed = streams.map(|streams| streams.trim()).transpose()?.unwrap_or_default();
            tracing::debug!(expired, trimmed, "DynamoDB chores");
            anyhow::Ok(())
        });
        if let Err(error) = done.await.map_err(anyhow::Error::from).flatten() {
            tracing::warn!("DynamoDB chores: {error:#}");
        }
    }
}

/// dynoxide's table of stream records, through a second connection to its file.
#[derive(Clone)]
struct StreamRecords {
    path: PathBuf,
}

impl StreamRecords {
    /// Opens the file and creates the index.
    fn open(path: &Path) -> anyhow::Result<Self> {
        let streams = Self { path: path.to_owned() };
        streams.connect()?.execute(STREAM_INDEX, [])?;
        Ok(streams)
    }

    /// Deletes the records that are older than the retention. Returns how many.
    fn trim(&self) -> anyhow::Result<usize> {
        let connection = self.connect()?;
        let mut trimmed = 0;
        loop {
            match connection.execute(TRIM_STREAMS, (STREAM_RETENTION.as_secs(), TRIM_BATCH))? {
                0 => return Ok(trimmed),
                count => trimmed += count,
            }
        }
    }

    fn connect(&self) -> anyhow::Result<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_records_are_found_by_an_index_and_trimmed_after_a_day() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dynamodb.sqlite");
        let database = Database::new(path.to_str().unwrap()).unwrap();
        let streams = StreamRecords::open(&path).unwrap();
        let connection = streams.connect().unwrap();
        let insert = "INSERT INTO _stream_records
            (table_name, event_name, keys_json, sequence_number, shard_id, created_at)
            VALUES ('t', 'INSERT', '{}', ?1, 's', unixepoch() - ?2)";
        connection.execute(insert, ("1", 24 * 60 * 60 + 60)).unwrap();
        connection.execute(insert, ("2", 24 * 60 * 60 - 60)).unwrap();

        assert_eq!(streams.trim().unwrap(), 1);
        let newest = "SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = 't'";
        assert_eq!(connection.query_row(newest, [], |row| row.get::<_, i64>(0)).unwrap(), 2);
        let range = "SELECT MIN(CAST(sequence_number AS INTEGER)), MAX(CAST(sequence_number AS INTEGER))
            FROM _stream_records WHERE table_name = 't' AND shard_id = 's'";
        for query in [newest, range] {
            let explain = format!("EXPLAIN QUERY PLAN {query}");
            let plan: String = connection.query_row(&explain, [], |row| row.get(3)).unwrap();
            assert!(plan.contains("COVERING INDEX tidings_stream_records (table_name=?)"), "{plan}");
        }
        drop(database);
    }
}
