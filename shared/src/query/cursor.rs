//! Cursors: the opaque texts that tell where the next page of a walk begins. A cursor is signed. It is valid for 24 h,
//! and only for the caller, the route and the order for which it was made.
//!
//! The text is base64url of a version byte, an HMAC-SHA256 (RFC 2104), and the position as JSON. The HMAC covers the
//! scope (caller, route and order), which is not part of the text. One key signs; the key before it is still accepted,
//! so that keys can be rotated.
//!
//! The `newest` of a home is signed likewise, and does not expire. So is what `tickets` issues.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::hmac;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::newest::Newest;
use crate::{
    error::{Error, Rejection},
    model::{
        Timestamp, UserId, Version,
        limits::{CURSOR_BYTES_MAX, CURSOR_LIFETIME},
    },
};

/// Version of the format. Cursors of other versions are refused.
const FORMAT: u8 = 1;
/// Length of an HMAC-SHA256 in bytes.
const MAC_BYTES: usize = 32;
/// Shortest secret. RFC 2104 (section 3) discourages keys that are shorter than the hash.
const SECRET_CHARACTERS_MIN: usize = 32;

/// The keys that sign cursors, and tickets.
#[derive(Debug, Clone)]
pub struct CursorKeys {
    current: hmac::Key,
    previous: Option<hmac::Key>,
}

/// What a cursor is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Scope<'a> {
    /// The user who walks.
    pub caller: &'a UserId,
    /// The route together with what its path names, such as `followers of <user>`.
    pub route: &'a str,
    /// The name of the order.
    pub order: &'a str,
}

/// What a cursor carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place<Position> {
    /// Where the next page begins.
    pub position: Position,
    /// The version that a request of the walk asked for. Every later page shows its effects, too (INV-4).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<Version>,
    /// What the walk's first page says was newest, in home feeds. All pages of the walk say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Newest>,
}

#[derive(Serialize, Deserialize)]
struct Payload<Position> {
    #[serde(flatten)]
    place: Place<Position>,
    expires_at: u64,
}

impl CursorKeys {
    /// The keys of a setting: the secret that signs cursors or, during a rotation, `<new>,<old>`.
    ///
    /// # Errors
    /// If a secret has fewer than 32 characters, or if there are more than two secrets.
    pub fn parse(secrets: &str) -> anyhow::Result<Self> {
        let key = |secret: &str| {
            anyhow::ensure!(
                secret.chars().count() >= SECRET_CHARACTERS_MIN && !secret.contains(','),
                "a cursor key is one secret of at least {SECRET_CHARACTERS_MIN} characters, or two separated by a comma"
            );
            Ok(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
        };
        match secrets.split_once(',') {
            None => Ok(Self { current: key(secrets)?, previous: None }),
            Some((current, previous)) => Ok(Self { current: key(current)?, previous: Some(key(previous)?) }),
        }
    }

    /// A cursor that carries this place, valid for 24 h.
    ///
    /// # Errors
    /// [`Error::Poison`] if the place cannot be written as JSON.
    pub fn seal<Position: Serialize>(
        &self,
        scope: Scope<'_>,
        place: Place<Position>,
        now: Timestamp,
    ) -> Result<String, Error> {
        self.sign(scope, &Payload { place, expires_at: now.after(CURSOR_LIFETIME).as_secs() })
    }

    /// The text of what a caller has seen of the home.
    ///
    /// # Errors
    /// [`Error::Poison`] if it cannot be written as JSON.
    pub fn seal_newest(&self, caller: &UserId, newest: &Newest) -> Result<String, Error> {
        self.sign(of_newest(caller), newest)
    }

    /// What a caller has seen of the home, from its text.
    ///
    /// # Errors
    /// [`Rejection::InvalidNewerThan`] if it was not made for this caller.
    pub fn open_newest(&self, caller: &UserId, text: &str) -> Result<Newest, Error> {
        self.verified(of_newest(caller), text)?.ok_or_else(|| Rejection::InvalidNewerThan.into())
    }

    /// A signed text with this payload. It is of use for this scope only, which is not part of it.
    ///
    /// # Errors
    /// [`Error::Poison`] if it cannot be written as JSON.
    pub(crate) fn sign(&self, scope: impl Serialize, payload: &impl Serialize) -> Result<String, Error> {
        let payload = serde_json::to_vec(payload).map_err(|error| Error::poison("a cursor", error))?;
        let mac = hmac::sign(&self.current, &signed(scope, &payload)?);
        Ok(BASE64.encode([&[FORMAT], mac.as_ref(), &payload].concat()))
    }

    /// The place that a cursor for this scope carries.
    ///
    /// # Errors
    /// [`Rejection::InvalidCursor`] if the cursor was not made for this scope, [`Rejection::CursorExpired`] after 24 h.
    pub fn open<Position: DeserializeOwned>(
        &self,
        scope: Scope<'_>,
        cursor: &str,
        now: Timestamp,
    ) -> Result<Place<Position>, Error> {
        let payload: Payload<Position> = self.verified(scope, cursor)?.ok_or(Rejection::InvalidCursor)?;
        if now.as_secs() >= payload.expires_at {
            return Err(Rejection::CursorExpired.into());
        }
        Ok(payload.place)
    }

    /// What was signed for this scope; none if it was not.
    ///
    /// # Errors
    /// [`Error::Poison`] if the scope cannot be written as JSON.
    pub(crate) fn verified<Signed: DeserializeOwned>(
        &self,
        scope: impl Serialize,
        text: &str,
    ) -> Result<Option<Signed>, Error> {
        let decoded =
            Some(text).filter(|text| text.len() <= CURSOR_BYTES_MAX).and_then(|text| BASE64.decode(text).ok());
        let Some(bytes) = decoded else { return Ok(None) };
        let Some((mac, payload)) = bytes.strip_prefix(&[FORMAT]).and_then(|rest| rest.split_at_checked(MAC_BYTES))
        else {
            return Ok(None);
        };
        let signed = signed(scope, payload)?;
        // `verify` compares in constant time.
        let valid = |key: &hmac::Key| hmac::verify(key, &signed, mac).is_ok();
        let is_valid = valid(&self.current) || self.previous.as_ref().is_some_and(valid);
        Ok(if is_valid { serde_json::from_slice(payload).ok() } else { None })
    }
}

/// The scope of what a caller has seen of the home.
fn of_newest(caller: &UserId) -> Scope<'_> {
    Scope { caller, route: "home", order: "newest" }
}

/// The bytes that are signed: format and scope as JSON, a NUL, which JSON never contains, and the payload.
fn signed(scope: impl Serialize, payload: &[u8]) -> Result<Vec<u8>, Error> {
    let scope = serde_json::to_vec(&(FORMAT, scope)).map_err(|error| Error::poison("a cursor", error))?;
    Ok([scope.as_slice(), b"\0", payload].concat())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::query::newest::Covered;

    const NOW: Timestamp = Timestamp::from_ms(1_000_000);

    fn keys() -> CursorKeys {
        CursorKeys::parse("0123456789abcdef0123456789abcdef").unwrap()
    }

    fn place<Position>(position: Position) -> Place<Position> {
        Place { position, min_version: Version::new(7), newest: None }
    }

    fn ada() -> UserId {
        "ada".parse().unwrap()
    }

    fn scope(caller: &UserId) -> Scope<'_> {
        Scope { caller, route: "home", order: "chronological" }
    }

    fn is(result: Result<Place<String>, Error>, rejection: &Rejection) -> bool {
        matches!(result, Err(Error::Rejected(found)) if found == *rejection)
    }

    proptest! {
        #[test]
        fn opening_a_sealed_cursor_is_the_identity(position in ".{0,100}") {
            let (keys, caller) = (keys(), ada());
            let cursor = keys.seal(scope(&caller), place(&position), NOW).unwrap();
            prop_assert_eq!(keys.open::<String>(scope(&caller), &cursor, NOW).unwrap(), place(position));
        }

        #[test]
        fn no_changed_bit_goes_unnoticed(byte in any::<prop::sample::Index>(), bit in 0u32..8) {
            let (keys, caller) = (keys(), ada());
            let mut bytes = BASE64.decode(keys.seal(scope(&caller), place("position"), NOW).unwrap()).unwrap();
            let index = byte.index(bytes.len());
            bytes[index] ^= 1u8 << bit;
            let opened = keys.open(scope(&caller), &BASE64.encode(bytes), NOW);
            prop_assert!(is(opened, &Rejection::InvalidCursor));
        }

        #[test]
        fn no_text_that_was_not_sealed_opens(text in "\\PC{0,80}") {
            let caller = ada();
            prop_assert!(is(keys().open(scope(&caller), &text, NOW), &Rejection::InvalidCursor));
        }
    }

    #[test]
    fn a_cursor_is_bound_to_caller_route_and_order() {
        let (keys, caller, other) = (keys(), ada(), "bob".parse().unwrap());
        let cursor = keys.seal(scope(&caller), place("position"), NOW).unwrap();
        for foreign in
            [scope(&other), Scope { route: "author", ..scope(&caller) }, Scope { order: "ranked", ..scope(&caller) }]
        {
            assert!(is(keys.open(foreign, &cursor, NOW), &Rejection::InvalidCursor), "{foreign:?}");
        }
    }

    #[test]
    fn a_cursor_expires_after_a_day() {
        let (keys, caller) = (keys(), ada());
        let cursor = keys.seal(scope(&caller), place("position"), NOW).unwrap();
        let last = NOW.after(CURSOR_LIFETIME).before(Duration::from_secs(1));
        assert_eq!(keys.open::<String>(scope(&caller), &cursor, last).unwrap(), place("position".to_owned()));
        let expired = keys.open(scope(&caller), &cursor, NOW.after(CURSOR_LIFETIME));
        assert!(is(expired, &Rejection::CursorExpired));
    }

    #[test]
    fn a_cursor_survives_one_rotation_of_the_key() {
        let caller = ada();
        let (old, new) = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210");
        let cursor = CursorKeys::parse(old).unwrap().seal(scope(&caller), place("position"), NOW).unwrap();
        let open = |secrets: &str| CursorKeys::parse(secrets).unwrap().open::<String>(scope(&caller), &cursor, NOW);
        assert_eq!(open(&format!("{new},{old}")).unwrap(), place("position".to_owned()));
        assert!(is(open(new), &Rejection::InvalidCursor));
    }

    #[test]
    fn what_one_caller_has_seen_is_of_no_use_to_another_and_a_cursor_is_no_such_text() {
        let (keys, caller, other) = (keys(), ada(), "bob".parse().unwrap());
        let newest = Newest::new(&Covered::default(), NOW);
        let text = keys.seal_newest(&caller, &newest).unwrap();
        assert_eq!(keys.open_newest(&caller, &text).unwrap(), newest);
        let cursor = keys.seal(scope(&caller), place("position"), NOW).unwrap();
        for refused in
            [keys.open_newest(&other, &text), keys.open_newest(&caller, &cursor), keys.open_newest(&caller, "")]
        {
            assert!(matches!(refused, Err(Error::Rejected(Rejection::InvalidNewerThan))), "{refused:?}");
        }
    }

    #[test]
    fn weak_secrets_are_refused() {
        let secret = "0123456789abcdef0123456789abcdef";
        for weak in ["", "short", ",", &secret[1..], &format!("{secret},"), &format!("{secret},{}", &secret[1..])] {
            assert!(CursorKeys::parse(weak).is_err(), "{weak}");
        }
        assert!(CursorKeys::parse(&[secret; 3].join(",")).is_err());
    }
}
