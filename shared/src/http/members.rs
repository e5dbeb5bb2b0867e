//! The members of a JSON object: how bodies of requests are read.
//!
//! Types that derive `Deserialize` also accept a JSON array in place of an object. Their error messages name Rust types
//! and positions. [`Members`] accepts an object only, and each value is a text, so nothing is nested. Its messages name
//! the members of the HTTP contract and say what to send.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{Value, error::Category};

use crate::error::Rejection;

/// Longest part of an unknown name that a message repeats, in characters.
const NAME_CHARS_SHOWN: usize = 40;

/// The members of a JSON object whose values were not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members(BTreeMap<String, Value>);

/// A member that may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Optional {
    /// The object does not have the member.
    Absent,
    /// The member is null.
    Null,
    /// The member is a text.
    Text(String),
}

impl Members {
    /// Reads a JSON object that has no other members than `known`.
    ///
    /// # Errors
    /// [`Rejection::MalformedBody`] with a message for the caller.
    pub fn parse(json: &[u8], known: &[&str]) -> Result<Self, Rejection> {
        let list = list(known);
        if json.trim_ascii().is_empty() {
            return Err(malformed(format!("the body is empty; send a JSON object with {list}")));
        }
        let members: Self = serde_json::from_slice(json).map_err(|error| {
            malformed(match error.classify() {
                // The messages below are from the visitor.
                Category::Data => match error.to_string().rsplit_once(" at line ") {
                    Some((message, _)) if message.starts_with('`') => message.to_owned(),
                    _ => format!("the body must be a JSON object with {list}"),
                },
                Category::Syntax | Category::Eof | Category::Io => {
                    let (line, column) = (error.line(), error.column());
                    format!(
                        "the body is not valid JSON (line {line}, column {column}); send one JSON object with {list}"
                    )
                }
            })
        })?;
        members.only(known)
    }

    /// The members, if there are no others than `known`.
    ///
    /// # Errors
    /// [`Rejection::MalformedBody`] if there are others.
    pub fn only(self, known: &[&str]) -> Result<Self, Rejection> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(other) => Err(malformed(format!("`{}` is not known here; send {} only", shown(other), list(known)))),
            None => Ok(self),
        }
    }

    /// The text of a member that must not be left out.
    ///
    /// # Errors
    /// [`Rejection::MalformedBody`] if the member is missing or no text.
    pub fn text(&mut self, name: &str) -> Result<String, Rejection> {
        match self.optional(name)? {
            Optional::Text(text) => Ok(text),
            Optional::Null => Err(no_string(name)),
            Optional::Absent => Err(malformed(format!("`{name}` is missing; send it as a string"))),
        }
    }

    /// The text of a member that may be left out, but must not be null.
    ///
    /// # Errors
    /// [`Rejection::MalformedBody`] if the member is there and no text.
    pub fn text_if_present(&mut self, name: &str) -> Result<Option<String>, Rejection> {
        match self.optional(name)? {
            Optional::Text(text) => Ok(Some(text)),
            Optional::Null => Err(no_string(name)),
            Optional::Absent => Ok(None),
        }
    }

    /// A member that may be left out, or null.
    ///
    /// # Errors
    /// [`Rejection::MalformedBody`] if the member is neither null nor a text.
    pub fn optional(&mut self, name: &str) -> Result<Optional, Rejection> {
        match self.0.remove(name) {
            None => Ok(Optional::Absent),
            Some(Value::Null) => Ok(Optional::Null),
            Some(Value::String(text)) => Ok(Optional::Text(text)),
            Some(_) => Err(no_string(name)),
        }
    }
}

impl Optional {
    /// The text, if there is one.
    pub fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Null => None,
        }
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Accepts an object in which every name occurs once.
struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format!("`{}` occurs twice; send it once", shown(&name))));
            }
            members.insert(name, value);
        }
        Ok(Members(members))
    }
}

fn malformed(message: String) -> Rejection {
    Rejection::MalformedBody(message)
}

fn no_string(name: &str) -> Rejection {
    malformed(format!("`{name}` must be a string"))
}

/// A name in a message. The caller chose it, so it may be long.
fn shown(name: &str) -> String {
    name.chars().take(NAME_CHARS_SHOWN).collect()
}

/// For example: `a`, `b` and `c`.
fn list(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &str) -> String {
        match Members::parse(json.as_bytes(), &["handle", "display_name"]) {
            Err(Rejection::MalformedBody(message)) => message,
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn only_an_object_is_accepted() {
        for json in ["[]", r#"["x"]"#, r#"["ada", "Ada"]"#, r#"[{"handle": "ada"}]"#, "null", "17", r#""x""#, "true"] {
            assert_eq!(message(json), "the body must be a JSON object with `handle` and `display_name`", "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for json in [
            "{",
            "x",
            "{\"handle\": }",
            "{} {}",
            "{\"handle\": \"\u{7}\"}",
            &format!("{{\"handle\": {}", "[".repeat(1000)),
        ] {
            let message = message(json);
            assert!(message.starts_with("the body is not valid JSON (line 1, column "), "{json}: {message}");
        }
        assert!(message(" ").starts_with("the body is empty"));
        assert!(Members::parse(b"{\"handle\": \"\xff\"}", &["handle"]).is_err(), "this is not UTF-8");
    }

    #[test]
    fn names_are_known_and_occur_once() {
        let long = format!("{{\"{}\": 1}}", "é".repeat(3000));
        assert!(message(&long).len() < 200);
        assert_eq!(message(r#"{"x": 1}"#), "`x` is not known here; send `handle` and `display_name` only");
        assert_eq!(message(r#"{"handle": "a", "handle": "a"}"#), "`handle` occurs twice; send it once");
    }

    #[test]
    fn a_value_is_a_text_and_never_an_array_or_an_object() {
        for value in ["1", "true", r#"["x"]"#, r#"{"text": "x"}"#, "[[]]"] {
            let body = format!(r#"{{"text": {value}}}"#);
            let mut members = Members::parse(body.as_bytes(), &["text"]).unwrap();
            assert_eq!(members.clone().text("text"), Err(no_string("text")), "{value}");
            assert_eq!(members.optional("text"), Err(no_string("text")), "{value}");
        }
    }

    #[test]
    fn a_member_that_may_be_left_out_is_absent_null_or_a_text() {
        let mut members = Members::parse(br#"{"b": null, "c": "x"}"#, &["a", "b", "c"]).unwrap();
        let read = ["a", "b", "c"].map(|name| members.optional(name).unwrap());
        assert_eq!(read, [Optional::Absent, Optional::Null, Optional::Text("x".to_owned())]);
        let mut members = Members::parse(br#"{"b": null}"#, &["a", "b"]).unwrap();
        assert_eq!(members.text("a"), Err(malformed("`a` is missing; send it as a string".to_owned())));
        assert_eq!(members.clone().text("b"), Err(no_string("b")));
        assert_eq!((members.text_if_present("a"), members.text_if_present("b")), (Ok(None), Err(no_string("b"))));
    }
}
