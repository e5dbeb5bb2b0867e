//! What muting and blocking have in common: the caller's own edge to another user begins or ends.

use crate::{
    error::Rejection,
    model::{Edge, EdgeKey, EdgeState, UserId, Version},
    store::{edges::Edges, transaction::Change},
};

/// An edge that the caller wants to begin or end.
pub(super) struct OwnEdge<'a> {
    /// Identifies the edge.
    pub(super) key: EdgeKey,
    /// What the caller wants.
    pub(super) wanted: EdgeState,
    /// Whether the other user exists.
    pub(super) exists: bool,
    /// The edges as they were read.
    pub(super) edges: &'a Edges,
}

/// Why such an edge is refused.
pub(super) struct Refusals {
    /// The edge would lead to the caller.
    pub(super) to_self: Rejection,
    /// The caller has the most edges of this kind that are allowed. None as long as there is room for one.
    pub(super) full: Option<Rejection>,
}

impl OwnEdge<'_> {
    /// The change of the edge, in the event of this version. None if the edge is as the caller wants it.
    pub(super) fn change(
        self,
        caller: &UserId,
        version: Version,
        refusals: Refusals,
    ) -> Result<Option<Change>, Rejection> {
        let Self { key, wanted, exists, edges } = self;
        if key.to == *caller {
            return Err(refusals.to_self);
        }
        let before = edges.get(&key);
        // The other user may have deleted the account. Then the end is still possible.
        let is_end = !wanted.is_active() && before.is_some();
        if !exists && !is_end {
            return Err(Rejection::UserNotFound);
        }
        if before.map_or(EdgeState::Ended, |edge| edge.state()) == wanted {
            return Ok(None);
        }
        match refusals.full.filter(|_| wanted.is_active()) {
            Some(full) => Err(full),
            None => {
                let replaces = before.map(|edge| edge.version);
                Ok(Some(Change::PutEdge { key, edge: Edge::new(wanted, version), replaces }))
            }
        }
    }
}
