//! Looks at notices and inboxes: whether what others did is shown to those whom it concerns.

use super::{
    check::{Auditor, LEAVING},
    findings::{Finding, Kind},
};
use crate::{
    error::Error,
    model::{Comment, Group, LikeChange, Notice, Timestamp, UserId, limits::NOTIFICATIONS_KEPT},
    projection::notices::{Addressed, of_comment, of_like},
    store::Consistency,
    stream::work_queue::Task,
};

impl Auditor {
    /// What is wrong with what follows from a like.
    pub(super) async fn like(&self, like: &LikeChange) -> Result<Vec<Finding>, Error> {
        // The likes of a deleted post are not shown.
        let is_wrong = self.are_wrong(&[of_like(like)]).await?
            && self.commands.post(like.post).await?.is_some_and(|post| !post.is_deleted());
        let repair = || Task::SettleLikes { post: like.post, users: vec![like.user.clone()] };
        Ok(if is_wrong { vec![Finding::new(Kind::WrongNotice, repair())] } else { Vec::new() })
    }

    /// What is wrong with what follows from a comment.
    pub(super) async fn comment(&self, comment: &Comment) -> Result<Vec<Finding>, Error> {
        // A comment on a deleted post is about to be removed.
        let Some(post) = self.commands.post(comment.post).await?.filter(|post| !post.is_deleted()) else {
            return Ok(Vec::new());
        };
        let (user, version) = (comment.author.clone(), comment.event_version);
        let redo = || Task::Redo { user, version, error: "found by the audit".to_owned() };
        Ok(match self.are_wrong(&of_comment(&post, comment)).await? {
            true => vec![Finding::new(Kind::WrongNotice, redo())],
            false => Vec::new(),
        })
    }

    /// Whether one of the notices is missing or does not say what it should, or is not listed in the inbox.
    pub(super) async fn are_wrong(&self, notices: &[Addressed]) -> Result<bool, Error> {
        let now = self.clock.now();
        for Addressed { recipient, group, notice } in notices {
            let is_old = notice.at.after(NOTIFICATIONS_KEPT.saturating_sub(LEAVING)) <= now;
            let is_like = matches!(group, Group::Like(_));
            if !is_like && (is_old || notice.actor == *recipient) {
                continue;
            }
            let is_wrong = match self.timelines.as_shown(recipient, *group, notice).await? {
                Some(shown) if shown.version > notice.version => false,
                Some(shown) if shown == *notice => {
                    let is_listed = notice.active && !is_old && notice.actor != *recipient;
                    is_listed && self.lacks(recipient, *group, notice.at).await?
                }
                // What began and ended before there were notices needs none.
                None => notice.active,
                Some(_) => true,
            };
            let is_wrong = is_wrong || self.lacks_mark(recipient, *group, notice).await?;
            // A deleted account has neither notices nor an inbox.
            if is_wrong && self.commands.profile(recipient).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether this notice cannot be found, because no mark says that some of its group stand in its partition, too.
    async fn lacks_mark(&self, recipient: &UserId, group: Group, notice: &Notice) -> Result<bool, Error> {
        Ok(!notice.shard.is_first() && !self.timelines.is_group_marked(recipient, group, Consistency::Eventual).await?)
    }

    /// Whether the group is missing in the inbox.
    async fn lacks(&self, recipient: &UserId, group: Group, at: Timestamp) -> Result<bool, Error> {
        Ok(self.timelines.inbox(recipient, Consistency::Eventual).await?.inbox.lacks(group, at))
    }
}
