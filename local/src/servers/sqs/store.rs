//! The queues and their SQLite database. One caller at a time uses the one connection, and every operation is one
//! transaction. With a file, all acknowledged operations survive the death of the process (WAL, `synchronous = NORMAL`;
//! only a crash of the operating system could undo the last ones). The store never reads the clock: its callers pass
//! the time.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::Context;
use aws_limits::sqs::InFlightRules;
use rusqlite::{Connection, config::DbConfig, params};
use tokio::sync::Notify;

use super::{
    api::{
        Attributes, CreateQueue, Empty, GetQueueAttributes, GetQueueUrl, ListQueues, OnQueue, QueueAttributes,
        QueueUrl, QueueUrls, SetQueueAttributes,
    },
    error::SqsError,
    limits,
    settings::{self, Settings},
};
use crate::aws::{ACCOUNT, REGION};

/// The version of the schema below, stored in `user_version`.
const SCHEMA_VERSION: i64 = 1;
/// The index `due` finds visible messages in the order in which they became visible, and contains all columns for
/// counting and choosing. `groups` finds the next message of a group. `received` finds messages in flight and released
/// ones. Row ids are never reused, because receipt handles contain them.
const SCHEMA: &str = "
    CREATE TABLE queues (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        attributes TEXT NOT NULL,
        created_ms INTEGER NOT NULL,
        modified_ms INTEGER NOT NULL
    );
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        queue INTEGER NOT NULL REFERENCES queues (id) ON DELETE CASCADE,
        message_id TEXT NOT NULL,
        body TEXT NOT NULL,
        attributes TEXT,
        trace_header TEXT,
        message_group TEXT,
        sent_ms INTEGER NOT NULL,
        visible_ms INTEGER NOT NULL,
        receives INTEGER NOT NULL DEFAULT 0,
        first_received_ms INTEGER,
        source_arn TEXT
    );
    CREATE INDEX due ON messages (queue, visible_ms, id, message_group, receives, sent_ms);
    CREATE INDEX received ON messages (queue, visible_ms, receives, message_group) WHERE receives > 0;
    CREATE INDEX groups ON messages (queue, message_group, visible_ms, id) WHERE message_group IS NOT NULL;
";
/// A queue may be purged once in this time.
const PURGE_INTERVAL_MS: i64 = 60_000;

/// All queues with their messages.
pub(super) struct Store {
    pub(super) connection: Connection,
    pub(super) queues: BTreeMap<String, Queue>,
    /// The beginning of queue URLs, for example `http://127.0.0.1:9324`.
    base_url: String,
    /// What messages in flight do to those that wait.
    pub(super) rules: InFlightRules,
}

/// What the server knows about a queue besides its messages.
pub(super) struct Queue {
    pub(super) id: i64,
    pub(super) settings: Settings,
    /// Notified of each message that becomes visible by a request, not of messages that become visible by time.
    pub(super) arrivals: Arc<Notify>,
    attributes: Attributes,
    created_ms: i64,
    modified_ms: i64,
    purged_ms: Option<i64>,
}

impl Store {
    /// Opens the database in the file `database`, or a new one in memory.
    pub(super) fn open(database: Option<&Path>, base_url: String) -> anyhow::Result<Self> {
        let connection = match database {
            Some(path) => Connection::open(path).with_context(|| format!("cannot open {}", path.display()))?,
            None => Connection::open_in_memory()?,
        };
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.set_prepared_statement_cache_capacity(64);
        // Otherwise SQLite plans a statement again whenever it is used with other values.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        match connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? {
            0 => connection
                .execute_batch(&format!("BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"))
                .context("cannot create the queue database")?,
            SCHEMA_VERSION => {}
            other => {
                anyhow::bail!("the queue database has version {other}, this program needs version {SCHEMA_VERSION}")
            }
        }
        let mut store = Self { connection, queues: BTreeMap::new(), base_url, rules: InFlightRules::default() };
        store.load()?;
        store.return_received()?;
        Ok(store)
    }

    /// Makes messages in flight visible again. Their receivers died with the previous process, so waiting for the
    /// visibility timeout would have no use.
    fn return_received(&self) -> anyhow::Result<()> {
        self.connection
            .execute("UPDATE messages SET visible_ms = first_received_ms WHERE receives > 0", [])
            .context("cannot return messages in flight")?;
        Ok(())
    }

    fn load(&mut self) -> anyhow::Result<()> {
        let mut statement =
            self.connection.prepare("SELECT id, name, attributes, created_ms, modified_ms FROM queues")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let attributes: Attributes = serde_json::from_str(&row.get::<_, String>("attributes")?)?;
            let queue = Queue {
                id: row.get("id")?,
                settings: Settings::of(&attributes),
                arrivals: Arc::default(),
                attributes,
                created_ms: row.get("created_ms")?,
                modified_ms: row.get("modified_ms")?,
                purged_ms: None,
            };
            self.queues.insert(row.get("name")?, queue);
        }
        Ok(())
    }

    /// The queue that a URL names by its last segment. The port may have changed since a restart.
    pub(super) fn queue(&self, url: &str) -> Result<&Queue, SqsError> {
        self.queues.get(name_in_url(url)).ok_or(SqsError::QueueDoesNotExist)
    }

    pub(super) fn create_queue(&mut self, now_ms: i64, request: CreateQueue) -> Result<QueueUrl, SqsError> {
        limits::queue_name(&request.queue_name)?;
        let attributes = settings::normalise(request.attributes)?;
        if let Some(queue) = self.queues.get(&request.queue_name) {
            let present = settings::with_defaults(&queue.attributes);
            if let Some((name, _)) = attributes.iter().find(|(name, value)| present.get(*name) != Some(value)) {
                return Err(SqsError::QueueNameExists(name.clone()));
            }
            return Ok(self.url(&request.queue_name));
        }
        let settings = self.checked(&request.queue_name, &attributes)?;
        self.connection.execute(
            "INSERT INTO queues (name, attributes, created_ms, modified_ms) VALUES (?1, ?2, ?3, ?3)",
            params![request.queue_name, as_json(&attributes)?, now_ms],
        )?;
        let queue = Queue {
            id: self.connection.last_insert_rowid(),
            settings,
            arrivals: Arc::default(),
            attributes,
            created_ms: now_ms,
            modified_ms: now_ms,
            purged_ms: None,
        };
        let url = self.url(&request.queue_name);
        self.queues.insert(request.queue_name, queue);
        Ok(url)
    }

    pub(super) fn get_queue_url(&mut self, _now_ms: i64, request: GetQueueUrl) -> Result<QueueUrl, SqsError> {
        self.queue(&request.queue_name)?;
        Ok(self.url(&request.queue_name))
    }

    /// Returns pages only if the request has a page size, as AWS does. The token is the last returned name.
    pub(super) fn list_queues(&mut self, _now_ms: i64, request: ListQueues) -> Result<QueueUrls, SqsError> {
        let limit = limits::integer("MaxResults", request.max_results, 1000, 1, 1000)?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let after = request.next_token.unwrap_or_default();
        let names = self.queues.keys().filter(|name| name.starts_with(&request.queue_name_prefix) && **name > after);
        let mut names: Vec<&String> = names.take(limit + 1).collect();
        let more = names.len() > limit;
        names.truncate(limit);
        Ok(QueueUrls {
            queue_urls: names.iter().map(|name| self.url(name).queue_url).collect(),
            next_token: names.last().filter(|_| more && request.max_results.is_some()).map(|name| (*name).clone()),
        })
    }

    pub(super) fn delete_queue(&mut self, _now_ms: i64, request: OnQueue) -> Result<Empty, SqsError> {
        let queue = self.queue(&request.queue_url)?;
        self.connection.execute("DELETE FROM queues WHERE id = ?1", [queue.id])?;
        queue.arrivals.notify_waiters();
        self.queues.remove(name_in_url(&request.queue_url));
        Ok(Empty {})
    }

    pub(super) fn purge_queue(&mut self, now_ms: i64, request: OnQueue) -> Result<Empty, SqsError> {
        let name = name_in_url(&request.queue_url);
        let queue = self.queues.get_mut(name).ok_or(SqsError::QueueDoesNotExist)?;
        if queue.purged_ms.is_some_and(|then| now_ms < then + PURGE_INTERVAL_MS) {
            return Err(SqsError::PurgeQueueInProgress(name.to_owned()));
        }
        self.connection.execute("DELETE FROM messages WHERE queue = ?1", [queue.id])?;
        queue.purged_ms = Some(now_ms);
        Ok(Empty {})
    }

    pub(super) fn get_queue_attributes(
        &mut self,
        now_ms: i64,
        request: GetQueueAttributes,
    ) -> Result<QueueAttributes, SqsError> {
        let queue = self.queue(&request.queue_url)?;
        let mut all = settings::with_defaults(&queue.attributes);
        all.insert("QueueArn".to_owned(), arn(name_in_url(&request.queue_url)));
        all.insert("CreatedTimestamp".to_owned(), (queue.created_ms / 1000).to_string());
        all.insert("LastModifiedTimestamp".to_owned(), (queue.modified_ms / 1000).to_string());
        let mut counts = self.connection.prepare_cached(
            "SELECT count(*) FILTER (WHERE visible_ms <= ?2),
                    count(*) FILTER (WHERE visible_ms > ?2 AND receives > 0),
                    count(*) FILTER (WHERE visible_ms > ?2 AND receives = 0)
             FROM messages WHERE queue = ?1 AND sent_ms > ?3",
        )?;
        let counts = counts.query_row(params![queue.id, now_ms, now_ms - queue.settings.retention_ms], |row| {
            Ok(["", "NotVisible", "Delayed"].into_iter().zip([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?]))
        })?;
        for (kind, count) in counts {
            all.insert(format!("ApproximateNumberOfMessages{kind}"), count.to_string());
        }
        if !request.attribute_names.iter().any(|name| name == "All") {
            let known = |name: &&String| !all.contains_key(*name) && !settings::is_known(name);
            if let Some(name) = request.attribute_names.iter().find(known) {
                return Err(SqsError::InvalidAttributeName(name.clone()));
            }
            all.retain(|name, _| request.attribute_names.contains(name));
        }
        Ok(QueueAttributes { attributes: all })
    }

    pub(super) fn set_queue_attributes(&mut self, now_ms: i64, request: SetQueueAttributes) -> Result<Empty, SqsError> {
        let mut attributes = self.queue(&request.queue_url)?.attributes.clone();
        attributes.extend(settings::normalise(request.attributes)?);
        attributes.retain(|_, value| !value.is_empty());
        let name = name_in_url(&request.queue_url);
        let settings = self.checked(name, &attributes)?;
        let queue = self.queues.get_mut(name).ok_or(SqsError::QueueDoesNotExist)?;
        self.connection.execute(
            "UPDATE queues SET attributes = ?2, modified_ms = ?3 WHERE id = ?1",
            params![queue.id, as_json(&attributes)?, now_ms],
        )?;
        queue.attributes = attributes;
        queue.settings = settings;
        queue.modified_ms = now_ms;
        Ok(Empty {})
    }

    /// Deletes the messages that are older than the queue's retention. Such messages are never served or counted, so
    /// this only frees space.
    pub(super) fn sweep(&mut self, now_ms: i64) -> Result<(), SqsError> {
        for queue in self.queues.values() {
            let cutoff_ms = now_ms - queue.settings.retention_ms;
            let delete = "DELETE FROM messages WHERE queue = ?1 AND sent_ms <= ?2";
            self.connection.prepare_cached(delete)?.execute([queue.id, cutoff_ms])?;
        }
        Ok(())
    }

    /// The settings of these attributes. Fails if the dead-letter queue in them does not exist or is `name` itself.
    fn checked(&self, name: &str, attributes: &Attributes) -> Result<Settings, SqsError> {
        let settings = Settings::of(attributes);
        match &settings.redrive {
            Some(redrive) if redrive.queue == name || !self.queues.contains_key(&redrive.queue) => {
                let policy = attributes.get("RedrivePolicy").map_or("", String::as_str);
                Err(SqsError::invalid("RedrivePolicy", policy, "Dead letter target does not exist."))
            }
            _ => Ok(settings),
        }
    }

    fn url(&self, name: &str) -> QueueUrl {
        QueueUrl { queue_url: format!("{}/{ACCOUNT}/{name}", self.base_url) }
    }
}

/// The ARN of the queue with this name.
pub(super) fn arn(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

/// The queue's name in its URL.
pub(super) fn name_in_url(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// The JSON of a value, for a column.
pub(super) fn as_json(value: &impl serde::Serialize) -> Result<String, SqsError> {
    serde_json::to_string(value).map_err(|error| SqsError::Internal(error.to_string()))
}
