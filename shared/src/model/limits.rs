//! All limits of the product. Units are part of the names.

use std::time::Duration;

/// Longest post, in grapheme clusters (Unicode UAX #29), which readers perceive as characters.
pub const POST_GRAPHEMES_MAX: usize = 300;
/// Longest post, in bytes of UTF-8. A grapheme cluster itself may have any length.
pub const POST_BYTES_MAX: usize = 3000;
/// Edits of a post at most. Each edit may add tags, and the post keeps a list of all tags that it ever had.
pub const POST_EDITS_MAX: u64 = 50;
/// Longest comment, in grapheme clusters.
pub const COMMENT_GRAPHEMES_MAX: usize = 1000;
/// Longest comment, in bytes of UTF-8.
pub const COMMENT_BYTES_MAX: usize = 10_000;
/// Tags of a post at most. The response names further ones, and the post is not found by them.
pub const TAGS_PER_POST_MAX: usize = 5;
/// Longest tag, in characters of the tag as it is compared. The response names longer ones.
pub const TAG_CHARS_MAX: usize = 64;

/// Longest user id, in bytes of UTF-8, as OpenID Connect limits `sub` (Core 1.0, section 2). Percent-encoded, it has at
/// most 765 bytes. A sort key of DynamoDB may have 1024.
pub const USER_ID_BYTES_MAX: usize = 255;
/// Shortest and longest handle, in ASCII characters.
pub const HANDLE_CHARS: std::ops::RangeInclusive<usize> = 3..=30;
/// How long a handle that its owner gave up resolves to nobody and can only be claimed by that owner.
pub const FORMER_HANDLE_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Longest display name, in grapheme clusters.
pub const DISPLAY_NAME_GRAPHEMES_MAX: usize = 50;
/// Longest display name, in bytes of UTF-8.
pub const DISPLAY_NAME_BYTES_MAX: usize = 500;
/// Combining marks in a row in a display name at most. Scripts that stack marks need three.
pub const COMBINING_MARKS_MAX: usize = 5;
/// Longest avatar URL, in bytes of its normalised form.
pub const AVATAR_URL_BYTES_MAX: usize = 2048;

/// Accounts that one user may follow. The viewer item holds their hashes: 5000 × 8 bytes = 40 kB.
pub const FOLLOWING_MAX: u64 = 5000;

/// Accounts that one user may mute. The viewer item holds their hashes, too.
pub const MUTES_MAX: u64 = 1000;
/// Accounts that one user may block. The viewer item holds their hashes, too.
pub const BLOCKS_MAX: u64 = 1000;
/// Users who block one user, as far as the viewer item lists them: 1000 × 8 bytes = 8 kB. Any number of users may block
/// one. Where there are more, readers ask the command table.
pub const BLOCKERS_LISTED_MAX: usize = 1000;

/// Follows of one user whose backfill is under way at most. A page reads the rows of each of these authors, as many at
/// once. Further follows wait until one of the backfills ends. The viewer item names the authors: 64 × 265 bytes = 17
/// kB at most.
pub const BACKFILLS_MAX: usize = 64;

/// Celebrities at most. Processes read the whole list. An entry has some 100 bytes, so the list takes 125 read units at
/// most.
pub const CELEBRITIES_MAX: usize = 10_000;

/// How long the announcement of a celebrity's post is kept: longer than any process keeps rows.
pub const ANNOUNCEMENT_KEPT: Duration = Duration::from_secs(60 * 60);

/// Posts, comments or users on a page, if the request does not say.
pub const PAGE_DEFAULT: usize = 20;
/// Posts, comments or users on a page at most.
pub const PAGE_MAX: usize = 100;

/// Posts or users that are looked up by their ids at once, at most.
pub const IDS_MAX: usize = 100;
/// New posts of a home that are counted at most.
pub const NEW_POSTS_MAX: usize = 100;

/// Groups of notifications that a user has at most: the newest ones. So the inbox takes less than 4 kB.
pub const NOTIFICATION_GROUPS_MAX: usize = 100;
/// The newest notices of a group that count.
pub const NOTICES_COUNTED_MAX: usize = 100;
/// People that a notification shows at most.
pub const NOTIFICATION_PEOPLE_MAX: usize = 8;
/// How long notifications are kept.
pub const NOTIFICATIONS_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Users that a post or a comment mentions at most. Further ones are not notified.
pub const MENTIONS_MAX: usize = 10;
/// Different handles of a text that are looked up to find these users: those of one read.
pub const HANDLES_LOOKED_UP_MAX: usize = 100;

/// Days of statistics that are asked for at once at most. Each day is an item of its own.
pub const STATISTICS_DAYS_ASKED_MAX: usize = 92;
/// Tags of a day that the operator's statistics show at most.
pub const TOP_TAGS_MAX: usize = 100;

/// Largest request body in bytes.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest idempotency key, in visible ASCII characters.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 128;
/// How long the response to an idempotency key is stored.
pub const IDEMPOTENCY_KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How far back home and tag feeds reach.
pub const FEED_AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long a cursor is valid.
pub const CURSOR_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest cursor, in bytes. A longer one is rejected unread. Cursors of ranked feeds contain the posts that were
/// served: a window of 200, and 200 more if as many were inserted into it during the walk. An HTTP API takes 10 240
/// bytes of URL and headers.
pub const CURSOR_BYTES_MAX: usize = 5400;

/// Posts in the trending feed at most.
pub const TRENDING_MAX: usize = 200;
/// How far back the trending feed reaches.
pub const TRENDING_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Words of a text that can be searched for: the first ones. A text that has more is written to have them.
pub const WORDS_MAX: usize = 512;
/// Characters of a word that count in searches.
pub const WORD_CHARS_MAX: usize = 64;
/// Words of a display name that can be searched for.
pub const NAME_WORDS_MAX: usize = 16;
/// Longest beginning of a name for which the index has a list. Longer ones are told apart by the rows of the list.
pub const PREFIX_CHARS_MAX: usize = 5;
/// Highest rank of a user by followers: two for each doubling, up to 2^63.
pub const FOLLOWER_RANKS: u8 = 126;
/// Longest query, in bytes of UTF-8.
pub const QUERY_BYTES_MAX: usize = 500;
/// Words, phrases, tags and operators of a query at most.
pub const QUERY_TERMS_MAX: usize = 16;
/// Words of a query at most, those of phrases among them.
pub const QUERY_WORDS_MAX: usize = 64;
