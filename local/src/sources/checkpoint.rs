//! How far each mapping has read each shard, stored in SQLite so that it survives `kill -9`. A checkpoint is written
//! only after all records up to it are done. So after a crash, records may be delivered again, and none is lost.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use rusqlite::{Connection, OptionalExtension as _, params};

/// How far a shard was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Checkpoint {
    /// All records up to this sequence number are done, this one included.
    After(String),
    /// The shard is closed, and all its records are done.
    ShardEnd,
}

/// Stored in place of a sequence number for [`Checkpoint::ShardEnd`].
const SHARD_END: &str = "SHARD_END";

#[derive(Clone)]
pub(super) struct Checkpoints(Arc<Mutex<Connection>>);

impl Checkpoints {
    /// Opens the file, or creates it. Without a file, checkpoints are in memory.
    pub(super) fn open(file: Option<&Path>) -> anyhow::Result<Self> {
        let open = || -> rusqlite::Result<Connection> {
            let connection = file.map_or_else(Connection::open_in_memory, Connection::open)?;
            // A commit reaches the operating system at once. That is enough for a crash of this process.
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS checkpoints (
                    source TEXT NOT NULL, stream TEXT NOT NULL, shard TEXT NOT NULL, sequence TEXT NOT NULL,
                    PRIMARY KEY (source, stream, shard)) WITHOUT ROWID",
            )?;
            Ok(connection)
        };
        Ok(Self(Arc::new(Mutex::new(open().context("cannot open the checkpoints of the event source mappings")?))))
    }

    /// The checkpoint of mapping `source` in a shard. `stream` is the stream's ARN, or another name that changes when
    /// the stream is created again.
    pub(super) fn get(&self, source: &str, stream: &str, shard: &str) -> anyhow::Result<Option<Checkpoint>> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence: Option<String> = connection
            .prepare_cached("SELECT sequence FROM checkpoints WHERE source = ?1 AND stream = ?2 AND shard = ?3")?
            .query_row(params![source, stream, shard], |row| row.get(0))
            .optional()?;
        Ok(sequence.map(|sequence| match sequence.as_str() {
            SHARD_END => Checkpoint::ShardEnd,
            _ => Checkpoint::After(sequence),
        }))
    }

    /// Stores a checkpoint.
    pub(super) fn put(&self, source: &str, stream: &str, shard: &str, checkpoint: &Checkpoint) -> anyhow::Result<()> {
        let sequence = match checkpoint {
            Checkpoint::After(sequence) => sequence,
            Checkpoint::ShardEnd => SHARD_END,
        };
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO checkpoints (source, stream, shard, sequence) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![source, stream, shard, sequence])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_outlives_its_process_and_belongs_to_one_source_stream_and_shard() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("checkpoints.sqlite");
        let first = Checkpoints::open(Some(&file)).unwrap();
        first.put("source", "stream", "shard", &Checkpoint::After("1".into())).unwrap();
        first.put("source", "stream", "shard", &Checkpoint::After("2".into())).unwrap();
        first.put("source", "stream", "ended", &Checkpoint::ShardEnd).unwrap();

        // The first connection is not closed, as after a kill.
        let second = Checkpoints::open(Some(&file)).unwrap();
        assert_eq!(second.get("source", "stream", "shard").unwrap(), Some(Checkpoint::After("2".into())));
        assert_eq!(second.get("source", "stream", "ended").unwrap(), Some(Checkpoint::ShardEnd));
        assert_eq!(second.get("other", "stream", "shard").unwrap(), None);
        assert_eq!(second.get("source", "anew", "shard").unwrap(), None);
        drop(first);
    }
}
