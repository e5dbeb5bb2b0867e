//! JSON objects. Types that derive `Deserialize` also accept an array in place of an object.

use serde::de::{DeserializeOwned, Error as _};

/// Reads a JSON object. `Object` has no objects in it that derive `Deserialize`.
///
/// # Errors
/// If the JSON is not an object, or not such an object.
pub(crate) fn object<Object: DeserializeOwned>(json: &[u8]) -> serde_json::Result<Object> {
    match json.trim_ascii_start().first() {
        Some(b'{') | None => serde_json::from_slice(json),
        Some(_) => Err(serde_json::Error::custom("this is not an object")),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

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
