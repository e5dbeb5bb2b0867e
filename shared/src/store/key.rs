//! Keys as text. Partition keys, and nearly all sort keys, are rendered, and where needed parsed, here and nowhere
//! else. The exceptions stand beside their items: some sort keys of one word, such as `PROFILE` and `STATE`; the
//! numbers of a rebuild's segments in `read_models.rs`; and the parts of a demotion in `demotions.rs`. Each prefix is
//! written once. Ids that users choose are percent-encoded, so that no id can look like a part of another key.

mod statistics;

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::digest::{SHA256, digest};

use crate::model::{
    CommentId, EdgeKey, EdgeKind, Group, Handle, IdempotencyKey, PartitionShard, PostId, Tag, TallyShard, TallySubject,
    Timestamp, UserId, Version,
    search::{IndexList, NamePlace, Word},
};
pub(super) use statistics::{
    DAY_PARTS, FACT_PARTS, SUM, TAG_PARTS, day, day_of_user, day_tags, day_tags_of, fact, facts, parse_day,
    parse_day_tags, parse_fact,
};

/// All characters are encoded but the unreserved ones of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Name of the partition key attribute of every table.
pub(super) const PK: &str = "PK";
/// Name of the sort key attribute of the tables that have one.
pub(super) const SK: &str = "SK";
/// Name of the attribute of an event with the trace in which it was appended ([`trace`](crate::trace)). Events of
/// releases before 0.3 do not have it.
pub const TRACE: &str = "trace";

/// Prefix of the sort keys of events.
pub(super) const EVENT_PREFIX: &str = "EVENT#";
/// Prefix of the sort keys of likes.
pub(super) const LIKES_PREFIX: &str = "LIKES#";
/// Prefix of the partitions of those who like a post.
pub(super) const LIKERS_PREFIX: &str = "LIKERS#";
/// How the sort key of the mark of a group ends whose notices are spread. It is behind those of all its notices, so a
/// page that begins with the newest begins with it.
pub(super) const GROUP_MARK: &str = "~SPREAD";
/// Prefix of the partitions of users' inboxes and notices.
pub(super) const NOTICES_PREFIX: &str = "NOTICES#";
/// Sort key of an inbox.
pub(super) const INBOX: &str = "INBOX";
/// Sort key of what a user says about notifications.
pub(super) const NOTIFICATIONS: &str = "NOTIFICATIONS";
/// Sort key of the state of a user's limit for likes.
pub(super) const LIKE_LIMIT: &str = "LIMIT#LIKES";
/// Prefix of the sort keys of comments.
pub(super) const COMMENT_PREFIX: &str = "COMMENT#";
/// Prefix of the keys of users.
pub(super) const USER_PREFIX: &str = "USER#";
/// Prefix of the keys of viewers' sets.
pub(super) const SETS_PREFIX: &str = "SETS#";
/// Prefix of the keys of homes.
pub(super) const HOME_PREFIX: &str = "HOME#";
/// Sort key of what a home says about visits: the id of a post that there cannot be, behind those of all posts. A
/// release that knows nothing of visits takes it for a row, and finds no card.
pub(super) const VISIT: &str = "ffffffff-ffff-7fff-bfff-ffffffffffff";
/// Prefix of the keys of authors' timelines.
pub(super) const AUTHOR_PREFIX: &str = "AUTHOR#";
/// Prefix of the keys of tags' timelines.
const TAG_PREFIX: &str = "TAG#";
/// Prefix of the keys of posts.
const POST_PREFIX: &str = "POST#";

/// Name of the partition key attribute of the index `hottest`. A card without it is not in the index.
pub(super) const BUCKET: &str = "bucket";

/// Partition key of all celebrities.
pub(super) const CELEBRITIES: &str = "CELEBRITIES";

/// Partition key of the state of the audit.
pub(super) const AUDIT: &str = "AUDIT";

/// Prefix of the partition keys of the open parts of demotions.
const DEMOTION_PREFIX: &str = "DEMOTION#";
/// Prefix of the partition keys of the closed ones.
const CLOSED_PREFIX: &str = "CLOSED#";
const RUN_PREFIX: &str = "RUN#";
/// Sort key of how many steps of a run are done.
pub(super) const STEPS: &str = "STEPS";
/// Prefix of the sort keys of the parts of a demotion that fill homes.
pub(super) const HOMES_PREFIX: &str = "HOMES#";
/// Sort key of the part of a demotion that enumerates the followers.
pub(super) const ENUMERATION: &str = "ENUMERATION";

/// Partition key of what is known about the read models: which tables are active, and how far a rebuild is.
pub(super) const READ_MODELS: &str = "READMODELS";
/// Prefix of the sort keys of a rebuild's segments.
pub(super) const SEGMENT_PREFIX: &str = "SEGMENT#";

/// Digits of a version in a key. Versions are padded, so that the order of texts is that of numbers.
const VERSION_DIGITS: usize = 12;

fn encode(id: &str) -> Cow<'_, str> {
    utf8_percent_encode(id, ENCODED).into()
}

pub(super) fn user(user: &UserId) -> String {
    format!("{USER_PREFIX}{}", encode(user.as_str()))
}

/// The user of a key made by [`user`], [`viewer_sets`] or [`edge`], after its prefix.
pub(super) fn parse_user(key: &str, prefix: &str) -> Option<UserId> {
    let id = percent_decode_str(key.strip_prefix(prefix)?).decode_utf8().ok()?;
    // Not `parse`: stored ids may have characters that are refused by now.
    UserId::try_from(id.into_owned()).ok()
}

/// The item of a viewer's sets.
pub(super) fn viewer_sets(viewer: &UserId) -> String {
    format!("{SETS_PREFIX}{}", encode(viewer.as_str()))
}

pub(super) fn event(version: Version) -> String {
    format!("{EVENT_PREFIX}{:0VERSION_DIGITS$}", version.get())
}

pub(super) fn parse_event(key: &str) -> Option<Version> {
    let digits = key.strip_prefix(EVENT_PREFIX).filter(|digits| digits.len() == VERSION_DIGITS)?;
    digits.bytes().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok()).flatten().and_then(Version::new)
}

/// The user and the version of the event with this key. None if the key is not that of an event. A consumer of the
/// table's stream knows this much of every event, even if it cannot understand the event itself.
pub fn parse_event_key(pk: &str, sk: &str) -> Option<(UserId, Version)> {
    Some((parse_user(pk, USER_PREFIX)?, parse_event(sk)?))
}

/// Prefix of the sort keys of edges of this kind, in the partition of the user that they go from.
pub(super) fn edge_prefix(kind: EdgeKind) -> &'static str {
    match kind {
        EdgeKind::Follows => "FOLLOWS#",
        EdgeKind::Mutes => "MUTES#",
        EdgeKind::Blocks => "BLOCKS#",
    }
}

pub(super) fn edge(kind: EdgeKind, to: &UserId) -> String {
    format!("{}{}", edge_prefix(kind), encode(to.as_str()))
}

/// The edge of a key made by [`user`] and [`edge`].
pub(super) fn parse_edge(pk: &str, sk: &str) -> Option<EdgeKey> {
    let from = parse_user(pk, USER_PREFIX)?;
    let kinds = [EdgeKind::Follows, EdgeKind::Mutes, EdgeKind::Blocks];
    kinds
        .into_iter()
        .find_map(|kind| Some(EdgeKey { from: from.clone(), kind, to: parse_user(sk, edge_prefix(kind))? }))
}

/// One of the partitions of which this key is the first.
fn in_shard(first: String, shard: PartitionShard) -> String {
    if shard.is_first() { first } else { format!("{first}#{}", shard.get()) }
}

pub(super) fn followers(followee: &UserId, shard: PartitionShard) -> String {
    in_shard(format!("FOLLOWERS#{}", encode(followee.as_str())), shard)
}

pub(super) fn handle(handle: &Handle) -> String {
    format!("HANDLE#{handle}")
}

pub(super) fn post(post: PostId) -> String {
    format!("{POST_PREFIX}{post}")
}

/// The post of a key made by [`post`].
pub(super) fn parse_post(key: &str) -> Option<PostId> {
    key.strip_prefix(POST_PREFIX)?.parse().ok()
}

/// A partition of the comments on a post. The first one has the post, too.
pub(super) fn comments(post: PostId, shard: PartitionShard) -> String {
    in_shard(self::post(post), shard)
}

/// Whether this is the key of a comment.
pub(super) fn is_comment(pk: &str, sk: &str) -> bool {
    pk.starts_with(POST_PREFIX) && sk.starts_with(COMMENT_PREFIX)
}

pub(super) fn comment(comment: CommentId) -> String {
    format!("{COMMENT_PREFIX}{comment}")
}

/// Sort key of what a user's comments on a post add up to, in the partition of the user.
pub(super) fn commenter(post: PostId) -> String {
    format!("COMMENTS#{post}")
}

pub(super) fn likes(post: PostId) -> String {
    format!("{LIKES_PREFIX}{post}")
}

/// A key below that of every like, and one above: `~` is behind every character of an id.
pub(super) fn all_likes() -> [String; 2] {
    [LIKES_PREFIX.to_owned(), format!("{LIKES_PREFIX}~")]
}

pub(super) fn parse_likes(key: &str) -> Option<PostId> {
    key.strip_prefix(LIKES_PREFIX)?.parse().ok()
}

/// The user and the post of the like with this key. None if the key is not that of a like.
pub fn parse_like_key(pk: &str, sk: &str) -> Option<(UserId, PostId)> {
    Some((parse_user(pk, USER_PREFIX)?, parse_likes(sk)?))
}

/// A partition of the likes of a post.
pub(super) fn likers(post: PostId, shard: PartitionShard) -> String {
    in_shard(format!("{LIKERS_PREFIX}{post}"), shard)
}

/// A partition of the notices of a group of this user's, and what their sort keys begin with. Likes of a post are the
/// same for whoever asks. Only likes and follows may have others than the first one.
pub(super) fn notices(recipient: &UserId, group: Group, shard: PartitionShard) -> (String, String) {
    match group {
        Group::Like(post) => (likers(post, shard), String::new()),
        Group::Comment(post) => (inbox_partition(recipient), format!("comment#{post}#")),
        Group::Mention(post) => (inbox_partition(recipient), format!("mention#{post}#")),
        Group::Follow(day) => (notices_partition(recipient, shard), format!("follow#{day}#")),
    }
}

/// The end of the sort key of a notice of this moment.
pub(super) fn notice(at: Timestamp, id: &str) -> String {
    format!("{}#{id}", moment(at))
}

/// The moment and the id of a notice, from the end of its sort key.
pub(super) fn parse_notice(key: &str) -> Option<(Timestamp, String)> {
    let (at, id) = key.split_once('#')?;
    Some((Timestamp::from_ms(at.parse().ok()?), id.to_owned()))
}

/// The id of a user as that of a notice.
pub(crate) fn actor(user: &UserId) -> String {
    encode(user.as_str()).into_owned()
}

/// A partition of a user's notices. All but those of many follows at once stand in the first one.
pub(super) fn notices_partition(user: &UserId, shard: PartitionShard) -> String {
    in_shard(format!("{NOTICES_PREFIX}{}", encode(user.as_str())), shard)
}

/// The partition of a user's inbox, and the first one of the user's notices.
pub(super) fn inbox_partition(user: &UserId) -> String {
    notices_partition(user, PartitionShard::default())
}

pub(super) fn idempotency(key: &IdempotencyKey) -> String {
    format!("KEY#{}", encode(key.as_str()))
}

pub(super) fn home(viewer: &UserId) -> String {
    format!("{HOME_PREFIX}{}", encode(viewer.as_str()))
}

/// The partition of announcements.
pub(super) const ANNOUNCED: &str = "ANNOUNCED";

/// A moment as the beginning of a sort key, so that keys sort by their moments. 13 digits are enough until the year
/// 2286.
pub(super) fn moment(at: Timestamp) -> String {
    format!("{:013}", at.as_ms())
}

pub(super) fn announcement(at: Timestamp, post: PostId) -> String {
    format!("{}#{post}", moment(at))
}

/// The moment and the post of the sort key of an announcement.
pub(super) fn parse_announcement(key: &str) -> Option<(Timestamp, PostId)> {
    let (at, post) = key.split_once('#')?;
    Some((Timestamp::from_ms(at.parse().ok()?), post.parse().ok()?))
}

pub(super) fn author(author: &UserId) -> String {
    format!("{AUTHOR_PREFIX}{}", encode(author.as_str()))
}

/// Partition key of the open parts of the demotion that began at this moment.
pub(super) fn demotion(author: &UserId, begun_at: Timestamp) -> String {
    format!("{DEMOTION_PREFIX}{}#{}", encode(author.as_str()), begun_at.as_ms())
}

/// Partition key of what is left of a part of a demotion once it is closed: a hash of its two keys, so that it names no
/// user whose account may be erased.
pub(super) fn closed_part(demotion: &str, part: &str) -> String {
    let hash = digest(&SHA256, format!("{demotion}#{part}").as_bytes());
    format!("{CLOSED_PREFIX}{}", hex::encode(&hash.as_ref()[..16]))
}

/// Partition key of how far a run of a walk is.
pub(super) fn run(run: u64) -> String {
    format!("{RUN_PREFIX}{run:016x}")
}

pub(super) fn tag(tag: &Tag) -> String {
    format!("{TAG_PREFIX}{}", encode(tag.as_str()))
}

/// The tag of a key made by [`tag`].
pub(super) fn parse_tag(key: &str) -> Option<Tag> {
    Some(Tag::stored(percent_decode_str(key.strip_prefix(TAG_PREFIX)?).decode_utf8().ok()?))
}

/// Prefix of the lists of posts with a word.
const WORD_PREFIX: &str = "WORD#";
/// Prefix of the lists of users with a word that begins so.
const NAME_PREFIX: &str = "NAME#";
/// Sort key of what the search index knows of the rows of a post or user.
pub(super) const ENTRY: &str = "ENTRY";

/// A list of the search index. Words stand last, as they are: whatever is in them is no part of the key.
pub(super) fn index_list(list: &IndexList) -> String {
    match list {
        IndexList::Word(word, shard) => format!("{WORD_PREFIX}{shard}#{}", word.as_str()),
        IndexList::Tag(tag) => self::tag(tag),
        IndexList::Name(beginning) => format!("{NAME_PREFIX}{beginning}"),
    }
}

/// The list of a key made by [`index_list`].
pub(super) fn parse_index_list(key: &str) -> Option<IndexList> {
    if let Some(beginning) = key.strip_prefix(NAME_PREFIX) {
        return Some(IndexList::Name(beginning.to_owned()));
    }
    let Some((shard, word)) = key.strip_prefix(WORD_PREFIX).and_then(|rest| rest.split_once('#')) else {
        return parse_tag(key).map(IndexList::Tag);
    };
    Some(IndexList::Word(Word::stored(word), shard.parse().ok()?))
}

/// The place of a user in a list of users, as a sort key.
pub(super) fn name_place(place: &NamePlace) -> String {
    format!("{:03}#{}", place.below_top, encode(place.user.as_str()))
}

/// The place of a key made by [`name_place`].
pub(super) fn parse_name_place(key: &str) -> Option<NamePlace> {
    let (below_top, user) = key.split_once('#')?;
    Some(NamePlace { below_top: below_top.parse().ok()?, user: parse_user(user, "")? })
}

/// Partition key of the index `hottest`: a part of the posts that were created within the same hours.
pub(super) fn bucket(number: u64, part: u8) -> String {
    format!("{number}#{part}")
}

/// Key of the trending list in the table of cards.
pub(super) const TRENDING_LIST: &str = "TRENDING";

/// Key of the item that tells who merges the trending list, and when it was last merged.
pub(super) const TRENDING_MERGE: &str = "TRENDINGMERGE";

/// The card of this user or post.
pub(super) fn card(subject: &TallySubject) -> String {
    match subject {
        TallySubject::User(shown) => user(shown),
        TallySubject::Post(shown) => post(*shown),
    }
}

/// Sort key of every shard of a counter.
pub(super) const TALLY: &str = "TALLY";
/// Prefix of the partition keys of counters' shards.
const TALLY_PREFIX: &str = "TALLY#";

pub(super) fn tally(subject: &TallySubject, shard: TallyShard) -> String {
    format!("{TALLY_PREFIX}{}#{}", card(subject), shard.get())
}

/// The subject and the shard of the counter with this key. None if the key is not that of a counter.
pub fn parse_tally_key(pk: &str, sk: &str) -> Option<(TallySubject, TallyShard)> {
    let (subject, shard) = pk.strip_prefix(TALLY_PREFIX)?.rsplit_once('#').filter(|_| sk == TALLY)?;
    let counted_user = || parse_user(subject, USER_PREFIX).map(TallySubject::User);
    let subject = parse_post(subject).map(TallySubject::Post).or_else(counted_user)?;
    Some((subject, TallyShard::new(shard.parse().ok()?)))
}

/// Whether the item with this key is published: an event of a log, a like, or a shard of a counter.
pub fn is_published(pk: &str, sk: &str) -> bool {
    parse_event_key(pk, sk).is_some() || parse_like_key(pk, sk).is_some() || parse_tally_key(pk, sk).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_user() -> impl Strategy<Value = UserId> {
        "\\PC{1,40}".prop_filter_map("a user id", |id| UserId::try_from(id).ok())
    }

    proptest! {
        #[test]
        fn parsing_a_rendered_user_is_the_identity(id in any_user()) {
            prop_assert_eq!(parse_user(&user(&id), USER_PREFIX), Some(id.clone()));
            for kind in [EdgeKind::Follows, EdgeKind::Mutes, EdgeKind::Blocks] {
                prop_assert_eq!(parse_user(&edge(kind, &id), edge_prefix(kind)), Some(id.clone()));
                prop_assert_eq!(parse_edge(&user(&id), &edge(kind, &id)), Some(EdgeKey::new(&id, kind, &id)));
            }
        }

        #[test]
        fn parsing_a_rendered_tally_key_is_the_identity(id in any_user(), shard: u8) {
            let shard = TallyShard::new(shard);
            for subject in [TallySubject::User(id), TallySubject::Post(PostId::new(Timestamp::from_ms(7)))] {
                prop_assert_eq!(parse_tally_key(&tally(&subject, shard), TALLY), Some((subject, shard)));
            }
        }

        #[test]
        fn parsing_a_rendered_like_key_is_the_identity(id in any_user(), ms in 0u64..(1 << 48)) {
            let post = PostId::new(Timestamp::from_ms(ms));
            prop_assert_eq!(parse_like_key(&user(&id), &likes(post)), Some((id, post)));
        }

        #[test]
        fn parsing_a_list_or_place_of_the_index_is_the_identity(text in "[^#]{1,20}", shard: u8, id in any_user()) {
            let tag: Tag = "हिन्दी".parse().unwrap();
            let lists =
                [IndexList::Word(Word::stored(&text), shard), IndexList::Name(text), IndexList::Tag(tag)];
            for list in lists {
                prop_assert_eq!(parse_index_list(&index_list(&list)), Some(list));
            }
            let place = NamePlace { below_top: shard, user: id };
            prop_assert_eq!(parse_name_place(&name_place(&place)), Some(place));
        }

        #[test]
        fn parsing_a_rendered_notice_is_the_identity(user in any_user(), ms in 0u64..10_000_000_000_000) {
            let (at, id) = (Timestamp::from_ms(ms), actor(&user));
            prop_assert_eq!(parse_notice(&notice(at, &id)), Some((at, id)));
        }

        #[test]
        fn announcements_sort_by_their_moments(ms in 0u64..10_000_000_000_000, later in 1u64..1_000_000) {
            let (at, post) = (Timestamp::from_ms(ms), PostId::new(Timestamp::from_ms(7)));
            let key = announcement(at, post);
            prop_assert_eq!(parse_announcement(&key), Some((at, post)));
            prop_assert!(moment(at) < key);
            if ms + later < 10_000_000_000_000 {
                prop_assert!(key < moment(Timestamp::from_ms(ms + later)));
            }
        }

        #[test]
        fn users_have_different_keys(a in any_user(), b in any_user()) {
            prop_assert_eq!(a == b, user(&a) == user(&b));
        }

        #[test]
        fn no_user_id_adds_a_separator_to_a_key(id in any_user()) {
            prop_assert_eq!(user(&id).matches('#').count(), 1);
        }

        #[test]
        fn parsing_a_rendered_version_is_the_identity(number in 0..=Version::MAX.get()) {
            let version = Version::new(number).unwrap();
            prop_assert_eq!(parse_event(&event(version)), Some(version));
        }

        #[test]
        fn event_keys_sort_as_versions_do(a in 0..=Version::MAX.get(), b in 0..=Version::MAX.get()) {
            let key = |number| event(Version::new(number).unwrap());
            prop_assert_eq!(a.cmp(&b), key(a).cmp(&key(b)));
        }
    }

    #[test]
    fn what_is_no_event_key_is_not_parsed() {
        for key in ["EVENT#1", "EVENT#00000000000x", "EVENT#+00000000001", "PROFILE", "EVENT#0000000000001"] {
            assert_eq!(parse_event(key), None, "{key}");
        }
    }

    #[test]
    fn the_longest_keys_fit_dynamodb() {
        let longest: UserId = "日".repeat(85).parse().unwrap();
        assert!(edge(EdgeKind::Follows, &longest).len() <= 1024 && user(&longest).len() <= 2048);
    }
}
