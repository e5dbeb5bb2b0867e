//! Ids of users, posts, comments and commands.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Handle, InvalidHandle, Timestamp,
    clock::uuid_v7,
    limits::{FEED_AGE_MAX, USER_ID_BYTES_MAX},
};

/// The id of a user: the `sub` of the user's tokens. It is 1–255 bytes of UTF-8 without control characters. It does not
/// start with `@`, which marks a handle where both are allowed.
///
/// [`FromStr`] reads an id that comes from outside. It also refuses U+FFFE and U+FFFF, which SQS does not accept in a
/// message. [`TryFrom<String>`] reads a stored id. Earlier releases accepted the two characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(String);

/// Characters that SQS refuses in a message, besides control characters (SendMessage, `MessageBody`).
pub(crate) const NOT_IN_MESSAGES: [char; 2] = ['\u{fffe}', '\u{ffff}'];

/// The text is not a user id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a user id has 1 to {USER_ID_BYTES_MAX} bytes, neither control characters nor U+FFFE nor U+FFFF, and does not \
     start with `@`"
)]
pub struct InvalidUserId;

impl UserId {
    /// The id as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash that represents the id in sets.
    pub fn hash(&self) -> UserHash {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.0.as_bytes());
        let mut short = [0; UserHash::BYTES];
        short.copy_from_slice(&digest.as_ref()[..UserHash::BYTES]);
        UserHash(short)
    }
}

impl TryFrom<String> for UserId {
    type Error = InvalidUserId;

    fn try_from(id: String) -> Result<Self, InvalidUserId> {
        let valid =
            (1..=USER_ID_BYTES_MAX).contains(&id.len()) && !id.starts_with('@') && !id.chars().any(char::is_control);
        if valid { Ok(Self(id)) } else { Err(InvalidUserId) }
    }
}

impl FromStr for UserId {
    type Err = InvalidUserId;

    fn from_str(id: &str) -> Result<Self, InvalidUserId> {
        if id.contains(NOT_IN_MESSAGES) {
            return Err(InvalidUserId);
        }
        Self::try_from(id.to_owned())
    }
}

impl From<UserId> for String {
    fn from(id: UserId) -> Self {
        id.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The first 8 bytes of the SHA-256 of a user id. A set of 5000 hashes fits a small item. The probability that the hash
/// of any of 10⁹ users equals one of such a set is 3·10⁻⁷. Even then a wrong row would be shown only if it was pushed,
/// too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserHash(pub(crate) [u8; Self::BYTES]);

impl UserHash {
    /// Length of a hash in bytes.
    pub const BYTES: usize = 8;

    /// In which of so many parts the user is.
    pub(crate) fn part(self, of: u8) -> u8 {
        let [.., last] = self.0;
        last.checked_rem(of).unwrap_or_default()
    }
}

/// In hexadecimal.
impl fmt::Display for UserHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A user in the path of a request: an id or `@handle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserRef {
    /// By id.
    Id(UserId),
    /// By the present handle.
    Handle(Handle),
}

/// The text is neither the id nor the handle of a user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUserRef {
    /// It begins with `@`, but no handle follows.
    #[error(transparent)]
    Handle(#[from] InvalidHandle),
    /// It is no id.
    #[error(transparent)]
    Id(#[from] InvalidUserId),
}

impl FromStr for UserRef {
    type Err = InvalidUserRef;

    fn from_str(text: &str) -> Result<Self, InvalidUserRef> {
        Ok(match text.strip_prefix('@') {
            Some(handle) => Self::Handle(Handle::look_up(handle)?),
            None => Self::Id(text.parse()?),
        })
    }
}

/// A UUIDv7. It contains its creation time, and ids sort by that time. The kind keeps ids of different things apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String", bound = "Kind: Clone")]
pub struct Id<Kind>(Uuid, PhantomData<Kind>);

/// The id of a post.
pub type PostId = Id<PostKind>;
/// The id of a comment.
pub type CommentId = Id<CommentKind>;

/// Marks ids of posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PostKind {}
/// Marks ids of comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CommentKind {}

/// The text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id is a version 7 UUID in lower case with hyphens")]
pub struct InvalidId;

impl<Kind> Id<Kind> {
    /// A new id for something created at this moment.
    pub fn new(at: Timestamp) -> Self {
        Self(uuid_v7(at), PhantomData)
    }

    /// The lowest id that something created at this moment can have.
    pub fn lowest(at: Timestamp) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(at.as_ms(), &[0; 10]).into_uuid(), PhantomData)
    }

    /// The next higher id, as a bound of ranges. No item has it.
    #[must_use]
    pub fn just_above(self) -> Self {
        Self(Uuid::from_u128(self.0.as_u128().saturating_add(1)), PhantomData)
    }

    /// The creation time.
    pub fn created_at(&self) -> Timestamp {
        let (secs, nanos) = self.0.get_timestamp().map_or((0, 0), |timestamp| timestamp.to_unix());
        Timestamp::from_ms(secs * 1000 + u64::from(nanos / 1_000_000))
    }

    /// The 16 bytes of the id.
    pub fn to_bytes(&self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The id of these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let uuid = Uuid::from_bytes(bytes);
        (uuid.get_version_num() == 7).then_some(Self(uuid, PhantomData))
    }

    /// 48 of the 74 random bits of the id. They represent the id where many ids take up space, and spread posts evenly.
    pub fn short(&self) -> [u8; 6] {
        let [.., a, b, c, d, e, f] = *self.0.as_bytes();
        [a, b, c, d, e, f]
    }
}

impl PostId {
    /// When the post leaves home and tag feeds.
    pub fn leaves_feeds_at(self) -> Timestamp {
        self.created_at().after(FEED_AGE_MAX)
    }
}

impl<Kind> FromStr for Id<Kind> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let uuid = Uuid::try_parse(text).map_err(|_| InvalidId)?;
        let id = Self(uuid, PhantomData);
        // Ids are keys, so each id has one spelling only.
        if uuid.get_version_num() == 7 && id.to_string() == text { Ok(id) } else { Err(InvalidId) }
    }
}

impl<Kind> TryFrom<String> for Id<Kind> {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl<Kind> From<Id<Kind>> for String {
    fn from(id: Id<Kind>) -> Self {
        id.to_string()
    }
}

impl<Kind> fmt::Display for Id<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The id of one run of a command. A retry recognizes by it that an earlier try was committed, and not another command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(Uuid);

impl CommandId {
    /// A new id.
    pub fn new(at: Timestamp) -> Self {
        Self(uuid_v7(at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_post_id_carries_its_creation_time(ms in 0u64..(1 << 48)) {
            prop_assert_eq!(PostId::new(Timestamp::from_ms(ms)).created_at(), Timestamp::from_ms(ms));
        }

        #[test]
        fn post_ids_sort_by_creation_time_as_text(a in 0u64..(1 << 48), b in 0u64..(1 << 48)) {
            prop_assume!(a < b);
            let (a, b) = (PostId::new(Timestamp::from_ms(a)), PostId::new(Timestamp::from_ms(b)));
            prop_assert!(a < b && a.to_string() < b.to_string());
        }

        #[test]
        fn parsing_a_rendered_post_id_is_the_identity(ms in 0u64..(1 << 48)) {
            let id = PostId::new(Timestamp::from_ms(ms));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn no_id_of_a_moment_is_below_the_lowest(ms in 0u64..(1 << 48)) {
            let at = Timestamp::from_ms(ms);
            prop_assert!(PostId::lowest(at) <= PostId::new(at));
            prop_assert_eq!(PostId::lowest(at).created_at(), at);
        }
    }

    #[test]
    fn a_post_id_has_one_spelling() {
        let id = PostId::new(Timestamp::from_ms(1)).to_string();
        for other in [id.to_uppercase().replace('0', "A"), id.replace('-', ""), format!("{{{id}}}"), String::new()] {
            assert_eq!(other.parse::<PostId>(), Err(InvalidId), "{other}");
        }
        assert!("936da01f-9abd-4d9d-80c7-02af85c822a8".parse::<PostId>().is_err(), "a version 4 UUID");
    }

    #[test]
    fn user_ids_have_bounds() {
        for good in ["a", "auth0|5f7c8ec7c33c6c004bbafe82", "日本", "\u{fffd}", &"x".repeat(255)] {
            assert!(good.parse::<UserId>().is_ok(), "{good}");
        }
        for bad in ["", "@ada", "a\nb", "a\0", "a\u{fffe}", "\u{ffff}", &"x".repeat(256), &"é".repeat(128)] {
            assert_eq!(bad.parse::<UserId>(), Err(InvalidUserId), "{bad:?}");
        }
    }

    #[test]
    fn a_stored_id_with_a_character_that_is_refused_today_can_still_be_read() {
        assert!(UserId::try_from("a\u{ffff}".to_owned()).is_ok());
    }

    #[test]
    fn a_path_names_a_user_by_id_or_handle() {
        assert!(matches!("@ada".parse(), Ok(UserRef::Handle(_))));
        assert!(matches!("ada".parse(), Ok(UserRef::Id(_))));
        assert_eq!("@ADA".parse::<UserRef>(), "@ada".parse(), "in any case");
        assert!(matches!("@A".parse::<UserRef>(), Err(InvalidUserRef::Handle(_))));
        assert!(matches!("".parse::<UserRef>(), Err(InvalidUserRef::Id(_))));
    }
}
