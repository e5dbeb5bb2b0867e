use serde_json::json;

use super::*;
use crate::{
    model::{CommentId, TallyShard, Timestamp},
    samples::{user, version},
    stream::walk::{BackfillAt, ErasureAt, HomeAt, Pass},
};

const POST: &str = "014bc853-e807-7000-8000-000000000000";

fn purge(comment: Option<CommentId>) -> Task {
    let (post, author) = (POST.parse().unwrap(), user("auth0|ada"));
    Walk::Purge { post, author, after: comment, until: comment }.into()
}

fn backfill(viewer: &UserId, author: &UserId, at: BackfillAt) -> Task {
    Walk::Backfill { viewer: viewer.clone(), author: author.clone(), version: version(3), at }.into()
}

fn backfill_json(at: Value) -> Value {
    json!({"backfill": {"viewer": "auth0|ada", "author": "bob", "version": 3, "at": at}})
}

fn complete_home(viewer: &UserId, at: HomeAt) -> Task {
    Walk::CompleteHome { viewer: viewer.clone(), since: Timestamp::from_ms(7), at }.into()
}

fn complete_home_json(at: Value) -> Value {
    json!({"complete_home": {"viewer": "auth0|ada", "since": 7, "at": at}})
}

/// Every task with its JSON as it stands in queues.
fn tasks() -> Vec<(Task, Value)> {
    let post = POST.parse().unwrap();
    let comment = CommentId::new(Timestamp::from_ms(7));
    let (ada, bob) = (user("auth0|ada"), user("bob"));
    vec![
        (
            Walk::Push { post, author: ada.clone(), viewers: vec![bob.clone()] }.into(),
            json!({"deliver": {"post": POST, "author": "auth0|ada", "viewers": ["bob"]}}),
        ),
        (
            Walk::Audience { post, author: ada.clone(), after: Some(bob.clone()), found: 500 }.into(),
            json!({"spread": {"post": POST, "author": "auth0|ada", "after": "bob", "found": 500}}),
        ),
        (
            Walk::Audience { post, author: ada.clone(), after: None, found: 0 }.into(),
            json!({"spread": {"post": POST, "author": "auth0|ada", "after": null, "found": 0}}),
        ),
        (
            Walk::Demotion { author: ada.clone(), begun_at: Some(Timestamp::from_ms(7)), after: Some(bob.clone()) }
                .into(),
            json!({"demote": {"author": "auth0|ada", "begun_at": 7, "after": "bob"}}),
        ),
        (
            Walk::FillHomes {
                author: ada.clone(),
                begun_at: Timestamp::from_ms(7),
                after: None,
                viewers: vec![bob.clone()],
                before: None,
            }
            .into(),
            json!({"fill_homes": {
                "author": "auth0|ada", "begun_at": 7, "after": null, "viewers": ["bob"], "before": null,
            }}),
        ),
        (
            Walk::PurgeLikes { post, author: ada.clone() }.into(),
            json!({"purge_likes": {"post": POST, "author": "auth0|ada"}}),
        ),
        (purge(None), json!({"purge": {"post": POST, "author": "auth0|ada"}})),
        (
            purge(Some(POST.parse().unwrap())),
            json!({"purge": {"post": POST, "author": "auth0|ada", "after": POST, "until": POST}}),
        ),
        (
            Walk::Profile { user: ada.clone(), version: version(3), before: Some(post) }.into(),
            json!({"profile": {"user": "auth0|ada", "version": 3, "before": POST}}),
        ),
        (
            Walk::Unfollowed { viewer: ada.clone(), author: bob.clone(), before: None }.into(),
            json!({"unfollowed": {"viewer": "auth0|ada", "author": "bob", "before": null}}),
        ),
        (
            complete_home(&ada, HomeAt::Followed { after: Some(bob.clone()), below: Some((ada.clone(), post)) }),
            complete_home_json(json!({"followed": {"after": "bob", "below": ["auth0|ada", POST]}})),
        ),
        (complete_home(&ada, HomeAt::Copied), complete_home_json(json!("copied"))),
        (backfill(&ada, &bob, BackfillAt::Start), backfill_json(json!("start"))),
        (backfill(&ada, &bob, BackfillAt::Below(post)), backfill_json(json!({"below": POST}))),
        (backfill(&ada, &bob, BackfillAt::Copied), backfill_json(json!("copied"))),
        (
            Walk::Erase { user: ada.clone(), begun_at: Timestamp::from_ms(7), at: ErasureAt::Wait }.into(),
            json!({"erase": {"user": "auth0|ada", "begun_at": 7, "at": "wait"}}),
        ),
        (
            Walk::Erase {
                user: ada.clone(),
                begun_at: Timestamp::from_ms(7),
                at: ErasureAt::Followers { after: None, pass: Pass::Last },
            }
            .into(),
            json!({"erase": {
                "user": "auth0|ada", "begun_at": 7, "at": {"followers": {"after": null, "pass": "last"}},
            }}),
        ),
        (
            Task::EndFollow { follower: ada.clone(), followee: user("bob") },
            json!({"end_follow": {"follower": "auth0|ada", "followee": "bob"}}),
        ),
        (Task::CatchUp { user: ada.clone() }, json!({"catch_up": {"user": "auth0|ada"}})),
        (
            Task::Rebuild(RebuildStep { started_at: Timestamp::from_ms(7), phase: Phase::Fill, segment: 2, steps: 5 }),
            json!({"rebuild": {"started_at": 7, "phase": "fill", "segment": 2, "steps": 5}}),
        ),
        (
            Task::Redo { user: ada.clone(), version: version(3), error: "no".to_owned() },
            json!({"redo": {"user": "auth0|ada", "version": 3, "error": "no"}}),
        ),
        (
            Task::Republish { pk: "TALLY#x".to_owned(), sk: "TALLY".to_owned(), error: "no".to_owned() },
            json!({"republish": {"pk": "TALLY#x", "sk": "TALLY", "error": "no"}}),
        ),
        (Task::Reapply { user: ada.clone(), after: version(3) }, json!({"reapply": {"user": "auth0|ada", "after": 3}})),
        (Task::SettleUser { user: ada.clone() }, json!({"settle_user": {"user": "auth0|ada"}})),
        (Task::SettlePost { post }, json!({"settle_post": {"post": POST}})),
        (
            Task::SettleTally { subject: TallySubject::User(ada.clone()), shards: Vec::new() },
            json!({"settle_tally": {"subject": {"user": "auth0|ada"}}}),
        ),
        (
            Task::SettleTally { subject: TallySubject::Post(post), shards: vec![TallyShard::new(3)] },
            json!({"settle_tally": {"subject": {"post": POST}, "shards": [3]}}),
        ),
        (
            Task::Notify { user: ada.clone(), group: Group::Like(post) },
            json!({"notify": {"user": "auth0|ada", "group": {"like": POST}}}),
        ),
        (
            Task::SettleLikes { post, users: vec![ada.clone(), bob] },
            json!({"settle_likes": {"post": POST, "users": ["auth0|ada", "bob"]}}),
        ),
        (
            Task::ShowFollows { followee: user("bob"), followers: vec![ada.clone()] },
            json!({"show_follows": {"followee": "bob", "followers": ["auth0|ada"]}}),
        ),
        (
            Task::ShowComments { post, comments: vec![comment] },
            json!({"show_comments": {"post": POST, "comments": [comment.to_string()]}}),
        ),
        (Task::MergeTrending { asked_at: Timestamp::from_ms(7) }, json!({"merge_trending": {"asked_at": 7}})),
        (
            Task::Recount(Recount::Sum { day: crate::model::Day::of(Timestamp::from_ms(0)), part: 3 }),
            json!({"recount": {"sum": {"day": 0, "part": 3}}}),
        ),
        (
            Task::CheckRow { timeline: "HOME#ada".to_owned(), post, author: ada },
            json!({"check_row": {"timeline": "HOME#ada", "post": POST, "author": "auth0|ada"}}),
        ),
        (Task::Index(Unsettled::post(post)), json!({"index": {"subject": {"post": POST}}})),
    ]
}

fn body(task: &Task) -> String {
    Message::OnAll(task.clone()).body().unwrap()
}

#[test]
fn a_message_may_be_about_one_set_of_tables() {
    let task = Task::CatchUp { user: user("ada") };
    let message = Message::On { on: "bab".parse().unwrap(), task };
    let json = json!({"on": "bab", "task": {"catch_up": {"user": "ada"}}});
    assert_eq!(serde_json::from_str::<Value>(&message.body().unwrap()).unwrap(), json);
    assert_eq!(Message::parse(&json.to_string()), Ok(message));
}

#[test]
fn what_sqs_refuses_is_escaped() {
    let stored = UserId::try_from("a\u{fffe}\u{ffff}\u{85f}".to_owned()).unwrap();
    let task = Task::Redo { user: stored, version: version(3), error: "\u{ffff}".to_owned() };
    let body = body(&task);
    assert!(!body.contains(NOT_IN_MESSAGES), "{body}");
    assert_eq!(serde_json::from_str::<Task>(&body).unwrap(), task);
}

#[test]
fn the_largest_task_fits_a_message() {
    // A quotation mark is escaped, so it takes two bytes.
    let longest = user(&"\"".repeat(255));
    let post = POST.parse().unwrap();
    let task = Task::from(Walk::Push { post, author: longest.clone(), viewers: vec![longest; 500] });
    assert!(body(&task).len() <= 256 * 1024);
}

#[test]
fn the_json_of_every_task_is_that_of_the_messages_in_queues() {
    for (task, json) in tasks() {
        assert_eq!(serde_json::from_str::<Value>(&body(&task)).unwrap(), json);
        assert_eq!(Message::parse(&json.to_string()), Ok(Message::OnAll(task)));
    }
}

#[test]
fn every_task_has_a_known_name() {
    let names: std::collections::BTreeSet<_> =
        tasks().into_iter().filter_map(|(_, json)| json.as_object()?.keys().next().cloned()).collect();
    assert_eq!(names, NAMES.map(str::to_owned).into());
}

#[test]
fn what_a_newer_release_adds_to_a_task_is_passed_over() {
    let json = json!({"catch_up": {"user": "auth0|ada", "priority": 1}}).to_string();
    assert_eq!(Message::parse(&json), Ok(Message::OnAll(Task::CatchUp { user: user("auth0|ada") })));
}

#[test]
fn an_unknown_task_may_be_that_of_a_newer_release_and_anything_else_makes_no_sense() {
    for body in [r#"{"forget": {"user": "ada"}}"#, r#"{"on": "aba", "task": {"forget": {"user": "ada"}}}"#] {
        assert_eq!(Message::parse(body), Err(NotATask::Newer("forget".to_owned())), "{body}");
    }
    let no_set = r#"{"on": "xyz", "task": {"catch_up": {"user": "ada"}}}"#;
    let wrong = ["", "null", "[]", "{}", "nonsense", r#"{"catch_up": {"user": 1}}"#, r#"{"a": 1, "b": 2}"#, no_set];
    for body in wrong {
        assert!(matches!(Message::parse(body), Err(NotATask::Malformed(_))), "{body}");
    }
}
