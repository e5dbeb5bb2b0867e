//! Events on the bus: CloudEvents 1.0 in JSON, so that other systems can consume them, too.
//!
//! An event is made from an item of the log, leniently: whatever the item holds, its key tells whose log has reached
//! which version, and no consumer of ours needs more. So there is no item that could not be published. Beside the log,
//! the shards of counters are published, each as it stands.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    model::{TallyChange, Timestamp, UserId, Version},
    store,
};

/// Versions of the events' `data`. A change that old consumers would misread is a new one.
const TYPE_VERSION: &str = "v1";

/// Type of the events that tell how a shard of a counter stands.
const TALLY_CHANGED: &str = "tidings.tally.changed.v1";

/// A CloudEvent (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloudEvent {
    specversion: &'static str,
    /// Unique together with `source`: the user's log and the place in it.
    id: String,
    source: &'static str,
    /// `tidings.<subject>.<past participle>.v1`.
    #[serde(rename = "type")]
    kind: String,
    subject: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    datacontenttype: &'static str,
    data: Map<String, Value>,
}

/// What a consumer of ours takes from an event: this user's log has reached this version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Hint {
    /// Whose log.
    pub user: UserId,
    /// How far it has come.
    pub version: Version,
}

impl CloudEvent {
    /// The event of an item of the command table, given as JSON. None if it is neither of the log nor of a counter.
    pub fn from_item(item: &Map<String, Value>) -> Option<Self> {
        let (pk, sk) = (item.get("PK")?.as_str()?, item.get("SK")?.as_str()?);
        match store::parse_event_key(pk, sk) {
            Some((user, version)) => Some(Self::of_log(user, version, item)),
            None => Self::of_counter(pk, sk, item),
        }
    }

    fn of_log(user: UserId, version: Version, item: &Map<String, Value>) -> Self {
        let mut data = item.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
        data.insert("user".to_owned(), Value::from(user.as_str()));
        data.insert("version".to_owned(), Value::from(version.get()));
        let name = item.get("type").and_then(Value::as_str).unwrap_or("Unknown");
        let at = item.get("at").and_then(Value::as_u64).map(Timestamp::from_ms);
        Self {
            specversion: "1.0",
            id: format!("{user}/{version}"),
            source: "tidings",
            kind: format!("tidings{}.{TYPE_VERSION}", dotted(name)),
            subject: user,
            time: at.map(|at| at.to_string()),
            datacontenttype: "application/json",
            data,
        }
    }

    fn of_counter(pk: &str, sk: &str, item: &Map<String, Value>) -> Option<Self> {
        let (counted, shard) = store::parse_tally_key(pk, sk)?;
        let image = serde_json::from_value(Value::Object(item.clone())).ok()?;
        let change = TallyChange { counted, shard, image };
        let Ok(Value::Object(data)) = serde_json::to_value(&change) else { return None };
        Some(Self {
            specversion: "1.0",
            id: format!("{}/tally/{}/{}", change.counted, shard.get(), change.image.version),
            source: "tidings",
            kind: TALLY_CHANGED.to_owned(),
            subject: change.counted,
            time: None,
            datacontenttype: "application/json",
            data,
        })
    }

    /// What orders events: all of a user's go one way.
    pub fn partition_key(&self) -> &str {
        self.subject.as_str()
    }
}

/// Reads the data of an event from the bus: a [`Hint`] of a user's log, a [`TallyChange`] of a counter.
///
/// # Errors
/// Those of JSON, if it is no such event.
pub fn parse<Data: DeserializeOwned>(record: &[u8]) -> serde_json::Result<Data> {
    #[derive(Deserialize)]
    struct Event<Data> {
        data: Data,
    }
    serde_json::from_slice(record).map(|event: Event<Data>| event.data)
}

/// `.post.created` of `PostCreated`.
fn dotted(name: &str) -> String {
    let mut dotted = String::new();
    for c in name.chars() {
        if c.is_uppercase() || dotted.is_empty() {
            dotted.push('.');
        }
        dotted.extend(c.to_lowercase());
    }
    dotted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(item: Value) -> Option<CloudEvent> {
        CloudEvent::from_item(item.as_object().unwrap())
    }

    #[test]
    fn an_item_of_the_log_becomes_a_cloud_event() {
        let item = json!({
            "PK": "USER#a%7Cb", "SK": "EVENT#000000000007", "user": "a|b", "version": 7, "at": 1_425_000_000_007_u64,
            "command": "c", "type": "PostCreated", "data": {"post": "p", "text": "hello", "tags": []},
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
    fn whatever_the_item_holds_its_hint_is_published() {
        let event = event(json!({"PK": "USER#ada", "SK": "EVENT#000000000001", "type": 5, "data": "?"})).unwrap();
        let hint: Hint = parse(&serde_json::to_vec(&event).unwrap()).unwrap();
        assert_eq!((hint.user.as_str(), hint.version.get()), ("ada", 1));
    }

    #[test]
    fn a_shard_of_a_counter_is_published_as_it_stands() {
        let event = event(json!({"PK": "TALLY#USER#a%7Cb#7", "SK": "TALLY", "version": 3, "followers": -1})).unwrap();
        assert_eq!(event.kind, TALLY_CHANGED);
        let change: TallyChange = parse(&serde_json::to_vec(&event).unwrap()).unwrap();
        assert_eq!((change.counted.as_str(), change.shard.get()), ("a|b", 7));
        assert_eq!((change.image.version, change.image.followers), (3, -1));
        assert!(parse::<Hint>(&serde_json::to_vec(&event).unwrap()).is_err(), "it says nothing of a log");
    }

    #[test]
    fn what_is_of_neither_is_no_event() {
        assert_eq!(event(json!({"PK": "USER#ada", "SK": "PROFILE"})), None);
        assert_eq!(event(json!({"PK": "POST#ada", "SK": "EVENT#000000000001"})), None);
    }
}
