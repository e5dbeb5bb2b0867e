//! What must survive the process: the shards of a Kinesis stream, the records within the retention period, and the last
//! sequence number of each shard, also if its record was trimmed. A sequence number is never used twice.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use ferrokinesis::{
    sequence,
    store::Store,
    types::{EpochSeconds, Shard, StoredRecord, Stream, StreamBuilder, StreamMode, StreamModeDetails, StreamStatus},
};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    -- Survives the death of the process, which is what is promised; not that of the machine.
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS streams (
        name TEXT PRIMARY KEY, arn TEXT NOT NULL, created REAL NOT NULL, retention_hours INTEGER NOT NULL,
        on_demand INTEGER NOT NULL, shards TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS counters (
        stream TEXT NOT NULL, shard INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (stream, shard)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS records (
        stream TEXT NOT NULL, position TEXT NOT NULL, partition_key TEXT NOT NULL, data TEXT NOT NULL,
        arrival_s REAL NOT NULL, PRIMARY KEY (stream, position)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS records_by_arrival ON records (stream, arrival_s);";

/// How many records are loaded at a time when the journal is played back. This bounds the memory.
const PLAYBACK_BATCH: usize = 1000;

/// One accepted record.
#[derive(Debug, PartialEq)]
pub(super) struct Put {
    /// ferrokinesis' key of a record: the shard index in hex, `/`, the sequence number.
    position: String,
    shard: i64,
    /// The part of the sequence number that counts the records of the shard.
    count: i64,
    partition_key: String,
    data: String,
    arrival_s: f64,
}

impl Put {
    /// The accepted records of a `PutRecord` or `PutRecords` request, with the sequence numbers from its answer.
    pub(super) fn from_exchange(request: &Value, answer: &Value) -> anyhow::Result<Vec<Self>> {
        match (request["Records"].as_array(), answer["Records"].as_array()) {
            (Some(records), Some(results)) => records
                .iter()
                .zip(results)
                .filter(|(_, result)| result["SequenceNumber"].is_string())
                .map(|(record, result)| Self::new(record, result))
                .collect(),
            _ => Ok(vec![Self::new(request, answer)?]),
        }
    }

    fn new(record: &Value, result: &Value) -> anyhow::Result<Self> {
        let text = |value: &Value| {
            value.as_str().map(str::to_owned).context("a field of the request or of the answer is missing")
        };
        let number = text(&result["SequenceNumber"])?;
        let parts = sequence::parse_sequence(&number)?;
        let count = parts.seq_ix.context("the sequence number has no counter")?;
        Ok(Self {
            position: format!("{}/{number}", sequence::shard_ix_to_hex(parts.shard_ix)),
            shard: parts.shard_ix,
            count: i64::try_from(count)?,
            partition_key: text(&record["PartitionKey"])?,
            data: text(&record["Data"])?,
            arrival_s: (parts.seq_time.unwrap_or_default() / 1000) as f64,
        })
    }
}

/// The journal. Clones share one connection.
#[derive(Clone)]
pub(super) struct Journal {
    connection: Arc<Mutex<Connection>>,
}

impl Journal {
    /// Opens the journal in the file at `path`, or in memory.
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Writes `puts` and the shards' counters in one transaction.
    pub(super) async fn append(&self, stream: String, puts: Vec<Put>) -> anyhow::Result<()> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            {
                let mut record = transaction.prepare_cached(
                    "INSERT INTO records (stream, position, partition_key, data, arrival_s) VALUES (?, ?, ?, ?, ?)",
                )?;
                let mut counter = transaction.prepare_cached(
                    "INSERT INTO counters (stream, shard, last) VALUES (?, ?, ?)
                     ON CONFLICT DO UPDATE SET last = max(last, excluded.last)",
                )?;
                for put in puts {
                    record.execute(params![stream, put.position, put.partition_key, put.data, put.arrival_s])?;
                    counter.execute(params![stream, put.shard, put.count])?;
                }
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Writes the stream's settings and shards. `None` means that the stream was deleted.
    pub(super) async fn save_stream(&self, name: String, stream: Option<Stream>) -> anyhow::Result<()> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            match stream {
                Some(stream) => {
                    let on_demand = stream.stream_mode_details.stream_mode == StreamMode::OnDemand;
                    transaction.execute(
                        "INSERT OR REPLACE INTO streams (name, arn, created, retention_hours, on_demand, shards)
                         VALUES (?, ?, ?, ?, ?, ?)",
                        params![
                            name,
                            stream.stream_arn,
                            stream.stream_creation_timestamp.0,
                            stream.retention_period_hours,
                            on_demand,
                            serde_json::to_string(&stream.shards)?,
                        ],
                    )?;
                }
                None => {
                    for table in ["streams WHERE name", "counters WHERE stream", "records WHERE stream"] {
                        transaction.execute(&format!("DELETE FROM {table} = ?"), [&name])?;
                    }
                }
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Deletes records that are older than their stream's retention period.
    pub(super) async fn trim(&self) -> anyhow::Result<()> {
        self.run(|connection| {
            connection.execute(
                "DELETE FROM records WHERE arrival_s <
                     unixepoch() - 3600 * (SELECT retention_hours FROM streams WHERE name = records.stream)",
                [],
            )?;
            Ok(())
        })
        .await
    }

    /// Loads the whole journal into an empty `store`.
    pub(super) async fn restore(&self, store: &Store) -> anyhow::Result<()> {
        self.trim().await?;
        for (name, stream) in self.run(|connection| streams(connection)).await? {
            let shards = stream.shards.clone();
            store.put_stream(&name, stream).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
            self.restore_counters(store, &name, &shards).await?;
            self.restore_records(store, &name).await?;
        }
        Ok(())
    }

    /// Sets the numbering of each open shard to where it was. ferrokinesis can only do this by allocating numbers.
    async fn restore_counters(&self, store: &Store, name: &str, shards: &[Shard]) -> anyhow::Result<()> {
        for (index, shard) in (0_i64..).zip(shards) {
            if shard.sequence_number_range.ending_sequence_number.is_some() {
                continue;
            }
            let stream = name.to_owned();
            let last = self.run(move |connection| last_count(connection, &stream, index)).await?;
            let hash_key = shard.hash_key_range.starting_hash_key.parse::<u128>()?;
            while i64::try_from(store.current_shard_seq(name, index).await)? <= last {
                store.allocate_sequence(name, &hash_key).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
            }
        }
        Ok(())
    }

    async fn restore_records(&self, store: &Store, name: &str) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let (stream, position) = (name.to_owned(), after);
            let batch = self.run(move |connection| records(connection, &stream, &position)).await?;
            let Some((last, _)) = batch.last() else { return Ok(()) };
            after = last.clone();
            store.put_records_batch(name, &batch).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        }
    }

    /// Runs `work` on a thread that may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let connection = self.connection.clone();
        tokio::task::spawn_blocking(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner)))
            .await?
    }
}

fn streams(connection: &Connection) -> anyhow::Result<Vec<(String, Stream)>> {
    let mut statement =
        connection.prepare("SELECT name, arn, created, retention_hours, on_demand, shards FROM streams")?;
    let rows = statement.query_map([], |row| {
        let name: String = row.get(0)?;
        let created = EpochSeconds(row.get(2)?);
        let mode = if row.get(4)? { StreamMode::OnDemand } else { StreamMode::Provisioned };
        let builder = StreamBuilder::new(name.clone(), row.get(1)?, StreamStatus::Active, created, Vec::new())
            .retention_period_hours(row.get(3)?)
            .stream_mode_details(StreamModeDetails { stream_mode: mode });
        Ok((name, builder.build(), row.get::<_, String>(5)?))
    })?;
    rows.map(|row| {
        let (name, mut stream, shards) = row?;
        stream.shards = serde_json::from_str(&shards)?;
        Ok((name, stream))
    })
    .collect()
}

fn last_count(connection: &Connection, stream: &str, shard: i64) -> anyhow::Result<i64> {
    let query = "SELECT last FROM counters WHERE stream = ? AND shard = ?";
    Ok(connection.query_row(query, params![stream, shard], |row| row.get(0)).optional()?.unwrap_or_default())
}

fn records(connection: &Connection, stream: &str, after: &str) -> anyhow::Result<Vec<(String, StoredRecord)>> {
    let mut statement = connection.prepare_cached(
        "SELECT position, partition_key, data, arrival_s FROM records
         WHERE stream = ? AND position > ? ORDER BY position LIMIT ?",
    )?;
    let rows = statement.query_map(params![stream, after, PLAYBACK_BATCH], |row| {
        let record =
            StoredRecord { partition_key: row.get(1)?, data: row.get(2)?, approximate_arrival_timestamp: row.get(3)? };
        Ok((row.get(0)?, record))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
