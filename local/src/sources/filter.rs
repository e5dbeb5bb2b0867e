//! Filter criteria of event source mappings: the EventBridge patterns that Lambda documents ("Filter rule syntax"). A
//! pattern that Lambda would refuse is refused when the mapping starts. Matching a record cannot fail.

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value};

/// The filters of one mapping. A record passes if one of them matches, or if there are no filters.
#[derive(Debug, Clone, Default)]
pub(super) struct Filters {
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    root: Node,
    /// Whether the pattern reads the payload ([`Filters::matches_body`]) as JSON or as text.
    body_is_json: bool,
}

/// Matches if all fields match, and one pattern of each `$or`.
#[derive(Debug, Clone)]
struct Node {
    fields: Vec<(String, Field)>,
    alternatives: Vec<Vec<Node>>,
}

#[derive(Debug, Clone)]
enum Field {
    Inner(Node),
    /// Matches if one rule matches.
    AnyOf(Vec<Rule>),
}

#[derive(Debug, Clone)]
enum Rule {
    Equals(Value),
    EqualsIgnoreCase(String),
    AnythingBut(Vec<Value>),
    Prefix(String),
    Suffix(String),
    Numeric(Vec<(Comparison, f64)>),
    Exists(bool),
}

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Filters {
    /// Reads patterns. `body` is the property with the payload (`data` of Kinesis, `body` of SQS), if the source has
    /// one.
    ///
    /// # Errors
    /// If Lambda would not accept a pattern.
    pub(super) fn parse(patterns: &[Value], body: Option<&str>) -> anyhow::Result<Self> {
        let parse = |pattern: &Value| {
            let root = Node::parse(pattern).with_context(|| format!("in the filter pattern {pattern}"))?;
            let body_is_json = body.is_some_and(|body| pattern.get(body).is_some_and(Value::is_object));
            Ok(Pattern { root, body_is_json })
        };
        Ok(Self { patterns: patterns.iter().map(parse).collect::<anyhow::Result<_>>()? })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a record passes.
    pub(super) fn matches(&self, record: &Value) -> bool {
        self.is_empty() || self.patterns.iter().any(|pattern| pattern.root.matches(record.as_object()))
    }

    /// Whether a record passes whose property `name` is a payload of bytes. Patterns see the decoded payload.
    pub(super) fn matches_body(&self, mut record: Value, name: &str, body: &[u8]) -> bool {
        if self.is_empty() {
            return true;
        }
        let json = serde_json::from_slice::<Value>(body).ok().filter(|json| json.is_object() || json.is_array());
        self.patterns.iter().any(|pattern| {
            // A text pattern never matches a JSON payload, and a JSON pattern never matches another text.
            let decoded = match (&json, pattern.body_is_json) {
                (Some(json), true) => json.clone(),
                (None, false) => Value::String(String::from_utf8_lossy(body).into_owned()),
                (Some(_), false) | (None, true) => Value::Null,
            };
            if let Some(fields) = record.as_object_mut() {
                fields.insert(name.to_owned(), decoded);
            }
            pattern.root.matches(record.as_object())
        })
    }
}

impl Node {
    fn parse(pattern: &Value) -> anyhow::Result<Self> {
        let Value::Object(pattern) = pattern else { bail!("{pattern} is not an object") };
        ensure!(!pattern.is_empty(), "an object must have at least one field");
        let mut node = Self { fields: Vec::new(), alternatives: Vec::new() };
        for (name, value) in pattern {
            match value {
                Value::Array(alternatives) if name == "$or" => {
                    ensure!(alternatives.len() > 1, "$or needs at least two patterns");
                    node.alternatives.push(alternatives.iter().map(Self::parse).collect::<anyhow::Result<_>>()?);
                }
                Value::Array(rules) => {
                    ensure!(!rules.is_empty(), "the list of {name} is empty");
                    let rules = rules.iter().map(Rule::parse).collect::<anyhow::Result<_>>();
                    node.fields.push((name.clone(), Field::AnyOf(rules.with_context(|| format!("in {name}"))?)));
                }
                Value::Object(_) => node.fields.push((name.clone(), Field::Inner(Self::parse(value)?))),
                _ => bail!("the value of {name} must be a list or an object"),
            }
        }
        Ok(node)
    }

    fn matches(&self, value: Option<&Map<String, Value>>) -> bool {
        self.fields.iter().all(|(name, field)| {
            let value = value.and_then(|fields| fields.get(name));
            match field {
                Field::Inner(node) => node.matches(value.and_then(Value::as_object)),
                Field::AnyOf(rules) => rules.iter().any(|rule| rule.matches(value)),
            }
        }) && self.alternatives.iter().all(|patterns| patterns.iter().any(|pattern| pattern.matches(value)))
    }
}

impl Rule {
    fn parse(rule: &Value) -> anyhow::Result<Self> {
        let operator = match rule {
            Value::Array(_) => bail!("{rule}: lists cannot be nested"),
            Value::Object(operator) => operator,
            exact => return Ok(Self::Equals(exact.clone())),
        };
        let mut entries = operator.iter();
        let (Some((name, operand)), None) = (entries.next(), entries.next()) else {
            bail!("{rule} must have exactly one operator");
        };
        let text = || operand.as_str().map(str::to_owned).with_context(|| format!("{name} needs a string"));
        Ok(match name.as_str() {
            "prefix" => Self::Prefix(text()?),
            "suffix" => Self::Suffix(text()?),
            "equals-ignore-case" => Self::EqualsIgnoreCase(text()?.to_lowercase()),
            "exists" => Self::Exists(operand.as_bool().context("exists needs true or false")?),
            "anything-but" => {
                let excluded = match operand {
                    Value::Array(excluded) => excluded.clone(),
                    one => vec![one.clone()],
                };
                let plain = |value: &Value| value.is_string() || value.is_number();
                ensure!(!excluded.is_empty() && excluded.iter().all(plain), "anything-but needs strings or numbers");
                Self::AnythingBut(excluded)
            }
            "numeric" => Self::Numeric(parse_comparisons(operand)?),
            unknown => bail!("Lambda has no filter operator {unknown}"),
        })
    }

    fn matches(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            // In patterns, only a leaf exists; an object does not.
            (Self::Exists(exists), value) => value.is_some_and(|value| !value.is_object()) == *exists,
            (_, None) => false,
            // A list matches if one of its elements matches.
            (_, Some(Value::Array(elements))) => elements.iter().any(|element| self.matches_one(element)),
            (_, Some(value)) => self.matches_one(value),
        }
    }

    fn matches_one(&self, value: &Value) -> bool {
        let text = |test: &dyn Fn(&str) -> bool| value.as_str().is_some_and(test);
        match self {
            Self::Equals(expected) => same(expected, value),
            Self::EqualsIgnoreCase(expected) => text(&|text| text.to_lowercase() == *expected),
            Self::AnythingBut(excluded) => !value.is_object() && !excluded.iter().any(|excluded| same(excluded, value)),
            Self::Prefix(prefix) => text(&|text| text.starts_with(prefix.as_str())),
            Self::Suffix(suffix) => text(&|text| text.ends_with(suffix.as_str())),
            Self::Numeric(comparisons) => value.as_f64().is_some_and(|number| {
                comparisons.iter().all(|(comparison, bound)| match comparison {
                    Comparison::Equal => number == *bound,
                    Comparison::Less => number < *bound,
                    Comparison::LessOrEqual => number <= *bound,
                    Comparison::Greater => number > *bound,
                    Comparison::GreaterOrEqual => number >= *bound,
                })
            }),
            Self::Exists(exists) => *exists,
        }
    }
}

/// Numbers are equal by value (`1` and `1.0`). Everything else is compared as JSON.
fn same(left: &Value, right: &Value) -> bool {
    match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left == right,
        _ => left == right,
    }
}

/// Reads `["=", 5]` or `[">", 0, "<=", 100]`.
fn parse_comparisons(operand: &Value) -> anyhow::Result<Vec<(Comparison, f64)>> {
    let list =
        operand.as_array().filter(|list| matches!(list.len(), 2 | 4)).context("numeric needs one or two bounds")?;
    list.chunks(2)
        .map(|pair| {
            let bound = pair.last().and_then(Value::as_f64).context("a bound of numeric must be a number")?;
            let comparison = match pair.first().and_then(Value::as_str) {
                Some("=") => Comparison::Equal,
                Some("<") => Comparison::Less,
                Some("<=") => Comparison::LessOrEqual,
                Some(">") => Comparison::Greater,
                Some(">=") => Comparison::GreaterOrEqual,
                _ => bail!("numeric compares with =, <, <=, > or >="),
            };
            Ok((comparison, bound))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn passes(pattern: Value, record: Value) -> bool {
        Filters::parse(&[pattern], None).unwrap().matches(&record)
    }

    #[test]
    fn a_mapping_without_filters_passes_everything() {
        let filters = Filters::parse(&[], Some("data")).unwrap();
        assert!(filters.matches(&json!({})));
        assert!(filters.matches_body(json!({}), "data", &[0xff]));
    }

    #[test]
    fn one_of_several_patterns_suffices() {
        let filters = Filters::parse(&[json!({"a": [1]}), json!({"b": [2]})], None).unwrap();
        assert!(filters.matches(&json!({"b": 2})));
        assert!(!filters.matches(&json!({"a": 2, "b": 1})));
    }

    #[test]
    fn all_fields_of_a_pattern_must_match_and_lists_mean_or() {
        let pattern =
            json!({"eventName": ["INSERT", "MODIFY"], "dynamodb": {"Keys": {"SK": {"S": [{"prefix": "EVENT#"}]}}}});
        let record = |name: &str, key: &str| json!({"eventName": name, "dynamodb": {"Keys": {"SK": {"S": key}}}});
        assert!(passes(pattern.clone(), record("INSERT", "EVENT#1")));
        assert!(passes(pattern.clone(), record("MODIFY", "EVENT#1")));
        assert!(!passes(pattern.clone(), record("REMOVE", "EVENT#1")));
        assert!(!passes(pattern.clone(), record("INSERT", "PROFILE")));
        assert!(!passes(pattern, json!({"eventName": "INSERT", "dynamodb": {"Keys": {"PK": {"S": "EVENT#1"}}}})));
    }

    #[test]
    fn each_operator_does_what_lambda_documents() {
        for (rule, matching, other) in [
            (json!("x"), json!("x"), json!("X")),
            (json!(""), json!(""), json!(null)),
            (json!(null), json!(null), json!("")),
            (json!(1), json!(1.0), json!("1")),
            (json!({"equals-ignore-case": "Ab"}), json!("aB"), json!("b")),
            (json!({"prefix": "ab"}), json!("abc"), json!("cab")),
            (json!({"suffix": "ab"}), json!("cab"), json!("abc")),
            (json!({"anything-but": "x"}), json!("y"), json!("x")),
            (json!({"anything-but": ["x", 3]}), json!(4), json!(3)),
            (json!({"numeric": ["=", 5]}), json!(5), json!(6)),
            (json!({"numeric": [">", 0, "<=", 5]}), json!(5), json!(0)),
            (json!({"numeric": ["<", 5]}), json!(4.5), json!("4")),
            (json!({"exists": true}), json!(0), json!({"inner": 1})),
        ] {
            let pattern = json!({"f": [rule]});
            assert!(passes(pattern.clone(), json!({"f": matching})), "{pattern} should match {matching}");
            assert!(!passes(pattern.clone(), json!({"f": other})), "{pattern} should not match {other}");
        }
    }

    #[test]
    fn only_exists_false_matches_what_is_absent() {
        assert!(passes(json!({"f": [{"exists": false}]}), json!({"g": 1})));
        assert!(!passes(json!({"f": [{"exists": false}]}), json!({"f": 1})));
        assert!(!passes(json!({"f": [{"anything-but": "x"}]}), json!({})));
        assert!(!passes(json!({"f": [null]}), json!({})));
        assert!(passes(json!({"f": {"g": [{"exists": false}]}}), json!({})));
    }

    #[test]
    fn or_joins_patterns_over_several_fields() {
        let pattern = json!({"a": [1], "$or": [{"b": [2]}, {"c": [3]}]});
        assert!(passes(pattern.clone(), json!({"a": 1, "c": 3})));
        assert!(!passes(pattern.clone(), json!({"a": 1, "c": 4})));
        assert!(!passes(pattern, json!({"b": 2, "c": 3})));
    }

    #[test]
    fn an_element_of_a_list_may_match() {
        assert!(passes(json!({"f": ["b"]}), json!({"f": ["a", "b"]})));
    }

    #[test]
    fn a_payload_is_decoded_as_the_pattern_sees_it() {
        let of = |pattern: Value| Filters::parse(&[pattern], Some("data")).unwrap();
        let json_pattern = of(json!({"data": {"type": [{"prefix": "tidings."}]}}));
        assert!(json_pattern.matches_body(json!({}), "data", br#"{"type":"tidings.post.created.v1"}"#));
        assert!(!json_pattern.matches_body(json!({}), "data", br#"{"type":"other"}"#));
        assert!(!json_pattern.matches_body(json!({}), "data", b"tidings."));
        let text_pattern = of(json!({"data": ["hello"]}));
        assert!(text_pattern.matches_body(json!({}), "data", b"hello"));
        assert!(!text_pattern.matches_body(json!({}), "data", br#"{"hello":1}"#));
        let metadata = of(json!({"partitionKey": ["k"]}));
        assert!(metadata.matches_body(json!({"partitionKey": "k"}), "data", &[0xff]));
    }

    #[test]
    fn patterns_that_lambda_refuses_are_refused() {
        for pattern in [
            json!([]),
            json!({}),
            json!({"a": 1}),
            json!({"a": []}),
            json!({"a": [[1]]}),
            json!({"a": [{"wildcard": "x*"}]}),
            json!({"a": [{"prefix": 1}]}),
            json!({"a": [{"prefix": "x", "suffix": "y"}]}),
            json!({"a": [{"numeric": [">"]}]}),
            json!({"a": [{"numeric": ["!", 1]}]}),
            json!({"a": [{"anything-but": {"prefix": "x"}}]}),
            json!({"a": [{"exists": "yes"}]}),
            json!({"$or": [{"a": [1]}]}),
        ] {
            assert!(Filters::parse(std::slice::from_ref(&pattern), None).is_err(), "{pattern} should be refused");
        }
    }
}
