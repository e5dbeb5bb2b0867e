//! Events on the bus: CloudEvents 1.0 in JSON, so that other systems can consume them, too.
//!
//! An event is made from an item of the log, leniently: whatever the item holds, its key tells whose log has reached
//! which version, and no consumer of ours needs more. So there is no item that could not be published.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    model::{Timestamp, UserId, Version},
    store,
};

/// Versions of the events' `data`. A change that old consumers would misread is a new one.
const TYPE_VERSION: &str = "v1";

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
    /// The event of an item of the log, given as JSON. None if its key is not one of the log.
    pub fn from_item(item: &Map<String, Value>) -> Option<Self> {
        let (user, version) = store::parse_event_key(item.get("PK")?.as_str()?, item.get("SK")?.as_str()?)?;
        let mut data = item.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
        data.insert("user".to_owned(), Value::from(user.as_str()));
        data.insert("version".to_owned(), Value::from(version.get()));
        let name = item.get("type").and_then(Value::as_str).unwrap_or("Unknown");
        let at = item.get("at").and_then(Value::as_u64).map(Timestamp::from_ms);
        Some(Self {
            specversion: "1.0",
            id: format!("{user}/{version}"),
            source: "tidings",
            kind: format!("tidings{}.{TYPE_VERSION}", dotted(name)),
            subject: user,
            time: at.map(|at| at.to_string()),
            datacontenttype: "application/json",
            data,
        })
    }

    /// What orders events: all of a user's go one way.
    pub fn partition_key(&self) -> &str {
        self.subject.as_str()
    }
}

impl Hint {
    /// Reads an event from the bus.
    ///
    /// # Errors
    /// Those of JSON, if it is no event of a user's log.
    pub fn parse(record: &[u8]) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        struct Event {
            data: Hint,
        }
        serde_json::from_slice(record).map(|event: Event| event.data)
    }
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
        let hint = Hint::parse(&serde_json::to_vec(&event).unwrap()).unwrap();
        assert_eq!((hint.user.as_str(), hint.version.get()), ("ada", 1));
    }

    #[test]
    fn what_is_not_of_a_log_is_no_event() {
        assert_eq!(event(json!({"PK": "USER#ada", "SK": "PROFILE"})), None);
        assert_eq!(event(json!({"PK": "POST#ada", "SK": "EVENT#000000000001"})), None);
    }
}
