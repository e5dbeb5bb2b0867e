//! JSON objects. Types that derive `Deserialize` also accept an array in place of an object.

use std::collections::BTreeMap;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};

/// Reads a JSON object. Objects in it that derive `Deserialize` need [`objects`].
///
/// # Errors
/// If the JSON is not an object, or not such an object.
pub(crate) fn object<Object: DeserializeOwned>(json: &[u8]) -> serde_json::Result<Object> {
    match json.trim_ascii_start().first() {
        Some(b'{') | None => serde_json::from_slice(json),
        Some(_) => Err(serde_json::Error::custom("this is not an object")),
    }
}

/// Reads a member that has objects by their names.
///
/// # Errors
/// If one of them is not an object, or not such an object.
pub(crate) fn objects<'de, Object: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Object>, D::Error> {
    let found = BTreeMap::<String, Map<String, Value>>::deserialize(deserializer)?;
    let object = |(name, object)| Ok((name, serde_json::from_value(Value::Object(object)).map_err(D::Error::custom)?));
    found.into_iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Many {
        #[serde(default, deserialize_with = "objects")]
        many: BTreeMap<String, One>,
    }

    #[test]
    fn only_objects_are_in_a_member_of_objects() {
        let many = object::<Many>(br#"{"many": {"x": {"a": 1}}}"#).unwrap().many;
        assert_eq!(many, BTreeMap::from([("x".to_owned(), One { a: 1 })]));
        assert!(object::<Many>(b"{}").unwrap().many.is_empty());
        for bad in [r#"{"many": {"x": [1]}}"#, r#"{"many": [["x", {"a": 1}]]}"#, r#"{"many": {"x": {}}}"#] {
            assert!(object::<Many>(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct One {
        a: u8,
    }

    #[test]
    fn only_an_object_is_one() {
        assert_eq!(object::<One>(b" {\"a\": 1}").unwrap(), One { a: 1 });
        for bad in ["[1]", " [1]", "1", "null", "", "{", "{}", "[{\"a\": 1}]", "\u{feff}{\"a\": 1}"] {
            assert!(object::<One>(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
