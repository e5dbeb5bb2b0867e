//! Tickets: signed texts with which their holder reads feeds at the function URL of GetFeed.
//!
//! A function URL has no authorizer. So a client asks the HTTP API, which checks its token, for a ticket: a text that
//! names the caller, expires, and is signed with the key of cursors. Whoever has it is this caller at the function URL.
//! A ticket cannot be revoked; a new key, without the old one, revokes all of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Rejection},
    model::{Clock, Timestamp, UserId},
    query::cursor::CursorKeys,
};

/// What a ticket is signed for. A cursor is signed for a walk, so it is no ticket.
const SCOPE: &str = "ticket";

/// Issues tickets.
#[derive(Debug, Clone)]
pub struct TicketOffice {
    /// The function URL, if the deployment has one.
    pub url: Option<String>,
    /// How long a ticket is valid.
    pub lifetime: Duration,
    /// What tickets are signed with.
    pub keys: CursorKeys,
    /// The time.
    pub clock: Clock,
}

/// A new ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedTicket<'a> {
    /// The ticket.
    pub text: String,
    /// The address where it is valid, without a slash at the end.
    pub url: &'a str,
    /// From when on it is not valid.
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Ticket {
    holder: UserId,
    /// Seconds since 1970.
    expires_at: u64,
}

impl TicketOffice {
    /// A ticket for this caller.
    ///
    /// # Errors
    /// [`Rejection::NoFeedUrl`] if the deployment has no function URL.
    pub fn issue(&self, caller: &UserId) -> Result<IssuedTicket<'_>, Error> {
        let url = self.url.as_deref().ok_or(Rejection::NoFeedUrl)?.trim_end_matches('/');
        let expires_at = self.clock.now().after(self.lifetime).as_secs();
        let text = self.keys.sign(SCOPE, &Ticket { holder: caller.clone(), expires_at })?;
        Ok(IssuedTicket { text, url, expires_at: Timestamp::from_ms(expires_at * 1000) })
    }
}

/// The holder of a ticket.
///
/// # Errors
/// [`Rejection::InvalidTicket`] if it was not signed with these keys, or has expired.
pub fn holder(ticket: &str, keys: &CursorKeys, now: Timestamp) -> Result<UserId, Error> {
    let ticket: Option<Ticket> = keys.verified(SCOPE, ticket)?;
    let valid = ticket.filter(|ticket| now.as_secs() < ticket.expires_at);
    valid.map(|ticket| ticket.holder).ok_or_else(|| Rejection::InvalidTicket.into())
}
