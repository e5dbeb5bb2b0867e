//! The ranking stages of ranked feeds. The first, before hydration, orders rows by what they tell. The second, after
//! it, ranks posts by their cards. [`crate::model::ranking`] has the formulas.

use std::collections::HashMap;

use super::FeedPost;
use crate::{
    model::{
        Timestamp, UserId,
        ranking::{Explanation, affinity, diversity, engagement, recency},
    },
    store::timelines::Row,
};

/// How many posts of each author stand before a post.
pub(crate) type PostsBefore = HashMap<UserId, u32>;

/// What ranks depend on, beside the posts themselves.
#[derive(Debug)]
pub(crate) struct Ranker {
    /// The moment for which posts are scored.
    at: Timestamp,
    /// How many of the viewer's recent likes went to each author.
    likes: HashMap<UserId, u32>,
}

impl Ranker {
    /// A ranker for posts at this moment.
    pub(crate) fn new(at: Timestamp, likes: HashMap<UserId, u32>) -> Self {
        Self { at, likes }
    }

    /// The first stage: the rows, which are sorted from newest to oldest, best first.
    pub(crate) fn order<'a>(&self, rows: Vec<&'a Row>) -> Vec<&'a Row> {
        let mut of_author = PostsBefore::new();
        let score = |row: &'a Row| {
            let before = of_author.entry(row.author.clone()).or_default();
            let score = recency(row.post.created_at(), self.at) * self.affinity(&row.author) * diversity(*before);
            *before += 1;
            (score, row)
        };
        let mut scored: Vec<_> = rows.into_iter().map(score).collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.post.cmp(&a.1.post)));
        scored.into_iter().map(|(_, row)| row).collect()
    }

    /// The second stage: the posts, best first, each with the explanation of its score. A post counts less the more
    /// posts of its author stand before it, those in `shown` among them. So the order of the posts that are left does
    /// not depend on how many were shown already.
    pub(crate) fn rank(&self, mut posts: Vec<FeedPost>, shown: &PostsBefore) -> Vec<FeedPost> {
        let explain = |post: &FeedPost, before: u32| {
            let card = &post.card;
            let recency = recency(card.post.created_at(), self.at);
            Explanation::new(recency, engagement(card.heat), self.affinity(&card.author), diversity(before))
        };
        let best_first = |posts: &mut Vec<FeedPost>| {
            let score = |post: &FeedPost| post.explanation.map_or(0.0, |explanation| explanation.score);
            posts.sort_by(|a, b| score(b).total_cmp(&score(a)).then(b.card.post.cmp(&a.card.post)));
        };
        posts.iter_mut().for_each(|post| post.explanation = Some(explain(post, 0)));
        best_first(&mut posts);
        let mut of_author = shown.clone();
        for post in &mut posts {
            let before = of_author.entry(post.card.author.clone()).or_default();
            post.explanation = Some(explain(post, *before));
            *before += 1;
        }
        best_first(&mut posts);
        posts
    }

    fn affinity(&self, author: &UserId) -> f64 {
        affinity(self.likes.get(author).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        model::PostId,
        samples::{NOW, feed_post},
    };

    fn row(minutes: u64, author: u8) -> Row {
        let at = NOW.before(Duration::from_secs(60 * minutes));
        Row { post: PostId::new(at), author: format!("author-{author}").parse().unwrap() }
    }

    fn post(row: &Row, heat: i64) -> FeedPost {
        feed_post(row.post, row.author.clone(), heat)
    }

    fn ranker(likes: &[(&Row, u32)]) -> Ranker {
        Ranker::new(NOW, likes.iter().map(|(row, count)| (row.author.clone(), *count)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_order_follows_the_explained_scores(
            heats in proptest::collection::vec((0i64..50_000, 0u8..4), 1..60),
        ) {
            let posts = heats.iter().enumerate().map(|(n, (heat, author))| post(&row(n as u64 * 10, *author), *heat));
            let ranked = ranker(&[]).rank(posts.collect(), &PostsBefore::new());
            let scores: Vec<_> = ranked.iter().map(|post| post.explanation.unwrap().score).collect();
            prop_assert!(scores.is_sorted_by(|a, b| a >= b), "{:?}", scores);
        }
    }

    proptest! {
        #[test]
        fn the_order_of_what_is_left_does_not_depend_on_how_much_was_shown(
            heats in proptest::collection::vec((0i64..50_000, 0u8..4), 1..60),
            cut in 0usize..60,
        ) {
            let posts = heats.iter().enumerate().map(|(n, (heat, author))| post(&row(n as u64 * 10, *author), *heat));
            let at_once = ranker(&[]).rank(posts.collect(), &PostsBefore::new());
            let (first, left) = at_once.split_at(cut.min(at_once.len()));
            let mut shown = PostsBefore::new();
            first.iter().for_each(|post| *shown.entry(post.card.author.clone()).or_default() += 1);
            let mut shuffled = left.to_vec();
            shuffled.reverse();
            prop_assert_eq!(ranker(&[]).rank(shuffled, &shown), left);
        }
    }

    #[test]
    fn liked_posts_come_first_and_authors_take_turns() {
        let rows = [row(1, 1), row(2, 1), row(3, 1), row(4, 2), row(90, 3)];
        let order = |ranker: &Ranker, heat_of_last: i64| -> Vec<usize> {
            let posts = rows.iter().enumerate().map(|(n, row)| post(row, if n == 4 { heat_of_last } else { 0 }));
            let ranked = ranker.rank(posts.collect(), &PostsBefore::new());
            ranked.iter().take(4).map(|post| rows.iter().position(|row| row.post == post.card.post).unwrap()).collect()
        };
        assert_eq!(order(&ranker(&[]), 0), [0, 3, 4, 1]);
        assert_eq!(order(&ranker(&[]), 3000), [4, 0, 3, 1], "three likes make up for an hour and a half");
        assert_eq!(order(&ranker(&[(&rows[3], 3)]), 3000), [4, 3, 0, 1], "the viewer likes author 2");
    }

    #[test]
    fn the_first_stage_puts_posts_of_many_authors_in_front() {
        let rows: Vec<_> = (0..100).map(|minutes| row(minutes, u8::from(minutes >= 90))).collect();
        let ordered = ranker(&[]).order(rows.iter().collect());
        let late = ordered[..60].iter().filter(|row| row.author == rows[99].author).count();
        assert_eq!((ordered.len(), late), (100, 6), "an author of ninety newer posts does not displace one of ten");
    }
}
