//! The authors whose posts are pulled. Projections ask whether to push a post, home feeds ask whom to pull. A process
//! reads the list of celebrities from the truth and uses it for a while; [`CelebrityPolicy`] allows for lists of that
//! age.

use std::sync::Arc;

use crate::{
    cache::Cache,
    error::Error,
    model::{CelebrityList, CelebrityPolicy, Clock, UserId, limits::CELEBRITIES_MAX},
    store::command_table::CommandTable,
};

/// The celebrities of a deployment. Clones share the list that was read.
#[derive(Debug, Clone)]
pub struct Celebrities {
    commands: CommandTable,
    clock: Clock,
    policy: CelebrityPolicy,
    listed: Cache<(), Arc<CelebrityList>>,
}

impl Celebrities {
    /// The celebrities in this command table.
    pub fn new(commands: CommandTable, clock: Clock, policy: CelebrityPolicy) -> Self {
        let listed = Cache::new(1, policy.list_lifetime);
        Self { commands, clock, policy, listed }
    }

    /// Which authors become celebrities.
    pub fn policy(&self) -> &CelebrityPolicy {
        &self.policy
    }

    /// All celebrities. The list may be as old as [`CelebrityPolicy::list_lifetime`].
    ///
    /// # Errors
    /// As the store's.
    pub async fn list(&self) -> Result<Arc<CelebrityList>, Error> {
        let now = self.clock.now();
        if let Some(listed) = self.listed.get(&(), now, None) {
            return Ok(listed.value);
        }
        let list = Arc::new(self.commands.celebrities().await?);
        self.listed.put((), Arc::clone(&list), now);
        Ok(list)
    }

    /// Whether there were any when this process read the list last, however long ago. False if it never did.
    pub(crate) fn were_any(&self) -> bool {
        self.listed.last(&()).is_some_and(|list| !list.is_empty())
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
        self.commands.promote(author, self.clock.now()).await
    }
}
