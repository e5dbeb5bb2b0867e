//! Who waits for whom, so that what a command comes to is known although many are under way: commands of one user are sent
//! one after the other, a block is the turn of both users, and a post's beginning and end have it for themselves.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{Mutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::command::Command;

/// The turns of all users, and of the posts that commands were about so far.
#[derive(Debug)]
pub struct Locks {
    users: Vec<Arc<Mutex<()>>>,
    posts: HashMap<usize, Arc<RwLock<()>>>,
}

/// A command's turn, until it is dropped.
#[derive(Debug)]
pub struct HeldLocks {
    _users: Vec<OwnedMutexGuard<()>>,
    _post: Option<PostLock>,
}

#[derive(Debug)]
enum PostLock {
    /// What can be done about a post by several at once.
    Shared { _guard: OwnedRwLockReadGuard<()> },
    /// Its beginning or end.
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Locks {
    /// Nobody has a turn yet.
    pub fn new(users: usize) -> Self {
        Self { users: (0..users).map(|_| Arc::default()).collect(), posts: HashMap::new() }
    }

    /// Waits for the command's turn. To be called for one command after the other, in the order of the plan: then nobody
    /// who has a turn waits for another, and so nobody waits forever.
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
    async fn what_depends_on_each_other_waits_and_nothing_else_does() {
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
        assert!(locks.acquire(&like(2)).now_or_never().is_none(), "not before the post is there");
        drop((blocking, posting));
        let likes = [0, 1, 2].map(|sender| locks.acquire(&like(sender)).now_or_never().unwrap());
        assert!(locks.acquire(&delete).now_or_never().is_none(), "not while others like it");
        drop(likes);
        let deleting = locks.acquire(&delete).now_or_never().unwrap();
        assert!(locks.acquire(&like(2)).now_or_never().is_none());
        drop(deleting);
        drop(locks.acquire(&like(2)).now_or_never().unwrap());
    }
}
