//! One idempotency key, one effect, one response (INV-6): what a command remembers under a key, in the transaction of its
//! effect, and how a request with the same key is answered from that.
//!
//! A response is remembered without what its request says: the request that asks again brings that along, and a deletion
//! must not leave a text behind here.

use ring::digest::{SHA256, digest};
use serde::{Serialize, de::DeserializeOwned};

use super::{Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{IdempotencyKey, Timestamp, UserId, limits::IDEMPOTENCY_KEY_LIFETIME},
    store::{
        command_table::{CommandTable, Remembered},
        transaction::Change,
    },
};

/// A request with the key that it may have.
pub(super) struct Once<'a> {
    /// Whose key.
    pub(super) user: &'a UserId,
    /// The key, if the client wants an answer remembered.
    pub(super) key: Option<&'a IdempotencyKey>,
    /// The request: method, path and what it says.
    pub(super) request: String,
}

impl Once<'_> {
    /// What is remembered under the key, if anything.
    pub(super) async fn read(
        commands: &CommandTable,
        user: &UserId,
        key: Option<&IdempotencyKey>,
    ) -> Result<Option<Remembered>, Error> {
        match key {
            Some(key) => commands.remembered(user, key).await,
            None => Ok(None),
        }
    }

    /// The decision to answer as before, if this was answered before; `output` makes the answer of what was remembered.
    pub(super) fn replay<Response: DeserializeOwned, Output>(
        &self,
        remembered: Option<&Remembered>,
        at: Timestamp,
        output: impl FnOnce(Response, &Remembered) -> Output,
    ) -> Result<Option<Decision<Output>>, Rejection> {
        let Some(remembered) = remembered.filter(|remembered| remembered.is_valid(at)) else { return Ok(None) };
        if remembered.request != self.hash() {
            return Err(Rejection::IdempotencyKeyReused);
        }
        let response = serde_json::from_str(&remembered.response).map_err(|_| Rejection::IdempotencyKeyReused)?;
        Ok(Some(Decision::Replay { version: remembered.version, output: output(response, remembered) }))
    }

    /// The change that remembers the response, if there is a key.
    pub(super) fn remember(&self, response: &impl Serialize, turn: Turn) -> Option<Change> {
        Some(Change::Remember {
            user: self.user.clone(),
            key: self.key?.clone(),
            remembered: Remembered {
                request: self.hash(),
                response: serde_json::json!(response).to_string(),
                version: turn.version,
                expires_at: turn.at.after(IDEMPOTENCY_KEY_LIFETIME).as_secs(),
            },
            at: turn.at,
        })
    }

    fn hash(&self) -> String {
        hex::encode(digest(&SHA256, self.request.as_bytes()))
    }
}
