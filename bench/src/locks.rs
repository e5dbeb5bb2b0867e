//! Locks that order commands which depend on each other, so that the result of every command is known although many run
//! at the same time. The commands of one user run one after the other. A block locks both users. A post's creation and
//! its deletion lock the post exclusively.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::command::Command;

/// The locks of all users, and of the posts in the commands so far.
#[derive(Debug)]
pub struct Locks {
    users: Vec<Arc<Mutex<()>>>,
    posts: HashMap<usize, Arc<RwLock<()>>>,
}

/// The locks of one command. Dropping this value releases them.
#[derive(Debug)]
pub struct HeldLocks {
    _users: Vec<OwnedMutexGuard<()>>,
    _post: Option<PostLock>,
}

#[derive(Debug)]
enum PostLock {
    /// A reaction. Several reactions to one post may run at the same time.
    Shared { _guard: OwnedRwLockReadGuard<()> },
    /// The creation or the deletion of the post.
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Locks {
    /// No command holds a lock yet.
    pub fn new(users: usize) -> Self {
        Self { users: (0..users).map(|_| Arc::default()).collect(), posts: HashMap::new() }
    }

    /// Waits for the locks of a command. Call this for one command after the other, in the order of the plan. Then no
    /// command that holds locks waits for another one, so a deadlock is impossible.
    pub async fn acquire(&mut self, command: &Command) -> HeldLocks {
        let other = match command {
            Command::Block { blocked, .. } => Some(*blocked),
            _ => None,
        };
        let mut users = Vec::new();
        for user in [Some(command.sender()), other].into_iter().flatten() {
            users.push(Arc::clone(&self.users[user]).lock_owned().await);
        }
        let post = match command {
            Command::Post { number, .. } | Command::Delete { number, .. } => {
                Some(PostLock::Alone { _guard: self.post(*number).write_owned().await })
            }
            Command::React(reaction) => Some(PostLock::Shared { _guard: self.post(reaction.post).read_owned().await }),
            _ => None,
        };
        HeldLocks { _users: users, _post: post }
    }

    fn post(&mut self, number: usize) -> Arc<RwLock<()>> {
        Arc::clone(self.posts.entry(number).or_default())
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::{
        command::{Reaction, ReactionKind},
        texts::Draft,
    };

    fn like(sender: usize) -> Command {
        Command::React(Reaction { sender, post: 7, what: ReactionKind::Like })
    }

    #[tokio::test]
    async fn commands_that_depend_on_each_other_wait_and_no_others_do() {
        let mut locks = Locks::new(5);
        let follow = |follower| Command::Follow { follower, followee: 4, on: true };
        let block = Command::Block { blocker: 0, blocked: 1, on: true };
        let post = Command::Post { number: 7, draft: Draft { author: 3, text: String::new() } };
        let delete = Command::Delete { number: 7, author: 3 };

        let blocking = locks.acquire(&block).now_or_never().unwrap();
        assert!(
            locks.acquire(&follow(0)).now_or_never().is_none() && locks.acquire(&follow(1)).now_or_never().is_none()
        );
        drop(locks.acquire(&follow(2)).now_or_never().unwrap());
        let posting = locks.acquire(&post).now_or_never().unwrap();
        assert!(locks.acquire(&like(2)).now_or_never().is_none(), "a reaction waits for the post's creation");
        drop((blocking, posting));
        let likes = [0, 1, 2].map(|sender| locks.acquire(&like(sender)).now_or_never().unwrap());
        assert!(locks.acquire(&delete).now_or_never().is_none(), "the deletion waits for reactions");
        drop(likes);
        let deleting = locks.acquire(&delete).now_or_never().unwrap();
        assert!(locks.acquire(&like(2)).now_or_never().is_none());
        drop(deleting);
        drop(locks.acquire(&like(2)).now_or_never().unwrap());
    }
}
