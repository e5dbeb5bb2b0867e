//! Who is pulled, as both sides ask for it: projections, which then need not push, and home feeds. A process reads the
//! list from the truth now and then and takes it for true in between; [`crate::model::CelebrityPolicy`] is made for that.

use std::sync::Arc;

use crate::{
    cache::Cache,
    error::Error,
    model::{CelebrityList, CelebrityPolicy, Clock, UserId, limits::CELEBRITIES_MAX},
    store::command_table::CommandTable,
};

/// The celebrities of a deployment. Clones share what they have read.
#[derive(Debug, Clone)]
pub struct Celebrities {
    commands: CommandTable,
    clock: Clock,
    policy: CelebrityPolicy,
    listed: Cache<(), Arc<CelebrityList>>,
}

impl Celebrities {
    /// Those of this command table.
    pub fn new(commands: CommandTable, clock: Clock, policy: CelebrityPolicy) -> Self {
        let listed = Cache::new(1, policy.list_lifetime);
        Self { commands, clock, policy, listed }
    }

    /// By what authors become celebrities.
    pub fn policy(&self) -> &CelebrityPolicy {
        &self.policy
    }

    /// All of them, as of not long ago.
    pub async fn list(&self) -> Result<Arc<CelebrityList>, Error> {
        let now = self.clock.now();
        if let Some(listed) = self.listed.get(&(), now, None) {
            return Ok(listed.value);
        }
        let list = Arc::new(self.commands.celebrities().await?);
        self.listed.put((), Arc::clone(&list), now);
        Ok(list)
    }

    /// Whether posts of this author go into followers' homes.
    pub async fn are_pushed(&self, author: &UserId) -> Result<bool, Error> {
        Ok(self.list().await?.pushes(author, self.clock.now(), &self.policy))
    }

    /// Takes note that an author has so many followers: enough of them make a celebrity.
    pub async fn count(&self, author: &UserId, followers: u64) -> Result<(), Error> {
        if followers < self.policy.followers_min {
            return Ok(());
        }
        if self.list().await?.len() >= CELEBRITIES_MAX {
            tracing::error!(%author, followers, "too many celebrities: raise CelebrityFollowers; posts are still pushed");
            return Ok(());
        }
        self.commands.promote(author, self.clock.now()).await
    }
}
