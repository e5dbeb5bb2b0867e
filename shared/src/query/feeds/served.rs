//! The posts that a walk through a ranked or trending feed has shown. Ranks change during a walk, so no place in the
//! order tells which posts were shown. Instead the cursor carries the set of them, six bytes a post.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde::{Deserialize, Serialize};

use crate::model::PostId;

/// Bytes that stand for a post in the set.
const BYTES: usize = 6;

/// A set of posts. Six bytes can stand for two posts: then the walk leaves out the second one. In a walk of 200 posts
/// this has a probability of 10⁻¹⁰.
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

    /// The number of posts in the set.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set has no posts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
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
