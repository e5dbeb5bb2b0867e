//! A user who comments on a post of somebody else. However many comments there are, the user counts once for the post's
//! heat.

use serde::{Deserialize, Serialize};

/// What a user's comments on a post add up to. It is kept when there are no more comments, so that its version never
/// restarts. Users do not count on their own posts, so there is none for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commenter {
    /// Comments of the user on the post that are not deleted.
    pub comments: u64,
    /// The heat that they add to the post together: that of the first one. The deletion of the last one subtracts it.
    pub heat: i64,
    /// 1 at first, and one more with each change.
    pub version: u64,
}

impl Commenter {
    /// The commenter after one more comment, and the heat to add to the post. `heat` is what a comment adds now, if
    /// there is none yet.
    pub fn with_one_more(before: Option<&Self>, heat: i64) -> (Self, i64) {
        match before {
            Some(before) if before.comments > 0 => {
                (Self { comments: before.comments + 1, version: before.version + 1, ..*before }, 0)
            }
            _ => (Self { comments: 1, heat, version: before.map_or(1, |before| before.version + 1) }, heat),
        }
    }

    /// The commenter after the deletion of a comment, and the heat to subtract from the post.
    pub fn with_one_less(&self) -> (Self, i64) {
        let after = Self { comments: self.comments.saturating_sub(1), version: self.version + 1, ..*self };
        match after.comments {
            0 => (Self { heat: 0, ..after }, self.heat),
            _ => (after, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn after_any_comments_and_deletions_the_user_counts_once_or_not_at_all(
            steps in proptest::collection::vec(any::<bool>(), 0..40),
        ) {
            let (mut commenter, mut heat, mut comments) = (None::<Commenter>, 0, 0);
            for (at, more) in steps.into_iter().enumerate() {
                let version = commenter.as_ref().map_or(0, |before| before.version);
                let after = if more {
                    comments += 1;
                    let (after, added) = Commenter::with_one_more(commenter.as_ref(), 3000 + at as i64);
                    heat += added;
                    after
                } else {
                    let Some(before) = commenter.as_ref().filter(|before| before.comments > 0) else { continue };
                    comments -= 1;
                    let (after, removed) = before.with_one_less();
                    heat -= removed;
                    after
                };
                prop_assert_eq!((after.comments, after.heat, after.version), (comments, heat, version + 1));
                prop_assert_eq!(heat >= 3000, comments > 0);
                prop_assert!(heat < 3100, "counted once");
                commenter = Some(after);
            }
        }
    }
}
