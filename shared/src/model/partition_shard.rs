//! Followers of a user, and comments on a post, stand in one partition of the command table, which takes 500 of them a
//! second. Likes of a post that are shown stand in one partition of `timelines`, which takes 1000 a second, and so do
//! the notices of a user. Where more come at once, they go to several.

use serde::{Deserialize, Serialize};

use super::{CommentId, TallyShard};

/// One of the partitions in which followers of one user and their notices, or comments on or likes of one post, stand.
/// All are in the first one, unless very many came at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionShard(u8);

impl PartitionShard {
    /// How many there are: 16 partitions take 8000 follows or comments a second, or 16 000 likes.
    pub const COUNT: u8 = 16;

    /// Where a follow or a like stands. The counter of the followed user or the post is written to this shard.
    pub fn of_edge(counter: TallyShard) -> Self {
        if is_crowded(counter) { Self(counter.get() % Self::COUNT) } else { Self::default() }
    }

    /// Where a comment stands whose post's counter is written to this shard. It is the first partition, or the only
    /// other one in which this comment can be.
    pub fn of_comment(comment: CommentId, counter: TallyShard) -> Self {
        if is_crowded(counter) { Self::of_spread_comment(comment) } else { Self::default() }
    }

    /// Where this comment stands, if it is not in the first partition. It follows from the random bits of the id.
    pub fn of_spread_comment(comment: CommentId) -> Self {
        let [.., last] = comment.to_bytes();
        Self(last % Self::COUNT)
    }

    /// Where this comment may stand.
    pub fn any_of_comment(comment: CommentId) -> impl Iterator<Item = Self> {
        let other = Some(Self::of_spread_comment(comment)).filter(|shard| !shard.is_first());
        std::iter::once(Self::default()).chain(other)
    }

    /// All of them, the first one first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self)
    }

    /// All but the first one.
    pub fn others() -> impl Iterator<Item = Self> {
        (1..Self::COUNT).map(Self)
    }

    /// Its number.
    pub fn get(self) -> u8 {
        self.0
    }

    /// Whether this is the first one.
    pub fn is_first(&self) -> bool {
        self.0 == 0
    }
}

/// A counter is spread as its writes conflict. So followers, comments and likes are spread as soon as some 70 a second
/// come, and evenly once they are thousands.
fn is_crowded(counter: TallyShard) -> bool {
    counter.get() >= PartitionShard::COUNT
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::samples::NOW;

    #[test]
    fn comments_are_spread_over_all_partitions_once_the_counter_is_busy() {
        let comments: Vec<_> = (0..1000).map(|_| CommentId::new(NOW)).collect();
        let shards = |counter: u8| -> BTreeSet<u8> {
            let shard = |comment: &CommentId| PartitionShard::of_comment(*comment, TallyShard::new(counter)).get();
            comments.iter().map(shard).collect()
        };
        assert_eq!(shards(15), BTreeSet::from([0]));
        assert_eq!(shards(16), (0..16).collect());
        assert_eq!(shards(255), (0..16).collect());
    }
}
