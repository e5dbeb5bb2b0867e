//! The attributes of a queue: which exist, which values they accept, and what they mean for the store.

use serde_json::Value;

use super::{
    api::Attributes,
    error::SqsError,
    limits::{DELAY_S_MAX, MESSAGE_BYTES_MAX, VISIBILITY_S_MAX, WAIT_S_MAX},
};

/// Attributes with an integer value: name, default, smallest value and greatest value.
const INTEGERS: [(&str, i64, i64, i64); 6] = [
    ("DelaySeconds", 0, 0, DELAY_S_MAX),
    ("KmsDataKeyReusePeriodSeconds", 300, 60, 86_400),
    ("MaximumMessageSize", MESSAGE_BYTES_MAX as i64, 1024, MESSAGE_BYTES_MAX as i64),
    ("MessageRetentionPeriod", 345_600, 60, 1_209_600),
    ("ReceiveMessageWaitTimeSeconds", 0, 0, WAIT_S_MAX),
    ("VisibilityTimeout", 30, 0, VISIBILITY_S_MAX),
];
/// Attributes that are stored and returned, and have no effect on one machine.
const OPAQUE: [&str; 4] = ["KmsMasterKeyId", "Policy", "RedriveAllowPolicy", "SqsManagedSseEnabled"];

/// What the attributes of a queue mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) delay_ms: i64,
    pub(super) message_bytes_max: usize,
    pub(super) retention_ms: i64,
    pub(super) receive_wait_s: i64,
    pub(super) visibility_ms: i64,
    pub(super) redrive: Option<Redrive>,
}

/// Where messages go that were received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redrive {
    /// The name of the dead-letter queue.
    pub(super) queue: String,
    /// After this many receives, the message moves.
    pub(super) max_receive_count: i64,
}

impl Settings {
    /// Reads attributes that passed [`normalise`]. A missing attribute has its default.
    pub(super) fn of(attributes: &Attributes) -> Self {
        let integer = |name: &str| attributes.get(name).and_then(|text| text.parse().ok()).unwrap_or(default_of(name));
        Self {
            delay_ms: integer("DelaySeconds") * 1000,
            message_bytes_max: usize::try_from(integer("MaximumMessageSize")).unwrap_or(MESSAGE_BYTES_MAX),
            retention_ms: integer("MessageRetentionPeriod") * 1000,
            receive_wait_s: integer("ReceiveMessageWaitTimeSeconds"),
            visibility_ms: integer("VisibilityTimeout") * 1000,
            redrive: attributes.get("RedrivePolicy").and_then(|policy| redrive(policy)),
        }
    }
}

/// The attributes with all defaults, as `GetQueueAttributes` returns them.
pub(super) fn with_defaults(attributes: &Attributes) -> Attributes {
    let defaults = INTEGERS.iter().filter(|(name, ..)| !name.starts_with("Kms"));
    let mut all: Attributes = defaults.map(|(name, default, ..)| ((*name).to_owned(), default.to_string())).collect();
    all.insert("SqsManagedSseEnabled".to_owned(), "true".to_owned());
    all.extend(attributes.clone());
    all
}

/// Whether `GetQueueAttributes` knows a settable attribute with this name.
pub(super) fn is_known(name: &str) -> bool {
    name == "RedrivePolicy" || OPAQUE.contains(&name) || INTEGERS.iter().any(|(known, ..)| *known == name)
}

/// Checks the attributes that a caller sets, and normalises them for storing and comparing. An empty value resets an
/// attribute to its default.
pub(super) fn normalise(attributes: Attributes) -> Result<Attributes, SqsError> {
    attributes
        .into_iter()
        .map(|(name, value)| {
            let value = match INTEGERS.iter().find(|(known, ..)| *known == name) {
                Some((_, _, min, max)) => match value.parse::<i64>() {
                    Ok(number) if (*min..=*max).contains(&number) => number.to_string(),
                    _ => return Err(SqsError::InvalidAttributeValue(name)),
                },
                None if name == "RedrivePolicy" && !value.is_empty() => match redrive(&value) {
                    Some(Redrive { max_receive_count: 1..=1000, .. }) => {
                        serde_json::from_str::<Value>(&value).map(|policy| policy.to_string()).unwrap_or(value)
                    }
                    _ => {
                        let reason = "Needs deadLetterTargetArn and maxReceiveCount, an integer from 1 to 1000.";
                        return Err(SqsError::invalid("RedrivePolicy", value, reason));
                    }
                },
                None if is_known(&name) => value,
                None => return Err(SqsError::InvalidAttributeName(name)),
            };
            Ok((name, value))
        })
        .collect()
}

/// The name at the end of a queue's ARN or URL.
pub(super) fn name_in_arn(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    let is_queue = parts.next() == Some("arn") && parts.nth(1) == Some("sqs");
    if is_queue { parts.nth(2).filter(|name| !name.is_empty()) } else { None }
}

fn default_of(name: &str) -> i64 {
    INTEGERS.iter().find(|(known, ..)| *known == name).map_or(0, |(_, default, ..)| *default)
}

fn redrive(policy: &str) -> Option<Redrive> {
    let policy: Value = serde_json::from_str(policy).ok()?;
    let queue = name_in_arn(policy.get("deadLetterTargetArn")?.as_str()?)?.to_owned();
    // AWS accepts the count as a number and as a string with a number.
    let count = policy.get("maxReceiveCount")?;
    let max_receive_count = count.as_i64().or_else(|| count.as_str()?.parse().ok())?;
    Some(Redrive { queue, max_receive_count })
}
