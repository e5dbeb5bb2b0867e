//! Looks at the search index: whether posts and users stand where they are searched for, and nowhere else.

use std::collections::{BTreeSet, HashMap};

use super::{
    check::{Auditor, GRACE, LEAVING},
    findings::{Finding, Kind},
};
use crate::{
    error::Error,
    model::{Post, PostId, Profile, TallySubject, UserId, search::is_kept},
    projection::indexer::{entry_of_post, entry_of_user},
    store::{
        Consistency,
        search::{Entry, IndexRow, Indexed, Unsettled},
    },
    stream::work_queue::Task,
};

impl Auditor {
    /// What is wrong with the entry of a post, which is not deleted and has not changed for a while.
    pub(super) async fn post_in_index(&self, post: &Post) -> Result<Vec<Finding>, Error> {
        let Some(kept) = self.search_kept else { return Ok(Vec::new()) };
        if !is_kept(post.post, kept.saturating_sub(LEAVING), self.clock.now()) {
            return Ok(Vec::new());
        }
        match entry_of_post(post, kept, &self.clock) {
            Some(entry) => self.in_index(&entry).await,
            None => Ok(Vec::new()),
        }
    }

    /// What is wrong with the entry of a user, whose log is applied.
    pub(super) async fn user_in_index(&self, profile: &Profile) -> Result<Vec<Finding>, Error> {
        match self.search_kept {
            Some(_) => self.in_index(&entry_of_user(profile, &self.cards).await?).await,
            None => Ok(Vec::new()),
        }
    }

    async fn in_index(&self, entry: &Entry) -> Result<Vec<Finding>, Error> {
        let rows = entry.rows();
        let stored = self.search.entry(&entry.subject, Consistency::Eventual);
        let (stored, found) = tokio::try_join!(stored, self.search.which(&rows))?;
        let is_right = entry.is(&stored) && found.len() == rows.len();
        Ok(if is_right { Vec::new() } else { vec![unsettled(Kind::MissingRow, entry.subject.clone(), None)] })
    }

    /// What is wrong with items of the index. While searches are off, there should be none.
    ///
    /// # Errors
    /// As the stores'.
    pub async fn index_items(&self, items: &[Indexed]) -> Result<Vec<Finding>, Error> {
        let (mut posts, mut users) = (BTreeSet::new(), BTreeSet::new());
        for item in items {
            let (Indexed::Row(subject, _) | Indexed::Entry(subject)) = item;
            match subject {
                TallySubject::Post(post) => drop(posts.insert(*post)),
                TallySubject::User(user) => drop(users.insert(user.clone())),
            }
        }
        let (posts, users): (Vec<_>, Vec<_>) = (posts.into_iter().collect(), users.into_iter().collect());
        let (posts, users) = tokio::try_join!(self.commands.posts(&posts), self.commands.profiles(&users))?;
        let posts: HashMap<_, _> = posts.into_iter().map(|post| (post.post, post)).collect();
        let users: HashMap<_, _> = users.into_iter().map(|profile| (profile.user.clone(), profile)).collect();
        let mut findings = Vec::new();
        for item in items {
            let (subject, row) = match item {
                Indexed::Row(subject, row) => (subject, Some(row)),
                Indexed::Entry(subject) => (subject, None),
            };
            let is_stray = match subject {
                TallySubject::Post(post) => self.is_stray_of_post(*post, posts.get(post), row),
                TallySubject::User(user) => self.is_stray_of_user(user, users.get(user), row).await?,
            };
            if is_stray {
                findings.push(unsettled(Kind::StrayRow, subject.clone(), row.cloned()));
            }
        }
        Ok(findings)
    }

    fn is_stray_of_post(&self, post: PostId, truth: Option<&Post>, row: Option<&IndexRow>) -> bool {
        let Some(kept) = self.search_kept else { return true };
        let now = self.clock.now();
        let Some(truth) = truth else { return true };
        let changed_at = [Some(post.created_at()), truth.edited_at, truth.deleted_at].into_iter().flatten().max();
        if changed_at.is_some_and(|at| now.since(at) < GRACE) {
            return false;
        }
        match entry_of_post(truth, kept, &self.clock) {
            Some(entry) => row.is_some_and(|row| !entry.rows().contains(row)),
            // What is only old expires.
            None => truth.is_deleted(),
        }
    }

    async fn is_stray_of_user(
        &self,
        user: &UserId,
        truth: Option<&Profile>,
        row: Option<&IndexRow>,
    ) -> Result<bool, Error> {
        if self.search_kept.is_none() {
            return Ok(true);
        }
        match (truth, row) {
            (Some(profile), Some(row)) => Ok(!entry_of_user(profile, &self.cards).await?.rows().contains(row)),
            (Some(_), None) => Ok(false),
            (None, _) => self.is_erased(user).await,
        }
    }
}

fn unsettled(kind: Kind, subject: TallySubject, row: Option<IndexRow>) -> Finding {
    Finding::new(kind, Task::Index(Unsettled { subject, row }))
}
