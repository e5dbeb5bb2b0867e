//! What the four tables share: the client, and which DynamoDB error is which of ours.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client, Config,
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, KeysAndAttributes},
};
use futures::future::try_join_all;
use serde::{Serialize, de::DeserializeOwned};
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};

use super::{Consistency, Meter};
use crate::{error::Error, retry::Backoff};

/// Keys that BatchGetItem takes in one call.
const BATCH_GET_MAX: usize = 100;
/// Times that keys which DynamoDB left unprocessed are asked for again.
const UNPROCESSED_RETRIES_MAX: u32 = 5;
/// Waits before that.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(10), longest: Duration::from_secs(1) };

/// An item as the SDK has it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A connection to DynamoDB, which the tables share.
#[derive(Debug, Clone)]
pub struct Dynamo(pub(crate) Client);

impl Dynamo {
    /// Connects as the configuration says; nothing is sent yet.
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self(Client::new(config))
    }

    /// The same, with every call measured.
    pub fn metered(config: &aws_config::SdkConfig, meter: Meter) -> Self {
        let config: Config = aws_sdk_dynamodb::config::Builder::from(config).interceptor(meter).build();
        Self(Client::from_conf(config))
    }

    /// Items of one table by their keys, in no order. More keys than one call takes are asked for at once.
    pub(super) async fn batch_get(
        &self,
        table: &str,
        keys: Vec<Item>,
        consistency: Consistency,
    ) -> Result<Vec<Item>, Error> {
        let calls = keys.chunks(BATCH_GET_MAX).map(|keys| self.batch_get_once(table, keys.to_vec(), consistency));
        Ok(try_join_all(calls).await?.concat())
    }

    async fn batch_get_once(&self, table: &str, keys: Vec<Item>, consistency: Consistency) -> Result<Vec<Item>, Error> {
        const DURING: &str = "reading items";
        let mut found = Vec::with_capacity(keys.len());
        let mut left = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(consistency.is_strong())
            .build()
            .map_err(|error| Error::poison("keys", error))?;
        for retry in 0..=UNPROCESSED_RETRIES_MAX {
            BACKOFF.before(retry).await;
            let answer = self.0.batch_get_item().request_items(table, left).send().await.map_err(failed(DURING))?;
            found.extend(answer.responses.and_then(|mut tables| tables.remove(table)).unwrap_or_default());
            match answer.unprocessed_keys.and_then(|mut tables| tables.remove(table)) {
                Some(keys) => left = keys,
                None => return Ok(found),
            }
        }
        Err(Error::transient(DURING, "keys left unprocessed"))
    }
}

/// A string attribute.
pub(super) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
pub(super) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Sorts a failed call by what to do next.
pub(super) fn failed<E, R>(during: &'static str) -> impl FnOnce(SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata,
{
    move |error| {
        let Some(service) = error.as_service_error() else {
            return Error::transient(during, kind(&error));
        };
        let (code, message) = (service.code().unwrap_or("unknown"), service.message().unwrap_or_default());
        match code {
            "ConditionalCheckFailedException" | "TransactionConflictException" => Error::Conflict,
            // A request of a wrong form stays wrong: a bug here, or an item over 400 kB.
            "ValidationException" => Error::poison(during, message),
            _ => Error::transient(during, format!("{code}: {message}")),
        }
    }
}

/// That a condition on a version failed is success: something as new is there already.
pub(super) fn newer_wins<E: ProvideErrorMetadata, R>(
    during: &'static str,
) -> impl FnOnce(SdkError<E, R>) -> Result<(), Error> {
    move |error| match failed(during)(error) {
        Error::Conflict => Ok(()),
        error => Err(error),
    }
}

/// Sorts a failed transaction by the reasons that DynamoDB gives for each of its items.
pub(super) fn transaction_failed<R>(error: SdkError<TransactWriteItemsError, R>) -> Error {
    const DURING: &str = "committing a transaction";
    // Throttling is of one hot item, which a further attempt avoids if it is a counter.
    const AGAIN: [&str; 4] =
        ["ConditionalCheckFailed", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
        return failed(DURING)(error);
    };
    let codes = || cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    if codes().any(|code| code == "ValidationError" || code == "ItemCollectionSizeLimitExceeded") {
        let messages: Vec<_> = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.message()).collect();
        Error::poison(DURING, messages.join("; "))
    } else if codes().any(|code| AGAIN.contains(&code)) {
        Error::Conflict
    } else {
        Error::transient(DURING, codes().collect::<Vec<_>>().join(", "))
    }
}

fn kind<E, R>(error: &SdkError<E, R>) -> &'static str {
    match error {
        SdkError::TimeoutError(_) => "timed out",
        SdkError::DispatchFailure(_) => "could not be sent",
        SdkError::ResponseError(_) => "the answer could not be read",
        _ => "failed",
    }
}

/// A value of ours as an item.
pub(super) fn item(value: &impl Serialize) -> Result<Item, Error> {
    to_item(value).map_err(|error| Error::poison("an item to write", error))
}

/// An item as a value of ours; `what` names it in the error.
pub(super) fn value<T: DeserializeOwned>(what: &'static str, item: Item) -> Result<T, Error> {
    from_item(item).map_err(|error| Error::poison(what, error))
}

/// A string attribute of an item.
pub(super) fn text<'a>(item: &'a Item, name: &str) -> Result<&'a str, Error> {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .map(String::as_str)
        .ok_or_else(|| Error::poison("an item read", format!("no string attribute {name}")))
}

/// A number attribute of an item; 0 where there is none.
pub(super) fn number(item: &Item, name: &str) -> Result<u64, Error> {
    let Some(value) = item.get(name) else { return Ok(0) };
    value
        .as_n()
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| Error::poison("an item read", format!("{name} is not a number")))
}
