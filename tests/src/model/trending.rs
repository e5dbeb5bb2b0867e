//! Computes the trending feed from all likes and comments. A client knows only a window of time in which a reaction was
//! accepted. So a post's score is between two bounds, and only an impossible order is a difference.
//!
//! A user counts for a post once as somebody who likes it, and once as somebody who comments on it, but not for a post
//! of the user's own. Each further post of one author counts less.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Difference, Judge, Member, Remark, Window};
use crate::client::Post;

const HALF_LIFE_MS: f64 = 6.0 * 3_600_000.0;
const DAY_MS: u64 = 24 * 3_600_000;
/// The most posts in the trending feed.
const LENGTH: usize = 200;
/// A post with less heat does not trend.
const HEAT_MIN: f64 = 1000.0;
/// Less heat than this is exact in the order; more counts in steps.
const HEAT_EXACT: f64 = 131_072.0;
/// A step of much heat, as a logarithm: a 64th at most.
const STEP: f64 = 0.0225;
/// The factor of an author's posts after the first one falls by half each time, towards a quarter.
const DIVERSITY_FLOOR: f64 = 0.25;

/// The lowest and the highest possible score of a post.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    low: f64,
    high: f64,
}

impl Judge<'_> {
    /// Compares the whole trending feed, which was read within the window `asked`. Ignores posts that the model does
    /// not know.
    pub fn compare_trending(&self, viewer: &str, shown: &[Post], asked: Window) -> Vec<Difference> {
        let scores = self.discounted(self.scores());
        let visible = |id: &str| {
            let author = self.posts.get(id).map(|(author, _)| *author);
            author.is_some_and(|author| !self.hides(viewer, author)) && self.may_trend(id)
        };
        let mut problems = Vec::new();
        let mut seen = BTreeSet::new();
        let mut last: Option<(&str, Bounds)> = None;
        for post in shown.iter().filter(|post| self.posts.contains_key(post.id.as_str())) {
            let id = post.id.as_str();
            if !seen.insert(id) {
                problems.push(format!("post {id} appears twice"));
            }
            if !visible(id) {
                problems.push(format!("post {id} is of a hidden author"));
            }
            let Some(&bounds) = scores.get(id) else {
                problems.push(format!("post {id} has no heat"));
                continue;
            };
            if created_ms(id) + DAY_MS < asked.from_ms {
                problems.push(format!("post {id} is too old"));
            }
            if let Some((before, above)) = last.filter(|(_, above)| above.high < bounds.low) {
                problems.push(format!("post {before} of {above:?} comes before {id} of {bounds:?}"));
            }
            last = Some((id, bounds));
        }
        // Posts that are hidden from the viewer or unknown to the model may still be among the first.
        let unknown = shown.iter().filter(|post| !self.posts.contains_key(post.id.as_str())).count();
        for (id, bounds) in scores.iter().filter(|(id, _)| !seen.contains(*id) && visible(id)) {
            let before = || scores.values().filter(|other| other.high >= bounds.low).count() - 1 + unknown;
            if created_ms(id) + DAY_MS > asked.to_ms && before() < LENGTH {
                problems.push(format!("post {id} of {bounds:?} is missing"));
            }
        }
        let difference = |problem| Difference { viewer: viewer.to_owned(), place: "what trends".to_owned(), problem };
        problems.into_iter().map(difference).collect()
    }

    /// The bounds of the scores after the discount for better posts of the same author. Which posts are better is not
    /// always known.
    fn discounted<'b>(&self, scores: BTreeMap<&'b str, Bounds>) -> BTreeMap<&'b str, Bounds> {
        let author = |id: &str| self.posts.get(id).map(|(author, _)| *author);
        let discounted = |(id, own): (&&'b str, &Bounds)| {
            let others = || scores.iter().filter(|(other, _)| *other != id && author(other) == author(id));
            let surely = others().filter(|(_, other)| other.low > own.high).count();
            let perhaps = others().filter(|(_, other)| other.high >= own.low).count();
            (*id, Bounds { low: own.low + discount(perhaps), high: own.high + discount(surely) })
        };
        scores.iter().map(discounted).collect()
    }

    /// The bounds of the scores of all posts with enough heat.
    fn scores(&self) -> BTreeMap<&str, Bounds> {
        let mut heats: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        let mut add = |user: &str, post: &str, heat: f64, at: Window| {
            let Some((&id, (author, _))) = self.posts.get_key_value(post) else { return };
            if *author == user || !self.may_trend(id) {
                return;
            }
            let grown = |ms: u64| (heat * half_lives(ms.saturating_sub(created_ms(id)).min(DAY_MS)).exp2()).round();
            let sum = heats.entry(id).or_default();
            *sum = (sum.0 + grown(at.from_ms), sum.1 + grown(at.to_ms));
        };
        for (user, member) in &self.model.members {
            member.likes.iter().for_each(|(post, at)| add(user, post, 1000.0, *at));
            commented(member).iter().for_each(|(post, at)| add(user, post, 3000.0, *at));
        }
        let score = |id: &str, heat: f64| half_lives(created_ms(id)) + (1.0 + heat / 1000.0).log2();
        let hot = heats.into_iter().filter(|(_, (_, high))| *high >= HEAT_MIN);
        // Ignores rounding errors in the tenth digit.
        let bounds = |(id, (low, high))| {
            let step = if high < HEAT_EXACT { 0.0 } else { STEP };
            (id, Bounds { low: score(id, low) - step - 1e-8, high: score(id, high) + 1e-8 })
        };
        hot.map(bounds).collect()
    }
}

/// The posts on which somebody comments, and when that began to count: with the first comment, or with a later one if
/// the earlier ones had been deleted by then. It has counted since the oldest comment that is left.
fn commented(member: &Member) -> BTreeMap<&str, Window> {
    let mut commented = BTreeMap::<&str, Window>::new();
    for Remark { post, at, .. } in member.comments.values() {
        let from_ms = member.first_comments.get(post).map_or(at.from_ms, |first| first.from_ms);
        let since = commented.entry(post).or_insert(Window { from_ms, ..*at });
        since.to_ms = since.to_ms.min(at.to_ms);
    }
    commented
}

/// The discount of a post that has so many better ones of the same author, as a logarithm.
fn discount(better: usize) -> f64 {
    let halved = 0.5_f64.powi(i32::try_from(better).unwrap_or(i32::MAX));
    ((1.0 - DIVERSITY_FLOOR) * halved + DIVERSITY_FLOOR).log2()
}

#[expect(clippy::cast_precision_loss, reason = "far below 2⁵³")]
fn half_lives(ms: u64) -> f64 {
    ms as f64 / HALF_LIFE_MS
}

/// A post's id is a UUIDv7. Its first 48 bits are the time of creation.
fn created_ms(id: &str) -> u64 {
    Uuid::parse_str(id).map_or(0, |id| u64::try_from(id.as_u128() >> 80).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        client::Person,
        model::{Model, Said},
    };

    const HOUR_MS: u64 = 3_600_000;
    const NOW_MS: u64 = 1_795_000_000_000;

    fn id(hours_ago: u64) -> String {
        id_at(NOW_MS - hours_ago * HOUR_MS, u128::from(hours_ago))
    }

    fn id_at(ms: u64, number: u128) -> String {
        Uuid::from_u128(u128::from(ms) << 80 | 7 << 76 | 2 << 62 | number).to_string()
    }

    fn ago(hours: u64) -> Window {
        let from_ms = NOW_MS - hours * HOUR_MS;
        Window { from_ms, to_ms: from_ms + 20 }
    }

    /// Posts from 1, 2, 7 and 30 hours ago, each by another author. The first has a like from its own time. The third
    /// has two likes from an hour ago. The last has a like and a comment. The second has no reaction but its author's
    /// own.
    fn model() -> Model {
        let mut members: BTreeMap<_, _> = [1, 2, 7, 30].map(|hours| (author(hours), by_one(&[id(hours)]))).into();
        let own = members.get_mut(&author(2)).unwrap();
        own.likes.insert(id(2), ago(1));
        own.comment("own".to_owned(), remark(&id(2), ago(1)));
        let likes = [id(1), id(7), id(30)].map(|id| (id, ago(1)));
        let mut ada = Member { likes: likes.into(), ..Member::default() };
        ada.comment("c".to_owned(), remark(&id(30), ago(2)));
        let bob = Member { likes: [(id(7), ago(1))].into(), ..Member::default() };
        members.extend([("ada".to_owned(), ada), ("bob".to_owned(), bob)]);
        Model { members }
    }

    fn author(hours: u64) -> String {
        format!("author of {hours}")
    }

    fn by_one(posts: &[String]) -> Member {
        Member { posts: posts.iter().map(|id| (id.clone(), Said::new("text"))).collect(), ..Member::default() }
    }

    fn remark(post: &str, at: Window) -> Remark {
        Remark { post: post.to_owned(), text: "so true".to_owned(), at }
    }

    fn shown(id: &str) -> Post {
        let author =
            Person { id: "ada".to_owned(), handle: "ada".to_owned(), display_name: "Ada".to_owned(), avatar_url: None };
        Post {
            id: id.to_owned(),
            author,
            text: "text".to_owned(),
            tags: Vec::new(),
            entities: Vec::new(),
            ignored_tags: Vec::new(),
            created_at: String::new(),
            edited_at: None,
            version: 1,
            likes: 0,
            comments: 0,
            taken_down: false,
            liked: false,
            source: None,
            explain: None,
        }
    }

    fn problems(ids: &[String]) -> Vec<String> {
        let shown: Vec<_> = ids.iter().map(|id| shown(id)).collect();
        let model = model();
        let asked = Window { from_ms: NOW_MS, to_ms: NOW_MS + 50 };
        Judge::new(&model).compare_trending("ada", &shown, asked).into_iter().map(|found| found.problem).collect()
    }

    #[test]
    fn two_likes_an_hour_ago_trend_above_one_on_a_newer_post() {
        assert_eq!(problems(&[id(7), id(1)]), [""; 0]);
    }

    #[test]
    fn posts_of_a_suspended_author_trend_for_nobody() {
        let mut model = model();
        model.members.get_mut(&author(7)).unwrap().suspended = true;
        let found = |viewer: &str, ids: &[String]| {
            let shown: Vec<_> = ids.iter().map(|id| shown(id)).collect();
            let asked = Window { from_ms: NOW_MS, to_ms: NOW_MS + 50 };
            Judge::new(&model).compare_trending(viewer, &shown, asked).len()
        };
        for viewer in ["ada", &author(7)] {
            assert_eq!(found(viewer, &[id(1)]), 0, "{viewer}");
            assert_ne!(found(viewer, &[id(7), id(1)]), 0, "{viewer}");
        }
    }

    #[test]
    fn only_as_many_trend_as_there_is_room_for() {
        let likes = |count: u32| (0..count).map(|n| (format!("liker-{n}"), n));
        let mut model = Model::default();
        let posts: Vec<_> = (0..210_u128).map(|n| id_at(NOW_MS - HOUR_MS, n)).collect();
        model.members.extend(posts.iter().map(|id| (format!("author of {id}"), by_one(std::slice::from_ref(id)))));
        // The first post has one like. Each further post has one like more.
        for (name, number) in likes(210) {
            let liked = posts.iter().skip(usize::try_from(number).unwrap()).map(|id| (id.clone(), ago(1)));
            model.members.insert(name, Member { likes: liked.collect(), ..Member::default() });
        }
        let problems = |count: usize| {
            let shown: Vec<_> = posts.iter().rev().take(count).map(|id| shown(id)).collect();
            let asked = Window { from_ms: NOW_MS, to_ms: NOW_MS + 50 };
            Judge::new(&model).compare_trending("bob", &shown, asked).len()
        };
        assert_eq!((problems(200), problems(199)), (0, 1));
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let found = |shown: &[String], what: &str| {
            let problems = problems(shown);
            assert!(problems.len() == 1 && problems[0].contains(what), "{problems:?}");
        };
        found(&[id(1), id(7)], "comes before");
        found(&[id(7)], "is missing");
        found(&[id(7), id(1), id(1)], "twice");
        found(&[id(7), id(1), id(2)], "no heat");
        let problems = problems(&[id(30), id(7), id(1)]);
        assert!(problems.iter().any(|problem| problem.contains("too old")), "{problems:?}");
    }

    #[test]
    fn further_comments_and_comments_of_the_author_add_nothing() {
        let of = |first: &str, comments: &[(&str, Window)]| {
            let mut commenter = Member::default();
            commenter.first_comments.insert(first.to_owned(), ago(1));
            for (number, (post, at)) in comments.iter().enumerate() {
                commenter.comment(number.to_string(), remark(post, *at));
            }
            commented(&commenter).into_iter().map(|(post, at)| (post.to_owned(), at)).collect::<Vec<_>>()
        };
        let post = id(7);
        let since = of(&post, &[(&post, ago(1)), (&post, ago(0))]);
        assert_eq!(since, [(post.clone(), ago(1))], "the first one counts");
        let since = of(&post, &[(&post, ago(0))]);
        assert_eq!(since, [(post.clone(), Window { from_ms: ago(1).from_ms, ..ago(0) })], "the first one is deleted");
    }

    #[test]
    fn authors_take_turns() {
        let [x1, x2, y] = [1, 2, 3].map(|number| id_at(NOW_MS - HOUR_MS, number));
        let mut model = Model::default();
        model.members.insert("x".to_owned(), by_one(&[x1.clone(), x2.clone()]));
        model.members.insert("y".to_owned(), by_one(std::slice::from_ref(&y)));
        for (name, liked) in
            [("a", vec![&x1, &x2, &y]), ("b", vec![&x1, &x2, &y]), ("c", vec![&x1, &x2]), ("d", vec![&x1])]
        {
            let likes = liked.into_iter().map(|id| (id.clone(), ago(1))).collect();
            model.members.insert(name.to_owned(), Member { likes, ..Member::default() });
        }
        // 5, 4 · 0.625 and 3.
        let problems = |ids: [&String; 3]| {
            let shown: Vec<_> = ids.map(|id| shown(id)).into();
            let asked = Window { from_ms: NOW_MS, to_ms: NOW_MS + 50 };
            Judge::new(&model).compare_trending("a", &shown, asked).len()
        };
        assert_eq!((problems([&x1, &y, &x2]), problems([&x1, &x2, &y])), (0, 1));
    }
}
