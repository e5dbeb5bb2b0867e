//! Counters that many users change at once. A counter has several shards, each an item of its own, and its value is
//! their sum. A write goes to shard 0. If it conflicts with another write there, it goes to a random one of four
//! shards, and so on. So a quiet counter is one item, and a busy one spreads over more. Processes remember how far a
//! counter is spread (`store/busy.rs`).

use std::{
    collections::BTreeMap,
    ops::{Add, Neg},
};

use serde::{Deserialize, Serialize};

use super::{PostId, UserId};

/// Shards of a counter at most. Transactions hold an item for 5 to 20 ms, and conflict with others meanwhile. With so
/// many shards, one in five of 5000 writes a second meets another one.
pub const SHARDS_MAX: u16 = 256;
/// A write that conflicts is tried again on so many times as many shards.
pub const SHARDS_GROWTH: u16 = 4;

/// A shard of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TallyShard(u8);

impl TallyShard {
    /// The shard for this attempt of a write of which nothing else is known. The first attempt goes to shard 0, every
    /// further one to a random one of more shards. `random` is at least 0 and below 1.
    pub fn for_attempt(attempt: u32, random: f64) -> Self {
        Self::among(SHARDS_GROWTH.saturating_pow(attempt), random)
    }

    /// A random one of the first so many shards. `random` is at least 0 and below 1.
    pub fn among(shards: u16, random: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within 0..256, because `random` is below 1"
        )]
        Self((random * f64::from(shards.min(SHARDS_MAX))) as u8)
    }

    /// The shard of this number.
    pub fn new(number: u8) -> Self {
        Self(number)
    }

    /// Every shard that a counter may have.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    /// The number of the shard.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// The subject of a counter: what it counts for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TallySubject {
    /// A user's followers.
    User(UserId),
    /// A post's likes, comments and heat.
    Post(PostId),
}

/// Counts, or changes of counts. A single shard may be negative: a follow may be counted in one shard, and its unfollow
/// in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Followers of a user.
    #[serde(skip_serializing_if = "is_zero")]
    pub followers: i64,
    /// Likes of a post.
    #[serde(skip_serializing_if = "is_zero")]
    pub likes: i64,
    /// Comments on a post that are not deleted.
    #[serde(skip_serializing_if = "is_zero")]
    pub comments: i64,
    /// Heat of a post, see [`super::ranking`].
    #[serde(skip_serializing_if = "is_zero")]
    pub heat: i64,
}

/// Whether a number is left out where it is stored.
pub(super) fn is_zero<N: Default + PartialEq>(number: &N) -> bool {
    *number == N::default()
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            followers: self.followers + other.followers,
            likes: self.likes + other.likes,
            comments: self.comments + other.comments,
            heat: self.heat + other.heat,
        }
    }
}

impl Neg for Counts {
    type Output = Self;

    fn neg(self) -> Self {
        Self { followers: -self.followers, likes: -self.likes, comments: -self.comments, heat: -self.heat }
    }
}

/// The counts of one shard at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TallyImage {
    /// Number of writes to the shard. Of two images, the one with the higher version is newer.
    pub version: u64,
    /// The counts.
    #[serde(flatten)]
    pub counts: Counts,
}

/// The image of a shard, as an event on the bus carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyChange {
    /// The subject of the counter.
    pub subject: TallySubject,
    /// The shard.
    pub shard: TallyShard,
    /// The image of the shard.
    #[serde(flatten)]
    pub image: TallyImage,
}

/// The newest known image of each shard of a counter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally(pub BTreeMap<TallyShard, TallyImage>);

impl Tally {
    /// Adds an image, unless this or a newer image of the shard is known. Returns whether the image was news. Images
    /// may come in any order and any number of times.
    pub fn take(&mut self, shard: TallyShard, image: TallyImage) -> bool {
        let known = self.0.entry(shard).or_default();
        let news = image.version > known.version;
        if news {
            *known = image;
        }
        news
    }

    /// This counter with these shards as in `other`, whether they are older or newer there, or missing.
    #[must_use]
    pub fn with(&self, shards: &[TallyShard], other: &Self) -> Self {
        let rest = self.0.iter().filter(|(shard, _)| !shards.contains(shard));
        let these = shards.iter().filter_map(|shard| other.0.get_key_value(shard));
        Self(rest.chain(these).map(|(shard, image)| (*shard, *image)).collect())
    }

    /// The sum over all shards. While images are on their way, an unfollow may be known before its follow. So a
    /// negative sum is shown as 0.
    pub fn counts(&self) -> Counts {
        let sum = self.0.values().fold(Counts::default(), |sum, image| sum + image.counts);
        Counts {
            followers: sum.followers.max(0),
            likes: sum.likes.max(0),
            comments: sum.comments.max(0),
            heat: sum.heat.max(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn likes(more: i64) -> Counts {
        Counts { likes: more, heat: 1500 * more, ..Counts::default() }
    }

    /// The images that these writes produce. Each write adds to one shard.
    fn images(writes: &[(u8, bool)]) -> Vec<(TallyShard, TallyImage)> {
        let mut shards = BTreeMap::<u8, TallyImage>::new();
        let write = |(shard, follow): &(u8, bool)| {
            let image = shards.entry(*shard).or_default();
            image.version += 1;
            image.counts = image.counts + likes(if *follow { 1 } else { -1 });
            (TallyShard::new(*shard), *image)
        };
        writes.iter().map(write).collect()
    }

    proptest! {
        #[test]
        fn images_may_come_in_any_order_and_repeatedly(
            writes in proptest::collection::vec(any::<(u8, bool)>(), 0..60),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 0..60),
        ) {
            let images = images(&writes);
            let mut once = Tally::default();
            for (shard, image) in &images {
                once.take(*shard, *image);
            }
            let mut shuffled = Tally::default();
            if !images.is_empty() {
                for index in order {
                    let (shard, image) = images[index.index(images.len())];
                    shuffled.take(shard, image);
                }
            }
            for (shard, image) in images.iter().rev() {
                shuffled.take(*shard, *image);
            }
            let expected: i64 = writes.iter().map(|(_, follow)| if *follow { 1 } else { -1 }).sum();
            prop_assert_eq!(once.counts(), likes(expected.max(0)));
            prop_assert_eq!(once, shuffled);
        }

        #[test]
        fn a_shard_is_among_the_first_ones(shards in 1u16..=SHARDS_MAX, random in 0f64..1.0) {
            prop_assert!(u16::from(TallyShard::among(shards, random).get()) < shards);
        }
    }

    #[test]
    fn a_first_attempt_goes_to_shard_0_and_each_further_one_to_one_of_more() {
        let last = |attempt| TallyShard::for_attempt(attempt, 0.999).get();
        assert_eq!([0, 1, 2, 3, 4, 50].map(last), [0, 3, 15, 63, 255, 255]);
    }

    #[test]
    fn an_image_reads_as_it_was_written() {
        let subject = TallySubject::Post(PostId::new(crate::model::Timestamp::from_ms(5)));
        let image = TallyImage { version: 7, counts: likes(-2) };
        let change = TallyChange { subject, shard: TallyShard(3), image };
        let json = serde_json::to_value(&change).unwrap();
        assert_eq!((&json["likes"], &json["heat"], json.get("followers")), (&(-2).into(), &(-3000).into(), None));
        assert_eq!(serde_json::from_value::<TallyChange>(json).unwrap(), change);
        let item: std::collections::HashMap<String, serde_dynamo::AttributeValue> =
            serde_dynamo::to_item(image).unwrap();
        assert_eq!(serde_dynamo::from_item::<_, TallyImage>(item).unwrap(), image);
    }
}
