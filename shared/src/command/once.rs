//! One idempotency key, one effect, one response (INV-6). A command stores its response under the key, in the
//! transaction of its effect. A later request with the same key gets the stored response.
//!
//! The stored response leaves out what its request says. A repeated request carries that again, and a deletion must not
//! leave a text behind here.

use ring::digest::{SHA256, digest};
use serde::{Serialize, de::DeserializeOwned};

use super::decision::{Decision, Turn};
use crate::{
    error::{Error, Rejection},
    model::{IdempotencyKey, Timestamp, UserId, limits::IDEMPOTENCY_KEY_LIFETIME},
    store::{
        command_table::{CommandTable, Remembered},
        transaction::Change,
    },
};

/// A request, with its idempotency key if it has one.
pub(super) struct Once<'a> {
    /// The user whose key it is.
    pub(super) user: &'a UserId,
    /// The key, if the client sent one.
    pub(super) key: Option<&'a IdempotencyKey>,
    /// The request: its method, its path and its contents.
    pub(super) request: String,
}

impl Once<'_> {
    /// Reads what is stored under the key.
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

    /// The decision to answer as before, if the request was answered before. `output` builds the output from what was
    /// stored.
    ///
    /// # Errors
    /// [`Rejection::IdempotencyKeyReused`] if the key was used for another request.
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

    /// The change that stores the response, if there is a key.
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
