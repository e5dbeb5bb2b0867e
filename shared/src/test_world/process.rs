//! A process: the parts that functions are made of, with short names for what tests do most.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::{
    audit::sweep::Sweeper,
    command::{
        self, BlockUser, Command, CommentOnPost, Committed, CreatePost, DeletePost, EditPost, FollowUser, UpdateProfile,
    },
    deadline::Deadline,
    error::Error,
    model::{
        Clock, CommentId, EdgeState, HomeRows, Maintained, ModelSet, PostId, ReadModelsState, RunStep, TallySubject,
        Text, UserEvent, Version, Viewer,
    },
    projection::{Projector, Projectors, catch_up::Progress, quarantine::redo, rebuild::Rebuilder},
    query::{Conversations, Feeds, Notifications, People, search::Search},
    runtime::Runtime,
    samples::{shown, user},
    store::{
        Consistency,
        cards::Cards,
        command_table::CommandTable,
        timelines::{Range, Row, Timeline, Timelines},
        viewers::Viewers,
    },
    stream::{quarantine::Quarantine, work_queue::Task},
};

/// The parts that functions are made of. Clones share their caches.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    now_ms: Arc<AtomicU64>,
    pub(crate) clock: Clock,
    pub(crate) commands: CommandTable,
    pub(crate) timelines: Timelines,
    pub(crate) viewers: Viewers,
    pub(crate) cards: Cards,
    pub(crate) projector: Projector,
    pub(crate) rebuilder: Rebuilder,
    pub(crate) quarantine: Quarantine,
    pub(crate) feeds: Feeds,
    pub(crate) sweeper: Sweeper,
    search: Search,
}

impl Process {
    pub(super) fn new(runtime: &Runtime, now_ms: Arc<AtomicU64>) -> Self {
        Self {
            now_ms,
            clock: runtime.clock.clone(),
            commands: runtime.commands().unwrap(),
            timelines: runtime.timelines().unwrap(),
            viewers: runtime.viewers().unwrap(),
            cards: runtime.cards().unwrap(),
            projector: only(&runtime.projectors().unwrap()),
            rebuilder: runtime.rebuilder().unwrap(),
            quarantine: runtime.quarantine().unwrap(),
            feeds: runtime.feeds().unwrap(),
            sweeper: runtime.sweeper().unwrap(),
            search: runtime.search().unwrap(),
        }
    }

    /// The queries about single posts.
    pub(crate) fn conversations(&self) -> Conversations {
        let Self { commands, viewers, cards, feeds, .. } = self.clone();
        Conversations { read_models: feeds.read_models, commands, viewers, cards }
    }

    /// The queries about notifications.
    pub(crate) fn notifications(&self) -> Notifications {
        let Self { commands, timelines, viewers, cards, clock, .. } = self.clone();
        Notifications { commands, timelines, viewers, cards, clock }
    }

    /// Searches.
    pub(crate) fn search(&self) -> Search {
        self.search.clone()
    }

    /// The queries about people.
    pub(crate) fn people(&self) -> People {
        let Self { commands, viewers, cards, feeds, .. } = self.clone();
        People { read_models: feeds.read_models, commands, viewers, cards }
    }

    /// Runs a command, a millisecond later than everything before.
    pub(crate) async fn run<C: Command>(&self, caller: &str, command: &C) -> Result<Committed<C::Output>, Error> {
        self.now_ms.fetch_add(1, Ordering::SeqCst);
        command::run(command, &user(caller), &self.commands, &self.clock).await
    }

    /// Runs a command that succeeds. Returns its version.
    pub(crate) async fn done(&self, caller: &str, command: &impl Command) -> Version {
        self.run(caller, command).await.unwrap().version
    }

    /// The users create profiles. Their handles are their ids.
    pub(crate) async fn join(&self, ids: &[&str]) {
        for id in ids {
            self.rename(id, id).await;
        }
    }

    /// The user takes another handle.
    pub(crate) async fn rename(&self, id: &str, handle: &str) -> Version {
        self.done(id, &UpdateProfile { profile: shown(handle), is_reserved: false }).await
    }

    /// The author writes a post.
    pub(crate) async fn post(&self, author: &str, text: &str) -> PostId {
        self.now_ms.fetch_add(1, Ordering::SeqCst);
        let post = PostId::new(self.clock.now());
        self.done(author, &CreatePost { post, text: self::text(text), key: None }).await;
        post
    }

    /// The author replaces the text of a post.
    pub(crate) async fn edit(&self, author: &str, post: PostId, text: &str) -> Version {
        self.done(author, &EditPost { post, text: self::text(text) }).await
    }

    /// The author deletes a post.
    pub(crate) async fn delete(&self, author: &str, post: PostId) -> Version {
        self.done(author, &DeletePost { post }).await
    }

    /// Very many write this counter at this moment, as far as the process can tell.
    pub(crate) fn meets_a_crowd(&self, counter: &TallySubject) {
        (0..4).for_each(|_| self.commands.busy.spread_more(counter, self.clock.now()));
    }

    /// The author comments on a post.
    pub(crate) async fn comment(&self, author: &str, post: PostId, text: &str) -> CommentId {
        self.now_ms.fetch_add(1, Ordering::SeqCst);
        let comment = CommentId::new(self.clock.now());
        let text = text.to_owned().try_into().unwrap();
        self.done(author, &CommentOnPost { post, comment, text, key: None }).await;
        comment
    }

    /// The follower follows the followee.
    pub(crate) async fn follow(&self, follower: &str, followee: &str) -> Version {
        self.done(follower, &FollowUser { followee: user(followee), wanted: EdgeState::Active }).await
    }

    /// The follower unfollows the followee.
    pub(crate) async fn unfollow(&self, follower: &str, followee: &str) -> Version {
        self.done(follower, &FollowUser { followee: user(followee), wanted: EdgeState::Ended }).await
    }

    /// The user blocks another one.
    pub(crate) async fn block(&self, id: &str, blocked: &str) -> Version {
        self.done(id, &BlockUser { blocked: user(blocked), wanted: EdgeState::Active }).await
    }

    /// Applies the logs of these users to their ends.
    pub(crate) async fn catch_up(&self, ids: &[&str]) {
        for id in ids {
            let progress = self.projector.catch_up.user(&user(id), None, Deadline::none()).await.unwrap();
            assert!(matches!(progress, Progress::UpToDate), "{progress:?}");
        }
    }

    /// Works on a task that repairs something, or follows from one that does.
    pub(crate) async fn repair(&self, task: Task) -> Result<(), Error> {
        let Projector { catch_up, walks, blocked_follows, repair, .. } = &self.projector;
        match task {
            Task::Walk(walk) => walks.advance(walk, RunStep::first()).await,
            Task::EndFollow { follower, followee } => blocked_follows.end(&follower, &followee).await,
            Task::CatchUp { user } => catch_up.user(&user, None, Deadline::none()).await.map(drop),
            Task::Redo { user, version, .. } => redo(catch_up, &user, version).await,
            Task::Reapply { user, after } => repair.reapply_step(&user, after).await,
            Task::SettleUser { user } => repair.settle_user(&user).await,
            Task::SettlePost { post } => repair.settle_post(post).await,
            Task::SettleTally { subject, shards } => repair.settle_tally(&subject, &shards).await,
            Task::SettleLikes { post, users } => repair.settle_likes(post, &users).await,
            Task::MergeTrending { asked_at } => self.projector.merge_trending(asked_at).await,
            Task::ShowFollows { followee, followers } => {
                self.projector.notices.show_follows(&followee, &followers).await
            }
            Task::ShowComments { post, comments } => self.projector.notices.show_comments(post, &comments).await,
            Task::Notify { user, group } => self.projector.notices.settle(&user, group).await,
            Task::CheckRow { timeline, post, author } => repair.check_row(&timeline, &Row { post, author }).await,
            Task::Recount(recount) => self.projector.notices.statistics.recount(&recount).await,
            Task::Index(unsettled) => self.projector.indexer.settle(unsettled).await,
            Task::Republish { .. } | Task::Rebuild(_) => panic!("{task:?} is no repair"),
        }
    }

    /// The user's viewer item.
    pub(crate) async fn viewer(&self, id: &str) -> Viewer {
        self.viewers.get(&user(id), Consistency::Strong).await.unwrap().viewer
    }

    /// The user's log.
    pub(crate) async fn log(&self, id: &str) -> Vec<UserEvent> {
        let entries = self.commands.log_after(&user(id), Version::ZERO, 1000).await.unwrap();
        entries.into_iter().map(|entry| entry.event.unwrap().event).collect()
    }

    /// The posts in the viewer's home timeline, newest first, whether the viewer may see them or not.
    pub(crate) async fn home(&self, viewer: &str) -> Vec<PostId> {
        self.rows(&Timeline::Home(user(viewer))).await.into_iter().map(|row| row.post).collect()
    }

    /// The rows of a timeline, newest first.
    pub(crate) async fn rows(&self, timeline: &Timeline) -> Vec<Row> {
        let range = Range { before: None, since: crate::model::Timestamp::from_ms(0) };
        self.timelines.newest(timeline, range, 1000, Consistency::Strong).await.unwrap().rows
    }
}

/// The projector of a deployment that was never rebuilt.
fn only(projectors: &Projectors) -> Projector {
    let first = Maintained { set: ModelSet::default(), homes: HomeRows::Now };
    projectors.projector(first, &ReadModelsState::default())
}

fn text(text: &str) -> Text {
    Text::try_from(text.to_owned()).unwrap()
}
