//! The command table: the truth. Reads are consistent, since decisions rest on them. Commands write it
//! by [`super::transaction`] only; who is a celebrity, which is no command's, stands in `celebrities.rs`.

use serde::{Deserialize, Serialize};

use super::{
    Dynamo,
    dynamo::{failed, s, text, value},
    key::{self, PK, SK},
};
use crate::{
    error::Error,
    model::{CommandId, Handle, IdempotencyKey, LogEvent, Post, PostId, Profile, Timestamp, Totals, UserId, Version},
};

/// The `commands` table.
#[derive(Debug, Clone)]
pub struct CommandTable {
    pub(super) dynamo: Dynamo,
    pub(super) table: String,
}

/// Where a user's log ends: what the next command builds on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    /// Version of the newest event.
    pub version: Version,
    /// Totals after it.
    pub totals: Totals,
}

/// An entry of a log as it was found.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// Where in the log.
    pub version: Version,
    /// The event, or why it cannot be understood: one of a newer release, after a rollback.
    pub event: Result<LogEvent, String>,
}

/// What is remembered under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// SHA-256 of the request, in hexadecimal.
    pub request: String,
    /// What was answered.
    pub response: String,
    /// The version that the command made.
    pub version: Version,
    /// When the key is free again, in epoch seconds. Checked on reading: DynamoDB's TTL may take days.
    pub expires_at: u64,
}

impl CommandTable {
    /// The table of this name.
    pub fn new(dynamo: Dynamo, table: String) -> Self {
        Self { dynamo, table }
    }

    /// Where the user's log ends.
    pub async fn head(&self, user: &UserId) -> Result<Head, Error> {
        let answer = self
            .log_query(user, Version::ZERO)
            .scan_index_forward(false)
            .limit(1)
            .send()
            .await
            .map_err(failed("reading the head of a log"))?;
        answer.items.unwrap_or_default().pop().map_or(Ok(Head::default()), |item| value("the head of a log", item))
    }

    /// The run that appended this event, if there is such an event.
    pub async fn appended_by(&self, user: &UserId, version: Version) -> Result<Option<CommandId>, Error> {
        #[derive(Deserialize)]
        struct Appended {
            command: CommandId,
        }
        let found: Option<Appended> = self.get("an event", key::user(user), key::event(version)).await?;
        Ok(found.map(|event| event.command))
    }

    /// One event of the user's log.
    pub async fn event(&self, user: &UserId, version: Version) -> Result<Option<LogEvent>, Error> {
        self.get("an event", key::user(user), key::event(version)).await
    }

    /// At most `limit` entries of the user's log from the one after `after`, in order.
    ///
    /// # Errors
    /// [`Error::Poison`] if a version is missing: the log has no gaps.
    pub async fn log_after(&self, user: &UserId, after: Version, limit: i32) -> Result<Vec<LogEntry>, Error> {
        let answer = self.log_query(user, after).limit(limit).send().await.map_err(failed("reading a log"))?;
        let mut entries = Vec::new();
        let mut expected = after.next();
        for item in answer.items.unwrap_or_default() {
            let version = key::parse_event(text(&item, SK)?);
            if version != Some(expected) {
                return Err(Error::poison(
                    "a log",
                    format!("expected version {expected} of {user}, found {version:?}"),
                ));
            }
            let event = value("an event", item).map_err(|error| error.to_string());
            entries.push(LogEntry { version: expected, event });
            expected = expected.next();
        }
        Ok(entries)
    }

    fn log_query(
        &self,
        user: &UserId,
        after: Version,
    ) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
        self.dynamo
            .0
            .query()
            .table_name(&self.table)
            .key_condition_expression("PK = :user AND SK BETWEEN :first AND :last")
            .expression_attribute_values(":user", s(key::user(user)))
            .expression_attribute_values(":first", s(key::event(after.next())))
            .expression_attribute_values(":last", s(key::event(Version::MAX)))
            .consistent_read(true)
    }

    /// The user's profile.
    pub async fn profile(&self, user: &UserId) -> Result<Option<Profile>, Error> {
        self.get("a profile", key::user(user), PROFILE.to_owned()).await
    }

    /// Who has the handle.
    pub async fn handle_owner(&self, handle: &Handle) -> Result<Option<UserId>, Error> {
        #[derive(Deserialize)]
        struct Claim {
            user: UserId,
        }
        let claim: Option<Claim> = self.get("a handle", key::handle(handle), CLAIM.to_owned()).await?;
        Ok(claim.map(|claim| claim.user))
    }

    /// A post, deleted ones included.
    pub async fn post(&self, post: PostId) -> Result<Option<Post>, Error> {
        self.get("a post", key::post(post), POST.to_owned()).await
    }

    /// What is remembered under the user's idempotency key, expired or not.
    pub async fn remembered(&self, user: &UserId, key: &IdempotencyKey) -> Result<Option<Remembered>, Error> {
        self.get("an idempotency key", key::user(user), key::idempotency(key)).await
    }

    pub(super) async fn get<T: serde::de::DeserializeOwned>(
        &self,
        what: &'static str,
        pk: String,
        sk: String,
    ) -> Result<Option<T>, Error> {
        let answer = self
            .dynamo
            .0
            .get_item()
            .table_name(&self.table)
            .key(PK, s(pk))
            .key(SK, s(sk))
            .consistent_read(true)
            .send()
            .await
            .map_err(failed(what))?;
        answer.item.map(|item| value(what, item)).transpose()
    }
}

impl Remembered {
    /// Whether the key is taken at this moment.
    pub fn is_valid(&self, at: Timestamp) -> bool {
        at.as_secs() < self.expires_at
    }
}

pub(super) const PROFILE: &str = "PROFILE";
pub(super) const CLAIM: &str = "CLAIM";
pub(super) const POST: &str = "POST";
