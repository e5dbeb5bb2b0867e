//! What is known of a history from outside: which commands were accepted, which are on their way, and what follows
//! from that for everybody. The reference model holds the accepted ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use harness::model::{Member, Model};

use crate::{
    checks::Checks,
    command::{Command, Doubt},
    determinism,
};

/// How long after a block a follow may still be accepted if very many users follow the same one at this moment, which
/// the block then ends: two seconds, and what clocks differ.
const FOLLOWED_AFTER_BLOCK_MAX: Duration = Duration::from_secs(3);

/// What everybody together knows.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Users whose homes lack rows, because nobody has read them for long.
    pub(crate) left_out: BTreeSet<String>,
    /// The reference model of what was accepted.
    pub(crate) model: Model,
    /// Author of every post that there ever was, by its id.
    pub(crate) authors: BTreeMap<String, String>,
    /// Every text that an author gave a post, whether accepted yet or not.
    pub(crate) texts: BTreeMap<String, BTreeSet<String>>,
    /// Posts whose deletion was at least begun.
    pub(crate) deleted: BTreeSet<String>,
    /// Comments whose deletion was at least begun.
    pub(crate) deleted_comments: BTreeSet<String>,
    /// Pairs between whom a block was at least begun, in both orders.
    pub(crate) blocks_begun: BTreeSet<(String, String)>,
    /// Follows, from whom to whom, that the followed user at least began to end: by a block, or by a removal.
    pub(crate) ended_by_followee: BTreeSet<(String, String)>,
    /// Authors whose demotion an operator has asked for without an answer so far.
    pub(crate) demotions_unanswered: BTreeSet<String>,
    /// Blocks, from whom to whom, that everybody has seen at rest, and whose end has not begun.
    pub(crate) settled_blocks: BTreeSet<(String, String)>,
    /// Who was blocked last, by whom, and has not answered with a follow.
    pub(crate) dares: BTreeMap<String, String>,
    /// Handles that anybody ever asked for, with who did.
    pub(crate) handles: BTreeMap<String, BTreeSet<String>>,
    /// Follows, from whom to whom, that a block or a removal overlapped: only the command table knows.
    pub(crate) uncertain: BTreeSet<(String, String)>,
    /// Commands of which the caller cannot know whether they happened.
    pub(crate) doubts: Vec<Doubt>,
    /// Follows and unfollows under way, from whom to whom.
    following: BTreeMap<(String, String), u32>,
    /// Mutes and their ends under way, from whom to whom.
    muting: BTreeMap<(String, String), u32>,
    /// When the followed user last blocked the follower, from whom to whom the follow is.
    blocked_at: BTreeMap<(String, String), Duration>,
    /// Blocks and their ends under way, in both orders, and removals, from the follower to the followed user.
    blocking: BTreeMap<(String, String), u32>,
    /// When a block or its end was last answered, in both orders.
    block_answered_at: BTreeMap<(String, String), Duration>,
    /// The newest version of each user's log that is known.
    pub(crate) versions: BTreeMap<String, u64>,
    /// How each user's own view of others changed, by the version that made it so.
    pub(crate) views: BTreeMap<String, Vec<View>>,
    /// Posts that everybody who may see them has seen at rest.
    pub(crate) settled: BTreeSet<String>,
    /// Posts, and users, about whom an administrator at least began to decide.
    pub(crate) moderated: BTreeSet<String>,
    /// Users who at least began to delete their accounts.
    pub(crate) deletions_begun: BTreeSet<String>,
    /// Users whose accounts are deleted.
    pub(crate) accounts_deleted: BTreeSet<String>,
    /// Whether users may delete their accounts in this history.
    pub(crate) may_delete_account: bool,
    /// The `newest` that each user got last, and the posts that were new for the user.
    pub(crate) marks: BTreeMap<String, (String, BTreeSet<String>)>,
    /// Up to when each user has marked notifications as seen, and up to when they at least began to do so.
    pub(crate) seen: BTreeMap<String, (String, String)>,
    /// How much each user may do of each kind in an hour or a day, if that is little.
    pub(crate) rate_limit: Option<u32>,
    /// What was decided.
    pub(crate) checks: Checks,
}

/// Whom a user follows, mutes and blocks as of a version of the user's log.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// The version.
    pub(crate) version: u64,
    /// Whom the user follows.
    pub(crate) follows: BTreeSet<String>,
    /// Whom the user mutes.
    pub(crate) mutes: BTreeSet<String>,
    /// Whom the user blocks.
    pub(crate) blocks: BTreeSet<String>,
}

impl Ledger {
    /// A member's part of the model.
    pub(crate) fn member(&mut self, user: &str) -> &mut Member {
        self.model.members.entry(user.to_owned()).or_default()
    }

    /// The deletion of an account begins. No post of the user is sure to be there any more, and no follow of the user.
    pub(crate) fn deletion_begins(&mut self, user: &str) {
        self.deletions_begun.insert(user.to_owned());
        let posts = self.authors.iter().filter(|(_, author)| *author == user).map(|(post, _)| post.clone());
        self.deleted.extend(posts.collect::<Vec<_>>());
        let comments = self.model.members.get(user).into_iter().flat_map(|member| member.comments.keys().cloned());
        self.deleted_comments.extend(comments.collect::<Vec<_>>());
        let followers = self.model.members.keys().map(|follower| pair(follower, user)).collect::<Vec<_>>();
        self.ended_by_followee.extend(followers);
    }

    /// It was accepted.
    pub(crate) fn deletion_ends(&mut self, user: &str) {
        self.accounts_deleted.insert(user.to_owned());
        self.forget_the_deleted();
    }

    /// Removes from the model what belongs to deleted accounts. What was committed before a deletion may have been
    /// entered after it.
    pub(crate) fn forget_the_deleted(&mut self) {
        for user in &self.accounts_deleted {
            self.model.members.remove(user);
            for member in self.model.members.values_mut() {
                member.follows.remove(user);
                member.mutes.remove(user);
                member.blocks.remove(user);
            }
        }
        let gone = &self.accounts_deleted;
        self.settled_blocks.retain(|(from, to)| !gone.contains(from) && !gone.contains(to));
        let posts = self.authors.iter().filter(|(_, author)| gone.contains(*author)).map(|(post, _)| post.clone());
        self.deleted.extend(posts.collect::<Vec<_>>());
    }

    /// Whether what others see of this post, or of its author, may have changed by an administrator's decision or by
    /// the deletion of the account.
    pub(crate) fn may_be_withdrawn(&self, post: &str) -> bool {
        let of_author = |author: &String| self.moderated.contains(author) || self.deletions_begun.contains(author);
        self.moderated.contains(post) || self.authors.get(post).is_some_and(of_author)
    }

    /// Whether the post may be deleted, taken down, or of an author whose posts are hidden.
    pub(crate) fn may_be_hidden(&self, post: &str) -> bool {
        self.deleted.contains(post) || self.may_be_withdrawn(post)
    }

    /// A follow or unfollow begins.
    pub(crate) fn follow_begins(&mut self, from: &str, to: &str) {
        let follow = pair(from, to);
        *self.following.entry(follow.clone()).or_default() += 1;
        let blocked_at = self.blocked_at.get(&follow);
        let is_block_recent = blocked_at.is_some_and(|at| determinism::elapsed() < *at + FOLLOWED_AFTER_BLOCK_MAX);
        if is_block_recent || self.blocking.contains_key(&follow) {
            self.uncertain.insert(follow);
        }
    }

    /// It was accepted or refused.
    pub(crate) fn follow_ends(&mut self, from: &str, to: &str, follows: Option<bool>) {
        release(&mut self.following, pair(from, to));
        if let Some(follows) = follows {
            let member = self.member(from);
            if follows {
                member.follows.insert(to.to_owned())
            } else {
                member.follows.remove(to)
            };
        }
    }

    /// A mute or its end begins.
    pub(crate) fn mute_begins(&mut self, from: &str, to: &str) {
        *self.muting.entry(pair(from, to)).or_default() += 1;
    }

    /// It was accepted or refused.
    pub(crate) fn mute_ends(&mut self, from: &str, to: &str, mutes: Option<bool>) {
        release(&mut self.muting, pair(from, to));
        if let Some(mutes) = mutes {
            let member = self.member(from);
            if mutes {
                member.mutes.insert(to.to_owned())
            } else {
                member.mutes.remove(to)
            };
        }
    }

    /// A block or its end begins.
    pub(crate) fn block_begins(&mut self, from: &str, to: &str) {
        for both in [pair(from, to), pair(to, from)] {
            *self.blocking.entry(both.clone()).or_default() += 1;
            if self.following.contains_key(&both) {
                self.uncertain.insert(both.clone());
            }
            self.blocks_begun.insert(both.clone());
            self.ended_by_followee.insert(both);
        }
    }

    /// The removal of a follower begins.
    pub(crate) fn removal_begins(&mut self, followee: &str, follower: &str) {
        let follow = pair(follower, followee);
        *self.blocking.entry(follow.clone()).or_default() += 1;
        if self.following.contains_key(&follow) {
            self.uncertain.insert(follow.clone());
        }
        self.ended_by_followee.insert(follow);
    }

    /// It was accepted or refused.
    pub(crate) fn removal_ends(&mut self, followee: &str, follower: &str, accepted: bool) {
        release(&mut self.blocking, pair(follower, followee));
        if accepted {
            self.member(follower).follows.remove(followee);
        }
    }

    /// Whether one of the two may have blocked the other at some moment since then.
    pub(crate) fn may_have_blocked(&self, one: &str, other: &str, since: Duration) -> bool {
        let blocks = |from, to| self.model.members.get(from).is_some_and(|member: &Member| member.blocks.contains(to));
        let (between, is_deleted) = (pair(one, other), |user| self.deletions_begun.contains(user));
        let is_doubtful = |Doubt { by, command, .. }: &Doubt| match command {
            Command::Block(blocked, _) => between == pair(by, blocked) || between == pair(blocked, by),
            _ => false,
        };
        blocks(one, other)
            || blocks(other, one)
            || self.blocking.contains_key(&between)
            || self.block_answered_at.get(&between).is_some_and(|at| *at >= since)
            || self.doubts.iter().any(is_doubtful)
            // The blocks of deleted accounts are not in the model.
            || [one, other].into_iter().any(is_deleted)
    }

    /// Whether everybody has seen at rest that one of the two blocks the other, and the end of that has not begun.
    pub(crate) fn has_settled_block(&self, one: &str, other: &str) -> bool {
        [pair(one, other), pair(other, one)].iter().any(|block| self.settled_blocks.contains(block))
    }

    /// It was accepted.
    pub(crate) fn block_ends(&mut self, from: &str, to: &str, blocks: Option<bool>) {
        for both in [pair(from, to), pair(to, from)] {
            release(&mut self.blocking, both.clone());
            self.block_answered_at.insert(both, determinism::elapsed());
        }
        let Some(blocks) = blocks else { return };
        let member = self.member(from);
        if blocks {
            member.blocks.insert(to.to_owned())
        } else {
            member.blocks.remove(to)
        };
        if blocks {
            self.member(from).follows.remove(to);
            self.member(to).follows.remove(from);
            self.blocked_at.insert(pair(to, from), determinism::elapsed());
        }
    }

    /// A command of the user's was accepted, and its log has this version.
    pub(crate) fn accepted(&mut self, user: &str, version: u64) {
        let newest = self.versions.entry(user.to_owned()).or_default();
        *newest = version.max(*newest);
    }

    /// The user's view of others is this one as of a version.
    pub(crate) fn views(&mut self, user: &str, version: u64) {
        let member = self.member(user);
        let view = View {
            version,
            follows: member.follows.clone(),
            mutes: member.mutes.clone(),
            blocks: member.blocks.clone(),
        };
        let views = self.views.entry(user.to_owned()).or_default();
        views.retain(|known| known.version < version);
        views.push(view);
    }

    /// The newest version of the user's log that is known.
    pub(crate) fn version(&self, user: &str) -> u64 {
        self.versions.get(user).copied().unwrap_or_default()
    }

    /// What the user's view of others may be at a version: as the last known one before it, or the next one after it,
    /// if commands overlapped.
    pub(crate) fn views_at(&self, user: &str, version: u64) -> Vec<&View> {
        let views = self.views.get(user).map(Vec::as_slice).unwrap_or_default();
        let after = views.partition_point(|view| view.version <= version);
        let exact = after > 0 && views[after - 1].version == version;
        let next = if exact { None } else { views.get(after) };
        after.checked_sub(1).map(|at| &views[at]).into_iter().chain(next).collect()
    }

    /// Whether nobody knows what some command of the user's came to that changes how the user and others see each
    /// other.
    pub(crate) fn is_in_doubt(&self, user: &str) -> bool {
        let says = |command: &Command| matches!(command, Command::Post { .. } | Command::Comment { .. });
        self.doubts.iter().any(|doubt| doubt.by == user && !says(&doubt.command))
    }

    /// Whether the one may see the other in another way than any view tells: by a follow or mute that is not answered,
    /// or of which nobody knows what it came to. The command table may have it, and pages may show it.
    pub(crate) fn is_open(&self, from: &str, to: &str) -> bool {
        let both = pair(from, to);
        self.following.contains_key(&both) || self.muting.contains_key(&both) || self.is_in_doubt(from)
    }

    /// Whether it is not known if the one follows the other.
    pub(crate) fn is_uncertain(&self, from: &str, to: &str) -> bool {
        self.uncertain.contains(&pair(from, to))
    }
}

fn pair(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

fn release(counts: &mut BTreeMap<(String, String), u32>, key: (String, String)) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_block_may_have_stood_only_if_it_did_so_after_the_command_was_sent() {
        determinism::start_clock();
        let mut ledger = Ledger::default();
        let pass = async || {
            tokio::time::advance(Duration::from_secs(1)).await;
            determinism::elapsed()
        };
        let before = pass().await;
        let may = |ledger: &Ledger, since| {
            let both = [("ada", "bob"), ("bob", "ada")].map(|(one, other)| ledger.may_have_blocked(one, other, since));
            assert_eq!(both[0], both[1]);
            both[0]
        };
        assert!(!may(&ledger, before));
        ledger.block_begins("ada", "bob");
        assert!(may(&ledger, pass().await), "it is under way");
        ledger.block_ends("ada", "bob", Some(true));
        assert!(may(&ledger, pass().await), "it stands");
        ledger.block_begins("ada", "bob");
        ledger.block_ends("ada", "bob", Some(false));
        assert!(may(&ledger, before));
        assert!(!may(&ledger, pass().await), "it has ended");
    }
}
