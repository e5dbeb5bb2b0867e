//! Events on the bus. They are CloudEvents 1.0 in JSON, so other systems can consume them, too.
//!
//! An item of a log always becomes an event, whatever it contains: its key tells which user's log has reached which
//! version, and our own consumers need no more. Likes and the shards of counters are published, too, as the table
//! stores them. There are many of them, so one event has up to [`CHANGES_MAX`].

use heck::ToSnakeCase;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    error::Error,
    model::{Like, LikeChange, TallyChange, TallySubject, Timestamp, UserId, Version},
    store,
    trace::TraceId,
};

/// Version of the events' `data`. A change that old consumers would misread needs a new version.
const TYPE_VERSION: &str = "v1";

/// Type of the event of a new post.
pub const POST_CREATED: &str = "tidings.post.created.v1";
/// Type of the events that carry images of shards of counters.
const TALLIES_CHANGED: &str = "tidings.tallies.changed.v1";
/// Type of the events that carry likes, and ends of likes.
const LIKES_CHANGED: &str = "tidings.likes.changed.v1";
/// Characters of a partition key at most (Kinesis API Reference, "PutRecordsRequestEntry").
const PARTITION_KEY_MAX: usize = 256;
/// Types of the same events in release 0.2, which had one shard or one like each. They are on the bus while a
/// deployment goes on, and in failed batches.
const TALLY_CHANGED: &str = "tidings.tally.changed.v1";
const POST_LIKED: &str = "tidings.post.liked.v1";
const POST_UNLIKED: &str = "tidings.post.unliked.v1";

/// Likes or shards of counters in one event at most. So 5000 likes a second of one post are a few hundred records, and
/// a consumer that takes 100 records at once gets no more than it can show in time.
pub const CHANGES_MAX: usize = 20;

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
    /// Whose event it is. Events about several subjects have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    datacontenttype: &'static str,
    /// The trace of the request that the event follows from (CloudEvents, "Distributed Tracing" extension).
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    data: Value,
}

/// The part of an event of a log that our own consumers use: this user's log has reached this version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hint {
    /// The user whose log it is.
    pub user: UserId,
    /// The version that the log has reached.
    pub version: Version,
}

/// What an item of the command table tells the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamChange {
    /// An event of a log.
    Log(CloudEvent),
    /// A shard of a counter has changed.
    Counter(TallyChange),
    /// A like has begun or ended.
    Like(LikeChange),
}

impl StreamChange {
    /// What this item tells, given as JSON.
    ///
    /// # Errors
    /// [`Error::Poison`] if the item is neither an event of a log, nor a like, nor a shard of a counter, or makes no
    /// sense.
    pub fn from_item(item: Map<String, Value>) -> Result<Self, Error> {
        let key = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default();
        let (pk, sk) = (key("PK").to_owned(), key("SK").to_owned());
        let poison = |why: &dyn std::fmt::Display| Error::poison(format!("the item {pk} {sk} to be published"), why);
        if let Some((user, version)) = store::parse_event_key(&pk, &sk) {
            return Ok(Self::Log(CloudEvent::of_log(&user, version, &item)));
        }
        if let Some((user, post)) = store::parse_like_key(&pk, &sk) {
            let like: Like = serde_json::from_value(Value::Object(item)).map_err(|error| poison(&error))?;
            return Ok(Self::Like(LikeChange::of(user, post, like)));
        }
        let (subject, shard) = store::parse_tally_key(&pk, &sk)
            .ok_or_else(|| poison(&"it is neither an event of a log, nor a like, nor a shard of a counter"))?;
        let image = serde_json::from_value(Value::Object(item)).map_err(|error| poison(&error))?;
        Ok(Self::Counter(TallyChange { subject, shard, image }))
    }

    /// An event of this change alone.
    pub fn into_event(self) -> CloudEvent {
        match self {
            Self::Log(event) => event,
            Self::Counter(change) => CloudEvent::of_counters(&[change]),
            Self::Like(like) => CloudEvent::of_likes(&[like]),
        }
    }
}

/// The data of an event of shards of counters.
#[derive(Debug, Serialize, Deserialize)]
struct Tallies<List> {
    tallies: List,
}

/// The data of an event of likes.
#[derive(Debug, Serialize, Deserialize)]
struct Likes<List> {
    likes: List,
}

impl CloudEvent {
    fn new(kind: String, id: String, subject: Option<String>, data: Value) -> Self {
        let (specversion, source, datacontenttype) = ("1.0", "tidings", "application/json");
        Self { specversion, id, source, kind, subject, time: None, datacontenttype, traceparent: None, data }
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
        Self { time, traceparent, ..Self::new(kind, id, Some(user.to_string()), Value::Object(data)) }
    }

    /// The event of shards of counters, up to [`CHANGES_MAX`].
    pub fn of_counters(tallies: &[TallyChange]) -> Self {
        let of = |change: &TallyChange| {
            let subject = match &change.subject {
                TallySubject::User(user) => user.to_string(),
                TallySubject::Post(post) => post.to_string(),
            };
            format!("{subject}/tally/{}/{}", change.shard.get(), change.image.version)
        };
        Self::new(TALLIES_CHANGED.to_owned(), id_of_all(tallies, of), None, json!(Tallies { tallies }))
    }

    /// The event of likes and ends of likes, up to [`CHANGES_MAX`]. A like's version is not one of the user's log.
    pub fn of_likes(likes: &[LikeChange]) -> Self {
        let of = |like: &LikeChange| format!("{}/likes/{}/{}", like.user, like.post, like.like_version);
        Self::new(LIKES_CHANGED.to_owned(), id_of_all(likes, of), None, json!(Likes { likes }))
    }

    /// The event of a change that was committed at this moment. An event of a log knows its time already.
    pub fn committed_at(mut self, at: Option<Timestamp>) -> Self {
        self.time = self.time.or_else(|| at.map(|at| at.to_string()));
        self
    }

    /// The partition key in Kinesis. Events of one user keep their order. Likes and counters need none, as each has a
    /// version, so those of a busy post use all shards of the bus. Kinesis refuses a key that is too long, together
    /// with all other records of the call, so of a long id the end is the key: there are the version and the post.
    pub fn partition_key(&self) -> &str {
        let Some(user) = &self.subject else {
            let from = self.id.char_indices().nth_back(PARTITION_KEY_MAX - 1);
            return from.map_or(&self.id, |(from, _)| &self.id[from..]);
        };
        user
    }
}

/// The id of an event of several changes: that of the first one, and how many more there are. The changes are a stretch
/// of a batch, so this tells them from others that begin alike.
fn id_of_all<T>(changes: &[T], id: impl Fn(&T) -> String) -> String {
    let first = changes.first().map(id).unwrap_or_default();
    match changes.len() {
        0 | 1 => first,
        count => format!("{first}+{}", count - 1),
    }
}

/// What a consumer reads of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<Data> {
    /// The event's type, such as [`POST_CREATED`]; empty if it has none.
    pub kind: String,
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
    /// Counters have changed.
    Counters(Vec<TallyChange>),
    /// Likes have begun or ended.
    Likes(Vec<LikeChange>),
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
    let malformed = |error: serde_json::Error| NotAnEvent::Malformed(error.to_string());
    let Received { kind, data, mut at, trace } = receive::<Value>(record).map_err(malformed)?;
    let data = match kind.as_str() {
        "" => return Err(NotAnEvent::Malformed("it has no type".to_owned())),
        TALLIES_CHANGED => {
            let Tallies { tallies } = serde_json::from_value(data).map_err(malformed)?;
            AnyEvent::Counters(tallies)
        }
        LIKES_CHANGED => {
            let Likes { likes } = serde_json::from_value(data).map_err(malformed)?;
            AnyEvent::Likes(likes)
        }
        TALLY_CHANGED => AnyEvent::Counters(vec![serde_json::from_value(data).map_err(malformed)?]),
        POST_LIKED | POST_UNLIKED => {
            let like: LikeChange = serde_json::from_value(data).map_err(malformed)?;
            // Release 0.2 leaves out where and since when the like is shown. Whoever does not know how old an event
            // is asks the truth.
            at = None;
            AnyEvent::Likes(vec![LikeChange { liked: kind == POST_LIKED, ..like }])
        }
        _ => serde_json::from_value(data).map(AnyEvent::Log).map_err(|_| NotAnEvent::Newer(kind.clone()))?,
    };
    Ok(Received { kind, data, at, trace })
}

/// Reads an event from the bus. Its data is a [`Hint`] for an event of a log.
///
/// # Errors
/// If the record is not an event with such data.
pub fn receive<Data: DeserializeOwned>(record: &[u8]) -> serde_json::Result<Received<Data>> {
    #[derive(Deserialize)]
    struct Event<Data> {
        #[serde(rename = "type", default)]
        kind: String,
        #[serde(default)]
        time: Option<String>,
        #[serde(default)]
        traceparent: Option<String>,
        data: Data,
    }
    let Event { kind, time, traceparent, data } = serde_json::from_slice(record)?;
    let at = time.as_deref().and_then(Timestamp::from_rfc3339);
    Ok(Received { kind, data, at, trace: traceparent.as_deref().and_then(TraceId::from_traceparent) })
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
        StreamChange::from_item(item.as_object().unwrap().clone()).ok().map(StreamChange::into_event)
    }

    #[test]
    fn an_item_of_the_log_becomes_a_cloud_event() {
        let item = json!({
            "PK": "USER#a%7Cb", "SK": "EVENT#000000000007", "user": "a|b", "version": 7, "at": 1_425_000_000_007_u64,
            "command": "c", "trace": "5759e988bd862e3fe1be46a994272793",
            "type": "PostCreated", "data": {"post": "p", "text": "hello", "tags": []},
        });
        let event = event(item).unwrap();
        assert_eq!(event.kind, POST_CREATED);
        insta::assert_json_snapshot!(event, @r#"
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
        insta::assert_json_snapshot!(event, @r#"
        {
          "specversion": "1.0",
          "id": "a|b/tally/7/3",
          "source": "tidings",
          "type": "tidings.tallies.changed.v1",
          "datacontenttype": "application/json",
          "data": {
            "tallies": [
              {
                "followers": -1,
                "shard": 7,
                "subject": {
                  "user": "a|b"
                },
                "version": 3
              }
            ]
          }
        }
        "#);
        assert!(parse::<Hint>(&serde_json::to_vec(&event).unwrap()).is_err(), "it is not an event of a log");
    }

    /// Bob's like of a post.
    fn like(liked: bool, version: u64) -> Value {
        json!({
            "PK": "USER#bob", "SK": "LIKES#014bc853-e807-7000-8000-000000000000",
            "liked": liked, "author": "ada", "heat": 1000, "version": version,
        })
    }

    #[test]
    fn a_like_and_an_unlike_are_published() {
        insta::assert_json_snapshot!(event(like(true, 1)).unwrap(), @r#"
        {
          "specversion": "1.0",
          "id": "bob/likes/014bc853-e807-7000-8000-000000000000/1",
          "source": "tidings",
          "type": "tidings.likes.changed.v1",
          "datacontenttype": "application/json",
          "data": {
            "likes": [
              {
                "author": "ada",
                "like_version": 1,
                "liked": true,
                "post": "014bc853-e807-7000-8000-000000000000",
                "user": "bob"
              }
            ]
          }
        }
        "#);
        assert_eq!(event(like(false, 2)).unwrap().data["likes"][0]["liked"], false);
    }

    #[test]
    fn no_partition_key_is_longer_than_kinesis_allows() {
        let long = |character: &str| character.repeat(255 / character.len());
        for id in ["x", "é", "日", "😀"].map(long) {
            let like = |version| {
                let mut item = like(true, version);
                item["PK"] = json!(format!("USER#{id}"));
                event(item).unwrap()
            };
            let [first, second] = [1, 2].map(like);
            assert_ne!(first.partition_key(), second.partition_key());
            let keys = [first.partition_key(), second.partition_key()].map(|key| key.chars().count());
            assert!(keys.iter().all(|characters| (1..=256).contains(characters)), "{keys:?}");
        }
    }

    #[test]
    fn several_changes_are_one_event_with_an_id_of_its_own() {
        let changes =
            [1, 2, 3].map(|version| match StreamChange::from_item(like(true, version).as_object().unwrap().clone()) {
                Ok(StreamChange::Like(like)) => like,
                other => panic!("{other:?}"),
            });
        let events = [&changes[..1], &changes[..2], &changes[..], &changes[1..]].map(CloudEvent::of_likes);
        let ids: std::collections::BTreeSet<_> = events.iter().map(|event| event.partition_key()).collect();
        assert_eq!(ids.len(), events.len(), "{ids:?}");
        let read = receive_any(&serde_json::to_vec(&events[2]).unwrap()).unwrap();
        assert_eq!(read.data, AnyEvent::Likes(changes.to_vec()));
    }

    #[test]
    fn consumers_read_what_was_published() {
        let receive = |record: &[u8]| receive_any(record).map(|received| received.data);
        let read = |item: Value| receive(&serde_json::to_vec(&event(item).unwrap()).unwrap());
        let log = read(json!({"PK": "USER#bob", "SK": "EVENT#000000000007", "type": "FromTheFuture"}));
        assert!(matches!(&log, Ok(AnyEvent::Log(Hint { version, .. })) if version.get() == 7), "{log:?}");
        let counter = read(json!({"PK": "TALLY#USER#bob#3", "SK": "TALLY", "version": 2, "followers": 5}));
        assert!(matches!(&counter, Ok(AnyEvent::Counters(all)) if all[0].image.version == 2), "{counter:?}");
        let liked = read(like(true, 1));
        assert!(matches!(&liked, Ok(AnyEvent::Likes(all)) if all[0].liked && all[0].like_version == 1), "{liked:?}");
        let newer = json!({"type": "tidings.poll.closed.v1", "data": {"poll": "p"}}).to_string();
        assert_eq!(receive(newer.as_bytes()), Err(NotAnEvent::Newer("tidings.poll.closed.v1".to_owned())));
        for nonsense in ["", "{}", r#"{"type": "tidings.tallies.changed.v1", "data": {}}"#] {
            assert!(matches!(receive(nonsense.as_bytes()), Err(NotAnEvent::Malformed(_))), "{nonsense}");
        }
    }

    #[test]
    fn events_of_release_0_2_are_read() {
        let read = |kind: &str, data: Value| {
            let event = json!({"type": kind, "data": data}).to_string();
            receive_any(event.as_bytes()).map(|received| received.data)
        };
        let like = json!({
            "author": "ada", "like_version": 1, "post": "014bc853-e807-7000-8000-000000000000", "user": "bob",
        });
        for (kind, liked) in [("tidings.post.liked.v1", true), ("tidings.post.unliked.v1", false)] {
            let read = read(kind, like.clone());
            assert!(matches!(&read, Ok(AnyEvent::Likes(all)) if all[0].liked == liked), "{read:?}");
        }
        let tally = json!({"subject": {"user": "bob"}, "shard": 3, "version": 2, "followers": 5});
        let read = read("tidings.tally.changed.v1", tally);
        assert!(matches!(&read, Ok(AnyEvent::Counters(all)) if all[0].shard.get() == 3), "{read:?}");
    }

    #[test]
    fn any_other_item_is_not_an_event() {
        assert_eq!(event(json!({"PK": "USER#ada", "SK": "PROFILE"})), None);
        assert_eq!(event(json!({"PK": "POST#ada", "SK": "EVENT#000000000001"})), None);
    }
}
