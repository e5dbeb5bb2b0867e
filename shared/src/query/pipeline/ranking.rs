//! The ranking stages of ranked feeds. Picking, before hydration, scores rows by what they tell. Ranking, after it,
//! scores posts by their cards. [`crate::model::ranking`] has the formulas.

use std::collections::HashMap;

use super::FeedPost;
use crate::{
    model::{
        PostId, Timestamp, UserId,
        ranking::{Explanation, affinity, diversity, engagement, recency},
    },
    store::timelines::Row,
};

/// What the ranks on one page depend on, beside the posts themselves.
#[derive(Debug)]
pub(crate) struct Ranker {
    /// The moment for which posts are scored.
    at: Timestamp,
    /// How many of the viewer's recent likes went to each author.
    likes: HashMap<UserId, u32>,
    /// How many posts of each author are on the page.
    shown: HashMap<UserId, u32>,
}

impl Ranker {
    /// A ranker for an empty page.
    pub(crate) fn new(at: Timestamp, likes: HashMap<UserId, u32>) -> Self {
        Self { at, likes, shown: HashMap::new() }
    }

    /// The first stage: the best `count` posts of these rows, which are sorted from newest to oldest.
    pub(crate) fn pick(&self, rows: &[&Row], count: usize) -> Vec<PostId> {
        let mut of_author = self.shown.clone();
        let score = |row: &&Row| {
            let before = of_author.entry(row.author.clone()).or_default();
            let score = recency(row.post.created_at(), self.at) * self.affinity(&row.author) * diversity(*before);
            *before += 1;
            (score, row.post)
        };
        let mut scored: Vec<_> = rows.iter().map(score).collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        scored.into_iter().take(count).map(|(_, post)| post).collect()
    }

    /// The second stage: the best `count` posts, best first, each with the explanation of its score. A post counts less
    /// the more posts of its author stand before it. The returned posts count as on the page.
    pub(crate) fn rank(&mut self, mut posts: Vec<FeedPost>, count: usize) -> Vec<FeedPost> {
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
        let mut of_author = self.shown.clone();
        for post in &mut posts {
            let before = of_author.entry(post.card.author.clone()).or_default();
            post.explanation = Some(explain(post, *before));
            *before += 1;
        }
        best_first(&mut posts);
        posts.truncate(count);
        for post in &posts {
            *self.shown.entry(post.card.author.clone()).or_default() += 1;
        }
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
    use crate::samples::{NOW, feed_post};

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
            let ranked = ranker(&[]).rank(posts.collect(), 100);
            let scores: Vec<_> = ranked.iter().map(|post| post.explanation.unwrap().score).collect();
            prop_assert!(scores.is_sorted_by(|a, b| a >= b), "{:?}", scores);
        }
    }

    #[test]
    fn liked_posts_come_first_and_authors_take_turns() {
        let rows = [row(1, 1), row(2, 1), row(3, 1), row(4, 2), row(90, 3)];
        let order = |ranker: &mut Ranker, heat_of_last: i64| -> Vec<usize> {
            let posts = rows.iter().enumerate().map(|(n, row)| post(row, if n == 4 { heat_of_last } else { 0 }));
            let ranked = ranker.rank(posts.collect(), 4);
            ranked.iter().map(|post| rows.iter().position(|row| row.post == post.card.post).unwrap()).collect()
        };
        assert_eq!(order(&mut ranker(&[]), 0), [0, 3, 4, 1]);
        assert_eq!(order(&mut ranker(&[]), 3000), [4, 0, 3, 1], "three likes make up for an hour and a half");
        assert_eq!(order(&mut ranker(&[(&rows[3], 3)]), 3000), [4, 3, 0, 1], "the viewer likes author 2");
    }

    #[test]
    fn the_first_stage_picks_posts_of_many_authors() {
        let rows: Vec<_> = (0..100).map(|minutes| row(minutes, u8::from(minutes >= 90))).collect();
        let picked = ranker(&[]).pick(&rows.iter().collect::<Vec<_>>(), 60);
        let late = rows[90..].iter().filter(|row| picked.contains(&row.post)).count();
        assert_eq!((picked.len(), late), (60, 6), "an author of ninety newer posts does not displace one of ten");
    }
}
