//! How long messages have waited. SQS itself does not tell; CloudWatch has it as `ApproximateAgeOfOldestMessage`.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags};

/// When the oldest message of each queue was sent, in milliseconds since the Unix epoch. Queues without messages are
/// left out. `database` is the file of a running server.
///
/// # Errors
/// If the file cannot be read.
pub fn oldest_messages(database: &Path) -> anyhow::Result<BTreeMap<String, i64>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database, flags).context("cannot open the queues")?;
    let mut query = connection.prepare(
        "SELECT queues.name, MIN(messages.sent_ms) FROM messages JOIN queues ON queues.id = messages.queue
         GROUP BY queues.id",
    )?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
