//! Events on the bus. They are CloudEvents 1.0 in JSON, so other systems can consume them, too.
//!
//! An item of a log always becomes an event, whatever it contains: its key tells which user's log has reached which
//! version, and our own consumers need no more. Likes and the shards of counters are published, too, each as the table
//! stores it.

use heck::ToSnakeCase;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    error::Error,
    model::{Like, PostId, TallyChange, TallyShard, TallySubject, Timestamp, UserId, Version},
    store,
    trace::TraceId,
};

/// Version of the events' `data`. A change that old consumers would misread needs a new version.
const TYPE_VERSION: &str = "v1";

/// Type of the events that carry the image of a counter's shard.
const TALLY_CHANGED: &str = "tidings.tally.changed.v1";
/// Type of the events of likes.
const POST_LIKED: &str = "tidings.post.liked.v1";
/// Type of the events of unlikes.
const POST_UNLIKED: &str = "tidings.post.unliked.v1";

/// A CloudEvent (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloudEvent {
    specversion: &'static str,
    /// Unique together with `source`. For an event of a log, it is the user and the version.
    id: String,
    source: &'static str,
    /// `tidings.<subject>.<past participle>.v1`.
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    datacontenttype: &'static str,
    /// The trace of the request that the event follows from (CloudEvents, "Distributed Tracing" extension).
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    data: Map<String, Value>,
}

/// The part of an event of a log that our own consumers use: this user's log has reached this version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hint {
    /// The user whose log it is.
    pub user: UserId,
    /// The version that the log has reached.
    pub version: Version,
}

impl CloudEvent {
    fn new(kind: String, id: String, subject: String, data: Map<String, Value>) -> Self {
        let (specversion, source, datacontenttype) = ("1.0", "tidings", "application/json");
        Self { specversion, id, source, kind, subject, time: None, datacontenttype, traceparent: None, data }
    }

    /// The event of an item of the command table, given as JSON.
    ///
    /// # Errors
    /// [`Error::Poison`] if the item is neither an event of a log, nor a like, nor a shard of a counter, or makes no
    /// sense.
    pub fn from_item(item: &Map<String, Value>) -> Result<Self, Error> {
        let key = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        let (pk, sk) = (key("PK"), key("SK"));
        let poison = |why: &dyn std::fmt::Display| Error::poison(format!("the item {pk} {sk} to be published"), why);
        if let Some((user, version)) = store::parse_event_key(pk, sk) {
            return Ok(Self::of_log(&user, version, item));
        }
        if let Some((user, post)) = store::parse_like_key(pk, sk) {
            return Self::of_like(&user, post, item).map_err(|error| poison(&error));
        }
        let (subject, shard) = store::parse_tally_key(pk, sk)
            .ok_or_else(|| poison(&"it is neither an event of a log, nor a like, nor a shard of a counter"))?;
        Self::of_counter(subject, shard, item).map_err(|error| poison(&error))
    }

    fn of_log(user: &UserId, version: Version, item: &Map<String, Value>) -> Self {
        let mut data = item.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
        data.insert("user".to_owned(), Value::from(user.as_str()));
        data.insert("version".to_owned(), Value::from(version.get()));
        let name = item.get("type").and_then(Value::as_str).unwrap_or("Unknown");
        let at = item.get("at").and_then(Value::as_u64).map(Timestamp::from_ms);
        let (kind, id) = (format!("tidings.{}.{TYPE_VERSION}", dotted(name)), format!("{user}/{version}"));
        let trace: Option<TraceId> = item.get(store::TRACE).and_then(Value::as_str).and_then(|id| id.parse().ok());
        let (time, traceparent) = (at.map(|at| at.to_string()), trace.map(TraceId::traceparent));
        Self { time, traceparent, ..Self::new(kind, id, user.to_string(), data) }
    }

    /// The event of a like or an unlike. Its version is that of the like, and not one of the user's log.
    fn of_like(user: &UserId, post: PostId, item: &Map<String, Value>) -> serde_json::Result<Self> {
        let like: Like = serde_json::from_value(Value::Object(item.clone()))?;
        let data = [
            ("user", json!(user)),
            ("post", json!(post)),
            ("author", json!(like.author)),
            ("like_version", json!(like.version)),
        ];
        let data = data.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        let kind = if like.liked { POST_LIKED } else { POST_UNLIKED };
        let id = format!("{user}/likes/{post}/{}", like.version);
        Ok(Self::new(kind.to_owned(), id, user.to_string(), data))
    }

    fn of_counter(subject: TallySubject, shard: TallyShard, item: &Map<String, Value>) -> serde_json::Result<Self> {
        let image = serde_json::from_value(Value::Object(item.clone()))?;
        let change = TallyChange { subject, shard, image };
        let data = serde_json::from_value(serde_json::to_value(&change)?)?;
        let subject = match change.subject {
            TallySubject::User(user) => user.to_string(),
            TallySubject::Post(post) => post.to_string(),
        };
        let id = format!("{subject}/tally/{}/{}", shard.get(), change.image.version);
        Ok(Self::new(TALLY_CHANGED.to_owned(), id, subject, data))
    }

    /// The event of a change that was committed at this moment. An event of a log knows its time already.
    pub fn committed_at(mut self, at: Option<Timestamp>) -> Self {
        self.time = self.time.or_else(|| at.map(|at| at.to_string()));
        self
    }

    /// The partition key in Kinesis. Events of one user keep their order, and so do those of one counter.
    pub fn partition_key(&self) -> &str {
        &self.subject
    }
}

/// What a consumer reads of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<Data> {
    /// What happened.
    pub data: Data,
    /// When it happened. Of a counter, only the second is known.
    pub at: Option<Timestamp>,
    /// The trace of the request that the event follows from.
    pub trace: Option<TraceId>,
}

/// What happened, of any event on the bus, as far as our own consumers are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyEvent {
    /// A log has grown.
    Log(Hint),
    /// A counter has changed.
    Counter(TallyChange),
    /// Something for others.
    Other,
}

/// Why a record of the bus is no event that this release knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEvent {
    /// An event of this type, which a newer release published.
    #[error("this release does not know events of the type `{0}`")]
    Newer(String),
    /// It makes no sense.
    #[error("{0}")]
    Malformed(String),
}

/// Reads any event from the bus.
///
/// # Errors
/// [`NotAnEvent`] if it is no event that this release knows.
pub fn receive_any(record: &[u8]) -> Result<Received<AnyEvent>, NotAnEvent> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: String,
    }
    let malformed = |error: serde_json::Error| NotAnEvent::Malformed(error.to_string());
    let Kind { kind } = serde_json::from_slice(record).map_err(malformed)?;
    let Received { data, at, trace } = receive::<Value>(record).map_err(malformed)?;
    let data = match kind.as_str() {
        TALLY_CHANGED => serde_json::from_value(data).map(AnyEvent::Counter).map_err(malformed)?,
        POST_LIKED | POST_UNLIKED => AnyEvent::Other,
        _ => serde_json::from_value(data).map(AnyEvent::Log).map_err(|_| NotAnEvent::Newer(kind))?,
    };
    Ok(Received { data, at, trace })
}

/// Reads an event from the bus. Its data is a [`Hint`] for an event of a log, and a [`TallyChange`] for one of
/// a counter.
///
/// # Errors
/// If the record is not an event with such data.
pub fn receive<Data: DeserializeOwned>(record: &[u8]) -> serde_json::Result<Received<Data>> {
    #[derive(Deserialize)]
    struct Event<Data> {
        #[serde(default)]
        time: Option<String>,
        #[serde(default)]
        traceparent: Option<String>,
        data: Data,
    }
    let Event { time, traceparent, data } = serde_json::from_slice(record)?;
    let at = time.as_deref().and_then(Timestamp::from_rfc3339);
    Ok(Received { data, at, trace: traceparent.as_deref().and_then(TraceId::from_traceparent) })
}

/// Reads only the data of an event from the bus.
///
/// # Errors
/// As [`receive`].
pub fn parse<Data: DeserializeOwned>(record: &[u8]) -> serde_json::Result<Data> {
    receive(record).map(|received| received.data)
}

/// `post.created` for `PostCreated`.
fn dotted(name: &str) -> String {
    name.to_snake_case().replace('_', ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(item: Value) -> Option<CloudEvent> {
        CloudEvent::from_item(item.as_object().unwrap()).ok()
    }

    #[test]
    fn an_item_of_the_log_becomes_a_cloud_event() {
        let item = json!({
            "PK": "USER#a%7Cb", "SK": "EVENT#000000000007", "user": "a|b", "version": 7, "at": 1_425_000_000_007_u64,
            "command": "c", "trace": "5759e988bd862e3fe1be46a994272793",
            "type": "PostCreated", "data": {"post": "p", "text": "hello", "tags": []},
        });
        insta::assert_json_snapshot!(event(item).unwrap(), @r#"
        {
          "specversion": "1.0",
          "id": "a|b/7",
          "source": "tidings",
          "type": "tidings.post.created.v1",
          "subject": "a|b",
          "time": "2015-02-27T01:20:00.007Z",
          "datacontenttype": "application/json",
          "traceparent": "00-5759e988bd862e3fe1be46a994272793-e1be46a994272793-00",
          "data": {
            "post": "p",
            "tags": [],
            "text": "hello",
            "user": "a|b",
            "version": 7
          }
        }
        "#);
    }

    #[test]
    fn any_item_of_the_log_is_published_with_its_hint() {
        let event = event(json!({"PK": "USER#ada", "SK": "EVENT#000000000001", "type": 5, "data": "?"})).unwrap();
        let hint: Hint = parse(&serde_json::to_vec(&event).unwrap()).unwrap();
        assert_eq!((hint.user.as_str(), hint.version.get()), ("ada", 1));
    }

    #[test]
    fn a_shard_of_a_counter_is_published_with_its_image() {
        let event = event(json!({"PK": "TALLY#USER#a%7Cb#7", "SK": "TALLY", "version": 3, "followers": -1})).unwrap();
        assert_eq!(event.kind, TALLY_CHANGED);
        let change: TallyChange = parse(&serde_json::to_vec(&event).unwrap()).unwrap();
        assert_eq!((change.subject, change.shard.get()), (TallySubject::User("a|b".parse().unwrap()), 7));
        assert_eq!((change.image.version, change.image.counts.followers), (3, -1));
        assert!(parse::<Hint>(&serde_json::to_vec(&event).unwrap()).is_err(), "it is not an event of a log");
    }

    #[test]
    fn a_like_and_an_unlike_are_published() {
        let like = |liked: bool, version: u64| {
            event(json!({
                "PK": "USER#bob", "SK": "LIKES#014bc853-e807-7000-8000-000000000000",
                "liked": liked, "author": "ada", "heat": 1000, "version": version,
            }))
        };
        insta::assert_json_snapshot!(like(true, 1).unwrap(), @r#"
        {
          "specversion": "1.0",
          "id": "bob/likes/014bc853-e807-7000-8000-000000000000/1",
          "source": "tidings",
          "type": "tidings.post.liked.v1",
          "subject": "bob",
          "datacontenttype": "application/json",
          "data": {
            "author": "ada",
            "like_version": 1,
            "post": "014bc853-e807-7000-8000-000000000000",
            "user": "bob"
          }
        }
        "#);
        assert_eq!(like(false, 2).unwrap().kind, POST_UNLIKED);
    }

    #[test]
    fn consumers_read_what_was_published() {
        let receive = |record: &[u8]| receive_any(record).map(|received| received.data);
        let read = |item: Value| receive(&serde_json::to_vec(&event(item).unwrap()).unwrap());
        let log = read(json!({"PK": "USER#bob", "SK": "EVENT#000000000007", "type": "FromTheFuture"}));
        assert!(matches!(&log, Ok(AnyEvent::Log(Hint { version, .. })) if version.get() == 7), "{log:?}");
        let counter = read(json!({"PK": "TALLY#USER#bob#3", "SK": "TALLY", "version": 2, "followers": 5}));
        assert!(matches!(&counter, Ok(AnyEvent::Counter(change)) if change.image.version == 2), "{counter:?}");
        let like = json!({
            "PK": "USER#bob", "SK": "LIKES#014bc853-e807-7000-8000-000000000000",
            "liked": true, "author": "ada", "heat": 1000, "version": 1,
        });
        assert_eq!(read(like), Ok(AnyEvent::Other));
        let newer = json!({"type": "tidings.poll.closed.v1", "data": {"poll": "p"}}).to_string();
        assert_eq!(receive(newer.as_bytes()), Err(NotAnEvent::Newer("tidings.poll.closed.v1".to_owned())));
        for nonsense in ["", "{}", r#"{"type": "tidings.tally.changed.v1", "data": {}}"#] {
            assert!(matches!(receive(nonsense.as_bytes()), Err(NotAnEvent::Malformed(_))), "{nonsense}");
        }
    }

    #[test]
    fn any_other_item_is_not_an_event() {
        assert_eq!(event(json!({"PK": "USER#ada", "SK": "PROFILE"})), None);
        assert_eq!(event(json!({"PK": "POST#ada", "SK": "EVENT#000000000001"})), None);
    }
}
