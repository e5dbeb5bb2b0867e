//! Every formula by which posts are ordered, with where it comes from. Nothing else in the workspace computes a score.
//!
//! All of them rest on one law: attention decays exponentially, halving in six hours. What decays alike can be compared
//! without decaying it: instead of multiplying every post's heat by the same factor as time goes by, each new reaction
//! counts more than the last. This is "forward decay" (Cormode, Shkapenyuk, Srivastava and Xu, "Forward Decay: A Practical
//! Time Decay Model for Streaming Systems", ICDE 2009), and its logarithm is how Reddit's "hot" order came to add time to a
//! logarithm of votes. A score never has to be computed anew only because time went by.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// In this time attention halves.
const HALF_LIFE: Duration = Duration::from_secs(6 * 60 * 60);
/// Heat of a like at the moment at which its post was created. Heat is counted in whole numbers, so that a sum over any
/// shards in any order is exact; this is its resolution.
const LIKE_HEAT: f64 = 1000.0;
/// A comment is as much heat as so many likes.
const COMMENT_LIKES: f64 = 3.0;
/// Reactions after this time count as those at it: heat stays within bounds (a factor of 2⁴).
const GROWTH_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Below this heat, that of one like, no post trends.
pub const TRENDING_HEAT_MIN: i64 = 1000;

/// What each further post of one author counts less by, and below which factor none falls. Twitter's values:
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

/// What trending sorts by: created / 6 h + log₂(1 + heat / 1000), the logarithm of the heat that a post has left, to within
/// what all posts have in common. In billionths, as an integer: a sort key that compares exactly.
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

    /// As the number of billionths.
    pub fn get(self) -> i64 {
        self.0
    }
}

/// Why a post stands where it stands: the factors of its score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Explanation {
    /// Their product.
    pub score: f64,
    /// What is left of the attention that a new post gets, from 1 to 0.
    pub recency: f64,
    /// What reactions multiply that by: 1 and the post's heat in likes.
    pub engagement: f64,
    /// How much the viewer likes the author's posts, 1 or more; always 1 where the order is not a viewer's own.
    pub affinity: f64,
    /// The discount for other posts of the author before this one.
    pub diversity: f64,
}

impl Explanation {
    /// Of these factors.
    pub fn new(recency: f64, engagement: f64, affinity: f64, diversity: f64) -> Self {
        Self { score: recency * engagement * affinity * diversity, recency, engagement, affinity, diversity }
    }
}

/// 2^(−age / 6 h).
pub fn recency(created: Timestamp, at: Timestamp) -> f64 {
    (-half_lives(at.since(created))).exp2()
}

/// 1 + heat / 1000: its product with the recency is the heat left, one like for the post itself.
pub fn engagement(heat: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "below 2⁵² for 10¹¹ likes")]
    let heat = heat.max(0) as f64;
    1.0 + heat / LIKE_HEAT
}

/// 1 + log₂(1 + n) for an author of n of the viewer's recent likes: like every influence here, it grows with the logarithm.
pub fn affinity(recent_likes: u32) -> f64 {
    1.0 + (1.0 + f64::from(recent_likes)).log2()
}

/// The factor of a post with `before` posts of its author before it.
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

    /// Golden: who changes a formula changes this.
    #[test]
    fn the_formulas_give_what_they_gave() {
        let heats: Vec<_> = [0, 1, 3, 6, 12, 24, 48].map(|h| like_heat(CREATED, hours(h))).into();
        assert_eq!(heats, [1000, 1122, 1414, 2000, 4000, 16_000, 16_000]);
        assert_eq!(comment_heat(CREATED, hours(1)), 3367);
        assert_eq!(like_heat(hours(1), CREATED), 1000, "clocks may differ by a little");

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

    proptest! {
        #[test]
        fn the_order_of_scores_is_that_of_the_heat_left(
            posts in proptest::collection::vec((0u64..24, 0i64..1_000_000), 2),
            later in 24u64..48,
        ) {
            let left = |(age, heat): (u64, i64)| recency(hours(age), hours(later)) * engagement(heat);
            let score = |(age, heat): (u64, i64)| Score::new(hours(age), heat);
            let (a, b) = (posts[0], posts[1]);
            prop_assume!((left(a) / left(b)).log2().abs() > 1e-8);
            prop_assert_eq!(left(a) < left(b), score(a) < score(b), "whenever it is asked");
        }

        #[test]
        fn a_later_like_is_never_less_heat(a in 0u64..200_000_000, b in 0u64..200_000_000) {
            let heat = |ms| like_heat(CREATED, CREATED.after(Duration::from_millis(ms)));
            prop_assert!(heat(a.min(b)) <= heat(a.max(b)));
        }
    }
}
