use std::time::Duration;

use serde_json::{Value, json};

use super::GRACE;
use crate::{
    audit::Kind,
    command::{DeleteAccount, ModeratePost, ModerateUser, Moderation, MuteUser, react_to_post},
    deadline::Deadline,
    error::Error,
    model::{Blockers, EdgeState, PostId, TallySubject},
    samples::user,
    store::Consistency,
    stream::{
        walk::{ErasureAt, Walk},
        work_queue::Task,
    },
    test_world::World,
};

const SECOND: Duration = Duration::from_secs(1);

/// Bob follows ada and carol, blocks dave and mutes erin. Ada has a post with a tag and a like. Everything is applied,
/// and some time has passed.
async fn settled() -> (World, PostId) {
    let world = World::new();
    let it = &world.other;
    it.join(&["ada", "bob", "carol", "dave", "erin"]).await;
    it.catch_up(&["ada", "bob", "carol", "dave", "erin"]).await;
    it.follow("bob", "ada").await;
    it.follow("bob", "carol").await;
    it.block("bob", "dave").await;
    it.done("bob", &MuteUser { muted: user("erin"), wanted: EdgeState::Active }).await;
    let post = it.post("ada", "hello #you").await;
    react_to_post(&user("bob"), post, EdgeState::Active, &it.commands, &it.clock).await.unwrap();
    it.catch_up(&["ada", "bob"]).await;
    for subject in ["ada", "carol"] {
        let subject = TallySubject::User(user(subject));
        it.projector.repair.settle_tally(&subject, &[]).await.unwrap();
    }
    it.projector.repair.settle_tally(&TallySubject::Post(post), &[]).await.unwrap();
    // An inbox is written once a second at most.
    world.pass(SECOND);
    it.projector.repair.settle_likes(post, &[user("bob")]).await.unwrap();
    world.take_tasks();
    // The trending list is merged a moment later.
    work_off(&world).await;
    world.pass(GRACE * 2);
    (world, post)
}

/// Has everything audited, and repaired as tasks say. Returns what was found.
async fn audit(world: &World) -> Vec<Kind> {
    world.other.commands.request_sweep(world.other.clock.now()).await.unwrap();
    world.pass(GRACE);
    let mut kinds = Vec::new();
    // A round may take several runs: their time is limited.
    for _ in 0..10 {
        world.tested.sweeper.run(Deadline::none()).await.unwrap();
        let state = world.other.commands.audit_state().await.unwrap();
        kinds = state.found.keys().cloned().collect();
        if state.sweep_requested_at.is_none() {
            break;
        }
    }
    work_off(world).await;
    let all = [
        Kind::LogBehind,
        Kind::LogAhead,
        Kind::WrongViewer,
        Kind::WrongCard,
        Kind::WrongTally,
        Kind::MissingRow,
        Kind::StrayRow,
        Kind::WrongNotice,
        Kind::WrongStatistics,
        Kind::LostWalk,
        Kind::LostTask,
        Kind::StrayItem,
        Kind::WrongTruth,
    ];
    all.into_iter().filter(|kind| kinds.iter().any(|name| name == kind.name())).collect()
}

/// Does what tasks say until none is left. Time passes while an erasure waits.
async fn work_off(world: &World) {
    let mut again = Vec::new();
    for _ in 0..1000 {
        let tasks: Vec<_> = again.drain(..).chain(world.take_tasks()).collect();
        if tasks.is_empty() {
            match world.pass_until_next_task() {
                true => continue,
                false => return,
            }
        }
        if tasks.iter().any(|task| matches!(task, Task::Walk(Walk::Erase { at: ErasureAt::Wait, .. }))) {
            world.pass(GRACE);
        }
        for task in tasks {
            match world.tested.repair(task.clone()).await {
                Err(Error::Transient { .. }) => again.push(task),
                done => done.unwrap(),
            }
        }
    }
    panic!("the tasks do not end");
}

/// All tables but that of commands, without the trending list, which says when it was merged.
fn all_read_models(world: &World) -> Vec<Vec<Value>> {
    let mut tables = world.tables().split_off(1);
    let is_list = |item: &Value| item["PK"]["S"].as_str().is_some_and(|pk| pk.starts_with("TRENDING"));
    tables.iter_mut().for_each(|items| items.retain(|item| !is_list(item)));
    tables
}

/// The same without what only counts writes, and without numbers of which nothing was ever counted.
fn read_models(world: &World) -> Vec<Vec<Value>> {
    let mut tables = all_read_models(world);
    for item in tables.iter_mut().flatten() {
        let item = item.as_object_mut().unwrap();
        item.remove("revision");
        item.remove("tally_revision");
        if item.get("SK") == Some(&json!({"S": "INBOX"})) {
            item.retain(|name, _| ["PK", "SK"].contains(&name.as_str()));
        }
        if item.get("tally") == Some(&json!({"M": {}})) {
            item.remove("tally");
            item.retain(|name, value| name != "followers" || *value != json!({"N": "0"}));
        }
    }
    tables
}

/// The damage is found as one of these kinds, and repaired.
async fn repairs(damage: impl Fn(&World, PostId), kinds: &[Kind]) {
    let (world, post) = settled().await;
    let before = read_models(&world);
    damage(&world, post);
    assert_ne!(read_models(&world), before, "there is some damage");
    let found = audit(&world).await;
    assert_eq!(found, kinds);
    assert_eq!(read_models(&world), before);
    assert_eq!(audit(&world).await, [], "nothing is left");
}

fn key(pk: &str, post: PostId) -> Value {
    json!({"PK": {"S": pk}, "SK": {"S": post.to_string()}})
}

fn delete(table: &'static str, key: Value) -> impl Fn(&World, PostId) {
    move |world, _| world.meddle("DeleteItem", &json!({"TableName": table, "Key": key}))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_found_where_nothing_is_wrong() {
    let (world, _) = settled().await;
    let before = all_read_models(&world);
    assert_eq!(audit(&world).await, []);
    assert_eq!(all_read_models(&world), before);
}

#[tokio::test(start_paused = true)]
async fn a_lost_row_comes_back() {
    for timeline in ["HOME#bob", "HOME#ada", "AUTHOR#ada", "TAG#you"] {
        let lose = |world: &World, post| {
            world.meddle("DeleteItem", &json!({"TableName": "timelines", "Key": key(timeline, post)}));
        };
        repairs(lose, &[Kind::MissingRow]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn notices_and_inboxes_are_set_to_the_truth() {
    let row = |world: &World, meant: &dyn Fn(&str, &str) -> bool| {
        let text = |item: &Value, name: &str| item[name]["S"].as_str().unwrap_or_default().to_owned();
        let rows = world.items("timelines").into_iter();
        let found = rows.filter(|item| meant(&text(item, "PK"), &text(item, "SK"))).collect::<Vec<_>>();
        assert_eq!(found.len(), 1);
        found.into_iter().next().unwrap()
    };
    let lose = |world: &World, meant: &dyn Fn(&str, &str) -> bool| {
        let row = row(world, meant);
        let key = json!({"PK": row["PK"], "SK": row["SK"]});
        world.meddle("DeleteItem", &json!({"TableName": "timelines", "Key": key}));
    };
    let is_like = |pk: &str, _: &str| pk.starts_with("LIKERS#");
    let is_follow = |pk: &str, sk: &str| pk == "NOTICES#carol" && sk.starts_with("follow#");
    repairs(|world, _| lose(world, &is_like), &[Kind::WrongNotice]).await;
    repairs(|world, _| lose(world, &is_follow), &[Kind::WrongNotice]).await;
    repairs(|world, _| lose(world, &|pk, sk| pk == "NOTICES#ada" && sk == "INBOX"), &[Kind::WrongNotice]).await;
    let end = |world: &World, _| {
        let mut row = row(world, &is_like);
        row["active"] = json!({"BOOL": false});
        world.put("timelines", &[row]);
    };
    repairs(end, &[Kind::WrongNotice]).await;
}

#[tokio::test(start_paused = true)]
async fn a_row_that_follows_from_nothing_is_deleted() {
    for (timeline, author) in [("TAG#other", "ada"), ("AUTHOR#carol", "ada"), ("HOME#erin", "carol")] {
        let add = |world: &World, post| {
            let mut row = key(timeline, post);
            row["author"] = json!({"S": author});
            world.put("timelines", &[row]);
        };
        repairs(add, &[Kind::StrayRow]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_was_not_applied_is_applied() {
    let (world, _) = settled().await;
    let post = world.other.post("ada", "nobody was told").await;
    world.pass(GRACE * 2);
    assert_eq!(audit(&world).await, [Kind::LogBehind, Kind::WrongCard, Kind::MissingRow]);
    assert_eq!(world.other.home("bob").await.first(), Some(&post));
    assert_eq!(audit(&world).await, []);
}

#[tokio::test(start_paused = true)]
async fn applied_is_set_back_to_the_end_of_the_log_and_all_effects_are_applied_again() {
    let ahead = |world: &World, post| {
        world.set("viewers", "USER#ada", "applied", &json!({"N": "9"}));
        world.meddle("DeleteItem", &json!({"TableName": "timelines", "Key": key("HOME#bob", post)}));
    };
    repairs(ahead, &[Kind::LogAhead, Kind::MissingRow]).await;
    let behind = |world: &World, _| world.set("viewers", "USER#bob", "applied", &json!({"N": "1"}));
    repairs(behind, &[Kind::LogBehind]).await;
}

#[tokio::test(start_paused = true)]
async fn a_viewer_item_is_set_to_the_edges() {
    for list in ["followed", "muted", "blocked"] {
        let empty = |world: &World, _| world.set("viewers", "USER#bob", list, &json!({"B": ""}));
        repairs(empty, &[Kind::WrongViewer]).await;
    }
    let forget = |world: &World, _| world.set("viewers", "USER#dave", "blocked_by", &json!({"B": ""}));
    repairs(forget, &[Kind::WrongViewer]).await;
    repairs(delete("viewers", json!({"PK": {"S": "USER#dave"}})), &[Kind::LogBehind, Kind::WrongViewer]).await;
}

#[tokio::test(start_paused = true)]
async fn lost_sets_are_found_although_they_had_only_blockers() {
    let (world, _) = settled().await;
    // Dave is blocked, and does nothing himself. His sets are said to be in an item of their own, which is not there.
    world.set("viewers", "USER#dave", "sets_revision", &json!({"N": "6"}));
    assert_eq!(audit(&world).await, [Kind::WrongViewer]);
    let stored = world.other.viewers.get(&user("dave"), Consistency::Strong).await.unwrap();
    // Who blocks a user is not told by the user's own edges. So pages ask the truth from now on.
    assert_eq!((stored.has_lost_sets, stored.viewer.blocked_by), (false, Blockers::Unlisted));
    assert_eq!(audit(&world).await, [], "nothing is left");
}

#[tokio::test(start_paused = true)]
async fn a_card_is_set_to_the_truth() {
    let of_post = |attribute: &'static str, value: Value| {
        move |world: &World, post: PostId| world.set("cards", &format!("POST#{post}"), attribute, &value)
    };
    repairs(of_post("text", json!({"S": "nobody wrote this"})), &[Kind::WrongCard]).await;
    repairs(of_post("version", json!({"N": "7"})), &[Kind::WrongCard]).await;
    repairs(of_post("likes", json!({"N": "7"})), &[Kind::WrongCard]).await;
    repairs(delete("cards", json!({"PK": {"S": "USER#carol"}})), &[Kind::WrongCard, Kind::WrongTally]).await;
    let of_nothing = |world: &World, _| {
        let post = PostId::new(world.other.clock.now());
        world.put("cards", &[json!({"PK": {"S": format!("POST#{post}")}, "likes": {"N": "1"}})]);
    };
    repairs(of_nothing, &[Kind::StrayItem]).await;
}

#[tokio::test(start_paused = true)]
async fn a_counter_is_set_to_its_shards() {
    for version in ["0", "1", "9"] {
        let change = |world: &World, post: PostId| {
            let image = json!({"M": {"version": {"N": version}, "likes": {"N": "5"}}});
            world.set("cards", &format!("POST#{post}"), "tally", &json!({"M": {"0": image}}));
        };
        repairs(change, &[Kind::WrongCard, Kind::WrongTally]).await;
    }
    let add_shard = |world: &World, _| {
        let image = |followers: &str| json!({"M": {"version": {"N": "1"}, "followers": {"N": followers}}});
        world.set("cards", "USER#ada", "tally", &json!({"M": {"0": image("1"), "7": image("3")}}));
    };
    repairs(add_shard, &[Kind::WrongCard, Kind::WrongTally]).await;
}

#[tokio::test(start_paused = true)]
async fn a_truth_that_contradicts_itself_is_reported_and_left_alone() {
    let (world, _) = settled().await;
    world.put_followers("ada", 3);
    let before = all_read_models(&world);
    assert_eq!(audit(&world).await, [Kind::WrongTruth]);
    assert_eq!(all_read_models(&world), before);

    let (world, post) = settled().await;
    let comment = world.other.comment("carol", post, "lost").await;
    world.other.catch_up(&["carol"]).await;
    world.other.projector.repair.settle_tally(&TallySubject::Post(post), &[]).await.unwrap();
    let key = json!({"PK": {"S": format!("POST#{post}")}, "SK": {"S": format!("COMMENT#{comment}")}});
    world.meddle("DeleteItem", &json!({"TableName": "commands", "Key": key}));
    world.pass(GRACE * 2);
    assert_eq!(audit(&world).await, [Kind::WrongTruth]);
}

/// What a viewer item says while a walk copies this author's posts, since bob's second event.
fn backfill(author: &str) -> Value {
    json!({"M": {"backfills": {"M": {author: {"N": "2"}}}}})
}

#[tokio::test(start_paused = true)]
async fn a_lost_walk_begins_again() {
    let of_follow = |world: &World, post| {
        world.set("viewers", "USER#bob", "unfinished", &backfill("ada"));
        world.meddle("DeleteItem", &json!({"TableName": "timelines", "Key": key("HOME#bob", post)}));
    };
    repairs(of_follow, &[Kind::LostWalk]).await;
    let of_profile = |world: &World, post: PostId| {
        let unfinished = json!({"M": {"backfills": {"M": {}}, "profile": {"N": "1"}}});
        world.set("viewers", "USER#ada", "unfinished", &unfinished);
        let nobody = json!({"M": {"handle": {"S": "nobody"}, "display_name": {"S": "Nobody"}}});
        world.set("cards", &format!("POST#{post}"), "author_profile", &nobody);
    };
    repairs(of_profile, &[Kind::LostWalk]).await;
    let of_nobody = |world: &World, _| world.set("viewers", "USER#bob", "unfinished", &backfill("erin"));
    repairs(of_nobody, &[Kind::WrongViewer]).await;
}

#[tokio::test(start_paused = true)]
async fn rows_that_a_walk_is_copying_are_not_missed() {
    let (world, post) = settled().await;
    let it = &world.other;
    it.follow("carol", "ada").await;
    it.catch_up(&["carol"]).await;
    it.projector.repair.settle_tally(&TallySubject::User(user("ada")), &[]).await.unwrap();
    world.set("viewers", "USER#carol", "unfinished", &backfill("ada"));
    world.meddle("DeleteItem", &json!({"TableName": "timelines", "Key": key("HOME#carol", post)}));
    assert_eq!(world.tested.sweeper.auditor.user(&user("carol")).await.unwrap(), []);
    assert_eq!(audit(&world).await, [Kind::LostWalk], "ten minutes later");
    assert_eq!(it.home("carol").await, [post]);
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_purge_left_is_removed() {
    let (world, post) = settled().await;
    let it = &world.other;
    it.comment("carol", post, "hello").await;
    it.delete("ada", post).await;
    it.catch_up(&["ada", "carol"]).await;
    it.projector.repair.settle_tally(&TallySubject::Post(post), &[]).await.unwrap();
    world.take_tasks();
    world.pass(GRACE * 2);
    assert_eq!(audit(&world).await, [Kind::LostWalk]);
    let left = world.items("commands").into_iter().map(|item| item["SK"]["S"].as_str().unwrap().to_owned());
    assert!(left.into_iter().all(|key| !key.starts_with("COMMENT#")));
    assert_eq!(audit(&world).await, []);
}

#[tokio::test(start_paused = true)]
async fn a_follow_that_a_block_did_not_end_is_ended() {
    let (world, _) = settled().await;
    let it = &world.other;
    let settle = async || {
        it.catch_up(&["bob", "erin"]).await;
        it.projector.repair.settle_tally(&TallySubject::User(user("bob")), &[]).await.unwrap();
    };
    it.follow("erin", "bob").await;
    it.block("bob", "erin").await;
    settle().await;
    world.take_tasks();
    assert_eq!(world.tested.sweeper.auditor.user(&user("bob")).await.unwrap(), [], "the task is on its way");
    world.pass(GRACE * 2);
    assert_eq!(audit(&world).await, [Kind::LostTask]);
    settle().await;
    assert!(!it.viewer("erin").await.follows(&user("bob")));
    assert_eq!(audit(&world).await, []);
}

#[tokio::test(start_paused = true)]
async fn what_changed_a_moment_ago_is_not_missed() {
    let (world, _) = settled().await;
    let post = world.other.post("ada", "on its way").await;
    assert_eq!(world.tested.sweeper.auditor.post(post).await.unwrap(), []);
    world.pass(GRACE * 2);
    let findings = world.tested.sweeper.auditor.post(post).await.unwrap();
    let kinds: Vec<_> = findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [Kind::WrongCard, Kind::MissingRow]);
}

#[tokio::test(start_paused = true)]
async fn one_user_can_be_audited() {
    let (world, _) = settled().await;
    world.set("viewers", "USER#bob", "followed", &json!({"B": ""}));
    let kinds = async |id: &str| {
        let findings = world.tested.sweeper.auditor.user(&user(id)).await.unwrap();
        findings.into_iter().map(|finding| finding.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds("ada").await, []);
    assert_eq!(kinds("bob").await, [Kind::WrongViewer; 3], "once for the number, and for each edge");
    assert_eq!(kinds("nobody").await, [Kind::StrayItem]);
}

#[tokio::test(start_paused = true)]
async fn what_an_administrator_has_hidden_is_hidden_again() {
    let settled_with = async |withdraws: &str| {
        let (world, post) = settled().await;
        let it = &world.other;
        let wanted = Moderation::Withdrawn;
        match withdraws {
            "post" => it.done("ada", &ModeratePost { post, wanted }).await,
            _ => it.done("ada", &ModerateUser { wanted }).await,
        };
        it.catch_up(&["ada"]).await;
        world.take_tasks();
        world.pass(GRACE * 2);
        assert_eq!(audit(&world).await, []);
        (world, post)
    };
    let shown = json!({"BOOL": false});
    let place = json!({"S": "TRENDING"});
    for (withdraws, of_user, attribute, wrong) in [
        ("post", false, "taken_down", &shown),
        ("user", false, "author_suspended", &shown),
        ("user", true, "suspended", &shown),
        ("post", false, "bucket", &place),
        ("user", false, "bucket", &place),
    ] {
        let (world, post) = settled_with(withdraws).await;
        let before = read_models(&world);
        let key = if of_user { "USER#ada".to_owned() } else { format!("POST#{post}") };
        world.set("cards", &key, attribute, wrong);
        assert_eq!(audit(&world).await, [Kind::WrongCard], "{attribute}");
        assert_eq!(read_models(&world), before, "{attribute}");
    }
}

/// Ada's account is deleted, bob does not know of it, and all tasks are lost.
async fn deleted() -> World {
    let (world, _) = settled().await;
    world.other.block("carol", "ada").await;
    world.other.catch_up(&["carol"]).await;
    world.other.done("ada", &DeleteAccount).await;
    world.other.catch_up(&["ada"]).await;
    world.take_tasks();
    world
}

#[tokio::test(start_paused = true)]
async fn an_erasure_is_left_alone_until_it_should_have_ended() {
    let world = deleted().await;
    world.pass(GRACE);
    let before = all_read_models(&world);
    assert_eq!(world.tested.sweeper.run(Deadline::none()).await.unwrap().found, 0);
    assert_eq!(all_read_models(&world), before);
    for id in ["ada", "bob", "carol"] {
        assert_eq!(world.tested.sweeper.user(&user(id)).await.unwrap(), [], "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_erasure_begins_again_and_then_nothing_is_left_to_find() {
    let world = deleted().await;
    world.pass(GRACE * 4);
    assert_eq!(audit(&world).await, [Kind::LostWalk, Kind::LostTask, Kind::StrayItem]);
    world.other.catch_up(&["bob", "carol"]).await;
    work_off(&world).await;
    assert!(!world.other.viewer("bob").await.follows(&user("ada")));
    for table in ["viewers", "cards"] {
        assert!(!world.keys(table, "USER#").contains(&"USER#ada".to_owned()), "{table}");
    }
    world.pass(GRACE * 2);
    assert_eq!(audit(&world).await, []);
    assert_eq!(world.tested.sweeper.user(&user("ada")).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_a_late_worker_leaves_of_an_erased_account_is_removed() {
    let world = deleted().await;
    world.pass(GRACE * 4);
    audit(&world).await;
    world.other.catch_up(&["bob", "carol"]).await;
    work_off(&world).await;
    let before = read_models(&world);
    world.put("cards", &[json!({"PK": {"S": "USER#ada"}, "followers": {"N": "1"}})]);
    assert_eq!(audit(&world).await, [Kind::StrayItem]);
    assert_eq!(read_models(&world), before);
    let applied = json!({"PK": {"S": "USER#ada"}, "applied": {"N": "1"}, "revision": {"N": "1"}});
    world.put("viewers", &[applied]);
    assert_eq!(audit(&world).await, [Kind::LostWalk]);
    assert_eq!(read_models(&world), before);
}
