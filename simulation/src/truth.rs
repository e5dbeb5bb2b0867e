//! The command table as it stands, read item by item, without any code of the system: what all else must follow from.

use std::collections::{BTreeMap, BTreeSet};

use harness::{client::ProfileInput, model::Mentions};
use serde_json::Value;

/// The command table.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    /// Versions in each user's log.
    pub(crate) logs: BTreeMap<String, BTreeSet<u64>>,
    /// How many events of each type are in each user's log.
    pub(crate) events: BTreeMap<(String, String), u64>,
    /// Profiles by user.
    pub(crate) profiles: BTreeMap<String, Value>,
    /// Who has each handle.
    pub(crate) handles: BTreeMap<String, String>,
    /// Posts by id, deleted ones among them.
    pub(crate) posts: BTreeMap<String, Value>,
    /// Comments that are not deleted, by id: their post, author and text.
    pub(crate) comments: BTreeMap<String, (String, String, String)>,
    /// Who is mentioned in posts and comments that are not deleted: the user, the post, and who mentions the user.
    pub(crate) mentions: Mentions,
    /// The follows of which is known since when they are, with the numbers of their partitions.
    pub(crate) follows_since: BTreeMap<(String, String), i64>,
    /// Likes that are: from whom, of which post.
    pub(crate) likes: BTreeSet<(String, String)>,
    /// The partitions of those likes that are not shown in the first one.
    pub(crate) spread_likes: BTreeMap<(String, String), i64>,
    /// The heat of each of these likes.
    pub(crate) like_heats: BTreeMap<(String, String), i64>,
    /// What a user's comments on a post add up to: their number and their heat.
    pub(crate) commenters: BTreeMap<(String, String), (i64, i64)>,
    /// Edges that are, from whom to whom, by kind: `FOLLOWS`, `MUTES`, `BLOCKS`.
    pub(crate) edges: BTreeMap<String, BTreeSet<(String, String)>>,
    /// The followers' side of follows, from whom to whom.
    pub(crate) followers: BTreeSet<(String, String)>,
    /// Celebrities, and those who are being demoted.
    pub(crate) celebrities: BTreeSet<String>,
    /// Counters: each shard's version and numbers, by subject.
    pub(crate) tallies: BTreeMap<String, BTreeMap<u64, Tally>>,
}

/// A shard of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Number of writes.
    pub(crate) version: u64,
    /// Followers, likes, comments and heat.
    pub(crate) counts: [i64; 4],
}

/// Names of the numbers of a counter, in the order of [`Tally::counts`].
pub(crate) const COUNTS: [&str; 4] = ["followers", "likes", "comments", "heat"];

impl Truth {
    /// A user's profile, as the user gave it.
    pub(crate) fn profile(&self, user: &str) -> Option<ProfileInput> {
        let item = self.profiles.get(user)?;
        let given = |name: &str| text(item, name).to_owned();
        let avatar_url = (!is_null(item, "avatar_url")).then(|| given("avatar_url"));
        Some(ProfileInput { handle: given("handle"), display_name: given("display_name"), avatar_url })
    }

    /// Reads all items of the table.
    pub(crate) fn read(items: &[Value]) -> Self {
        let mut truth = Self::default();
        for item in items {
            let (pk, sk) = (text(item, "PK"), text(item, "SK"));
            let (kind, id) = pk.split_once('#').unwrap_or((pk, ""));
            let (part, of) = sk.split_once('#').unwrap_or((sk, ""));
            match (kind, part) {
                ("USER", "PROFILE") => drop(truth.profiles.insert(id.to_owned(), item.clone())),
                ("USER", "EVENT") => {
                    truth.logs.entry(id.to_owned()).or_default().insert(of.parse().unwrap_or(0));
                    *truth.events.entry((id.to_owned(), text(item, "type").to_owned())).or_default() += 1;
                }
                ("USER", "LIKES") if is(item, "liked") => {
                    truth.likes.insert((id.to_owned(), of.to_owned()));
                    truth.like_heats.insert((id.to_owned(), of.to_owned()), number(item, "heat"));
                    if item.get("shard").is_some() {
                        truth.spread_likes.insert((id.to_owned(), of.to_owned()), number(item, "shard"));
                    }
                }
                ("USER", "COMMENTS") => {
                    let sums = (number(item, "comments"), number(item, "heat"));
                    truth.commenters.insert((id.to_owned(), of.to_owned()), sums);
                }
                ("USER", "FOLLOWS" | "MUTES" | "BLOCKS") if is(item, "active") => {
                    if item.get("since").is_some() {
                        truth.follows_since.insert((id.to_owned(), of.to_owned()), number(item, "shard"));
                    }
                    truth.edges.entry(part.to_owned()).or_default().insert((id.to_owned(), of.to_owned()));
                }
                ("FOLLOWERS", "USER") if is(item, "active") => {
                    truth.followers.insert((of.to_owned(), without_shard(id).to_owned()));
                }
                // A handle that was given up leads to nobody.
                ("HANDLE", _) if item.get("expires_at").is_some() => {}
                ("HANDLE", _) => drop(truth.handles.insert(id.to_owned(), text(item, "user").to_owned())),
                ("CELEBRITIES", _) => drop(truth.celebrities.insert(of.to_owned())),
                ("POST", "POST") => {
                    truth.mention(id, item);
                    truth.posts.insert(id.to_owned(), item.clone());
                }
                ("POST", "COMMENT") if is_null(item, "deleted_at") => {
                    let id = without_shard(id);
                    truth.mention(id, item);
                    let comment = (id.to_owned(), text(item, "author").to_owned(), text(item, "text").to_owned());
                    truth.comments.insert(of.to_owned(), comment);
                }
                ("TALLY", _) => {
                    let (subject, shard) = id.rsplit_once('#').unwrap_or((id, ""));
                    let tally = Tally {
                        version: number(item, "version").unsigned_abs(),
                        counts: COUNTS.map(|of| number(item, of)),
                    };
                    let shards = truth.tallies.entry(subject.to_owned()).or_default();
                    shards.insert(shard.parse().unwrap_or(u64::MAX), tally);
                }
                _ => {}
            }
        }
        truth
    }

    /// Whether an edge of this kind goes from the one to the other.
    pub(crate) fn has(&self, kind: &str, from: &str, to: &str) -> bool {
        self.edges.get(kind).is_some_and(|edges| edges.contains(&(from.to_owned(), to.to_owned())))
    }

    /// To whom edges of this kind go.
    pub(crate) fn of(&self, kind: &str, from: &str) -> BTreeSet<String> {
        let edges = self.edges.get(kind).into_iter().flatten();
        edges.filter(|(one, _)| one == from).map(|(_, other)| other.clone()).collect()
    }

    /// From whom edges of this kind come.
    pub(crate) fn from(&self, kind: &str, to: &str) -> BTreeSet<String> {
        let edges = self.edges.get(kind).into_iter().flatten();
        edges.filter(|(_, other)| other == to).map(|(one, _)| one.clone()).collect()
    }

    fn mention(&mut self, post: &str, item: &Value) {
        for mentioned in item["mentioned"]["L"].as_array().into_iter().flatten() {
            let user = text(&mentioned["M"], "user").to_owned();
            self.mentions.entry((user, post.to_owned())).or_default().push(text(item, "author").to_owned());
        }
    }

    /// Mentions of which users must be notified: below their own posts, they are notified of the comment.
    pub(crate) fn mentions(&self) -> Mentions {
        let mut mentions = self.mentions.clone();
        mentions.retain(|(user, post), _| self.posts.get(post).is_some_and(|post| text(post, "author") != user));
        mentions
    }

    /// Posts that are not deleted.
    pub(crate) fn shown_posts(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.posts.iter().filter(|(_, post)| is_null(post, "deleted_at"))
    }

    /// Whether the user has deleted the account.
    pub(crate) fn is_erased(&self, user: &str) -> bool {
        self.events.contains_key(&(user.to_owned(), "AccountDeleted".to_owned()))
    }

    /// Sum of a counter's shards, as `USER#u` or `POST#p`.
    pub(crate) fn count(&self, subject: &str) -> [i64; 4] {
        let shards = self.tallies.get(subject).into_iter().flat_map(BTreeMap::values);
        shards.fold([0; 4], |sum, tally| [0, 1, 2, 3].map(|at| sum[at] + tally.counts[at]))
    }
}

/// Sort key of the mark that the list of those who like a post stands in several partitions.
pub(crate) const LIKES_ARE_SPREAD: &str = "~SPREAD";

/// The id in a partition's key, without the number behind it: followers of one user, and comments on and likes of one
/// post, may stand in several partitions.
pub(crate) fn without_shard(id: &str) -> &str {
    id.split_once('#').map_or(id, |(id, _)| id)
}

/// A string attribute, or nothing.
pub(crate) fn text<'a>(item: &'a Value, name: &str) -> &'a str {
    item[name]["S"].as_str().unwrap_or_default()
}

/// A number attribute, or zero.
pub(crate) fn number(item: &Value, name: &str) -> i64 {
    item[name]["N"].as_str().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// Whether a boolean attribute is true.
pub(crate) fn is(item: &Value, name: &str) -> bool {
    item[name]["BOOL"].as_bool().unwrap_or_default()
}

/// Whether an attribute says that its users are not listed.
pub(crate) fn is_unlisted(users: &Value) -> bool {
    users["NULL"] == true
}

pub(crate) fn is_null(item: &Value, name: &str) -> bool {
    item.get(name).is_none_or(|value| value["NULL"].as_bool().unwrap_or_default())
}
