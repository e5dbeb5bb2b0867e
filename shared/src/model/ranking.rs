//! All formulas by which posts are ordered, with their sources. Nothing else in the workspace computes a score.
//!
//! All formulas rest on one law: attention decays exponentially and halves in six hours. All posts decay alike, so
//! posts can be compared without decaying them. Instead of multiplying every post's heat by the same factor as time
//! goes by, a later reaction counts more than an earlier one. This is "forward decay" (Cormode, Shkapenyuk, Srivastava
//! and Xu, "Forward Decay: A Practical Time Decay Model for Streaming Systems", ICDE 2009). Its logarithm has the form
//! of Reddit's "hot" order, which adds the time to a logarithm of votes. So no score has to be computed again only
//! because time went by.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Attention halves in this time.
const HALF_LIFE: Duration = Duration::from_secs(6 * 60 * 60);
/// Heat of a like at the moment when its post was created. Heat is a whole number, so that its sum over any shards in
/// any order is exact. This constant is its resolution.
const LIKE_HEAT: f64 = 1000.0;
/// A comment adds as much heat as this many likes.
const COMMENT_LIKES: f64 = 3.0;
/// A reaction to an older post counts as one to a post of this age. So heat stays within bounds (a factor of 2⁴).
const GROWTH_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// The least heat of a post that trends: that of one like.
pub const TRENDING_HEAT_MIN: i64 = 1000;

/// Heat of at most so many bits is exact in the index of trending posts: 131 likes.
const EXACT_BITS: u32 = 17;
/// Of more heat, so many bits count.
const STEP_BITS: u32 = 7;

/// The discount of each further post of one author, and the least factor. The values are Twitter's:
/// `DiversityDiscountProvider` of <https://github.com/twitter/the-algorithm>, (1 − floor) · decayⁱ + floor.
const DIVERSITY_DECAY: f64 = 0.5;
/// See [`DIVERSITY_DECAY`].
const DIVERSITY_FLOOR: f64 = 0.25;

/// Heat that a like at this moment adds to a post: round(1000 · 2^((at − created) / 6 h)).
pub fn like_heat(created: Timestamp, at: Timestamp) -> i64 {
    heat(LIKE_HEAT, created, at)
}

/// Heat that a comment at this moment adds to a post: round(3000 · 2^((at − created) / 6 h)).
pub fn comment_heat(created: Timestamp, at: Timestamp) -> i64 {
    heat(COMMENT_LIKES * LIKE_HEAT, created, at)
}

fn heat(at_creation: f64, created: Timestamp, at: Timestamp) -> i64 {
    let age = at.since(created).min(GROWTH_MAX);
    #[expect(clippy::cast_possible_truncation, reason = "at most 2⁴ times a few thousand")]
    let heat = (at_creation * half_lives(age).exp2()).round() as i64;
    heat
}

/// The score by which trending posts are sorted: created / 6 h + log₂(1 + heat / 1000). Up to a term that all posts
/// have in common, this is the logarithm of the heat that a post has left. It is stored in billionths, because integers
/// compare exactly as sort keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Score(i64);

impl Score {
    /// The score of a post created at this moment that has this heat.
    pub fn new(created: Timestamp, heat: i64) -> Self {
        let score = half_lives(created.since(Timestamp::from_ms(0))) + engagement(heat).log2();
        #[expect(clippy::cast_possible_truncation, reason = "10⁹ · 10⁵ half-lives since 1970")]
        Self((score * 1e9).round() as i64)
    }

    /// The score of a post by which it is found in the index of trending posts. Heat of more than 131 likes counts in
    /// steps of less than 2 %, so that not every like of a hot post moves it.
    pub fn indexed(created: Timestamp, heat: i64) -> Self {
        let bits = i64::BITS - heat.max(0).leading_zeros();
        let fine = if bits > EXACT_BITS { bits - STEP_BITS } else { 0 };
        Self::new(created, heat >> fine << fine)
    }

    /// The score of a post whose author has `before` better posts. The discount is that of [`diversity`]. The score is
    /// a logarithm, so the discount is added.
    pub fn discounted(self, before: u32) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "at most 2 · 10⁹")]
        let discount = (diversity(before).log2() * 1e9).round() as i64;
        Self(self.0 + discount)
    }

    /// The number of billionths.
    pub fn get(self) -> i64 {
        self.0
    }
}

/// Why a post is at its position: the factors of its score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Explanation {
    /// The product of the factors.
    pub score: f64,
    /// The part of a new post's attention that is left, from 1 down to 0.
    pub recency: f64,
    /// The factor of reactions: 1 plus the post's heat in likes.
    pub engagement: f64,
    /// How much the viewer likes the author's posts, 1 or more. It is 1 in orders that are the same for all viewers.
    pub affinity: f64,
    /// The discount for posts of the same author in front of this one.
    pub diversity: f64,
}

impl Explanation {
    /// The explanation with these factors.
    pub fn new(recency: f64, engagement: f64, affinity: f64, diversity: f64) -> Self {
        Self { score: recency * engagement * affinity * diversity, recency, engagement, affinity, diversity }
    }
}

/// 2^(−age / 6 h).
pub fn recency(created: Timestamp, at: Timestamp) -> f64 {
    (-half_lives(at.since(created))).exp2()
}

/// 1 + heat / 1000. The 1 stands for the post itself, as one like. The product with the recency is the heat that is
/// left.
pub fn engagement(heat: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "below 2⁵² for 10¹¹ likes")]
    let heat = heat.max(0) as f64;
    1.0 + heat / LIKE_HEAT
}

/// 1 + log₂(1 + n), if the author wrote n of the posts that the viewer recently liked. As all influences here, it grows
/// with the logarithm.
pub fn affinity(recent_likes: u32) -> f64 {
    1.0 + (1.0 + f64::from(recent_likes)).log2()
}

/// The factor of a post with `before` posts of the same author in front of it.
pub fn diversity(before: u32) -> f64 {
    (1.0 - DIVERSITY_FLOOR) * DIVERSITY_DECAY.powf(f64::from(before)) + DIVERSITY_FLOOR
}

fn half_lives(duration: Duration) -> f64 {
    duration.as_secs_f64() / HALF_LIFE.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CREATED: Timestamp = Timestamp::from_ms(1_425_000_000_000);

    fn hours(hours: u64) -> Timestamp {
        CREATED.after(Duration::from_secs(hours * 60 * 60))
    }

    /// Golden values: a change of a formula changes them.
    #[test]
    fn the_formulas_give_what_they_gave() {
        let heats: Vec<_> = [0, 1, 3, 6, 12, 24, 48].map(|h| like_heat(CREATED, hours(h))).into();
        assert_eq!(heats, [1000, 1122, 1414, 2000, 4000, 16_000, 16_000]);
        assert_eq!(comment_heat(CREATED, hours(1)), 3367);
        assert_eq!(like_heat(hours(1), CREATED), 1000, "clocks may differ a little");

        let scores: Vec<_> = [0, 1000, 3000, 1_000_000].map(|heat| Score::new(CREATED, heat).get()).into();
        assert_eq!(scores, [65_972_222_222_222, 65_973_222_222_222, 65_974_222_222_222, 65_982_189_448_481]);

        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        close(recency(CREATED, hours(12)), 0.25);
        close(engagement(2500), 3.5);
        close(affinity(0), 1.0);
        close(affinity(3), 3.0);
        for (before, factor) in [1.0, 0.625, 0.4375, 0.343_75].into_iter().enumerate() {
            close(diversity(u32::try_from(before).unwrap()), factor);
        }
        close(Explanation::new(0.5, 4.0, 2.0, 0.25).score, 1.0);
    }

    #[test]
    fn much_heat_moves_a_post_in_steps() {
        let steps = |heats: std::ops::Range<i64>| {
            let mut scores: Vec<_> = heats.map(|heat| Score::indexed(CREATED, heat)).collect();
            scores.dedup();
            scores.len()
        };
        assert_eq!(steps(100_000..101_000), 1000, "exact");
        // From 131 likes to 262 there are 64 steps, and as many from there to 524.
        assert_eq!(steps(131_072..262_144), 64);
        assert_eq!(steps(262_144..524_288), 64);
        assert_eq!(Score::indexed(CREATED, -5), Score::new(CREATED, -5));
    }

    proptest! {
        #[test]
        fn a_step_is_below_two_percent_and_never_up(heat in 0i64..1_000_000_000_000) {
            let (indexed, exact) = (Score::indexed(CREATED, heat).get(), Score::new(CREATED, heat).get());
            prop_assert!(indexed <= exact && exact - indexed < 23_000_000, "{indexed} for {exact}");
        }

        #[test]
        fn the_order_of_scores_is_that_of_the_heat_left(
            posts in proptest::collection::vec((0u64..24, 0i64..1_000_000), 2),
            later in 24u64..48,
        ) {
            let left = |(age, heat): (u64, i64)| recency(hours(age), hours(later)) * engagement(heat);
            let score = |(age, heat): (u64, i64)| Score::new(hours(age), heat);
            let (a, b) = (posts[0], posts[1]);
            prop_assume!((left(a) / left(b)).log2().abs() > 1e-8);
            prop_assert_eq!(left(a) < left(b), score(a) < score(b), "at any moment");
        }

        #[test]
        fn a_later_like_is_never_less_heat(a in 0u64..200_000_000, b in 0u64..200_000_000) {
            let heat = |ms| like_heat(CREATED, CREATED.after(Duration::from_millis(ms)));
            prop_assert!(heat(a.min(b)) <= heat(a.max(b)));
        }
    }
}
