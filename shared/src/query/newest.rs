//! What a client has seen of a home: the opaque `newest` of its pages. With it, the next request asks only for what is
//! new.
//!
//! Posts can reach a home late, behind newer ones. So a mark does not only tell the newest post: it tells a moment, and
//! which of the posts since that moment were there. Any other post since then is new, whenever it arrives. The moment
//! is a minute before the mark was made, or that of one of the last [`KNOWN_MAX`] posts if there were more since then.
//! If an answer did not come to the end of what is new, it is that of the first post that was not looked at. A post
//! from before the moment that comes later is not reported as new, and stands in the home all the same.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::caches::UNKNOWN_FOR;
use crate::model::{PostId, Timestamp};

/// Posts that a mark knows. Their rows take less than 4 kB, which is half a read unit.
pub(crate) const KNOWN_MAX: usize = 24;
/// How late a post may be.
const LATE_MAX: Duration = Duration::from_secs(60);
/// Marks are made as of whole minutes. So the same home has the same mark for a while.
const STEP_MS: u64 = 60_000;

/// What a client has seen of a home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// Posts that were created before this moment are not new.
    since: Timestamp,
    /// The posts since that moment that the client has seen, or that are deleted: newest first.
    #[serde(serialize_with = "known_to_text", deserialize_with = "known_from_text")]
    known: Vec<Known>,
}

/// A post that is known: the 6 bytes of its creation time, and 4 of its random ones.
type Known = [u8; 10];

/// What a mark is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Covered {
    /// The posts that were seen or are deleted, in any order.
    pub(crate) posts: Vec<PostId>,
    /// All posts of the home from this one on are among them; all at all if none is given.
    pub(crate) from: Option<PostId>,
    /// All posts before this one were looked at. This one and later ones may be new.
    pub(crate) unseen: Option<PostId>,
}

impl Newest {
    /// The mark of a client of which nothing is known: what is older than a minute at this moment is not new.
    pub fn as_of(now: Timestamp) -> Self {
        Self::new(&Covered::default(), now)
    }

    /// The mark after these posts were covered as of this moment.
    pub(crate) fn new(covered: &Covered, as_of: Timestamp) -> Self {
        Self { since: Timestamp::from_ms(0), known: Vec::new() }.after(covered, as_of)
    }

    /// The mark after more posts were covered than by this one. Its moment is the latest that leaves nothing out.
    pub(crate) fn after(&self, covered: &Covered, now: Timestamp) -> Self {
        let late = Timestamp::from_ms(now.as_ms() / STEP_MS * STEP_MS).before(LATE_MAX);
        let incomplete = covered.from.map_or(Timestamp::from_ms(0), |from| next(from.created_at()));
        let mut known = newest_first(&covered.posts, &self.known);
        let mut since = self.since.max(late).max(incomplete);
        if let (Some(newest), Some(dropped)) = (known.first(), known.get(KNOWN_MAX)) {
            since = since.max(next(created_at(dropped)).min(created_at(newest)));
        }
        if let Some(unseen) = covered.unseen {
            since = since.min(unseen.created_at());
        }
        known.retain(|known| created_at(known) >= since);
        Self { since, known }
    }

    /// Posts before this one are not new.
    pub(crate) fn first(&self) -> PostId {
        PostId::lowest(self.since)
    }

    /// Announcements from this moment on may be new: a post is announced after it was created.
    pub(crate) fn announced_since(&self) -> Timestamp {
        self.since.before(UNKNOWN_FOR)
    }

    /// Whether the post is new, if its author is shown.
    pub(crate) fn is_new(&self, post: &PostId) -> bool {
        post.created_at() >= self.since && !self.known.contains(&known(post))
    }
}

fn newest_first(posts: &[PostId], before: &[Known]) -> Vec<Known> {
    let mut all: Vec<_> = posts.iter().map(known).chain(before.iter().copied()).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.dedup();
    all
}

fn next(moment: Timestamp) -> Timestamp {
    moment.after(Duration::from_millis(1))
}

fn known(post: &PostId) -> Known {
    let [_, _, a, b, c, d, e, f] = post.created_at().as_ms().to_be_bytes();
    let [_, _, w, x, y, z] = post.short();
    [a, b, c, d, e, f, w, x, y, z]
}

fn created_at(known: &Known) -> Timestamp {
    let [a, b, c, d, e, f, ..] = *known;
    Timestamp::from_ms(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
}

fn known_to_text<S: Serializer>(known: &[Known], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(known.as_flattened()))
}

fn known_from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Known>, D::Error> {
    let bytes = BASE64.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)?;
    match bytes.as_chunks() {
        (known, []) => Ok(known.to_vec()),
        _ => Err(D::Error::custom("the last post is cut off")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> PostId {
        PostId::new(Timestamp::from_ms(ms))
    }

    fn covered(posts: Vec<PostId>) -> Covered {
        Covered { posts, ..Covered::default() }
    }

    const NOW: Timestamp = Timestamp::from_ms(1_000_000_020_000);

    fn before(secs: u64) -> PostId {
        PostId::new(NOW.before(Duration::from_secs(secs)))
    }

    #[test]
    fn what_arrives_late_is_new_and_what_was_seen_is_not() {
        let seen: Vec<_> = [1, 5, 30, 3000].map(before).into();
        let mark = Newest::new(&covered(seen.clone()), NOW);
        assert!(seen.iter().all(|post| !mark.is_new(post)));
        assert!([0, 2, 29, 60].map(before).iter().all(|post| mark.is_new(post)), "up to a minute late");
        assert!(!mark.is_new(&before(3001)));
    }

    #[test]
    fn a_busy_home_knows_its_newest_posts_and_nothing_older_is_new() {
        let seen: Vec<_> = (0..100).map(|secs| PostId::new(NOW.before(Duration::from_millis(secs)))).collect();
        let mark = Newest::new(&covered(seen.clone()), NOW);
        assert_eq!(mark.known.len(), KNOWN_MAX);
        assert!(seen.iter().all(|post| !mark.is_new(post)) && mark.is_new(&at(NOW.as_ms() + 1)));
    }

    #[test]
    fn of_an_incomplete_page_nothing_below_its_last_post_is_new() {
        let seen: Vec<_> = [1, 5].map(before).into();
        let mark = Newest::new(&Covered { from: seen.last().copied(), posts: seen, ..Covered::default() }, NOW);
        assert!(mark.is_new(&before(3)) && !mark.is_new(&before(6)));
    }

    #[test]
    fn the_same_home_has_the_same_mark_within_a_minute() {
        let seen: Vec<_> = [21, 25].map(before).into();
        let mark = |now| Newest::new(&covered(seen.clone()), now);
        assert_eq!(mark(NOW), mark(NOW.after(Duration::from_secs(10))));
        assert_ne!(mark(NOW), mark(NOW.after(Duration::from_secs(60))));
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = Newest::new(&covered([1, 2, 3].map(before).into()), NOW);
        let json = serde_json::to_string(&mark).unwrap();
        assert_eq!(serde_json::from_str::<Newest>(&json).unwrap(), mark);
        assert!(serde_json::from_str::<Newest>(&json.replace("\"known\":\"", "\"known\":\"AAAA")).is_err());
    }

    proptest! {
        /// A home in which posts arrive in any order, at most a minute late, while a client asks again and again for
        /// up to `limit` new posts. It gets each post once.
        #[test]
        fn asking_again_and_again_shows_every_post_once(
            arrivals in proptest::collection::vec((0u64..30_000, 0u64..8_000, any::<bool>()), 0..120),
            limit in 1usize..9,
        ) {
            let start = NOW.as_ms();
            let mut posts: Vec<_> = arrivals.iter().map(|(late, pause, ask)| (*late, *pause, *ask)).collect();
            posts.push((0, 0, true));
            let (mut now, mut home, mut seen) = (start, Vec::<PostId>::new(), Vec::new());
            let mut mark = Newest::new(&covered(Vec::new()), Timestamp::from_ms(now));
            for (late, pause, ask) in posts {
                now += pause;
                home.push(at(now - late.min(now - start)));
                if !ask {
                    continue;
                }
                loop {
                    let mut unseen: Vec<_> = home.iter().copied().filter(|post| mark.is_new(post)).collect();
                    unseen.sort_unstable();
                    let left = unseen.get(limit).copied();
                    unseen.truncate(limit);
                    seen.extend(unseen.iter().copied());
                    mark = mark.after(&Covered { unseen: left, ..covered(unseen) }, Timestamp::from_ms(now));
                    if left.is_none() {
                        break;
                    }
                }
            }
            let mut all = home.clone();
            all.sort_unstable();
            let mut shown = seen.clone();
            shown.sort_unstable();
            prop_assert_eq!(shown.len(), seen.len());
            shown.dedup();
            prop_assert_eq!(shown.len(), seen.len(), "nothing twice");
            // Behind more posts than a mark knows, a late one may be left out.
            let busy = all.windows(KNOWN_MAX + 1).any(|window| {
                window[KNOWN_MAX].created_at().since(window[0].created_at()) < Duration::from_secs(31)
            });
            prop_assert!(busy || shown == all, "nothing left out");
        }
    }
}
