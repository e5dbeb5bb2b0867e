//! Random commands of one user: chosen, sent until they are answered, and entered into the ledger.

use std::{cell::RefCell, rc::Rc, time::Duration};

use harness::{
    client::{ApiError, Post, ProfileInput, User},
    model::{Remark, Said, Window},
};
use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, IteratorRandom},
};

use crate::{
    checks::Check,
    command::{Again, Command, Doubt},
    determinism,
    faults::CLOCK_SKEW_MS_MAX,
    ledger::Ledger,
    reasons,
    trace::{Detail, Trace},
};

/// Longest that a user tries again.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Longest that a user waits before trying again.
const WAIT_MS_MAX: u64 = 60_000;
/// Texts have these tags.
pub(crate) const TAGS: [&str; 4] = ["rust", "café", "日本語", "loud"];
/// Characters of an id by which a user is told from others.
const NAME_LENGTH: usize = 5;
/// Handles that all users compete for.
const HANDLES: [&str; 8] = ["ada", "grace", "alan", "edsger", "barbara", "donald", "frances", "tony"];

/// A user who acts.
pub(crate) struct Actor {
    /// The user.
    pub(crate) user: User,
    /// Everybody's ids.
    pub(crate) everybody: Rc<Vec<String>>,
    /// What is known.
    pub(crate) ledger: Rc<RefCell<Ledger>>,
    /// What happened.
    pub(crate) trace: std::sync::Arc<Trace>,
    /// The source of all that the user does.
    pub(crate) random: StdRng,
    /// Numbers idempotency keys and texts.
    pub(crate) sent: u32,
    /// Whether this is a second device of the user's, which only posts and comments: what it sends meets the commands
    /// of the first one.
    pub(crate) is_second: bool,
}

/// What a command came to.
enum Outcome {
    /// It was accepted, with what it made and the version.
    Accepted(Made, u64),
    /// It was refused with this code.
    Refused(String),
    /// It was refused with this code, but an attempt before was not answered.
    Doubtful(String),
    /// It was not answered, and cannot be sent again.
    Unanswered,
}

impl Outcome {
    /// What the caller was told, in short.
    fn told(&self) -> &str {
        match self {
            Self::Accepted(Made::Post(post), _) => &post.id,
            Self::Accepted(Made::Comment(id), _) => id,
            Self::Accepted(Made::Nothing, _) => "done",
            Self::Refused(code) | Self::Doubtful(code) => code,
            Self::Unanswered => "nothing",
        }
    }
}

enum Made {
    Post(Box<Post>),
    Comment(String),
    Nothing,
}

impl Actor {
    /// A user with this seed.
    pub(crate) fn new(
        user: User,
        everybody: Rc<Vec<String>>,
        ledger: Rc<RefCell<Ledger>>,
        trace: std::sync::Arc<Trace>,
        seed: u64,
    ) -> Self {
        Self { user, everybody, ledger, trace, random: StdRng::seed_from_u64(seed), sent: 0, is_second: false }
    }

    /// Makes the user's first profile.
    pub(crate) async fn join(&mut self) -> Result<(), ApiError> {
        let profile = self.profile();
        self.execute(Command::Rename(ProfileInput { handle: self.name(), ..profile })).await
    }

    /// Sends a random command.
    pub(crate) async fn act(&mut self) -> Result<(), ApiError> {
        match self.choose() {
            Some(command) => self.execute(command).await,
            None => Ok(()),
        }
    }

    /// Writes a post.
    pub(crate) async fn post(&mut self) -> Result<(), ApiError> {
        let text = self.text();
        let key = format!("{}-pulled-{}", self.name(), self.random.random::<u32>());
        self.execute(Command::Post { text, key: Some(key), again: Again::No }).await
    }

    /// What the user's id begins with. An id may be too long for a handle or a key.
    fn name(&self) -> String {
        self.user.id.chars().take(NAME_LENGTH).collect()
    }

    fn profile(&mut self) -> ProfileInput {
        let handle = HANDLES.choose(&mut self.random).copied().unwrap_or("ada").to_owned();
        let display_name = format!("{} {}", self.name(), self.random.random::<u16>());
        let avatar_url = self.random.random::<bool>().then(|| "https://example.org/a.png".to_owned());
        ProfileInput { handle, display_name, avatar_url }
    }

    fn text(&mut self) -> String {
        self.sent += 1;
        let tags = TAGS.choose_multiple(&mut self.random, 2).map(|tag| format!(" #{tag}")).collect::<Vec<_>>();
        let tags = &tags[..self.random.random_range(0..=tags.len())];
        let device = if self.is_second { "also " } else { "" };
        let mention = HANDLES.choose(&mut self.random).filter(|_| self.random.random_bool(0.3));
        let mention = mention.map(|handle| format!(" to @{handle}")).unwrap_or_default();
        format!("{} {device}says {}{mention}{}", self.name(), self.sent, tags.concat())
    }

    fn choose(&mut self) -> Option<Command> {
        let text = self.text();
        let has_key = self.random.random_bool(0.8);
        let key = has_key.then(|| format!("{}-{}-{}", self.name(), self.is_second, self.sent));
        let again = match self.random.random_range(0..12) {
            _ if !has_key => Again::No,
            0 => Again::Same,
            1 => Again::AtOnce,
            2 => Again::Other,
            _ => Again::No,
        };
        let renamed = self.profile();
        let dare = (!self.is_second).then(|| self.ledger.borrow_mut().dares.remove(&self.user.id)).flatten();
        if let Some(blocker) = dare.filter(|_| self.random.random_bool(0.7)) {
            // Which of the two is first is open.
            return Some(Command::Follow(blocker, true));
        }
        let Self { user, everybody, random, ledger, is_second, .. } = self;
        let ledger = ledger.borrow();
        let own = ledger.model.members.get(&user.id)?;
        let others: Vec<_> = everybody.iter().filter(|id| **id != user.id).collect();
        let other = (*others.choose(random)?).clone();
        // Often one of the newest: many meet there.
        let newest = ledger.authors.keys().rev().take(3).choose(random);
        let any_post = newest.filter(|_| random.random()).or_else(|| ledger.authors.keys().choose(random)).cloned();
        if *is_second {
            return Some(match any_post.filter(|_| random.random()) {
                Some(post) => Command::Comment { post, text, key, again },
                None => Command::Post { text, key, again },
            });
        }
        if ledger.may_delete_account && random.random_bool(0.01) {
            return Some(Command::DeleteAccount);
        }
        Some(match random.random_range(0..100) {
            0..24 => Command::Post { text, key, again },
            // Often the newest: an edit may then meet the one before it, which is not projected yet.
            24..30 => {
                let newest = own.posts.keys().next_back().filter(|_| random.random());
                Command::Edit { post: newest.or_else(|| own.posts.keys().choose(random))?.clone(), text }
            }
            30..36 => Command::Delete(own.posts.keys().choose(random)?.clone()),
            36..49 => Command::Like(any_post?, true),
            49..54 => Command::Like(own.likes.keys().choose(random).cloned().or(any_post)?, false),
            54..63 => Command::Comment { post: any_post?, text, key, again },
            63..67 => {
                // Of one's own, or somebody else's on a post of one's own.
                let of = |id: &String| ledger.model.members.get(id).map(|member| (id.clone(), member));
                let all = everybody.iter().filter_map(of);
                let caller = user.id.as_str();
                let own_or_on_own = all.flat_map(|(id, member)| {
                    let may = move |remark: &Remark| id == caller || own.posts.contains_key(&remark.post);
                    member.comments.iter().filter(move |(_, remark)| may(remark))
                });
                let (comment, remark) = own_or_on_own.choose(random)?;
                Command::DeleteComment { post: remark.post.clone(), comment: comment.clone() }
            }
            67..80 => Command::Follow(other, true),
            80..86 => Command::Follow(own.follows.iter().choose(random).cloned().unwrap_or(other), false),
            86..89 => Command::Mute(other, random.random_bool(0.6)),
            89..91 => {
                let follows =
                    |id: &&String| ledger.model.members.get(*id).is_some_and(|it| it.follows.contains(&user.id));
                let follower = everybody.iter().filter(follows).choose(random).cloned();
                Command::RemoveFollower(follower.filter(|_| random.random_bool(0.9)).unwrap_or(other))
            }
            91..95 => match own.blocks.iter().choose(random).filter(|_| random.random()) {
                Some(blocked) => Command::Block(blocked.clone(), false),
                None => Command::Block(other, random.random_bool(0.7)),
            },
            _ => Command::Rename(renamed),
        })
    }

    /// Sends a command until it is answered, and enters it into the ledger.
    pub(crate) async fn execute(&mut self, command: Command) -> Result<(), ApiError> {
        self.begin(&command);
        let (sent, sent_at) = (Window::open(), determinism::elapsed());
        self.trace.note(Detail::Users, format_args!("{}: {command:?}", self.user.id));
        let outcome = match &command {
            Command::Post { again: Again::AtOnce, .. } | Command::Comment { again: Again::AtOnce, .. } => {
                self.persist_twice(&command, sent_at).await
            }
            _ => self.persist(&command).await,
        };
        let at = sent.closed();
        let skew = CLOCK_SKEW_MS_MAX.unsigned_abs();
        let at = Window { from_ms: at.from_ms - skew, to_ms: at.to_ms + skew };
        match &outcome {
            Ok(Outcome::Accepted(_, version)) => {
                self.trace.note(Detail::Users, format_args!("{}: accepted, version {version}", self.user.id));
            }
            Ok(Outcome::Refused(code) | Outcome::Doubtful(code)) => {
                self.trace.note(Detail::Users, format_args!("{}: {code}", self.user.id));
            }
            Ok(Outcome::Unanswered) => {}
            Err(error) => self.trace.note(Detail::Users, format_args!("{}: {error}", self.user.id)),
        }
        match outcome? {
            Outcome::Accepted(made, version) => {
                self.accept(&command, &made, at);
                self.ledger.borrow_mut().accepted(&self.user.id, version);
                let is_gone = self.ledger.borrow().accounts_deleted.contains(&self.user.id);
                if !self.is_second && !is_gone {
                    self.ledger.borrow_mut().views(&self.user.id, version);
                }
                self.repeat(&command, &made).await?;
            }
            Outcome::Refused(code) => self.refuse(&command, sent_at, &code),
            Outcome::Doubtful(code) => {
                self.refuse(&command, sent_at, &code);
                self.doubt(command, at);
            }
            Outcome::Unanswered => self.doubt(command, at),
        }
        Ok(())
    }

    fn doubt(&self, command: Command, at: Window) {
        let by = self.user.id.clone();
        self.ledger.borrow_mut().doubts.push(Doubt { by, command, at });
    }

    /// INV-6: sends a command twice at once; if both are accepted, the answers are the same. A refusal is not
    /// remembered: the other of the two is decided again, and each refusal needs only its own reason.
    async fn persist_twice(&mut self, command: &Command, sent_at: Duration) -> Result<Outcome, ApiError> {
        let mut twin = Self {
            user: self.user.clone(),
            everybody: Rc::clone(&self.everybody),
            ledger: Rc::clone(&self.ledger),
            trace: std::sync::Arc::clone(&self.trace),
            random: StdRng::seed_from_u64(self.random.random()),
            ..*self
        };
        let (first, second) = futures::join!(self.persist(command), twin.persist(command));
        let (first, second) = match (first?, second?) {
            both @ (Outcome::Accepted(..), Outcome::Accepted(..)) => both,
            (accepted @ Outcome::Accepted(..), _) | (_, accepted @ Outcome::Accepted(..)) => return Ok(accepted),
            // One attempt of the other may have been committed.
            (Outcome::Refused(code), doubtful @ Outcome::Doubtful(_)) => {
                self.refuse(command, sent_at, &code);
                return Ok(doubtful);
            }
            (first, Outcome::Refused(code) | Outcome::Doubtful(code)) => {
                self.refuse(command, sent_at, &code);
                return Ok(first);
            }
            // Whatever is sent twice has a key.
            (first, Outcome::Unanswered) => return Ok(first),
        };
        let same = first.told() == second.told();
        let problem = || {
            format!("{}: {command:?} sent twice at once was told {} and {}", self.user.id, first.told(), second.told())
        };
        self.ledger.borrow_mut().checks.decide(Check::OneEffectPerKey, same, problem);
        Ok(first)
    }

    /// Tries again as long as nobody knows whether the command happened, or it did not for a reason that passes.
    async fn persist(&mut self, command: &Command) -> Result<Outcome, ApiError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let (mut is_doubtful, mut longest_ms) = (false, 3000);
        loop {
            match send(&self.user, command).await {
                Ok((made, version)) => return Ok(Outcome::Accepted(made, version)),
                Err(error) if error.is_transient() && !command.is_repeatable() => {
                    self.trace.note(Detail::Users, format_args!("{}: {error}", self.user.id));
                    return Ok(Outcome::Unanswered);
                }
                Err(error) if error.is_transient() && tokio::time::Instant::now() < deadline => {
                    self.trace.note(Detail::Users, format_args!("{}: {error}", self.user.id));
                    let wait = Duration::from_millis(self.random.random_range(100..longest_ms));
                    tokio::time::sleep(wait).await;
                    // An outage takes minutes.
                    longest_ms = (longest_ms * 2).min(WAIT_MS_MAX);
                    is_doubtful = true;
                }
                Err(ApiError::Status { code: Some(code), status, .. }) if status.is_client_error() => {
                    return Ok(if is_doubtful { Outcome::Doubtful(code) } else { Outcome::Refused(code) });
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn begin(&self, command: &Command) {
        let mut ledger = self.ledger.borrow_mut();
        let own = &self.user.id;
        match command {
            Command::Edit { post, text } => {
                ledger.texts.entry(post.clone()).or_default().insert(text.clone());
            }
            Command::Delete(post) => {
                ledger.deleted.insert(post.clone());
            }
            Command::DeleteComment { comment, .. } => {
                ledger.deleted_comments.insert(comment.clone());
            }
            Command::Follow(other, _) => ledger.follow_begins(own, other),
            Command::Mute(other, _) => ledger.mute_begins(own, other),
            Command::Block(other, wanted) => {
                ledger.block_begins(own, other);
                if *wanted {
                    ledger.dares.insert(other.clone(), own.clone());
                } else {
                    ledger.settled_blocks.remove(&(own.clone(), other.clone()));
                }
            }
            Command::RemoveFollower(other) => ledger.removal_begins(own, other),
            Command::DeleteAccount => ledger.deletion_begins(own),
            Command::Rename(profile) => {
                ledger.handles.entry(profile.handle.clone()).or_default().insert(own.clone());
            }
            _ => {}
        }
    }

    fn accept(&self, command: &Command, made: &Made, at: Window) {
        let mut ledger = self.ledger.borrow_mut();
        let own = &self.user.id;
        if ledger.accounts_deleted.contains(own) {
            // It came before the deletion, and is erased with the account.
            if let Made::Post(post) = made {
                ledger.deleted.insert(post.id.clone());
            }
            return;
        }
        match (command, made) {
            (Command::Post { text, .. }, Made::Post(post)) => {
                ledger.authors.insert(post.id.clone(), own.clone());
                ledger.texts.entry(post.id.clone()).or_default().insert(text.clone());
                ledger.member(own).posts.insert(post.id.clone(), Said::new(text));
            }
            (Command::Edit { post, text }, Made::Post(shown)) => {
                let posts = &mut ledger.member(own).posts;
                // A post that was taken down cannot be edited. A decision that came later may be known already.
                let taken_down = posts.get(post).is_some_and(|said| said.taken_down);
                posts.insert(post.clone(), Said { taken_down, ..Said::edited(text, shown.version) });
            }
            (Command::Delete(post), _) => {
                ledger.member(own).posts.remove(post);
            }
            (Command::Like(post, true), _) => {
                ledger.member(own).likes.entry(post.clone()).or_insert(at);
            }
            (Command::Like(post, false), _) => {
                ledger.member(own).likes.remove(post);
            }
            (Command::Comment { post, text, .. }, Made::Comment(id)) => {
                let remark = Remark { post: post.clone(), text: text.clone(), at };
                ledger.member(own).comment(id.clone(), remark);
            }
            (Command::DeleteComment { comment, .. }, _) => {
                ledger.model.members.values_mut().for_each(|member| {
                    member.comments.remove(comment);
                });
            }
            (Command::Follow(other, follow), _) => ledger.follow_ends(own, other, Some(*follow)),
            (Command::Mute(other, mute), _) => ledger.mute_ends(own, other, Some(*mute)),
            (Command::Block(other, block), _) => ledger.block_ends(own, other, Some(*block)),
            (Command::RemoveFollower(other), _) => ledger.removal_ends(own, other, true),
            (Command::Rename(profile), _) => ledger.member(own).profile = Some(profile.clone()),
            (Command::DeleteAccount, _) => ledger.deletion_ends(own),
            (Command::Post { .. } | Command::Edit { .. } | Command::Comment { .. }, _) => {}
        }
    }

    /// A refusal needs a reason.
    fn refuse(&self, command: &Command, sent_at: Duration, code: &str) {
        let mut ledger = self.ledger.borrow_mut();
        let own = &self.user.id;
        let has_reason = reasons::has_reason(&ledger, own, command, sent_at, code);
        ledger.checks.decide(Check::RefusalsHaveReasons, has_reason, || format!("{own}: {command:?} refused: {code}"));
        match command {
            Command::Follow(other, _) => ledger.follow_ends(own, other, None),
            Command::Mute(other, _) => ledger.mute_ends(own, other, None),
            Command::Block(other, _) => ledger.block_ends(own, other, None),
            Command::RemoveFollower(other) => ledger.removal_ends(own, other, false),
            _ => {}
        }
    }

    /// INV-6: the same key with the same request, or with another one.
    async fn repeat(&mut self, command: &Command, made: &Made) -> Result<(), ApiError> {
        let (again, mut repeated) = match command {
            Command::Post { again, .. } | Command::Comment { again, .. } => (*again, command.clone()),
            _ => return Ok(()),
        };
        if again == Again::Other
            && let Command::Post { text, .. } | Command::Comment { text, .. } = &mut repeated
        {
            text.push_str(" again");
        }
        if matches!(again, Again::No | Again::AtOnce) {
            return Ok(());
        }
        let outcome = self.persist(&repeated).await?;
        let mut ledger = self.ledger.borrow_mut();
        let own = &self.user.id;
        match (again, outcome) {
            (Again::Other, outcome) => {
                let is_reason = |code: &str| code == "idempotency_key_reused" || code.starts_with("account_");
                let refused = matches!(&outcome, Outcome::Refused(code) | Outcome::Doubtful(code) if is_reason(code));
                let problem = || format!("{own}: {repeated:?} was not refused");
                ledger.checks.decide(Check::KeyOfAnotherRequest, refused, problem);
            }
            (_, Outcome::Accepted(Made::Post(post), _)) => {
                let same = matches!(made, Made::Post(first) if first.id == post.id && first.text == post.text);
                ledger.checks.decide(Check::OneEffectPerKey, same, || format!("{own}: {repeated:?} made another post"));
            }
            (_, Outcome::Accepted(Made::Comment(id), _)) => {
                let same = matches!(made, Made::Comment(first) if *first == id);
                ledger.checks.decide(Check::OneEffectPerKey, same, || format!("{own}: {repeated:?} commented again"));
            }
            (_, Outcome::Accepted(Made::Nothing, _) | Outcome::Unanswered) => {}
            // An administrator may have suspended the user meanwhile, or another device deleted the account.
            (_, Outcome::Refused(code) | Outcome::Doubtful(code)) if code.starts_with("account_") => {}
            (_, Outcome::Refused(code) | Outcome::Doubtful(code)) => {
                let problem = || format!("{own}: {repeated:?} refused: {code}");
                ledger.checks.decide(Check::OneEffectPerKey, false, problem);
            }
        }
        Ok(())
    }
}

async fn send(user: &User, command: &Command) -> Result<(Made, u64), ApiError> {
    let nothing = |version| (Made::Nothing, version);
    Ok(match command {
        Command::Post { text, key, .. } => {
            let accepted = user.post(text, key.as_deref()).await?;
            (Made::Post(Box::new(accepted.value)), accepted.version)
        }
        Command::Edit { post, text } => {
            let accepted = user.edit_post(post, text).await?;
            (Made::Post(Box::new(accepted.value)), accepted.version)
        }
        Command::Delete(post) => nothing(user.delete_post(post).await?.version),
        Command::Like(post, true) => nothing(user.like(post).await?.version),
        Command::Like(post, false) => nothing(user.unlike(post).await?.version),
        Command::Comment { post, text, key, .. } => {
            let accepted = user.comment(post, text, key.as_deref()).await?;
            (Made::Comment(accepted.value.id), accepted.version)
        }
        Command::DeleteComment { post, comment } => nothing(user.delete_comment(post, comment).await?.version),
        Command::Follow(other, true) => nothing(user.follow(other).await?.version),
        Command::Follow(other, false) => nothing(user.unfollow(other).await?.version),
        Command::Mute(other, true) => nothing(user.mute(other).await?.version),
        Command::Mute(other, false) => nothing(user.unmute(other).await?.version),
        Command::Block(other, true) => nothing(user.block(other).await?.version),
        Command::Block(other, false) => nothing(user.unblock(other).await?.version),
        Command::RemoveFollower(other) => nothing(user.remove_follower(other).await?.version),
        Command::Rename(profile) => nothing(user.put_profile(profile).await?.version),
        Command::DeleteAccount => nothing(user.delete_account().await?.version),
    })
}
