//! What SQS accepts: the quotas in its documentation ("Amazon SQS message quotas" and the API reference), and the
//! errors for violations. All functions are pure and touch no queue.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    api::{Entry, MessageAttributeValue, MessageAttributes, NewMessage},
    error::SqsError,
};

/// The largest message with its attributes, and the largest batch, in bytes.
pub(super) const MESSAGE_BYTES_MAX: usize = 1_048_576;
/// The most entries of a batch, and the most messages of one receive.
pub(super) const BATCH_ENTRIES_MAX: usize = 10;
/// The longest visibility timeout: 12 hours.
pub(super) const VISIBILITY_S_MAX: i64 = 43_200;
/// The longest wait of a receive.
pub(super) const WAIT_S_MAX: i64 = 20;
/// The longest delay of a message.
pub(super) const DELAY_S_MAX: i64 = 900;
/// The most attributes of a message.
const MESSAGE_ATTRIBUTES_MAX: usize = 10;

/// The value of an integer parameter, or `default` if it was not given.
pub(super) fn integer(name: &str, given: Option<i64>, default: i64, min: i64, max: i64) -> Result<i64, SqsError> {
    let value = given.unwrap_or(default);
    if (min..=max).contains(&value) {
        Ok(value)
    } else {
        Err(SqsError::invalid(name, value, &format!("Must be between {min} and {max}, if provided.")))
    }
}

/// A valid name of a standard queue: 1–80 letters, digits, hyphens and underscores.
pub(super) fn queue_name(name: &str) -> Result<(), SqsError> {
    if name.ends_with(".fifo") {
        return Err(SqsError::invalid("QueueName", name, "The local SQS server does not support FIFO queues."));
    }
    if is_identifier(name) {
        Ok(())
    } else {
        let reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
        Err(SqsError::invalid("QueueName", name, reason))
    }
}

/// Checks the batch as a whole: it has one to ten entries, and their ids are well-formed and distinct.
pub(super) fn batch<E>(entries: &[Entry<E>], entry_name: &'static str) -> Result<(), SqsError> {
    if entries.is_empty() {
        return Err(SqsError::EmptyBatchRequest(entry_name));
    }
    if entries.len() > BATCH_ENTRIES_MAX {
        return Err(SqsError::TooManyEntriesInBatchRequest(entries.len()));
    }
    for (index, entry) in entries.iter().enumerate() {
        if !is_identifier(&entry.id) {
            return Err(SqsError::InvalidBatchEntryId);
        }
        if entries[..index].iter().any(|earlier| earlier.id == entry.id) {
            return Err(SqsError::BatchEntryIdsNotDistinct(entry.id.clone()));
        }
    }
    Ok(())
}

/// Checks everything about one message except the size of its batch. `bytes_max` is the queue's `MaximumMessageSize`.
pub(super) fn message(message: &NewMessage, bytes_max: usize) -> Result<(), SqsError> {
    if message.message_body.is_empty() {
        return Err(SqsError::MissingParameter("MessageBody"));
    }
    if !message.message_body.chars().all(is_allowed) {
        return Err(SqsError::InvalidMessageContents);
    }
    integer("DelaySeconds", message.delay_seconds, 0, 0, DELAY_S_MAX)?;
    if let Some(group) = &message.message_group_id {
        let reason = "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.";
        if group.is_empty() || group.len() > 128 || !group.chars().all(|c| c.is_ascii_graphic()) {
            return Err(SqsError::invalid("MessageGroupId", group, reason));
        }
    }
    if let Some(id) = &message.message_deduplication_id {
        let reason = "The request include parameter that is not valid for this queue type";
        return Err(SqsError::invalid("MessageDeduplicationId", id, reason));
    }
    attributes(&message.message_attributes)?;
    if let Some(name) = message.message_system_attributes.keys().find(|name| *name != "AWSTraceHeader") {
        return Err(SqsError::invalid("MessageSystemAttributes", name, "Only AWSTraceHeader is a system attribute."));
    }
    if size(message) > bytes_max {
        let reason =
            format!("One or more parameters are invalid. Reason: Message must be shorter than {bytes_max} bytes.");
        return Err(SqsError::InvalidParameterValue(reason));
    }
    Ok(())
}

/// The bytes that count towards the limit: the body, and the name, type and value of each attribute.
pub(super) fn size(message: &NewMessage) -> usize {
    let attribute = |(name, value): (&String, &MessageAttributeValue)| {
        let text = value.string_value.as_ref().map_or(0, String::len);
        let binary = value.binary_value.as_ref().and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
        name.len() + value.data_type.len() + text + binary.map_or(0, |bytes| bytes.len())
    };
    message.message_body.len() + message.message_attributes.iter().map(attribute).sum::<usize>()
}

fn attributes(attributes: &MessageAttributes) -> Result<(), SqsError> {
    if attributes.len() > MESSAGE_ATTRIBUTES_MAX {
        let text = format!("Number of message attributes [{}] exceeds the allowed maximum [10].", attributes.len());
        return Err(SqsError::InvalidParameterValue(text));
    }
    for (name, value) in attributes {
        let lower = name.to_ascii_lowercase();
        let well_named = (1..=256).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
            && !name.starts_with('.')
            && !name.ends_with('.')
            && !name.contains("..")
            && !lower.starts_with("aws.")
            && !lower.starts_with("amazon.");
        if !well_named {
            return Err(SqsError::invalid("MessageAttributes", name, "The message attribute name is invalid."));
        }
        let kind = value.data_type.split('.').next().unwrap_or_default();
        let has_value = match kind {
            "String" => {
                value.string_value.as_ref().is_some_and(|text| !text.is_empty() && text.chars().all(is_allowed))
            }
            "Number" => value.string_value.as_ref().is_some_and(|text| text.parse::<f64>().is_ok()),
            "Binary" => value
                .binary_value
                .as_ref()
                .is_some_and(|text| BASE64_STANDARD.decode(text).is_ok_and(|bytes| !bytes.is_empty())),
            _ => false,
        };
        if !has_value {
            let text = format!("The message attribute '{name}' must have a value that fits its data type.");
            return Err(SqsError::InvalidParameterValue(text));
        }
    }
    Ok(())
}

/// Whether a message may contain this character (the characters of XML 1.0).
fn is_allowed(c: char) -> bool {
    matches!(c, '\u{9}' | '\u{A}' | '\u{D}' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

fn is_identifier(text: &str) -> bool {
    (1..=80).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}
