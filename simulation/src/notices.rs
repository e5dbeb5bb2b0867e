//! INV-10: notices and notifications, at rest and on the way.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use harness::{
    client::{ApiError, User},
    model::Judge,
};
use rand::{Rng, rngs::StdRng, seq::IteratorRandom};
use serde_json::Value;

use crate::{
    checks::{Check, Checks},
    ledger::Ledger,
    truth::{Truth, is, text, without_shard},
    world::World,
};

/// Whether the row belongs to notices or inboxes.
pub(crate) fn is_of_notices(row: &Value) -> bool {
    ["NOTICES#", "LIKERS#"].iter().any(|prefix| text(row, "PK").starts_with(prefix))
}

/// A notice: the partition, the group, and who acts. Of comments, each is one.
type Notice = (String, String, String);

/// Compares the notices that stand with the command table.
pub(crate) fn compare_notices(checks: &mut Checks, truth: &Truth, rows: &[Value]) {
    let is_shown = |post: &str| truth.shown_posts().any(|(shown, _)| shown == post);
    let mut found = Vec::<Notice>::new();
    for row in rows.iter().filter(|row| is_of_notices(row) && is(row, "active")) {
        let (pk, sk) = (text(row, "PK"), text(row, "SK"));
        let (subject, group) = match pk.strip_prefix("LIKERS#") {
            Some(post) => (Some(without_shard(post)), "like".to_owned()),
            None => {
                let mut parts = sk.split('#');
                let (kind, of) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                match kind {
                    "follow" => (None, kind.to_owned()),
                    _ => (Some(of), format!("{kind} {of}")),
                }
            }
        };
        let actor = text(row, "actor");
        // Nobody sees the notices of a deleted post, or what a deleted account did.
        if subject.is_none_or(is_shown) && !truth.is_erased(actor) {
            found.push((pk.to_owned(), group, actor.to_owned()));
        }
    }
    let mut expected = Vec::<Notice>::new();
    for (user, post) in truth.likes.iter().filter(|(_, post)| is_shown(post)) {
        let shard = truth.spread_likes.get(&(user.clone(), post.clone()));
        let shard = shard.map(|shard| format!("#{shard}")).unwrap_or_default();
        expected.push((format!("LIKERS#{post}{shard}"), "like".to_owned(), user.clone()));
    }
    for ((from, to), shard) in &truth.follows_since {
        let shard = if *shard == 0 { String::new() } else { format!("#{shard}") };
        expected.push((format!("NOTICES#{to}{shard}"), "follow".to_owned(), from.clone()));
    }
    for (post, author, _) in truth.comments.values().filter(|(post, _, _)| is_shown(post)) {
        let owner = truth.posts.get(post).map(|post| text(post, "author")).unwrap_or_default();
        if owner != author {
            expected.push((format!("NOTICES#{owner}"), format!("comment {post}"), author.clone()));
        }
    }
    for ((user, post), actors) in truth.mentions().into_iter().filter(|((_, post), _)| is_shown(post)) {
        let others = actors.into_iter().filter(|actor| *actor != user);
        expected.extend(others.map(|actor| (format!("NOTICES#{user}"), format!("mention {post}"), actor)));
    }
    let of_erased = |pk: &str| pk.strip_prefix("NOTICES#").is_some_and(|id| truth.is_erased(without_shard(id)));
    expected.retain(|(pk, ..)| !of_erased(pk));
    found.sort_unstable();
    expected.sort_unstable();
    let problem = || {
        let (found, expected): (BTreeSet<_>, BTreeSet<_>) = (found.iter().collect(), expected.iter().collect());
        format!(
            "missing are {:?}, too many are {:?}",
            expected.difference(&found).collect::<Vec<_>>(),
            found.difference(&expected).collect::<Vec<_>>()
        )
    };
    checks.decide(Check::NoticesAtRest, found == expected, problem);
}

/// Compares what the API shows at rest with the reference model.
///
/// # Errors
/// If the API answers with an error.
pub(crate) async fn compare_notifications(
    world: &World,
    users: &[User],
    ledger: &RefCell<Ledger>,
    random: &mut StdRng,
) -> Result<(), ApiError> {
    let mentions = Truth::read(&world.items("Commands")).mentions();
    let model = ledger.borrow().model.clone();
    let judge = Judge::new(&model);
    let decide = |problems: Vec<harness::model::Difference>| {
        ledger.borrow_mut().checks.expect_none(Check::NotificationsAtRest, problems);
    };
    for viewer in users.iter().filter(|user| model.members.contains_key(&user.id)) {
        let id = &viewer.id;
        let limit = *[1, 2, 7, 100].iter().choose(random).unwrap_or(&7);
        let shown = viewer.walk_notifications(limit).await?;
        decide(judge.compare_notifications(id, &mentions, &shown));
        let page = viewer.notifications(1, None).await?;
        let unread = shown.iter().filter(|it| it.unread).count();
        let same = (page.unread, viewer.profile().await?.unread) == (unread, unread);
        let problem = || format!("{id}: {unread} are unread, counted are {}", page.unread);
        ledger.borrow_mut().checks.decide(Check::NotificationsAtRest, same, problem);
        decide(judge.compare_liked(id, &viewer.walk_liked(limit).await?));
        let all = model.members.values().flat_map(|member| member.posts.keys());
        if let Some(post) = all.filter(|post| judge.can_read(id, post)).choose(random) {
            decide(judge.compare_likers(id, post, &viewer.walk_likers_of(post, limit).await?));
        }
    }
    Ok(())
}

/// A group of notifications that somebody has not seen: the user, the kind and the post.
type Unread = (String, String, Option<String>);

/// What the users have not seen.
///
/// # Errors
/// If the API answers with an error.
pub(crate) async fn unread(users: &[User], ledger: &RefCell<Ledger>) -> Result<BTreeSet<Unread>, ApiError> {
    let members: BTreeSet<_> = ledger.borrow().model.members.keys().cloned().collect();
    let mut unread = BTreeSet::new();
    for user in users.iter().filter(|user| members.contains(&user.id)) {
        let shown = user.walk_notifications(100).await?.into_iter().filter(|it| it.unread);
        unread.extend(shown.map(|it| (user.id.clone(), it.kind, it.post.map(|post| post.id))));
    }
    Ok(unread)
}

/// Decides whether a rebuild, during which nobody has done anything, has made nothing unread.
///
/// # Errors
/// If the API answers with an error.
pub(crate) async fn compare_unread(
    before: &BTreeSet<Unread>,
    users: &[User],
    ledger: &RefCell<Ledger>,
) -> Result<(), ApiError> {
    let after = unread(users, ledger).await?;
    let again: Vec<_> = after.difference(before).collect();
    let problem = || format!("unread after a rebuild: {again:?}");
    ledger.borrow_mut().checks.decide(Check::SeenStaysSeen, again.is_empty(), problem);
    Ok(())
}

/// A user looks at the notifications, and sometimes marks some of them as seen. What was marked is not unread.
pub(crate) async fn look(user: &User, ledger: &Rc<RefCell<Ledger>>, random: &mut StdRng) -> Result<(), ApiError> {
    let own = &user.id;
    let shown = user.notifications(20, None).await?.notifications;
    // A mark without an answer may have been taken.
    let (seen, begun) = ledger.borrow().seen.get(own).cloned().unwrap_or_default();
    let wrong: Vec<_> = shown.iter().filter(|it| if it.unread { it.at <= seen } else { it.at > begun }).collect();
    let problem = || format!("{own} has seen all up to {seen}, perhaps {begun}, but is shown {wrong:?}");
    ledger.borrow_mut().checks.decide(Check::SeenStaysSeen, wrong.is_empty(), problem);
    if random.random_bool(0.7)
        && let Some(up_to) = shown.iter().choose(random).map(|it| it.at.clone())
    {
        let later = |a: &String, b: &String| a.max(b).clone();
        let begins = later(&up_to, &begun);
        ledger.borrow_mut().seen.insert(own.clone(), (seen.clone(), begins.clone()));
        match user.see_notifications(&up_to).await {
            Ok(_) => {}
            Err(ApiError::Status { code: Some(code), .. }) if may_be_refused(&ledger.borrow(), own, &code) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        ledger.borrow_mut().seen.insert(own.clone(), (later(&up_to, &seen), begins));
    }
    Ok(())
}

/// Whether the user may be refused for this reason, whatever the request says.
fn may_be_refused(ledger: &Ledger, user: &str, code: &str) -> bool {
    match code {
        "account_suspended" => ledger.moderated.contains(user),
        "account_deleted" => ledger.deletions_begun.contains(user),
        _ => false,
    }
}
