//! Random queries of one user while everything changes, each judged as far as it can be.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use harness::client::{ApiError, HomePage, Post, User};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom, seq::IteratorRandom};

use crate::{checks::Check, commands::TAGS, ledger::Ledger, notices::look};

/// The order by time.
const CHRONOLOGICAL: &str = "chronological";
/// Orders of a home; half of the pages are in the order by time.
const ORDERS: [&str; 4] = [CHRONOLOGICAL, CHRONOLOGICAL, "ranked", "personalized"];

/// Posts of a page in another order than that by time: all that a history has.
const ORDERED_POSTS: u32 = 100;
/// Pages of a home at most.
const PAGES_MAX: usize = 100;

/// Asks for something at random, and judges the answer. An answer that says to come again later is no answer.
pub(crate) async fn ask(user: &User, ledger: &Rc<RefCell<Ledger>>, random: &mut StdRng) -> Result<(), ApiError> {
    let limit = *[1, 3, 20, 100].choose(random).unwrap_or(&20);
    let exact = random.random_bool(0.5);
    let version = ledger.borrow().version(&user.id);
    let asker = if exact { user.at_least(version) } else { user.clone() };
    let other = ledger.borrow().model.members.keys().choose(random).unwrap_or(&user.id).clone();
    let post = ledger.borrow().authors.keys().choose(random).cloned();
    let answered = match random.random_range(0..13) {
        0..4 => {
            let order = *ORDERS.choose(random).unwrap_or(&CHRONOLOGICAL);
            home(user, ledger, order, exact.then_some(version), limit.max(3)).await
        }
        4 => shown(user, ledger, async || Ok(asker.posts_of(&other, limit, None).await?.posts)).await,
        5 => {
            let tag = TAGS.choose(random).copied().unwrap_or("rust");
            shown(user, ledger, async || Ok(asker.posts_with(tag, limit, None).await?.posts)).await
        }
        6 => shown(user, ledger, async || Ok(asker.trending(limit, None).await?.posts)).await,
        7 => match post {
            Some(post) => shown(user, ledger, async || Ok(vec![asker.get_post(&post).await?])).await,
            None => Ok(()),
        },
        8 => match post {
            Some(post) => comments(&asker, ledger, &post, limit).await,
            None => Ok(()),
        },
        11 => look(&user.at_least(version), ledger, random).await,
        12 => newer(&asker, ledger, random).await,
        9 => relation(&user.at_least(version), ledger, &other).await,
        _ => lists(&user.at_least(version), ledger).await,
    };
    match answered {
        Err(error) if error.is_transient() => Ok(()),
        Err(ApiError::Status { code: Some(code), .. })
            if ["post_not_found", "tag_not_found", "user_not_found"].contains(&code.as_str()) =>
        {
            Ok(())
        }
        answered => answered,
    }
}

/// The user's home: its first page and, in the order by time, those behind it. If `exact`, the first page is asked to
/// show all that the user has done, and the others have to remember that.
async fn home(
    user: &User,
    ledger: &Rc<RefCell<Ledger>>,
    order: &str,
    exact: Option<u64>,
    limit: u32,
) -> Result<(), ApiError> {
    let own = &user.id;
    let expected = expected(&ledger.borrow(), own);
    let first = exact.map_or_else(|| user.clone(), |version| user.at_least(version));
    let mut page = match order {
        CHRONOLOGICAL => first.home(limit, None).await?,
        order => first.home_by(order, ORDERED_POSTS, None).await?,
    };
    judge_page(&mut ledger.borrow_mut(), own, &page, exact);
    let mut belong = belonging(&page);
    for _ in 0..PAGES_MAX {
        let Some(cursor) = page.next_cursor.clone().filter(|_| order == CHRONOLOGICAL) else { break };
        page = user.home(limit, Some(&cursor)).await?;
        judge_page(&mut ledger.borrow_mut(), own, &page, exact);
        belong.extend(belonging(&page));
    }
    let mut ledger = ledger.borrow_mut();
    if order == CHRONOLOGICAL {
        let sorted = belong.is_sorted_by(|newer, older| newer > older);
        ledger.checks.decide(Check::NewestFirst, sorted, || format!("{own}: home {belong:?} is not newest first"));
    }
    if exact.is_some() && page.next_cursor.is_none() {
        let own_posts: BTreeSet<_> =
            ledger.authors.iter().filter(|(_, author)| *author == own).map(|it| it.0).collect();
        // Meanwhile, the author may have ended the follow.
        let ended = |post: &String| {
            let author = ledger.authors.get(post).cloned().unwrap_or_default();
            ledger.ended_by_followee.contains(&(own.clone(), author))
        };
        let lacks = |post: &&String| {
            let withdrawn = ledger.may_be_withdrawn(post) && !own_posts.contains(*post);
            !withdrawn && !belong.contains(*post) && !ledger.deleted.contains(*post) && !ended(post)
        };
        let missing: Vec<_> = expected.iter().filter(lacks).cloned().collect();
        ledger.checks.decide(Check::OwnWrites, missing.is_empty(), || {
            format!("{own}: {order} home of version {exact:?} lacks {missing:?}")
        });
    }
    Ok(())
}

/// Ids of the posts of a page that belong to the home, and do not only fill it.
fn belonging(page: &HomePage) -> Vec<String> {
    page.posts.iter().filter(|post| post.source.is_none()).map(|post| post.id.clone()).collect()
}

/// What must hold of each page of a home. If it is `exact`, it shows this version of the user's log, or a newer one.
fn judge_page(ledger: &mut Ledger, own: &str, page: &HomePage, exact: Option<u64>) {
    judge_posts(ledger, own, &page.posts);
    let at = page.freshness.version;
    let strangers = strangers(ledger, own, page);
    ledger.checks.decide(Check::HiddenAuthors, strangers.is_empty(), || {
        format!("{own}: home at version {at} shows {strangers:?}")
    });
    let Some(version) = exact else { return };
    let gone: Vec<_> = page.posts.iter().filter(|post| is_own_and_deleted(ledger, own, &post.id)).collect();
    let problem = || format!("{own}: home at version {at} shows {gone:?}");
    ledger.checks.decide(Check::DeletedPosts, gone.is_empty(), problem);
    let reached = at >= version;
    ledger.checks.decide(Check::OwnWrites, reached, || format!("{own}: asked for {version}, got {at}"));
}

/// Whether the post is the user's own, and its deletion was accepted.
fn is_own_and_deleted(ledger: &Ledger, own: &str, post: &str) -> bool {
    let is_own = ledger.authors.get(post).is_some_and(|author| author == own);
    is_own && !ledger.model.members.get(own).is_some_and(|member| member.posts.contains_key(post))
}

/// Posts of those whom the viewer does not follow, or hides, as of the version that the page tells.
fn strangers(ledger: &Ledger, own: &str, page: &HomePage) -> Vec<(String, String)> {
    let views = ledger.views_at(own, page.freshness.version);
    let may_show = |author: &str| {
        // The author can end the follow, in a version that only the log knows.
        let ended = ledger.ended_by_followee.contains(&(own.to_owned(), author.to_owned()));
        let sees = |view: &&crate::ledger::View| {
            (ended || view.follows.contains(author)) && !view.mutes.contains(author) && !view.blocks.contains(author)
        };
        author == own || ledger.is_in_doubt(own) || views.iter().any(sees)
    };
    let belongs = page.posts.iter().filter(|post| post.source.is_none());
    belongs
        .filter(|post| !views.is_empty() && !may_show(&post.author.id))
        .map(|post| (post.id.clone(), post.author.id.clone()))
        .collect()
}

/// Posts that a home must hold for whoever has just asked for all that they did: their own, and those of everybody
/// whom they follow that were shown everywhere before.
fn expected(ledger: &Ledger, own: &str) -> Vec<String> {
    let Some(member) = ledger.model.members.get(own) else { return Vec::new() };
    let follows = member.follows.iter().filter(|other| {
        !member.mutes.contains(*other) && !member.blocks.contains(*other) && !ledger.is_uncertain(own, other)
    });
    let settled = follows.filter_map(|other| Some((ledger.model.members.get(other)?, other)));
    let settled = settled.flat_map(|(other, id)| {
        // The other side can end the follow, and that may not be known yet.
        let certain = !ledger.ended_by_followee.contains(&(own.to_owned(), id.clone()));
        other
            .posts
            .keys()
            .filter(move |post| certain && ledger.settled.contains(*post) && !ledger.deleted.contains(*post))
    });
    member.posts.keys().chain(settled).cloned().collect()
}

/// Posts of any feed.
async fn shown(
    user: &User,
    ledger: &Rc<RefCell<Ledger>>,
    ask: impl AsyncFnOnce() -> Result<Vec<Post>, ApiError>,
) -> Result<(), ApiError> {
    let posts = ask().await?;
    judge_posts(&mut ledger.borrow_mut(), &user.id, &posts);
    Ok(())
}

/// The comments on a post.
async fn comments(user: &User, ledger: &Rc<RefCell<Ledger>>, post: &str, limit: u32) -> Result<(), ApiError> {
    let shown = user.walk_comments(post, "newest", limit).await?;
    judge_authors(&mut ledger.borrow_mut(), &user.id, shown.iter().map(|comment| &comment.author.id));
    Ok(())
}

/// INV-7: a block that everybody has seen hides each from the other.
pub(crate) fn judge_authors<'a>(ledger: &mut Ledger, own: &str, authors: impl Iterator<Item = &'a String>) {
    let hidden: BTreeSet<_> = authors.filter(|author| ledger.has_settled_block(own, author)).collect();
    ledger.checks.decide(Check::HiddenAuthors, hidden.is_empty(), || {
        format!("{own}: sees {hidden:?}, with whom there is a block")
    });
}

/// What must hold of posts wherever they are shown.
fn judge_posts(ledger: &mut Ledger, own: &str, posts: &[Post]) {
    judge_authors(ledger, own, posts.iter().map(|post| &post.author.id));
    for post in posts {
        // A post whose author does not know yet that it was accepted is nobody's for us.
        let Some(texts) = ledger.texts.get(&post.id) else { continue };
        let given = texts.contains(&post.text);
        ledger.checks.decide(Check::TextsAreTheAuthors, given, || format!("{own}: {post:?} was never written so"));
        let id = &post.id;
        let times = posts.iter().filter(|other| other.id == *id).count();
        ledger
            .checks
            .decide(Check::WalkWithoutRepetition, times == 1, || format!("{own}: {id} is on one page {times} times"));
    }
}

/// What is new in the user's home, asked for until nothing is: every post once.
async fn newer(user: &User, ledger: &Rc<RefCell<Ledger>>, random: &mut StdRng) -> Result<(), ApiError> {
    let own = &user.id;
    let known = ledger.borrow().marks.get(own).cloned();
    let (mut mark, mut seen) = match known {
        Some(known) => known,
        None => {
            let page = user.home(20, None).await?;
            let belongs = page.posts.into_iter().filter(|post| post.source.is_none());
            (page.newest, belongs.map(|post| post.id).collect())
        }
    };
    let limit = random.random_range(1..6);
    loop {
        let found = user.newer(&mark, Some(limit)).await?;
        judge_posts(&mut ledger.borrow_mut(), own, &found.posts);
        let twice: Vec<_> = found.posts.iter().filter(|post| !seen.insert(post.id.clone())).collect();
        let problem = || format!("{own}: {twice:?} are new for the second time");
        ledger.borrow_mut().checks.decide(Check::WalkWithoutRepetition, twice.is_empty(), problem);
        let right = found.posts.len() == found.new.min(limit as usize);
        let problem = || format!("{own}: {} of {} new posts are shown", found.posts.len(), found.new);
        ledger.borrow_mut().checks.decide(Check::WalkWithoutGap, right, problem);
        mark = found.newest;
        ledger.borrow_mut().marks.insert(own.clone(), (mark.clone(), seen.clone()));
        if found.posts.is_empty() {
            return Ok(());
        }
    }
}

/// How the user and another stand to each other.
async fn relation(user: &User, ledger: &Rc<RefCell<Ledger>>, other: &str) -> Result<(), ApiError> {
    let shown = user.user(other).await?.relation;
    let mut ledger = ledger.borrow_mut();
    let own = &user.id;
    // The model knows nothing of a deleted account. Its profile may still be shown for a moment.
    let is_known = !ledger.is_in_doubt(own) && !ledger.deletions_begun.contains(other);
    let Some(member) = ledger.model.members.get(own).filter(|_| is_known) else { return Ok(()) };
    let certain = !ledger.ended_by_followee.contains(&(own.clone(), other.to_owned()));
    let expected = (member.follows.contains(other), member.mutes.contains(other), member.blocks.contains(other));
    let found = (shown.following, shown.muted, shown.blocked);
    let same = (expected.1, expected.2) == (found.1, found.2) && (!certain || expected.0 == found.0);
    ledger.checks.decide(Check::OwnWrites, same, || format!("{own} and {other}: expected {expected:?}, got {found:?}"));
    Ok(())
}

/// Whom the user mutes and blocks.
async fn lists(user: &User, ledger: &Rc<RefCell<Ledger>>) -> Result<(), ApiError> {
    let ids = |people: Vec<harness::client::Person>| people.into_iter().map(|person| person.id).collect::<Vec<_>>();
    let (mutes, blocks) = (ids(user.walk_mutes(2).await?), ids(user.walk_blocks(2).await?));
    let mut ledger = ledger.borrow_mut();
    let own = &user.id;
    let Some(member) = ledger.model.members.get(own).filter(|_| !ledger.is_in_doubt(own)) else { return Ok(()) };
    // Of deleted accounts there is nothing to list.
    let gone = &ledger.deletions_begun;
    let same = |listed: &[String], known: &BTreeSet<String>| {
        let exist = |id: &&String| !gone.contains(*id);
        listed.iter().filter(exist).eq(known.iter().filter(exist))
    };
    let same = same(&mutes, &member.mutes) && same(&blocks, &member.blocks);
    let problem = format!("{}: mutes {mutes:?} and blocks {blocks:?}, not {member:?}", user.id);
    ledger.checks.decide(Check::OwnWrites, same, || problem);
    Ok(())
}
