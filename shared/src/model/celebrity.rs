//! Celebrities: authors whose posts are pulled. Normally a post is pushed, that is, copied into the home of every
//! follower. The cost grows with the number of followers. Above some number it is cheaper that readers pull the
//! author's posts.
//!
//! Authors are promoted and demoted while people post, follow and read, and each process uses a list of celebrities
//! that may be old. So pushing and pulling overlap. After a promotion, posts are still pushed until every reader pulls.
//! In a demotion, posts are first pushed again. When every writer does so, the posts that were not pushed are copied
//! into the homes. Only then do readers stop pulling. A post that is both pushed and pulled is shown once.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Timestamp, UserHash, UserId};

/// An author whose posts are pulled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Celebrity {
    /// The author.
    pub author: UserId,
    /// When the author was promoted.
    pub promoted_at: Timestamp,
    /// When the demotion of the author began, if one is under way.
    #[serde(default)]
    pub demoted_at: Option<Timestamp>,
}

/// Which authors become celebrities, and how long it takes until every process knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CelebrityPolicy {
    /// An author with this many followers becomes a celebrity.
    pub followers_min: u64,
    /// How long a process uses a list of celebrities.
    pub list_lifetime: Duration,
}

impl CelebrityPolicy {
    /// When every process knows of a change to the list. That is three lifetimes of a list after the change. One
    /// lifetime would do if all clocks agreed and no read was behind; the others allow for that.
    pub fn known_after(&self, change: Timestamp) -> Timestamp {
        change.after(3 * self.list_lifetime)
    }

    /// Whether every process knows that the author is a celebrity. Only then are all posts of the author announced.
    pub fn is_known(&self, celebrity: &Celebrity, now: Timestamp) -> bool {
        now >= self.known_after(celebrity.promoted_at)
    }
}

/// All celebrities at some moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CelebrityList(HashMap<UserHash, Celebrity>);

impl FromIterator<Celebrity> for CelebrityList {
    fn from_iter<T: IntoIterator<Item = Celebrity>>(celebrities: T) -> Self {
        Self(celebrities.into_iter().map(|celebrity| (celebrity.author.hash(), celebrity)).collect())
    }
}

impl CelebrityList {
    /// Number of celebrities.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no celebrities.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The celebrities among these users: a reader who follows the users has to pull their posts.
    pub fn among(&self, users: &BTreeSet<UserHash>) -> Vec<&Celebrity> {
        if users.len() <= self.len() {
            users.iter().filter_map(|user| self.0.get(user)).collect()
        } else {
            self.0.iter().filter(|(hash, _)| users.contains(hash)).map(|(_, celebrity)| celebrity).collect()
        }
    }

    /// Those who became celebrities so lately that their posts since this moment may be neither pushed nor announced.
    pub fn new_since<'a>(
        &'a self,
        moment: Timestamp,
        policy: &'a CelebrityPolicy,
    ) -> impl Iterator<Item = &'a Celebrity> + 'a {
        self.0.values().filter(move |celebrity| policy.known_after(celebrity.promoted_at) >= moment)
    }

    /// Whether posts of this author are announced to readers: the author is a celebrity.
    pub fn announces(&self, author: &UserId) -> bool {
        self.0.contains_key(&author.hash())
    }

    /// Whether posts of this author are pushed at this moment. They are, unless every reader pulls them.
    pub fn pushes(&self, author: &UserId, now: Timestamp, policy: &CelebrityPolicy) -> bool {
        self.0
            .get(&author.hash())
            .is_none_or(|celebrity| celebrity.demoted_at.is_some() || now < policy.known_after(celebrity.promoted_at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::samples::user;

    const POLICY: CelebrityPolicy = CelebrityPolicy { followers_min: 10, list_lifetime: Duration::from_secs(60) };

    fn celebrity(name: &str, promoted_s: u64, demoted_s: Option<u64>) -> Celebrity {
        let at = |secs: u64| Timestamp::from_ms(secs * 1000);
        Celebrity { author: user(name), promoted_at: at(promoted_s), demoted_at: demoted_s.map(at) }
    }

    /// The list of a process at a moment, if the list is `age_s` old. The only celebrity was promoted at 1000 s, and
    /// its demotion begins and ends at these times.
    fn list_at(moment_s: u64, age_s: u64, demotion_s: Option<(u64, u64)>) -> CelebrityList {
        let seen_s = moment_s - age_s;
        let (begins, ends) = demotion_s.unzip();
        let is_one = seen_s >= 1000 && ends.is_none_or(|end| seen_s < end);
        is_one.then(|| celebrity("ada", 1000, begins.filter(|begin| seen_s >= *begin))).into_iter().collect()
    }

    proptest! {
        /// The law that makes promotions and demotions safe: whatever lists writer and reader have, every post reaches
        /// the reader. It is pushed by its writer, pulled by its reader, or copied by the backfill of a demotion, which
        /// begins when every process knows of the demotion.
        #[test]
        fn every_post_is_pushed_or_pulled(
            posted_s in 900u64..3000, read_after_s in 0u64..2000,
            writer_age_s in 0u64..60, reader_age_s in 0u64..60,
            demotion in proptest::option::of((1001u64..2500, 0u64..100)),
        ) {
            let demotion = demotion.map(|(begins, takes)| (begins, begins + 180 + takes));
            let moment = Timestamp::from_ms(posted_s * 1000);
            let pushed = list_at(posted_s, writer_age_s, demotion).pushes(&user("ada"), moment, &POLICY);
            let read_s = posted_s + read_after_s;
            let follows = BTreeSet::from([user("ada").hash()]);
            let pulled = !list_at(read_s, reader_age_s, demotion).among(&follows).is_empty();
            let filled = demotion.is_some_and(|(begins, ends)| posted_s <= begins + 180 && read_s >= ends);
            prop_assert!(pushed || pulled || filled);
        }

        #[test]
        fn a_reader_pulls_the_followed_celebrities(
            listed in proptest::collection::btree_set(0u8..40, 0..30),
            followed in proptest::collection::btree_set(0u8..40, 0..30),
        ) {
            let name = |n: &u8| format!("user-{n}");
            let list: CelebrityList = listed.iter().map(|n| celebrity(&name(n), 1, None)).collect();
            let users = followed.iter().map(|n| user(&name(n)).hash()).collect();
            let among = list.among(&users);
            let pulled: BTreeSet<_> = among.iter().map(|celebrity| celebrity.author.clone()).collect();
            let expected = listed.intersection(&followed).map(|n| user(&name(n))).collect();
            prop_assert_eq!(pulled, expected);
        }
    }

    #[test]
    fn posts_are_pushed_for_three_lifetimes_after_a_promotion_and_again_from_a_demotion_on() {
        let pushes = |celebrity: Celebrity, secs: u64| {
            let list: CelebrityList = [celebrity].into_iter().collect();
            list.pushes(&user("ada"), Timestamp::from_ms(secs * 1000), &POLICY)
        };
        assert!(pushes(celebrity("ada", 1000, None), 1179) && !pushes(celebrity("ada", 1000, None), 1180));
        assert!(pushes(celebrity("ada", 1000, Some(2000)), 2000) && pushes(celebrity("bob", 1000, None), 5000));
    }
}
