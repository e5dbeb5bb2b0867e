//! The search index: the lists in which a post or a user stands, written from what the truth says now. It is off unless
//! `SearchDays` says how far back searches go.
//!
//! Nothing waits for the index. What cannot be written at once, because the partition of a word is busy, is left to a
//! task, so a feed is never late because of a search.

use std::time::Duration;

use crate::{
    error::Error,
    model::{
        Clock, Post, PostId, Profile, TallySubject, UserId,
        search::{NamePlace, is_kept, post_lists, user_lists},
    },
    store::{
        Consistency,
        cards::Cards,
        command_table::CommandTable,
        search::{Entry, IndexRow, Rewrite, SearchIndex, Unsettled},
        timelines::CONFLICTS,
    },
    stream::work_queue::{LEFT_AFTER, Task, WorkQueue},
};

/// Keeps the search index of a set of tables.
#[derive(Debug, Clone)]
pub struct Indexer {
    pub(super) commands: CommandTable,
    pub(super) index: SearchIndex,
    /// The cards that are read, which count the followers.
    pub(super) cards: Cards,
    pub(super) work_queue: WorkQueue,
    pub(super) clock: Clock,
    /// How far back searches go. None if there are none.
    pub(super) kept: Option<Duration>,
}

/// The entry that a post has to have at this moment. None if it is not to be found: it is deleted or too old.
pub(crate) fn entry_of_post(post: &Post, kept: Duration, clock: &Clock) -> Option<Entry> {
    let now = clock.now();
    let is_found = !post.is_deleted() && is_kept(post.post, kept, now);
    let expires_at = post.post.created_at().after(kept);
    is_found.then(|| Entry::of_post(post.post, post.version, post_lists(post, kept, now), expires_at))
}

/// The entry that a user has to have, as the card counts the followers.
pub(crate) async fn entry_of_user(profile: &Profile, cards: &Cards) -> Result<Entry, Error> {
    let place = place_of(&profile.user, cards).await?;
    Ok(Entry::of_user(&place, profile.version.get(), user_lists(&profile.public)))
}

async fn place_of(user: &UserId, cards: &Cards) -> Result<NamePlace, Error> {
    let followers = cards.tally(&TallySubject::User(user.clone())).await?.tally.counts().followers;
    Ok(NamePlace::new(user.clone(), u64::try_from(followers).unwrap_or_default()))
}

impl Indexer {
    /// Indexes a post as it was just read from the truth, or removes it from the index. If that fails, it is left to a
    /// task.
    ///
    /// # Errors
    /// As the queue's.
    pub(super) async fn show_post(&self, post: &Post) -> Result<(), Error> {
        let Some(kept) = self.kept else { return Ok(()) };
        let done = self.put_post(post.post, Some(post.clone()), kept, Rewrite::Changed).await;
        self.or_later(TallySubject::Post(post.post), done).await
    }

    /// Indexes a user, likewise.
    ///
    /// # Errors
    /// As the queue's.
    pub(super) async fn show_user(&self, user: &UserId) -> Result<(), Error> {
        if self.kept.is_none() {
            return Ok(());
        }
        let done = self.put_user(user, Rewrite::Changed).await;
        self.or_later(TallySubject::User(user.clone()), done).await
    }

    /// If the user's followers are counted anew, and the user belongs to another place by now, lets a worker see to it.
    ///
    /// # Errors
    /// As the stores' and the queue's.
    pub(super) async fn check_place(&self, subject: &TallySubject) -> Result<(), Error> {
        let (Some(_), TallySubject::User(user)) = (self.kept, subject) else { return Ok(()) };
        let (stored, place) =
            tokio::try_join!(self.index.entry(subject, Consistency::Strong), place_of(user, &self.cards))?;
        // Whoever makes the entry looks at the counter afterwards.
        match stored.name_place() {
            Some(before) if before != place => self.work_queue.send(vec![index(subject)]).await,
            _ => Ok(()),
        }
    }

    /// Sets the entry of a post or user, and all of its rows, to what the truth says. Deletes the row that was given,
    /// unless it belongs there. While searches are off, everything is removed.
    ///
    /// # Errors
    /// As the stores'.
    pub async fn settle(&self, Unsettled { subject, row }: Unsettled) -> Result<(), Error> {
        let subject = &subject;
        let Some(kept) = self.kept else {
            self.index.remove(subject).await?;
            return self.remove_unless_expected(row, None).await;
        };
        let expected = match subject {
            TallySubject::Post(post) => {
                self.put_post(*post, None, kept, Rewrite::All).await?;
                let post = self.commands.post(*post).await?;
                post.and_then(|post| entry_of_post(&post, kept, &self.clock))
            }
            TallySubject::User(user) => {
                self.put_user(user, Rewrite::All).await?;
                match self.commands.profile(user).await? {
                    Some(profile) => Some(entry_of_user(&profile, &self.cards).await?),
                    None => None,
                }
            }
        };
        self.remove_unless_expected(row, expected).await
    }

    async fn remove_unless_expected(&self, row: Option<IndexRow>, expected: Option<Entry>) -> Result<(), Error> {
        match row {
            Some(row) if !expected.as_ref().is_some_and(|entry| entry.rows().contains(&row)) => {
                self.index.remove_row(&self.commands, &row, expected.as_ref()).await
            }
            _ => Ok(()),
        }
    }

    /// `known` is the post as it was read from the truth a moment ago. The entry is read after it. So a worker that
    /// wrote for an older version has ended by then, and is seen.
    async fn put_post(
        &self,
        post: PostId,
        mut known: Option<Post>,
        kept: Duration,
        rewrite: Rewrite,
    ) -> Result<(), Error> {
        let subject = TallySubject::Post(post);
        let mut retries = CONFLICTS.start();
        loop {
            let truth = match known.take() {
                Some(known) => Some(known),
                None => self.commands.post(post).await?,
            };
            let Some(entry) = truth.and_then(|post| entry_of_post(&post, kept, &self.clock)) else {
                return self.index.remove(&subject).await;
            };
            let before = self.index.entry(&subject, Consistency::Strong).await?;
            match self.index.put(&self.commands, &entry, &before, rewrite).await {
                Err(Error::Conflict) if retries.wait().await => {}
                done => return done,
            }
        }
    }

    /// The counter is read after the entry, and again at the end. So whoever wrote last knew the newest count.
    async fn put_user(&self, user: &UserId, rewrite: Rewrite) -> Result<(), Error> {
        let subject = TallySubject::User(user.clone());
        let mut retries = CONFLICTS.start();
        loop {
            let Some(profile) = self.commands.profile(user).await? else { return self.index.remove(&subject).await };
            let before = self.index.entry(&subject, Consistency::Strong).await?;
            let entry = entry_of_user(&profile, &self.cards).await?;
            match self.index.put(&self.commands, &entry, &before, rewrite).await {
                Ok(()) if entry_of_user(&profile, &self.cards).await? == entry => return Ok(()),
                Ok(()) | Err(Error::Conflict) if retries.wait().await => {}
                Ok(()) => return Err(Error::Conflict),
                Err(error) => return Err(error),
            }
        }
    }

    async fn or_later(&self, subject: TallySubject, done: Result<(), Error>) -> Result<(), Error> {
        let Err(error) = done else { return Ok(()) };
        tracing::warn!(?subject, %error, "something could not be indexed at once, and is left to a task");
        self.work_queue.send_after(LEFT_AFTER, vec![index(&subject)]).await
    }
}

/// The task that indexes a post or user.
fn index(subject: &TallySubject) -> Task {
    Task::Index(Unsettled { subject: subject.clone(), row: None })
}

#[cfg(test)]
mod tests;
