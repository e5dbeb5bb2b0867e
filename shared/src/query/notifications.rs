//! Notifications: the groups of the viewer's inbox with their newest notices. Nothing is filtered where they are
//! written: whom the viewer mutes and blocks, who is suspended, what was taken down, and which kinds are turned off, is
//! applied here, to the list and to the number of unread groups alike.

use std::collections::{BTreeSet, HashMap};

use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::{
    feeds::Served,
    pipeline::{FeedPost, Filter, Hydrator, Page, PageDraft, ReadRequest, ViewerState},
};
use crate::{
    error::Error,
    model::{
        Clock, Group, Grouped, Notice, NotificationKind, Timestamp, UserId,
        limits::{NOTICES_COUNTED_MAX, NOTIFICATION_PEOPLE_MAX},
    },
    store::{
        cards::{Cards, UserCard},
        command_table::CommandTable,
        notification_settings::NotificationSettings,
        timelines::Timelines,
        viewers::Viewers,
    },
};

/// To know whether a group is shown at all, the cards of so many actors are read first, those who acted last. Only if
/// all of these are suspended or have deleted their accounts are the others read.
const ACTORS_FIRST: usize = 3;
/// Groups whose notices are read at once.
const GROUPS_AT_ONCE: usize = 32;

/// Notifications, and what the viewer says about them.
#[derive(Debug, Clone)]
pub struct Notifications {
    /// The truth: what the viewer says about notifications, and likes.
    pub commands: CommandTable,
    /// Inboxes and notices.
    pub timelines: Timelines,
    /// The projected state of the viewer.
    pub viewers: Viewers,
    /// The cards of posts and people.
    pub cards: Cards,
    /// The time.
    pub clock: Clock,
}

/// A group as the viewer sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The kind.
    pub kind: NotificationKind,
    /// The post that it is about, if it is about one.
    pub post: Option<FeedPost>,
    /// The number of its notices that the viewer sees, among the newest [`NOTICES_COUNTED_MAX`].
    pub count: usize,
    /// Who acted last: at most [`NOTIFICATION_PEOPLE_MAX`] people.
    pub people: Vec<UserCard>,
    /// When it last grew.
    pub at: Timestamp,
    /// Whether it has grown since the viewer looked.
    pub unread: bool,
    group: Group,
}

/// A page of notifications.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationsPage {
    /// The notifications, those that grew last first.
    pub page: Page<Notification, NotificationsPosition>,
    /// How many notifications are unread, on this page and elsewhere.
    pub unread: usize,
}

/// Where a walk goes on. In other tables, after a rebuild, a group can stand a moment deeper than where it was shown.
/// So the walk also knows which groups it has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationsPosition {
    #[serde(flatten)]
    behind: NotificationAt,
    #[serde(default, skip_serializing_if = "Served::is_empty")]
    served: Served,
}

/// A place in the list: behind the group that had grown at this moment. A group that grows meanwhile moves in front of
/// the first page, and is not shown again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct NotificationAt {
    at: Timestamp,
    group: Group,
}

/// What a reader knows before reading notices.
struct Opened<'a> {
    state: ViewerState<'a>,
    settings: NotificationSettings,
    /// The groups of kinds that are not turned off, newest first.
    groups: Vec<Grouped>,
}

impl Notifications {
    /// At most `limit` notifications behind `after`, and how many are unread.
    ///
    /// # Errors
    /// As [`ViewerState::read`] and the stores'.
    pub async fn list(
        &self,
        request: ReadRequest<'_>,
        after: Option<NotificationsPosition>,
        limit: usize,
    ) -> Result<NotificationsPage, Error> {
        let opened = self.open(request).await?;
        let is_left = |it: &Grouped| {
            let was_served = |after: &NotificationsPosition| after.served.contains_group(it.group);
            after.as_ref().is_none_or(|after| place(it) < after.behind && !was_served(after))
        };
        let mut groups = opened.groups.iter().copied().filter(is_left);
        let mut known = HashMap::new();
        let mut unread = 0;
        for notification in self.shown(&opened, &opened.unread(), NOTICES_COUNTED_MAX).await? {
            unread += 1;
            known.insert(notification.group, notification);
        }
        let read = async |count| {
            let next: Vec<_> = groups.by_ref().take(count).collect();
            let (seen, unseen): (Vec<_>, Vec<_>) = next.iter().copied().partition(|grouped| !opened.is_unread(grouped));
            let mut found: Vec<_> = unseen.iter().filter_map(|grouped| known.remove(&grouped.group)).collect();
            found.extend(self.shown(&opened, &seen, NOTICES_COUNTED_MAX).await?);
            found.sort_by_key(|notification| std::cmp::Reverse((notification.at, notification.group)));
            let end = next.last().filter(|_| next.len() == count).map(place);
            Ok(Page { entries: found, next: end })
        };
        let position = |it: &Notification| NotificationAt { at: it.at, group: it.group };
        let page = PageDraft::new(limit).fill(position, read).await?;
        let mut served = after.as_ref().map(|after| after.served.clone()).unwrap_or_default();
        page.entries.iter().for_each(|shown| served.insert_group(shown.group));
        let page = page.map_next(|behind| NotificationsPosition { behind, served });
        Ok(NotificationsPage { page, unread })
    }

    /// How many notifications are unread.
    ///
    /// # Errors
    /// As [`Notifications::list`].
    pub async fn unread(&self, request: ReadRequest<'_>) -> Result<usize, Error> {
        let opened = self.open(request).await?;
        Ok(self.shown(&opened, &opened.unread(), ACTORS_FIRST).await?.len())
    }

    /// The kinds that the viewer has turned off.
    ///
    /// # Errors
    /// As the store's.
    pub async fn turned_off(&self, request: ReadRequest<'_>) -> Result<BTreeSet<NotificationKind>, Error> {
        Ok(self.commands.notification_settings(request.viewer, request.consistency()).await?.off)
    }

    async fn open<'a>(&self, request: ReadRequest<'a>) -> Result<Opened<'a>, Error> {
        let (state, stored, settings) = tokio::try_join!(
            ViewerState::read(request, &self.viewers, &self.commands),
            self.timelines.inbox(request.viewer, request.consistency()),
            self.commands.notification_settings(request.viewer, request.consistency())
        )?;
        let groups = stored.inbox.groups(self.clock.now()).copied();
        let groups = groups.filter(|grouped| !settings.off.contains(&grouped.group.kind())).collect();
        Ok(Opened { state, settings, groups })
    }

    /// Those of the groups of which the viewer sees something, in the same order. Of each, at least so many actors are
    /// looked at: those who acted last. The count is exact if these are all.
    async fn shown(
        &self,
        opened: &Opened<'_>,
        groups: &[Grouped],
        actors_min: usize,
    ) -> Result<Vec<Notification>, Error> {
        let state = &opened.state;
        let posts: BTreeSet<_> = groups.iter().filter_map(|grouped| grouped.group.post()).collect();
        let posts: Vec<_> = posts.into_iter().collect();
        let hydrator = Hydrator { commands: &self.commands, cards: &self.cards, recent_cards: None };
        let notices = stream::iter(groups).map(|grouped| self.notices(state, grouped.group));
        let (notices, mut posts) =
            tokio::try_join!(notices.buffered(GROUPS_AT_ONCE).try_collect::<Vec<_>>(), hydrator.posts(state, &posts))?;
        let authors: BTreeSet<UserId> = posts.values().map(|post| post.card.author.clone()).collect();
        let blockers = state.blockers_among(&self.commands, &authors).await?;
        // Whoever mentions the viewer may do so below a post of somebody whom the viewer mutes.
        let looked_up = |author: &UserId| Filter::LookedUp.admits_author(state, author) && !blockers.contains(author);
        posts.retain(|_, post| looked_up(&post.card.author));
        let visible = |notices: Vec<Notice>| -> Vec<Notice> {
            notices.into_iter().filter(|notice| !state.viewer.hides(&notice.actor)).collect()
        };
        let seen: Vec<_> = groups.iter().zip(notices).map(|(grouped, notices)| (grouped, visible(notices))).collect();
        let cards = self.people(state, seen.iter().map(|(_, notices)| actors(notices)).collect(), actors_min).await?;
        let notification = |(grouped, notices): (&Grouped, Vec<Notice>)| {
            let post = match grouped.group.post() {
                Some(post) => Some(posts.get(&post)?.clone()),
                None => None,
            };
            let people = actors(&notices).into_iter().filter_map(|user| cards.get(user)).cloned();
            let people: Vec<_> = people.take(NOTIFICATION_PEOPLE_MAX).collect();
            if people.is_empty() {
                return None;
            }
            let count = notices.iter().filter(|notice| cards.contains_key(&notice.actor)).count();
            let Grouped { group, at, .. } = *grouped;
            let unread = opened.is_unread(grouped);
            Some(Notification { kind: group.kind(), post, count, people, at, unread, group })
        };
        Ok(seen.into_iter().filter_map(notification).collect())
    }

    /// The cards of the actors of each group: of at least so many of each, and of more where none of these is shown to
    /// the viewer. Suspended users, those who have deleted their accounts, and those who block the viewer have none.
    async fn people(
        &self,
        state: &ViewerState<'_>,
        groups: Vec<Vec<&UserId>>,
        actors_min: usize,
    ) -> Result<HashMap<UserId, UserCard>, Error> {
        let read = async |users: BTreeSet<&UserId>| {
            let users: Vec<_> = users.into_iter().cloned().collect();
            let (mut cards, blockers) = tokio::try_join!(
                self.cards.users(&users, state.consistency()),
                state.blockers_among(&self.commands, &users)
            )?;
            cards.retain(|user, card| card.is_shown_to(state.request.viewer) && !blockers.contains(user));
            Ok::<_, Error>(cards)
        };
        let mut cards =
            read(groups.iter().flat_map(|actors| actors.iter().take(actors_min)).copied().collect()).await?;
        let is_empty = |actors: &&Vec<&UserId>| !actors.iter().any(|user| cards.contains_key(*user));
        let others = groups.iter().filter(is_empty).flat_map(|actors| actors.iter().skip(actors_min));
        let others: BTreeSet<_> = others.copied().collect();
        if !others.is_empty() {
            cards.extend(read(others).await?);
        }
        Ok(cards)
    }

    /// The newest notices of a group that stand, and count for the viewer. Rows of likes are kept for longer than that.
    async fn notices(&self, state: &ViewerState<'_>, group: Group) -> Result<Vec<Notice>, Error> {
        let (viewer, limit) = (state.request.viewer, i32::try_from(NOTICES_COUNTED_MAX).unwrap_or(i32::MAX));
        let now = self.clock.now();
        let page = self.timelines.notices(viewer, group, None, limit, state.consistency()).await?;
        let stands =
            |notice: &Notice| notice.active && notice.counts_for(viewer, now) && !state.has_ended(group, notice);
        Ok(page.notices.into_iter().filter(stands).collect())
    }
}

impl Opened<'_> {
    fn is_unread(&self, grouped: &Grouped) -> bool {
        grouped.at > self.settings.seen
    }

    /// The groups that grew after the viewer looked.
    fn unread(&self) -> Vec<Grouped> {
        self.groups.iter().copied().filter(|grouped| self.is_unread(grouped)).collect()
    }
}

fn place(grouped: &Grouped) -> NotificationAt {
    NotificationAt { at: grouped.at, group: grouped.group }
}

/// Who acted, each once: those who acted last come first.
fn actors(notices: &[Notice]) -> Vec<&UserId> {
    let mut people = Vec::new();
    for notice in notices {
        if !people.contains(&&notice.actor) {
            people.push(&notice.actor);
        }
    }
    people
}
