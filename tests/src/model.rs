//! The reference model: what the system must show at rest. It stores what the accepted commands said, and computes
//! every feed from scratch in the simplest correct way. It shares no code and no ideas with the system. It uses only
//! the client's clock, because tests end long before anything expires. It must never become clever.

mod judge;
mod notifications;
mod search;
mod trending;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

pub use self::{
    judge::{Feed, Judge},
    notifications::Mentions,
    search::{Search, words},
};
use crate::client::ProfileInput;

/// One user, from the accepted commands of this user.
#[derive(Debug, Clone, Default)]
pub struct Member {
    /// The newest profile.
    pub profile: Option<ProfileInput>,
    /// The ids of the users whom the user follows now.
    pub follows: BTreeSet<String>,
    /// The ids of the users whom the user mutes now.
    pub mutes: BTreeSet<String>,
    /// The ids of the users whom the user blocks now.
    pub blocks: BTreeSet<String>,
    /// Whether an administrator has suspended the user.
    pub suspended: bool,
    /// The posts that are not deleted, by id.
    pub posts: BTreeMap<String, Said>,
    /// The posts that the user likes now, and when each like began.
    pub likes: BTreeMap<String, Window>,
    /// The comments that are not deleted, by id.
    pub comments: BTreeMap<String, Remark>,
    /// When the user first commented on each post, whether that comment is deleted or not.
    pub first_comments: BTreeMap<String, Window>,
}

/// The text of a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The present text.
    pub text: String,
    /// 1 for a new post, and one more with each edit, take-down and restore.
    pub version: u64,
    /// Whether the author edited the post.
    pub edited: bool,
    /// Whether an administrator took the post down.
    pub taken_down: bool,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The id of the post.
    pub post: String,
    /// The text.
    pub text: String,
    /// When the comment was accepted.
    pub at: Window,
}

/// When something was accepted, as far as a client can know: after it was sent and before it was answered. In
/// milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The earliest possible time.
    pub from_ms: u64,
    /// The latest possible time.
    pub to_ms: u64,
}

/// Everything that was accepted, by user id.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The users. A user who is not here does not exist.
    pub members: BTreeMap<String, Member>,
}

/// A difference between the system and the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The user who read.
    pub viewer: String,
    /// What the user read.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} looking at {}: {}", self.viewer, self.place, self.problem)
    }
}

impl Member {
    /// Adds a comment that was accepted.
    pub fn comment(&mut self, id: String, remark: Remark) {
        let first = self.first_comments.entry(remark.post.clone()).or_insert(remark.at);
        if remark.at.from_ms < first.from_ms {
            *first = remark.at;
        }
        self.comments.insert(id, remark);
    }
}

impl Said {
    /// The text of a new post.
    pub fn new(text: &str) -> Self {
        Self { text: text.to_owned(), version: 1, edited: false, taken_down: false }
    }

    /// The text of an edited post, which now has this version.
    pub fn edited(text: &str, version: u64) -> Self {
        Self { version, edited: true, ..Self::new(text) }
    }
}

impl Window {
    /// Opens a window, which ends with [`Window::closed`].
    pub fn open() -> Self {
        let from_ms = now_ms();
        Self { from_ms, to_ms: from_ms }
    }

    /// The window until now.
    pub fn closed(self) -> Self {
        Self { to_ms: now_ms(), ..self }
    }
}

fn now_ms() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the reference model uses no code of the system, not even its clock")]
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

impl Model {
    /// The number of rows of all timelines: each post in its author's own list, in the author's home, and in each
    /// follower's home.
    pub fn timeline_rows(&self) -> u64 {
        let of = |id: &str| self.members.get(id).map_or(0, |member| member.posts.len() as u64);
        let rows = |(id, member): (&String, &Member)| 2 * of(id) + member.follows.iter().map(|id| of(id)).sum::<u64>();
        self.members.iter().map(rows).sum()
    }
}

/// The tags of a text of letters, digits, spaces and ASCII punctuation, without URLs: a `#` that does not follow a
/// letter, digit or underscore, and then 1 to 64 of these characters, with at least one letter. Only the first five
/// different tags count, in lower case. Unit tests of the system are about all other texts.
pub fn tags(text: &str) -> Vec<String> {
    let belongs = |c: char| c.is_alphanumeric() || c == '_';
    let mut tags: Vec<String> = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    for (at, _) in chars.iter().enumerate().filter(|(_, c)| **c == '#') {
        let word: String = chars[at + 1..].iter().take_while(|c| belongs(**c)).collect();
        let tag: String = word.to_lowercase().chars().filter(|c| belongs(*c)).collect();
        let after_word = at > 0 && belongs(chars[at - 1]);
        let has_letter = tag.chars().any(char::is_alphabetic);
        if !after_word && has_letter && (1..=64).contains(&tag.chars().count()) && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags.truncate(5);
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_once_for_the_author_and_once_for_each_home() {
        assert_eq!(judge::tests::model().timeline_rows(), 3 + 3 + 1);
    }

    #[test]
    fn tags_are_found() {
        assert_eq!(tags("#A (#b)#c d#e #1 ##f #g #h #i"), ["a", "b", "c", "f", "g"]);
        assert_eq!(tags(&format!("# #- #{}", "x".repeat(65))), [""; 0]);
    }
}
