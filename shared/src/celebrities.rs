//! The authors whose posts are pulled. Projections ask whether to push a post, home feeds ask whom to pull. A process
//! reads the list of celebrities from the truth and uses it for a while; [`CelebrityPolicy`] allows for lists of that
//! age.
//!
//! All processes read the same partition. So they do it at different times, and of what happens in a process at the
//! same moment, one reads the list again, while all others use the last one. A list that cannot be read again is used
//! for twice as long: an overloaded partition makes no page fail.

use std::{sync::Arc, time::Duration};

use rand::Rng;

use crate::{
    cache::Cache,
    error::Error,
    model::{CelebrityList, CelebrityPolicy, Clock, Timestamp, UserId, limits::CELEBRITIES_MAX},
    store::command_table::CommandTable,
};

/// The celebrities of a deployment. Clones share the list that was read.
#[derive(Debug, Clone)]
pub struct Celebrities {
    commands: CommandTable,
    clock: Clock,
    policy: CelebrityPolicy,
    listed: Cache<(), Listed>,
}

/// A list that was read.
#[derive(Debug, Clone)]
struct Listed {
    list: Arc<CelebrityList>,
    /// When it is to be read again.
    until: Timestamp,
}

/// How long a process uses the last list after somebody has begun to read it again.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(5);

impl Celebrities {
    /// The celebrities in this command table.
    pub fn new(commands: CommandTable, clock: Clock, policy: CelebrityPolicy) -> Self {
        let listed = Cache::new(1, 2 * policy.list_lifetime);
        Self { commands, clock, policy, listed }
    }

    /// Which authors become celebrities.
    pub fn policy(&self) -> &CelebrityPolicy {
        &self.policy
    }

    /// All celebrities. The list may be as old as [`CelebrityPolicy::list_lifetime`], or twice as old while it is being
    /// read again, or cannot be.
    ///
    /// # Errors
    /// As the store's, if what this process knows is too old.
    pub async fn list(&self) -> Result<Arc<CelebrityList>, Error> {
        let now = self.clock.now();
        let known = self.listed.get(&(), now, None);
        if let Some(known) = &known
            && now < known.value.until
        {
            return Ok(Arc::clone(&known.value.list));
        }
        if let Some(known) = &known {
            let list = Arc::clone(&known.value.list);
            self.listed.put((), Listed { list, until: now.after(READ_AGAIN_AFTER) }, known.at);
        }
        match (self.commands.celebrities().await, known) {
            (Ok(list), _) => {
                let list = Arc::new(list);
                let lifetime = self.policy.list_lifetime.mul_f64(rand::rng().random_range(0.75..1.0));
                self.listed.put((), Listed { list: Arc::clone(&list), until: now.after(lifetime) }, now);
                Ok(list)
            }
            (Err(error), Some(known)) => {
                tracing::warn!(%error, "the celebrities cannot be read, so the last list is used");
                Ok(known.value.list)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Whether there were any when this process read the list last, however long ago. False if it never did.
    pub(crate) fn were_any(&self) -> bool {
        self.listed.last(&()).is_some_and(|listed| !listed.list.is_empty())
    }

    /// Whether posts of this author are pushed to followers' homes.
    ///
    /// # Errors
    /// As the store's.
    pub async fn are_pushed(&self, author: &UserId) -> Result<bool, Error> {
        Ok(self.list().await?.pushes(author, self.clock.now(), &self.policy))
    }

    /// Whether new posts of this author are announced to readers.
    ///
    /// # Errors
    /// As the store's.
    pub async fn are_announced(&self, author: &UserId) -> Result<bool, Error> {
        Ok(self.list().await?.announces(author))
    }

    /// Makes the author a celebrity if that many followers are enough. This lasts until an administrator runs
    /// DemoteAuthor.
    ///
    /// # Errors
    /// As the store's.
    pub async fn promote_if_popular(&self, author: &UserId, followers: u64) -> Result<(), Error> {
        if followers < self.policy.followers_min {
            return Ok(());
        }
        if self.list().await?.len() >= CELEBRITIES_MAX {
            tracing::error!(
                %author,
                followers,
                "there are too many celebrities, so the author's posts are still pushed: raise CelebrityFollowers"
            );
            return Ok(());
        }
        // Whoever enumerates an audience may come after the author's account was erased.
        if self.commands.profile(author).await?.is_none() {
            return Ok(());
        }
        self.commands.promote(author, self.clock.now()).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;

    use crate::{
        samples::user,
        test_world::{Calls, Failure, LIST_LIFETIME, World},
    };

    const READ_LIST: Calls = Calls("Query", "\"CELEBRITIES\"");

    #[tokio::test(start_paused = true)]
    async fn one_of_many_reads_an_old_list_again_while_the_others_use_it() {
        let world = World::new();
        let celebrities = &world.tested.sweeper.auditor.celebrities;
        celebrities.list().await.unwrap();
        world.other.commands.promote(&user("ada"), world.other.clock.now()).await.unwrap();
        world.pass(LIST_LIFETIME);
        let reads = world.network.count(READ_LIST);
        world.network.slow_down(READ_LIST, Duration::from_millis(100));
        let lists = join_all((0..5).map(|_| celebrities.list())).await;
        let sizes: Vec<_> = lists.into_iter().map(|list| list.unwrap().len()).collect();
        assert_eq!(sizes, [1, 0, 0, 0, 0], "one waits for the new list");
        assert_eq!(world.network.count(READ_LIST), reads + 1);
        assert_eq!(celebrities.list().await.unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_cannot_be_read_again_is_used_for_twice_as_long() {
        let world = World::new();
        let celebrities = &world.tested.sweeper.auditor.celebrities;
        celebrities.list().await.unwrap();
        world.other.commands.promote(&user("ada"), world.other.clock.now()).await.unwrap();
        world.network.fail(READ_LIST, Failure::Throttled);

        world.pass(LIST_LIFETIME);
        assert_eq!(celebrities.list().await.unwrap().len(), 0);
        let reads = world.network.count(READ_LIST);
        celebrities.list().await.unwrap();
        assert_eq!(world.network.count(READ_LIST), reads, "it is not read again with every page");

        world.pass(LIST_LIFETIME);
        celebrities.list().await.unwrap_err();
        world.network.calm();
        assert_eq!(celebrities.list().await.unwrap().len(), 1);
    }
}
