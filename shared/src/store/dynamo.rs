//! What the tables share: the client, reads of many items, conversions, and the mapping of DynamoDB's errors to
//! [`Error`].

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    config::{self, ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeSerializationInterceptorContextMut},
    error::{BoxError, ProvideErrorMetadata, SdkError},
    operation::transact_write_items::{
        TransactWriteItemsError, TransactWriteItemsInput, builders::TransactWriteItemsFluentBuilder,
    },
    types::{AttributeValue, KeysAndAttributes, TransactWriteItem},
};
use futures::future::try_join_all;
use serde::{Serialize, de::DeserializeOwned};
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};

use super::{
    consistency::Consistency,
    key::{PK, SK},
    meter::Meter,
    read_timeouts::ReadTimeouts,
};
use crate::{error::Error, model::UserId, retry::RetryPolicy};

/// Keys in one call of BatchGetItem at most (DynamoDB API Reference).
const BATCH_GET_MAX: usize = 100;
/// Items in one call of BatchWriteItem at most (DynamoDB API Reference).
pub(crate) const BATCH_WRITE_MAX: usize = 25;
/// How often keys that DynamoDB left unprocessed are read again.
const RETRY: RetryPolicy =
    RetryPolicy { retries_max: 5, first: Duration::from_millis(10), longest: Duration::from_secs(1) };

/// The code of the error of a single write whose condition does not hold.
const CONDITION_FAILED: &str = "ConditionalCheckFailedException";

/// The attribute with the version of an item's layout. An item without it has layout 1, as all items do so far.
pub(super) const SCHEMA: &str = "schema";
/// The newest layout of items that this release can read. A release that changes what attributes mean, or removes some
/// that this one needs, writes a higher number.
const SCHEMA_MAX: u64 = 1;

/// An item in the SDK's form.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// A client of DynamoDB, which the tables share.
#[derive(Debug, Clone)]
pub struct Dynamo(pub(crate) Client);

impl Dynamo {
    /// A client with this configuration. Nothing is sent yet.
    pub fn new(config: &aws_config::SdkConfig) -> Self {
        Self(Client::from_conf(configured(config).build()))
    }

    /// A client whose calls are all measured.
    pub fn metered(config: &aws_config::SdkConfig, meter: Meter) -> Self {
        Self(Client::from_conf(configured(config).interceptor(meter).build()))
    }

    /// Up to 100 items of one table by their keys, in no order, and whether DynamoDB has refused to read some of
    /// them at first.
    pub(super) async fn batch_get_noticing(
        &self,
        table: &str,
        keys: Vec<Item>,
        consistency: Consistency,
    ) -> Result<(Vec<Item>, bool), Error> {
        self.batch_get_once(table, keys, &[], consistency, RETRY).await
    }

    /// Up to 100 items of one table by their keys, in no order, consistently.
    ///
    /// # Errors
    /// [`Error::Throttled`] as soon as DynamoDB refuses to read some of them; otherwise as DynamoDB's.
    pub(super) async fn batch_get_without_retry(&self, table: &str, keys: Vec<Item>) -> Result<Vec<Item>, Error> {
        let once = RetryPolicy { retries_max: 0, ..RETRY };
        Ok(self.batch_get_once(table, keys, &[], Consistency::Strong, once).await?.0)
    }

    /// Items of one table by their keys, in no order. If there are too many keys for one call, several calls run at
    /// once.
    pub(super) async fn batch_get(
        &self,
        table: &str,
        keys: Vec<Item>,
        consistency: Consistency,
    ) -> Result<Vec<Item>, Error> {
        self.batch_get_parts(table, keys, &[], consistency).await
    }

    /// The same with these attributes only, or with all if the list is empty. DynamoDB charges for whole items, but
    /// nobody has to send, read and throw away the rest.
    pub(super) async fn batch_get_parts(
        &self,
        table: &str,
        mut keys: Vec<Item>,
        attributes: &[&str],
        consistency: Consistency,
    ) -> Result<Vec<Item>, Error> {
        // Keys and items are moved. A copy of an item has as many allocations as the item.
        let mut calls = Vec::with_capacity(keys.len().div_ceil(BATCH_GET_MAX));
        while !keys.is_empty() {
            let rest = keys.split_off(keys.len().min(BATCH_GET_MAX));
            calls.push(self.batch_get_once(table, keys, attributes, consistency, RETRY));
            keys = rest;
        }
        Ok(try_join_all(calls).await?.into_iter().flat_map(|(items, _)| items).collect())
    }

    async fn batch_get_once(
        &self,
        table: &str,
        keys: Vec<Item>,
        attributes: &[&str],
        consistency: Consistency,
        retry: RetryPolicy,
    ) -> Result<(Vec<Item>, bool), Error> {
        const DURING: &str = "reading items";
        let (mut found, mut was_throttled) = (Vec::with_capacity(keys.len()), false);
        let mut left = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(consistency.is_strong());
        if !attributes.is_empty() {
            let names: Vec<_> = attributes.iter().map(|name| format!("#{name}")).collect();
            left = left.projection_expression(names.join(","));
            for (placeholder, name) in names.into_iter().zip(attributes) {
                left = left.expression_attribute_names(placeholder, *name);
            }
        }
        let mut left = left.build().map_err(|error| Error::poison("keys", error))?;
        let mut retries = retry.start();
        loop {
            let answer = self.0.batch_get_item().request_items(table, left).send().await.map_err(failed(DURING))?;
            found.extend(answer.responses.and_then(|mut tables| tables.remove(table)).unwrap_or_default());
            match answer.unprocessed_keys.and_then(|mut tables| tables.remove(table)) {
                Some(keys) => left = keys,
                None => return Ok((found, was_throttled)),
            }
            was_throttled = true;
            if !retries.wait().await {
                return Err(Error::Throttled { during: DURING });
            }
        }
    }
}

impl Dynamo {
    /// At most `limit` items of a table behind the item with the key `after`, in no particular order, and the key of
    /// the last one if there may be more. The read is eventually consistent.
    pub(super) async fn scan_page(
        &self,
        table: &str,
        after: Option<Item>,
        limit: i32,
    ) -> Result<(Vec<Item>, Option<Item>), Error> {
        let request = self.0.scan().table_name(table).set_exclusive_start_key(after).limit(limit);
        let answer = request.send().await.map_err(failed("scanning a table"))?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
    }
}

fn configured(config: &aws_config::SdkConfig) -> config::Builder {
    config::Builder::from(config).interceptor(ReadTimeouts)
}

impl Dynamo {
    /// Does all of the writes, or none of them.
    pub(super) async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<(), Error> {
        send_transaction(self.0.transact_write_items().set_transact_items(Some(writes))).await
    }
}

/// Does all of the writes of the transaction, or none of them.
pub(super) async fn send_transaction(transaction: TransactWriteItemsFluentBuilder) -> Result<(), Error> {
    try_transaction(transaction).await.map_err(transaction_failed)
}

/// Does the same. An error tells which of the writes are the reason.
pub(super) async fn try_transaction(
    transaction: TransactWriteItemsFluentBuilder,
) -> Result<(), SdkError<TransactWriteItemsError>> {
    transaction.customize().interceptor(NoClientToken).send().await.map(|_| ())
}

/// Removes the client request token that the SDK adds to every transaction. A command recognizes a committed try whose
/// answer was lost by the command id in its event, which stays longer than the ten minutes of a token. And the embedded
/// server of the local stack searches all tokens of the last ten minutes with each transaction.
#[derive(Debug)]
struct NoClientToken;

impl Intercept for NoClientToken {
    fn name(&self) -> &'static str {
        "NoClientToken"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(input) = context.input_mut().downcast_mut::<TransactWriteItemsInput>() {
            input.client_request_token = None;
        }
        Ok(())
    }
}

/// The primary key of an item in a table that has a sort key.
pub(super) fn primary_key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    HashMap::from([(PK.to_owned(), s(pk)), (SK.to_owned(), s(sk))])
}

/// A string attribute.
pub(super) fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number attribute.
pub(super) fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Maps a failed call to an error, by what to do next.
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
            CONDITION_FAILED | "TransactionConflictException" => Error::Conflict,
            // The last one is for a quota of the account.
            "ThrottlingException" | "ProvisionedThroughputExceededException" | "RequestLimitExceeded" => {
                Error::Throttled { during }
            }
            // An invalid request stays invalid: it is a bug here, or an item over 400 kB.
            "ValidationException" => Error::poison(during, message),
            _ => Error::transient(during, format!("{code}: {message}")),
        }
    }
}

/// Maps a failed call, too. A failed condition on a version is success: the table already has that version or a newer
/// one. A write that meets a transaction with the same item has failed: nobody has looked at its condition.
pub(super) fn newer_wins<E: ProvideErrorMetadata, R>(
    during: &'static str,
) -> impl FnOnce(SdkError<E, R>) -> Result<(), Error> {
    move |error| match error.as_service_error().and_then(ProvideErrorMetadata::code) {
        Some(CONDITION_FAILED) => Ok(()),
        _ => Err(failed(during)(error)),
    }
}

/// Maps a failed transaction to an error, by the reasons that DynamoDB gives for each of its items.
pub(super) fn transaction_failed<R>(error: SdkError<TransactWriteItemsError, R>) -> Error {
    const DURING: &str = "committing a transaction";
    // One hot item is throttled. If it is a counter, the next attempt uses another shard.
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
        SdkError::TimeoutError(_) => "the call timed out",
        SdkError::DispatchFailure(_) => "the request could not be sent",
        SdkError::ResponseError(_) => "the answer could not be read",
        _ => "the call failed",
    }
}

/// Converts a value to an item.
pub(super) fn item(value: &impl Serialize) -> Result<Item, Error> {
    to_item(value).map_err(|error| Error::poison("an item to be written", error))
}

/// Converts an item to a value. `what` names the value in the error. Attributes that this release does not know are
/// passed over.
///
/// # Errors
/// [`Error::NewerRelease`] if that wrote the item in a layout that this one would misread; [`Error::Poison`] if
/// the item makes no sense.
pub(super) fn value<T: DeserializeOwned>(what: &'static str, item: Item) -> Result<T, Error> {
    if number(&item, SCHEMA).is_ok_and(|schema| schema > SCHEMA_MAX) {
        return Err(Error::NewerRelease { during: what, why: "its layout is unknown".to_owned() });
    }
    from_item(item).map_err(|error| Error::poison(what, error))
}

/// Reads a string attribute of an item.
pub(super) fn text<'a>(item: &'a Item, name: &str) -> Result<&'a str, Error> {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .map(String::as_str)
        .ok_or_else(|| Error::poison("an item", format!("it has no string attribute {name}")))
}

/// Reads a user id of an item. It may have characters that are refused in new ids.
pub(super) fn user(item: &Item, name: &str) -> Result<UserId, Error> {
    let id = text(item, name)?;
    UserId::try_from(id.to_owned()).map_err(|error| Error::poison(id, error))
}

/// Reads a number attribute of an item. A missing attribute is 0.
pub(super) fn number(item: &Item, name: &str) -> Result<u64, Error> {
    let Some(value) = item.get(name) else { return Ok(0) };
    value
        .as_n()
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| Error::poison("an item", format!("its attribute {name} is not a number")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Unreadable, Version},
        samples::user,
        store::command_table::unreadable,
    };

    #[test]
    fn what_only_a_newer_release_can_read_is_no_outage_and_no_poison() {
        let of_event = |why| unreadable(&user("ada"), Version::ZERO.next(), why);
        let item = Item::from([(SCHEMA.to_owned(), n(SCHEMA_MAX + 1))]);
        let of_item = value::<serde_json::Value>("an item", item).unwrap_err();
        assert_eq!(of_item.to_string(), "an item: a newer release wrote it: its layout is unknown");
        assert!(matches!(of_item, Error::NewerRelease { .. }));
        let of_type = of_event(Unreadable::Newer("its type is FromTheFuture".to_owned()));
        assert!(matches!(of_type, Error::NewerRelease { .. }), "{of_type}");
        let malformed = of_event(Unreadable::Malformed("nonsense".to_owned()));
        assert!(matches!(malformed, Error::Poison { .. }), "{malformed}");
    }
}
