//! The one write of a command: its event and all changes of the event, in one transaction. Only a change that spreads
//! followers or comments over several partitions is preceded by another write, in a transaction of its own: the mark
//! that says so ([`super::spread`]).
//!
//! If the state changed since it was read, the whole transaction fails with [`Error::Conflict`], and the command
//! decides again.

use aws_sdk_dynamodb::{
    operation::transact_write_items::{TransactWriteItemsError, builders::TransactWriteItemsFluentBuilder},
    types::{AttributeValue, TransactWriteItem},
};

use super::{
    command_table::CommandTable,
    dynamo::{s, send_transaction, transaction_failed, try_transaction},
    key::{self, PK},
    transaction::Change,
};
use crate::{
    error::Error,
    model::{LogEvent, TallySubject, Timestamp, UserId},
};

impl CommandTable {
    /// Commits an event with its changes. The log must not have the event's version yet. So of two concurrent commands
    /// of one user, one fails, and the user's log is strictly ordered and has no gaps.
    ///
    /// # Errors
    /// [`Error::Conflict`] if any condition failed; otherwise as DynamoDB's. The event may have been committed after a
    /// [`Error::Conflict`], [`Error::Transient`] or [`Error::Throttled`]: ask [`CommandTable::appended_by`].
    pub async fn commit(&self, event: &LogEvent, changes: &[Change]) -> Result<(), Error> {
        send_transaction(self.with_event(event, changes).await?).await
    }

    /// Commits in the same way, and remembers in this process whether this counter meets writes of other users.
    ///
    /// # Errors
    /// As [`CommandTable::commit`].
    pub(crate) async fn commit_counted(
        &self,
        event: &LogEvent,
        changes: &[Change],
        counter: &TallySubject,
    ) -> Result<(), Error> {
        let transaction = self.with_event(event, changes).await.inspect_err(|error| {
            // Many write the mark, or the partition that it stands in.
            if matches!(error, Error::Conflict) {
                self.busy.spread_more(counter, event.at);
            }
        })?;
        self.send_counted(transaction, &event.user, counter, event.at).await
    }

    /// Commits a like or its end, with the post's counter, and remembers in this process whether the counter meets
    /// writes of other users.
    ///
    /// # Errors
    /// [`Error::Conflict`] if any condition failed; otherwise as DynamoDB's. The like may have been committed after a
    /// [`Error::Conflict`], [`Error::Transient`] or [`Error::Throttled`], if an answer was lost.
    pub(crate) async fn commit_like(
        &self,
        caller: &UserId,
        changes: &[Change],
        counter: &TallySubject,
        at: Timestamp,
    ) -> Result<(), Error> {
        let transaction = self.with(self.dynamo.0.transact_write_items(), changes)?;
        self.send_counted(transaction, caller, counter, at).await
    }

    /// Commits changes that belong to no log.
    ///
    /// # Errors
    /// [`Error::Conflict`] if any condition failed.
    pub async fn commit_unlogged(&self, changes: &[Change]) -> Result<(), Error> {
        send_transaction(self.with(self.dynamo.0.transact_write_items(), changes)?).await
    }

    async fn with_event(&self, event: &LogEvent, changes: &[Change]) -> Result<TransactWriteItemsFluentBuilder, Error> {
        let append = self.append(event)?;
        self.mark_spread(changes, event.at).await?;
        self.with(self.dynamo.0.transact_write_items().transact_items(append), changes)
    }

    /// The transaction with these changes, too.
    fn with(
        &self,
        transaction: TransactWriteItemsFluentBuilder,
        changes: &[Change],
    ) -> Result<TransactWriteItemsFluentBuilder, Error> {
        changes.iter().try_fold(transaction, |transaction, change| {
            let parts = self.parts(change)?.into_iter();
            Ok(parts.fold(transaction, TransactWriteItemsFluentBuilder::transact_items))
        })
    }

    /// Sends the transaction of a command, and remembers in this process whether the counter meets writes of other
    /// users: whether another transaction with the counter, or with something else outside the caller's partition, was
    /// under way, or DynamoDB throttled that. If another transaction with an item of the caller was under way, too, it
    /// is one of the caller, who may do two things at once. A condition that failed tells nothing of the counter, which
    /// has none.
    ///
    /// # Errors
    /// [`Error::Conflict`] if a condition failed or an item met another write; otherwise as DynamoDB's.
    async fn send_counted(
        &self,
        transaction: TransactWriteItemsFluentBuilder,
        caller: &UserId,
        counter: &TallySubject,
        at: Timestamp,
    ) -> Result<(), Error> {
        let of_caller = s(key::user(caller));
        let writes = transaction.get_transact_items().iter().flatten();
        let are_of_caller: Vec<_> = writes.map(|write| partition_of(write) == Some(&of_caller)).collect();
        let Err(refused) = try_transaction(transaction).await else {
            self.busy.spread_less(counter, at);
            return Ok(());
        };
        let reasons = match refused.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(it)) => it.cancellation_reasons(),
            _ => &[],
        };
        let (mut meets_others, mut meets_caller) = (false, false);
        for (reason, is_of_caller) in reasons.iter().zip(are_of_caller) {
            match reason.code() {
                Some("TransactionConflict") if is_of_caller => meets_caller = true,
                Some("TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded") if !is_of_caller => {
                    meets_others = true;
                }
                _ => {}
            }
        }
        if meets_others && !meets_caller {
            self.busy.spread_more(counter, at);
        }
        let error = transaction_failed(refused);
        if matches!(error, Error::Throttled { .. }) {
            self.busy.know_refused(counter, at);
        }
        Err(error)
    }
}

/// The partition key of what a part of a transaction writes or requires.
fn partition_of(write: &TransactWriteItem) -> Option<&AttributeValue> {
    let key = match write {
        TransactWriteItem { put: Some(put), .. } => put.item(),
        TransactWriteItem { update: Some(update), .. } => update.key(),
        TransactWriteItem { delete: Some(delete), .. } => delete.key(),
        TransactWriteItem { condition_check: Some(check), .. } => check.key(),
        _ => return None,
    };
    key.get(PK)
}
