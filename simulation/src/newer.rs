//! What is new in a home since a mark: in the end, every post that came since then. Some marks are made at rest, and
//! some while users act and calls fail.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    time::Duration,
};

use harness::client::{ApiError, User};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use tidings::model::{Clock, PostId, Timestamp};

use crate::{checks::Check, ledger::Ledger};

/// Answers about what is new to one client, at most.
const ANSWERS_MAX: usize = 1000;

/// How many glances there are, and the pause before each.
const GLANCES: usize = 3;
const PAUSE_MS: Range<u64> = 0..15_000;
/// A mark covers what came later than a minute before it was made. Clocks differ by up to a second.
const COVERED: Duration = Duration::from_secs(58);
/// So many of the newest posts a mark covers at most.
const COVERED_POSTS: usize = 24;

/// What a user saw of the home while others acted.
pub(crate) struct Glance {
    user: User,
    mark: String,
    /// The posts of the home.
    shown: BTreeSet<String>,
    /// Posts from this moment on are new unless the home showed them.
    since: Timestamp,
}

/// Some users look at their homes, one after the other.
///
/// # Errors
/// If the API answers with an error that stays.
pub(crate) async fn glances(users: Vec<User>, mut random: StdRng) -> Result<Vec<Glance>, ApiError> {
    let mut glances = Vec::new();
    for _ in 0..GLANCES {
        tokio::time::sleep(Duration::from_millis(random.random_range(PAUSE_MS))).await;
        let Some(user) = users.choose(&mut random) else { break };
        glances.extend(glance(user.clone()).await?);
    }
    Ok(glances)
}

/// The user looks at the home. None if it cannot be read at this moment, or does not fit on a page.
async fn glance(user: User) -> Result<Option<Glance>, ApiError> {
    let covered = Clock::system().now().before(COVERED);
    let page = match user.home(100, None).await {
        Ok(page) => page,
        Err(error) if error.is_transient() => return Ok(None),
        Err(error) => return Err(error),
    };
    // The mark of a page covers nothing below it.
    if page.next_cursor.is_some() {
        return Ok(None);
    }
    let shown = page.posts.into_iter().map(|post| post.id).collect();
    Ok(Some(Glance { user, mark: page.newest, shown, since: covered }))
}

/// Decides, when everything is at rest, whether all that came into the home since a glance is reported as new.
///
/// # Errors
/// If the API answers with an error.
pub(crate) async fn compare_glance(
    Glance { user, mark, shown, since }: Glance,
    ledger: &RefCell<Ledger>,
    random: &mut StdRng,
) -> Result<(), ApiError> {
    if !ledger.borrow().model.members.contains_key(&user.id) {
        return Ok(());
    }
    let came = |ledger: &Ledger, post: &String| {
        // A mark knows posts that were hidden when it was made.
        let may_be_known = |post: &&String| shown.contains(*post) || ledger.may_be_hidden(post);
        let newer = ledger.authors.keys().rev().take_while(|newer| *newer > post);
        let is_covered = post.parse::<PostId>().is_ok_and(|post| post.created_at() > since)
            && newer.filter(may_be_known).count() < COVERED_POSTS;
        is_covered && !shown.contains(post) && !ledger.may_be_withdrawn(post)
    };
    decide(&user, mark, ledger, random, came).await
}

/// Marks of homes at rest, by viewer.
pub(crate) type Marks = BTreeMap<String, String>;

/// The marks of all homes. A home that cannot be read at this moment has none.
///
/// # Errors
/// If the API answers with an error that stays.
pub(crate) async fn marks(users: &[User], ledger: &RefCell<Ledger>) -> Result<Marks, ApiError> {
    let mut marks = Marks::new();
    for user in existing(users, ledger) {
        match user.home(20, None).await {
            Ok(page) => marks.insert(user.id.clone(), page.newest),
            Err(error) if error.is_transient() => None,
            Err(error) => return Err(error),
        };
    }
    Ok(marks)
}

/// Decides whether all that has come into the homes since the marks were made is reported as new. The marks were made
/// when all posts of `ledger.settled` were there.
///
/// # Errors
/// If the API answers with an error.
pub(crate) async fn compare(
    marks: &Marks,
    users: &[User],
    ledger: &RefCell<Ledger>,
    random: &mut StdRng,
) -> Result<(), ApiError> {
    for user in existing(users, ledger) {
        let Some(mark) = marks.get(&user.id) else { continue };
        let came = |ledger: &Ledger, post: &String| !ledger.settled.contains(post);
        decide(user, mark.clone(), ledger, random, came).await?;
    }
    Ok(())
}

/// Decides whether all posts of the home that came since the mark are reported as new.
async fn decide(
    user: &User,
    mark: String,
    ledger: &RefCell<Ledger>,
    random: &mut StdRng,
    came: impl Fn(&Ledger, &String) -> bool,
) -> Result<(), ApiError> {
    let reported = reported(user, mark, random.random_range(1..10)).await?;
    let home = user.walk_home(20).await?;
    let mut ledger = ledger.borrow_mut();
    let belong = home.iter().filter(|post| post.source.is_none()).map(|post| &post.id);
    let missing: Vec<_> = belong.filter(|post| came(&ledger, post) && !reported.contains(*post)).cloned().collect();
    let problem = || format!("{}: {missing:?} came since the mark, and are not new", user.id);
    ledger.checks.decide(Check::NewIsReported, missing.is_empty(), problem);
    Ok(())
}

/// All that is new since the mark.
async fn reported(user: &User, mut mark: String, limit: u32) -> Result<BTreeSet<String>, ApiError> {
    let mut reported = BTreeSet::new();
    for _ in 0..ANSWERS_MAX {
        let found = user.newer(&mark, Some(limit)).await?;
        if found.posts.is_empty() {
            break;
        }
        reported.extend(found.posts.into_iter().map(|post| post.id));
        mark = found.newest;
    }
    Ok(reported)
}

/// Those of the users who have not deleted their accounts.
fn existing<'a>(users: &'a [User], ledger: &RefCell<Ledger>) -> Vec<&'a User> {
    let ledger = ledger.borrow();
    users.iter().filter(|user| ledger.model.members.contains_key(&user.id)).collect()
}
