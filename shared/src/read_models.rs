//! Which tables the read models are in. Readers ask at the beginning of each invocation which tables are active.
//! Projections ask which sets of tables they keep current. A process reads the state from the truth and uses it for a
//! while; [`SwitchPolicy`] allows for states of that age.

use std::{sync::Arc, time::Duration};

use futures::join;

use crate::{
    cache::Cache,
    error::Error,
    model::{Clock, Maintained, ModelSet, ReadModelsState, SwitchPolicy},
    store::{ActiveTables, Consistency, command_table::CommandTable},
};

/// The read models of a deployment. Clones share the state that was read.
#[derive(Debug, Clone)]
pub struct ReadModels {
    commands: CommandTable,
    clock: Clock,
    policy: SwitchPolicy,
    known: Cache<(), Arc<ReadModelsState>>,
    active: ActiveTables,
}

impl ReadModels {
    /// The state in this command table, which a process uses for `lifetime`. Stores that read the active tables share
    /// `active`.
    pub fn new(commands: CommandTable, clock: Clock, lifetime: Duration, active: ActiveTables) -> Self {
        // If the state cannot be read again, it is used for twice as long.
        let known = Cache::new(1, 2 * lifetime);
        Self { commands, clock, policy: SwitchPolicy { lifetime }, known, active }
    }

    /// How long it takes until every process knows of a change.
    pub fn policy(&self) -> &SwitchPolicy {
        &self.policy
    }

    /// Reads something from the tables that are active: all of it from the same ones. If it is time to ask which ones
    /// these are, that is done meanwhile, so nobody waits for it. If they are others than this process knew, `read`
    /// begins again.
    ///
    /// # Errors
    /// Those of `read`, and the store's if what this process knows is too old and cannot be read again.
    pub async fn reading<T>(&self, read: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
        let now = self.clock.now();
        let known = self.known.get(&(), now, None);
        if let Some(known) = &known {
            self.active.set(known.value.active);
            if now.since(known.at) < self.policy.lifetime {
                return read().await;
            }
        }
        let guess = self.active.get();
        let (done, state) = join!(read(), self.reread());
        match (state, known) {
            (Ok(state), _) if state.active == guess => done,
            (Ok(state), _) => {
                self.active.set(state.active);
                read().await
            }
            (Err(error), Some(_)) => {
                tracing::warn!(%error, "the state of the read models cannot be read, so the last one is used");
                done
            }
            (Err(error), None) => Err(error),
        }
    }

    /// From now on, reads of this process are from the tables that are active.
    ///
    /// # Errors
    /// As [`ReadModels::state`].
    pub async fn use_active(&self) -> Result<(), Error> {
        self.active.set(self.state().await?.active);
        Ok(())
    }

    /// The state. It may be as old as [`SwitchPolicy::lifetime`], or twice as old if it cannot be read.
    ///
    /// # Errors
    /// As the store's, if what this process knows is too old.
    pub async fn state(&self) -> Result<Arc<ReadModelsState>, Error> {
        let now = self.clock.now();
        let known = self.known.get(&(), now, None);
        if let Some(known) = &known
            && now.since(known.at) < self.policy.lifetime
        {
            return Ok(Arc::clone(&known.value));
        }
        match (self.reread().await, known) {
            (Err(error), Some(known)) => {
                tracing::warn!(%error, "the state of the read models cannot be read, so the last one is used");
                Ok(known.value)
            }
            (read, _) => read,
        }
    }

    /// The sets of tables that projections keep current at this moment. The active one comes first.
    ///
    /// # Errors
    /// As [`ReadModels::state`].
    pub async fn maintained(&self) -> Result<Vec<Maintained>, Error> {
        Ok(self.state().await?.maintained(self.clock.now(), &self.policy))
    }

    /// The set of tables with this name, if it is kept current. A worker has met it in a task, so the state is read
    /// again if this process does not know the set.
    ///
    /// # Errors
    /// As the store's.
    pub async fn known(&self, set: ModelSet) -> Result<Option<Maintained>, Error> {
        let now = self.clock.now();
        match self.state().await?.known(set, now, &self.policy) {
            Some(known) => Ok(Some(known)),
            None => Ok(self.reread().await?.known(set, now, &self.policy)),
        }
    }

    async fn reread(&self) -> Result<Arc<ReadModelsState>, Error> {
        let now = self.clock.now();
        let state = Arc::new(self.commands.read_models(Consistency::Eventual).await?);
        self.known.put((), Arc::clone(&state), now);
        Ok(state)
    }
}
