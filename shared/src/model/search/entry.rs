//! What stands in the index about a post or a user: an **entry**, which is a row in each of several lists. It follows
//! from the truth alone, apart from the followers of a user.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    frequent,
    words::{Word, name_words, words},
};
use crate::model::{
    Post, PostId, PublicProfile, Tag, Text, Timestamp, UserId,
    limits::{FOLLOWER_RANKS, PREFIX_CHARS_MAX},
};

/// A list of the index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexList {
    /// A shard of the posts with this word. Most words have one shard.
    Word(Word, u8),
    /// The posts with this tag.
    Tag(Tag),
    /// The users with a word that begins so.
    Name(String),
}

impl IndexList {
    /// All shards of the posts with this word.
    pub fn of_word(word: &Word) -> Vec<Self> {
        (0..frequent::shards(word)).map(|shard| Self::Word(word.clone(), shard)).collect()
    }

    /// The list that is read to find users with a word that begins so: that of all of it, or of its first characters.
    pub fn of_name(beginning: &Word) -> Self {
        let whole = beginning.as_str();
        Self::Name(beginning.prefix(PREFIX_CHARS_MAX).unwrap_or(whole).to_owned())
    }
}

/// The lists in which a post stands. None if it is not to be found.
pub fn post_lists(post: &Post, kept: Duration, now: Timestamp) -> BTreeSet<IndexList> {
    match &post.text {
        Some(text) if is_kept(post.post, kept, now) => text_lists(post.post, text, &post.tags),
        _ => BTreeSet::new(),
    }
}

/// Whether a post is found at this moment, by its age.
pub fn is_kept(post: PostId, kept: Duration, now: Timestamp) -> bool {
    post.created_at().after(kept) > now
}

fn text_lists(post: PostId, text: &Text, tags: &[Tag]) -> BTreeSet<IndexList> {
    let words: BTreeSet<_> = words(text.as_str()).into_iter().collect();
    let of_words = words.into_iter().map(|word| {
        let shard = frequent::shard_of(&word, post);
        IndexList::Word(word, shard)
    });
    of_words.chain(tags.iter().cloned().map(IndexList::Tag)).collect()
}

/// The lists in which a user stands, each with those of the user's words that the list does not tell apart: it holds
/// users with words that begin so.
pub fn user_lists(profile: &PublicProfile) -> BTreeMap<IndexList, BTreeSet<Word>> {
    let mut lists = BTreeMap::<_, BTreeSet<Word>>::new();
    for word in name_words(profile) {
        for prefix in (1..=PREFIX_CHARS_MAX).filter_map(|chars| word.prefix(chars)) {
            let words = lists.entry(IndexList::Name(prefix.to_owned())).or_default();
            if prefix.chars().count() == PREFIX_CHARS_MAX {
                words.insert(word.clone());
            }
        }
    }
    lists
}

/// The place of a user in a list: users of a higher rank come first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NamePlace {
    /// How far the user is from the highest rank.
    pub below_top: u8,
    /// The user.
    pub user: UserId,
}

impl NamePlace {
    /// The place of a user with so many followers.
    pub fn new(user: UserId, followers: u64) -> Self {
        Self { below_top: FOLLOWER_RANKS.saturating_sub(rank(followers)), user }
    }
}

/// The rank of users with so many followers: two for each doubling. So a user's rows are written again after more and
/// more follows, and users of one rank differ by less than half.
pub fn rank(followers: u64) -> u8 {
    let count = u128::from(followers.min(u64::MAX / 2)) + 1;
    let doublings = count.ilog2();
    let is_beyond_half = count * count >= 1 << (2 * doublings + 1);
    u8::try_from(2 * doublings + u32::from(is_beyond_half)).unwrap_or(FOLLOWER_RANKS).min(FOLLOWER_RANKS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::{NOW, post, shown};

    proptest! {
        #[test]
        fn more_followers_never_mean_a_lower_rank(followers: u64, more: u32) {
            prop_assert!(rank(followers) <= rank(followers.saturating_add(more.into())));
            prop_assert!(rank(followers) <= FOLLOWER_RANKS);
        }
    }

    #[test]
    fn a_rank_is_half_a_doubling() {
        assert_eq!([0, 1, 2, 3, 4, 5, 7, 1000, 1_000_000].map(rank), [0, 2, 3, 4, 4, 5, 6, 19, 39]);
        assert_eq!(rank(u64::MAX), FOLLOWER_RANKS);
    }

    #[test]
    fn a_post_stands_in_the_lists_of_its_words_and_tags_until_it_is_too_old() {
        let post = post();
        let kept = Duration::from_secs(100);
        let word = |text: &str| IndexList::of_word(&words(text)[0]).remove(0);
        let expected = BTreeSet::from([word("hello"), IndexList::Tag("you".parse().unwrap())]);
        let lists = post_lists(&post, kept, NOW);
        assert!(expected.is_subset(&lists) && lists.len() == 3, "{lists:?}");
        assert!(post_lists(&post, kept, NOW.after(kept)).is_empty());
        assert!(post_lists(&post.scrubbed(NOW), kept, NOW).is_empty());
    }

    #[test]
    fn a_user_stands_in_the_lists_of_all_beginnings() {
        let lists = user_lists(&shown("lovelace"));
        let name = |text: &str| IndexList::Name(text.to_owned());
        for beginning in ["l", "lo", "lov", "love", "lovel", "a", "n", "na", "nam", "name"] {
            assert!(lists.contains_key(&name(beginning)), "{beginning}");
        }
        assert_eq!(lists.len(), 10);
        assert_eq!(lists[&name("lovel")], BTreeSet::from([words("lovelace")[0].clone()]));
        assert!(lists[&name("love")].is_empty());
        assert_eq!(IndexList::of_name(&words("lovela")[0]), name("lovel"));
        assert_eq!(IndexList::of_name(&words("lo")[0]), name("lo"));
    }
}
