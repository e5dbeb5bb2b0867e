//! Celebrities in the command table. Who is a celebrity is a fact of the system and not of a user, so no log holds it.
//! All celebrities are in one partition: the list that every process reads from time to time.

use aws_sdk_dynamodb::types::ReturnValue;

use super::{
    command_table::CommandTable,
    dynamo::{failed, n, newer_wins, s, value},
    key::{self, PK, SK},
};
use crate::{
    error::Error,
    model::{Celebrity, CelebrityList, Timestamp, UserId},
};

/// Pages of the list that are read at most. A page is 1 MB (DynamoDB, Query), so these hold far more celebrities than
/// there can be.
const PAGES_MAX: usize = 10;

impl CommandTable {
    /// All celebrities. The read is eventually consistent.
    pub async fn celebrities(&self) -> Result<CelebrityList, Error> {
        let mut found = Vec::new();
        let mut start = None;
        for _ in 0..PAGES_MAX {
            let answer = self
                .dynamo
                .0
                .query()
                .table_name(&self.table)
                .key_condition_expression("PK = :celebrities")
                .expression_attribute_values(":celebrities", s(key::CELEBRITIES))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(failed("reading the celebrities"))?;
            found.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        found.into_iter().map(|item| value("a celebrity", item)).collect()
    }

    /// The celebrity entry of the author, if the author is a celebrity.
    pub async fn celebrity(&self, author: &UserId) -> Result<Option<Celebrity>, Error> {
        self.get("a celebrity", key::CELEBRITIES.to_owned(), key::user(author)).await
    }

    /// Makes the author a celebrity from this moment on. If the author already is one, nothing changes.
    pub async fn promote(&self, author: &UserId, at: Timestamp) -> Result<(), Error> {
        self.dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .key(PK, s(key::CELEBRITIES))
            .key(SK, s(key::user(author)))
            .update_expression("SET author = :author, promoted_at = if_not_exists(promoted_at, :at)")
            .expression_attribute_values(":author", s(author.as_str()))
            .expression_attribute_values(":at", n(at.as_ms()))
            .send()
            .await
            .map(|_| ())
            .map_err(failed("promoting an author"))
    }

    /// Begins the demotion of a celebrity. If it has begun before, it begins anew, and what was done counts no more.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the author is not a celebrity.
    pub async fn begin_demotion(&self, author: &UserId, at: Timestamp) -> Result<Celebrity, Error> {
        const DURING: &str = "demoting an author";
        let answer = self
            .dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .key(PK, s(key::CELEBRITIES))
            .key(SK, s(key::user(author)))
            .update_expression("SET demoted_at = :at")
            .condition_expression("attribute_exists(PK)")
            .expression_attribute_values(":at", n(at.as_ms()))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(failed(DURING))?;
        value("a celebrity", answer.attributes.unwrap_or_default())
    }

    /// Ends the demotion that began at this moment: the author is no longer a celebrity. Any other demotion stays.
    pub async fn end_demotion(&self, author: &UserId, begun_at: Timestamp) -> Result<(), Error> {
        self.dynamo
            .0
            .delete_item()
            .table_name(&self.table)
            .key(PK, s(key::CELEBRITIES))
            .key(SK, s(key::user(author)))
            .condition_expression("demoted_at = :at")
            .expression_attribute_values(":at", n(begun_at.as_ms()))
            .send()
            .await
            .map(|_| ())
            .or_else(newer_wins("demoting an author"))
    }
}
