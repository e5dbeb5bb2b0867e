//! The command table: the truth. Decisions rest on what is read here, so reads are consistent. Commands write to the
//! table by [`super::transaction`], marks of what is spread by `spread.rs`, and what a user says about notifications by
//! `notification_settings.rs`. Projections end, scrub and remove by [`super::transaction`], too, and an erasure removes
//! the rest by `erasure.rs`. What belongs to no log of a user is written in `celebrities.rs`, `demotions.rs`,
//! `read_models.rs` (rebuilds) and `audit_state.rs`.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    busy::Busy,
    consistency::Consistency,
    dynamo::{Dynamo, Item, failed, primary_key, s, text, value},
    key::{self, PK, SK},
};
use crate::{
    error::Error,
    model::{
        CommandId, Handle, IdempotencyKey, LogEntry, LogEvent, Post, PostId, Profile, RateLimits, Spent, Standing,
        Tally, TallyShard, TallySubject, Timestamp, Totals, Unreadable, UserEvent, UserId, Version,
    },
};

/// The `commands` table.
#[derive(Debug, Clone)]
pub struct CommandTable {
    pub(super) dynamo: Dynamo,
    pub(super) table: String,
    /// How much each user may do. Commands are held to it.
    pub(crate) rate_limits: RateLimits,
    /// What this process remembers of busy posts and counters.
    pub(crate) busy: Busy,
}

/// The end of a user's log, on which the next command builds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    /// Version of the newest event.
    pub version: Version,
    /// The user's totals after that event.
    pub totals: Totals,
    /// The state of the user's rate limits after that event.
    #[serde(default)]
    pub spent: Spent,
    /// The user's standing after that event.
    #[serde(default)]
    pub standing: Standing,
}

/// Who has a handle, or had it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The user.
    pub user: UserId,
    /// If the user gave the handle up: when it is free for everybody, in seconds since the Unix epoch. Readers check
    /// this, because DynamoDB may delete expired items days later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

/// What is stored under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// SHA-256 of the request, in hexadecimal.
    pub request: String,
    /// The part of the response that the request does not carry, as JSON.
    pub response: String,
    /// Version of the command's event.
    pub version: Version,
    /// When the key is free again, in seconds since the Unix epoch. Readers check this, because DynamoDB may delete
    /// expired items days later.
    pub expires_at: u64,
}

impl CommandTable {
    /// The table of this name, whose users may do so much.
    pub fn new(dynamo: Dynamo, table: String, rate_limits: RateLimits) -> Self {
        Self { dynamo, table, rate_limits, busy: Busy::new() }
    }

    /// The end of the user's log.
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

    /// The end of the user's log when this event was the newest, if there is such an event: also of an event that makes
    /// no sense, or that only a newer release can read.
    pub async fn head_at(&self, user: &UserId, version: Version) -> Result<Option<Head>, Error> {
        self.get("the head of a log", key::user(user), key::event(version)).await
    }

    /// The run of a command that appended this event, if there is such an event.
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
        let found: Option<Item> = self.get_item("an event", key::user(user), key::event(version)).await?;
        found.map(|item| stored_event(item).map_err(|why| unreadable(user, version, why))).transpose()
    }

    /// At most `limit` entries of the user's log, in order, from the one behind `after`.
    ///
    /// # Errors
    /// [`Error::Poison`] if a version is missing, because a log has no gaps. Only that of a deleted account has some,
    /// and then its last entry alone is returned.
    pub async fn log_after(&self, user: &UserId, after: Version, limit: i32) -> Result<Vec<LogEntry>, Error> {
        let answer = self.log_query(user, after).limit(limit).send().await.map_err(failed("reading a log"))?;
        let mut entries = Vec::new();
        let mut expected = after.next();
        for item in answer.items.unwrap_or_default() {
            let version = key::parse_event(text(&item, SK)?);
            if version != Some(expected) {
                if let Some(end) = self.end_of_erased_log(user).await? {
                    return Ok(vec![end]);
                }
                let why = format!("found version {version:?} where version {expected} was expected");
                return Err(Error::poison(format!("the log of {user}"), why));
            }
            entries.push(LogEntry { version: expected, event: stored_event(item) });
            expected = expected.next();
        }
        Ok(entries)
    }

    /// The oldest entries of the user's log, at most `limit`. The log may have gaps.
    pub async fn oldest_events(&self, user: &UserId, limit: i32) -> Result<Vec<LogEntry>, Error> {
        let answer = self.log_query(user, Version::ZERO).limit(limit).send().await.map_err(failed("reading a log"))?;
        answer.items.unwrap_or_default().into_iter().map(log_entry).collect()
    }

    async fn end_of_erased_log(&self, user: &UserId) -> Result<Option<LogEntry>, Error> {
        let newest = self.log_query(user, Version::ZERO).scan_index_forward(false).limit(1);
        let answer = newest.send().await.map_err(failed("reading the head of a log"))?;
        let newest = answer.items.unwrap_or_default().pop().map(log_entry).transpose()?;
        let is_end = |entry: &LogEntry| entry.event.as_ref().is_ok_and(|it| it.event == UserEvent::AccountDeleted);
        Ok(newest.filter(is_end))
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

    /// The standing of the user as it is, or was up to two seconds ago. None if there is no such user now.
    pub(crate) async fn recent_standing(&self, user: &UserId, now: Timestamp) -> Result<Option<Standing>, Error> {
        if let Some(known) = self.busy.standing(user, now) {
            return Ok(Some(known));
        }
        let Some(profile) = self.profile(user).await? else { return Ok(None) };
        let standing = if profile.suspended { Standing::Suspended } else { Standing::Active };
        self.busy.know_standing(user, standing, now);
        Ok(Some(standing))
    }

    /// The profiles of those of the users who have one, in one consistent read.
    pub async fn profiles(&self, users: &[UserId]) -> Result<Vec<Profile>, Error> {
        self.profile_items(users).await?.into_iter().map(|item| value("a profile", item)).collect()
    }

    /// Those of the users who have a profile, whatever it says.
    pub(crate) async fn with_profile(&self, users: &[UserId]) -> Result<Vec<UserId>, Error> {
        let items = self.profile_items(users).await?;
        let found: HashSet<_> = items.iter().map(|item| text(item, PK)).collect::<Result<_, _>>()?;
        Ok(users.iter().filter(|user| found.contains(key::user(user).as_str())).cloned().collect())
    }

    async fn profile_items(&self, users: &[UserId]) -> Result<Vec<Item>, Error> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        let keys = users.iter().map(|user| primary_key(key::user(user), PROFILE)).collect();
        self.dynamo.batch_get(&self.table, keys, Consistency::Strong).await
    }

    /// Who has the handle, or had it last. None if nobody ever had it, or gave it up long ago.
    pub async fn claim(&self, handle: &Handle) -> Result<Option<Claim>, Error> {
        self.get("a handle", key::handle(handle), CLAIM.to_owned()).await
    }

    /// The users who have these handles, in the order of the handles. A handle that nobody has, or that was given up,
    /// leads to nobody.
    pub async fn owners(&self, handles: &[&Handle]) -> Result<Vec<UserId>, Error> {
        if handles.is_empty() {
            return Ok(Vec::new());
        }
        let keys = handles.iter().map(|handle| primary_key(key::handle(handle), CLAIM)).collect();
        let mut claims = HashMap::new();
        for item in self.dynamo.batch_get(&self.table, keys, Consistency::Strong).await? {
            claims.insert(text(&item, PK)?.to_owned(), value::<Claim>("a handle", item)?);
        }
        Ok(handles.iter().filter_map(|handle| claims.remove(&key::handle(handle))?.owner()).collect())
    }

    /// A post. It may be deleted.
    pub async fn post(&self, post: PostId) -> Result<Option<Post>, Error> {
        self.get("a post", key::post(post), POST.to_owned()).await
    }

    /// The author of a busy post that others see, or saw up to two seconds ago. None if nobody does now.
    pub(crate) async fn recent_author(&self, post: PostId, now: Timestamp) -> Result<Option<UserId>, Error> {
        if let Some(known) = self.busy.author(post, now) {
            return Ok(Some(known));
        }
        let Some(read) = self.post(post).await?.filter(|post| post.hidden().is_none()) else { return Ok(None) };
        self.busy.know_author(post, &read.author, now);
        Ok(Some(read.author))
    }

    /// Those of the posts that exist, deleted ones included, in one consistent read.
    pub async fn posts(&self, posts: &[PostId]) -> Result<Vec<Post>, Error> {
        if posts.is_empty() {
            return Ok(Vec::new());
        }
        let keys = posts.iter().map(|post| primary_key(key::post(*post), POST)).collect();
        let items = self.dynamo.batch_get(&self.table, keys, Consistency::Strong).await?;
        items.into_iter().map(|item| value("a post", item)).collect()
    }

    /// All shards of a counter as they stand now.
    pub async fn tally(&self, subject: &TallySubject) -> Result<Tally, Error> {
        self.tally_of(subject, TallyShard::all()).await
    }

    /// These shards of a counter as they stand now.
    pub async fn tally_of(
        &self,
        subject: &TallySubject,
        shards: impl Iterator<Item = TallyShard>,
    ) -> Result<Tally, Error> {
        let shards: HashMap<_, _> = shards.map(|shard| (key::tally(subject, shard), shard)).collect();
        let keys = shards.keys().map(|pk| primary_key(pk, key::TALLY)).collect();
        let items = self.dynamo.batch_get(&self.table, keys, Consistency::Strong).await?;
        let mut tally = Tally::default();
        for item in items {
            let shard = shards.get(text(&item, PK)?);
            let shard = *shard.ok_or_else(|| Error::poison("a shard of a counter", "nobody asked for it"))?;
            tally.take(shard, value("a shard of a counter", item)?);
        }
        Ok(tally)
    }

    /// An item as JSON, whatever it is.
    pub(crate) async fn item_as_json(&self, pk: &str, sk: &str) -> Result<Option<Map<String, Value>>, Error> {
        self.get("an item", pk.to_owned(), sk.to_owned()).await
    }

    /// What is stored under the user's idempotency key. It may have expired.
    pub async fn remembered(&self, user: &UserId, key: &IdempotencyKey) -> Result<Option<Remembered>, Error> {
        self.get("an idempotency key", key::user(user), key::idempotency(key)).await
    }

    pub(super) async fn get<T: serde::de::DeserializeOwned>(
        &self,
        what: &'static str,
        pk: String,
        sk: String,
    ) -> Result<Option<T>, Error> {
        self.get_item(what, pk, sk).await?.map(|item| value(what, item)).transpose()
    }

    async fn get_item(&self, what: &'static str, pk: String, sk: String) -> Result<Option<Item>, Error> {
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
        Ok(answer.item)
    }
}

/// Reads an event of a log.
fn stored_event(item: Item) -> Result<LogEvent, Unreadable> {
    if let Ok(kind) = text(&item, "type")
        && !UserEvent::is_known_type(kind)
    {
        return Err(Unreadable::Newer(format!("its type is {kind}")));
    }
    value("an event", item).map_err(|error| match error {
        Error::NewerRelease { why, .. } => Unreadable::Newer(why),
        error => Unreadable::Malformed(error.to_string()),
    })
}

/// The error of an event that cannot be read.
pub(crate) fn unreadable(user: &UserId, version: Version, why: Unreadable) -> Error {
    match why {
        Unreadable::Newer(why) => Error::NewerRelease { during: "reading an event", why },
        Unreadable::Malformed(_) => Error::poison(format!("event {version} of {user}"), why),
    }
}

/// The entry of a log in this item.
pub(super) fn log_entry(item: Item) -> Result<LogEntry, Error> {
    let key = text(&item, SK)?;
    let version = key::parse_event(key).ok_or_else(|| Error::poison("the key of an event", key))?;
    Ok(LogEntry { version, event: stored_event(item) })
}

impl Claim {
    /// The user to whom the handle leads. A handle that was given up leads to nobody.
    pub fn owner(self) -> Option<UserId> {
        self.expires_at.is_none().then_some(self.user)
    }

    /// Whether the user may have the handle at this moment.
    pub fn admits(&self, user: &UserId, at: Timestamp) -> bool {
        self.user == *user || self.expires_at.is_some_and(|expires_at| expires_at <= at.as_secs())
    }
}

impl Remembered {
    /// Whether the key is still taken at this moment.
    pub fn is_valid(&self, at: Timestamp) -> bool {
        at.as_secs() < self.expires_at
    }
}

/// Sort key of a user's profile.
pub(super) const PROFILE: &str = "PROFILE";
/// Sort key of the claim of a handle.
pub(super) const CLAIM: &str = "CLAIM";
/// Sort key of a post.
pub(super) const POST: &str = "POST";
