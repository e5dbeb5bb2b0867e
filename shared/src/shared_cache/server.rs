//! What a server is asked. Each call is about one key, so a cluster can run it, and is one step for all other callers.

use std::{fmt, time::Duration};

use futures::future::BoxFuture;

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// What stands there.
    Get {
        /// The key.
        key: String,
    },
    /// Asks for the right to fill an entry in which this token stood, or none.
    Take {
        /// The key.
        key: String,
        /// The token of the lease.
        token: String,
        /// What stood in the place of the token.
        seen: Vec<u8>,
        /// Whether the first reader gets the lease, or the second one.
        at_once: bool,
        /// Whether what stands there is of no use. Otherwise others use it meanwhile.
        is_useless: bool,
    },
    /// Fills the entry, if this lease is still in force.
    Fill {
        /// The key.
        key: String,
        /// The token of the lease.
        token: String,
        /// The entry.
        entry: Vec<u8>,
        /// How long the entry lives.
        kept: Duration,
    },
    /// Replaces an entry by one that is not older, and ends leases.
    Replace {
        /// The key.
        key: String,
        /// The entry.
        entry: Vec<u8>,
        /// How long the entry lives.
        kept: Duration,
        /// How long it is remembered that this was written, if there is no entry.
        fence: Option<Duration>,
    },
    /// Deletes an entry of whatever version, and ends leases.
    Forget {
        /// The key.
        key: String,
        /// How long it is remembered that this was written.
        fence: Option<Duration>,
    },
    /// Deletes an entry, and refuses leases for as long as entries live.
    Block {
        /// The key.
        key: String,
    },
    /// Deletes whatever stands there. A full server does this, too.
    Delete {
        /// The key.
        key: String,
    },
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// What stands there.
    Content(Option<Vec<u8>>),
    /// The lease is granted.
    Granted {
        /// Whether the value was written so lately that an eventually consistent read may miss it.
        is_fresh_write: bool,
    },
    /// The call was answered, and that is all there is to say.
    Done,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

/// A server, or what stands for one.
pub trait Server: Send + Sync {
    /// Sends the calls at once, and replies to each in their order. An error of one call leaves the others alone.
    ///
    /// # Errors
    /// If the server cannot be reached.
    fn call(&self, calls: Vec<Call>) -> BoxFuture<'_, Result<Vec<Result<Reply, Failure>>, Failure>>;

    /// Makes the connection that calls need, if there is none.
    fn connect(&self) -> BoxFuture<'_, ()>;

    /// Begins again with a new connection.
    fn reset(&self);
}

impl Call {
    /// The key that the call is about.
    pub fn key(&self) -> &str {
        match self {
            Self::Get { key }
            | Self::Take { key, .. }
            | Self::Fill { key, .. }
            | Self::Replace { key, .. }
            | Self::Forget { key, .. }
            | Self::Block { key }
            | Self::Delete { key } => key,
        }
    }

    /// Whether a projection makes the call after it has written a table.
    pub fn is_write(&self) -> bool {
        matches!(self, Self::Replace { .. } | Self::Forget { .. } | Self::Block { .. } | Self::Delete { .. })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
