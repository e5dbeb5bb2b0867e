//! What is new in a home since a mark: at rest, every post that came since then.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use harness::client::{ApiError, User};
use rand::{Rng, rngs::StdRng};

use crate::{checks::Check, ledger::Ledger};

/// Answers about what is new to one client, at most.
const ANSWERS_MAX: usize = 1000;

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
        let reported = reported(user, mark.clone(), random.random_range(1..10)).await?;
        let home = user.walk_home(20).await?;
        let mut ledger = ledger.borrow_mut();
        let belong = home.iter().filter(|post| post.source.is_none());
        let came = belong.map(|post| &post.id).filter(|post| !ledger.settled.contains(*post));
        let missing: Vec<_> = came.filter(|post| !reported.contains(*post)).cloned().collect();
        let problem = || format!("{}: {missing:?} came since the mark, and are not new", user.id);
        ledger.checks.decide(Check::NewIsReported, missing.is_empty(), problem);
    }
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
