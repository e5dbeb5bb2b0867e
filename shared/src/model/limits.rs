//! Every limit of the product in one place. Units are part of the names.

use std::time::Duration;

/// Longest post, in grapheme clusters (Unicode UAX #29): what a reader perceives as characters.
pub const POST_GRAPHEMES_MAX: usize = 300;
/// Longest post, in bytes of UTF-8: a grapheme cluster alone has no upper bound.
pub const POST_BYTES_MAX: usize = 3000;
/// Times that a post may be edited. Each edit may add tags, and the post remembers all that it ever had.
pub const POST_EDITS_MAX: u64 = 50;
/// Longest comment, in grapheme clusters.
pub const COMMENT_GRAPHEMES_MAX: usize = 1000;
/// Longest comment, in bytes of UTF-8.
pub const COMMENT_BYTES_MAX: usize = 10_000;
/// Tags of a post that count; further ones are plain text.
pub const TAGS_PER_POST_MAX: usize = 5;
/// Longest tag, in characters; a longer run of letters is plain text.
pub const TAG_CHARS_MAX: usize = 64;

/// Longest user id in bytes of UTF-8. Percent-encoded it stays far below DynamoDB's 1024-byte sort key.
pub const USER_ID_BYTES_MAX: usize = 128;
/// Shortest and longest handle, in ASCII characters.
pub const HANDLE_CHARS: std::ops::RangeInclusive<usize> = 3..=30;
/// Longest display name, in grapheme clusters.
pub const DISPLAY_NAME_GRAPHEMES_MAX: usize = 50;
/// Longest display name, in bytes of UTF-8.
pub const DISPLAY_NAME_BYTES_MAX: usize = 500;
/// Longest avatar URL, in bytes.
pub const AVATAR_URL_BYTES_MAX: usize = 2048;

/// Accounts that one user may follow. Their hashes are one item of the viewer's: 5000 × 8 bytes = 40 kB.
pub const FOLLOWING_MAX: u64 = 5000;

/// Accounts that one user may mute, which go into the same item.
pub const MUTES_MAX: u64 = 1000;
/// Accounts that one user may block, likewise.
pub const BLOCKS_MAX: u64 = 1000;

/// Authors who are pulled at a time. The list is read whole: some 100 bytes each, 125 read units at the most.
pub const CELEBRITIES_MAX: usize = 10_000;

/// Posts or users on a page when the caller does not say.
pub const PAGE_DEFAULT: usize = 20;
/// Posts, comments or users on a page at most.
pub const PAGE_MAX: usize = 100;

/// Largest request body in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest idempotency key, in visible ASCII characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 128;
/// How long an idempotency key is remembered.
pub const IDEMPOTENCY_KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How far back home and tag feeds reach.
pub const FEED_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a cursor is valid.
pub const CURSOR_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest cursor that is looked at, in bytes. One of a ranked feed carries which posts were served.
pub const CURSOR_BYTES_MAX: usize = 4096;

/// Posts that trend at a time: the feed's length.
pub const TRENDING_MAX: usize = 200;
/// How far back the trending feed reaches.
pub const TRENDING_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
