//! What a walk has shown whose order changes meanwhile: the posts of a ranked or trending feed, whose ranks change, and
//! groups of notifications. There, no place in the order tells what was shown. Instead the cursor carries the set of
//! it, six bytes for each post or group.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::model::{Group, PostId};

/// Bytes that stand for a post or a group in the set.
const BYTES: usize = 6;

/// A set of posts, or of groups. Six bytes can stand for two posts: then the walk leaves out the second one. In a walk
/// of 200 posts this has a probability of 10⁻¹⁰.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Served(BTreeSet<[u8; BYTES]>);

impl Served {
    /// Whether the post is in the set.
    pub fn contains(&self, post: PostId) -> bool {
        self.0.contains(&post.short())
    }

    /// Adds the post to the set.
    pub fn insert(&mut self, post: PostId) {
        self.0.insert(post.short());
    }

    /// Takes the post out of the set.
    pub fn remove(&mut self, post: PostId) {
        self.0.remove(&post.short());
    }

    /// Whether the group is in the set.
    pub fn contains_group(&self, group: Group) -> bool {
        self.0.contains(&short(group))
    }

    /// Adds the group to the set.
    pub fn insert_group(&mut self, group: Group) {
        self.0.insert(short(group));
    }

    /// The number of posts in the set.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set has no posts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn short(group: Group) -> [u8; BYTES] {
    let hash = digest(&SHA256, &group.to_bytes());
    std::array::from_fn(|at| hash.as_ref()[at])
}

impl From<Served> for String {
    fn from(served: Served) -> Self {
        BASE64.encode(served.0.into_iter().collect::<Vec<_>>().as_flattened())
    }
}

/// The text does not stand for a set of posts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a set of posts")]
pub struct InvalidServed;

impl TryFrom<String> for Served {
    type Error = InvalidServed;

    fn try_from(text: String) -> Result<Self, InvalidServed> {
        let bytes = BASE64.decode(text).map_err(|_| InvalidServed)?;
        match bytes.as_chunks::<BYTES>() {
            (posts, []) => Ok(Self(posts.iter().copied().collect())),
            _ => Err(InvalidServed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn a_set_reads_as_it_was_written() {
        let posts: Vec<_> = (0..200).map(|ms| PostId::new(Timestamp::from_ms(ms))).collect();
        let mut served = Served::default();
        for post in &posts[1..] {
            served.insert(*post);
        }
        let text = String::from(served.clone());
        assert_eq!(text.len(), 199 * 8);
        assert_eq!(Served::try_from(text.clone()), Ok(served.clone()));
        assert!(served.contains(posts[1]) && !served.contains(posts[0]));
        assert_eq!(Served::try_from(text[..10].to_owned()), Err(InvalidServed));
    }
}
