//! Deleted accounts: everything of them is on its way out, so what looks wrong is not. Wrong is an erasure that should
//! have ended long ago, and a follow of an account that is no more.

use super::{
    check::{Auditor, GRACE},
    findings::{Finding, Kind},
};
use crate::{
    error::Error,
    model::{Timestamp, UserId, Version},
    stream::work_queue::Task,
};

impl Auditor {
    /// What is left of an account that was deleted at this moment, by the event of this version. The event stays.
    pub(super) async fn erasure(&self, user: &UserId, end: Version, at: Timestamp) -> Result<Vec<Finding>, Error> {
        if !self.should_have_ended(at) {
            return Ok(Vec::new());
        }
        let is_left = !self.commands.remains_of(user, end, 1).await?.is_empty()
            || self.timelines.has_notices(user).await?
            || self.timelines.has_facts(user).await?;
        Ok(if is_left { vec![lost(user, end)] } else { Vec::new() })
    }

    /// What was found about something of this user, unless the account is deleted: its erasure is another finding.
    pub(super) async fn unless_deleted(&self, owner: &UserId, found: Vec<Finding>) -> Result<Vec<Finding>, Error> {
        let is_deleted = !found.is_empty() && self.commands.head(owner).await?.standing.is_deleted();
        Ok(if is_deleted { Vec::new() } else { found })
    }

    /// What is wrong with a user who has no profile.
    pub(super) async fn nobody(&self, user: &UserId) -> Result<Vec<Finding>, Error> {
        match self.deletion(user).await? {
            Some((end, at)) => self.erasure(user, end, at).await,
            None => Ok(vec![Finding { kind: Kind::StrayItem, repair: None }]),
        }
    }

    /// What is wrong with the viewer item of a user who has no profile.
    pub(super) async fn viewer_item_of_nobody(&self, user: &UserId) -> Result<Vec<Finding>, Error> {
        Ok(match self.deletion(user).await? {
            Some((end, at)) if self.should_have_ended(at) => vec![lost(user, end)],
            Some(_) => Vec::new(),
            None => vec![Finding { kind: Kind::StrayItem, repair: None }],
        })
    }

    /// What is wrong with the card of a user who has no profile.
    pub(super) async fn card_of_nobody(&self, user: &UserId) -> Result<Vec<Finding>, Error> {
        Ok(match self.deletion(user).await? {
            Some((_, at)) if !self.should_have_ended(at) => Vec::new(),
            _ => vec![Finding::new(Kind::StrayItem, Task::SettleUser { user: user.clone() })],
        })
    }

    /// Whether the account is deleted, and its erasure may be under way.
    pub(super) async fn is_being_erased(&self, user: &UserId) -> Result<bool, Error> {
        if self.commands.profile(user).await?.is_some() {
            return Ok(false);
        }
        Ok(self.deletion(user).await?.is_some_and(|(_, at)| !self.should_have_ended(at)))
    }

    /// Whether nobody should follow this user any more, because the account was deleted long ago.
    pub(super) async fn is_gone(&self, user: &UserId) -> Result<bool, Error> {
        if self.commands.profile(user).await?.is_some() {
            return Ok(false);
        }
        Ok(self.deletion(user).await?.is_some_and(|(_, at)| self.should_have_ended(at)))
    }

    /// Whether nothing should be left of a user who has no profile.
    pub(super) async fn is_erased(&self, user: &UserId) -> Result<bool, Error> {
        Ok(self.deletion(user).await?.is_none_or(|(_, at)| self.should_have_ended(at)))
    }

    /// The version of the event by which the account was deleted, and when that was.
    async fn deletion(&self, user: &UserId) -> Result<Option<(Version, Timestamp)>, Error> {
        let head = self.commands.head(user).await?;
        if !head.standing.is_deleted() {
            return Ok(None);
        }
        Ok(self.commands.event(user, head.version).await?.map(|end| (head.version, end.at)))
    }

    /// Whether the erasure of an account that was deleted at this moment should have ended.
    fn should_have_ended(&self, deleted_at: Timestamp) -> bool {
        self.clock.now().since(deleted_at) >= self.erasure_delay + GRACE
    }
}

/// An erasure that may be lost.
fn lost(user: &UserId, end: Version) -> Finding {
    let error = "the audit found that the erasure has not ended".to_owned();
    Finding::new(Kind::LostWalk, Task::Redo { user: user.clone(), version: end, error })
}
