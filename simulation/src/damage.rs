//! Damage to the read models: what no message tells of, and only an audit finds. It stands for work that was lost in
//! any way, for bugs of releases before, and for operators who changed an item by hand.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::{
    faults::Fault,
    notices::is_of_notices,
    search::is_of_lists,
    statistics::is_of_statistics,
    truth::{LIKES_ARE_SPREAD, is, number, text},
    visits::is_visit,
    world::World,
};

/// Damages something at random, if there is something of the kind.
type Kind = fn(&World, &mut StdRng) -> Option<()>;

/// Damages this many items.
pub(crate) fn damage(world: &World, items: u32, random: &mut StdRng) {
    let kinds: [Kind; 21] = [
        lose_row,
        add_row,
        lose_notice,
        end_notice,
        lose_mark,
        lose_inbox,
        lose_counted,
        change_numbers,
        add_fact,
        change_tag,
        change_count,
        change_image,
        change_text,
        show_hidden,
        lose_card,
        move_applied,
        lose_followed,
        lose_walk,
        lose_word,
        add_word,
        lose_entry,
    ];
    for _ in 0..items {
        if let Some(kind) = kinds.choose(random) {
            // Without an item of the kind, there is nothing to damage.
            if kind(world, random).is_some() {
                world.network.count(Fault::Damage);
            }
        }
    }
}

/// A row of a timeline is lost.
fn lose_row(world: &World, random: &mut StdRng) -> Option<()> {
    // Followers who have no log have nothing to audit.
    let meant = |row: &Value| !text(row, "PK").contains("ghost") && is_in_timeline(row);
    let row = any(world, "Timelines", meant, random)?;
    world.meddle("DeleteItem", json!({"TableName": "Timelines", "Key": {"PK": row["PK"], "SK": row["SK"]}}));
    Some(())
}

/// A notice is lost.
fn lose_notice(world: &World, random: &mut StdRng) -> Option<()> {
    let row = any(world, "Timelines", |row| is_of_notices(row) && row.get("actor").is_some(), random)?;
    world.meddle("DeleteItem", json!({"TableName": "Timelines", "Key": {"PK": row["PK"], "SK": row["SK"]}}));
    Some(())
}

/// The mark of a post whose likes stand in several partitions is lost.
fn lose_mark(world: &World, random: &mut StdRng) -> Option<()> {
    let row = any(world, "Timelines", |row| text(row, "SK") == LIKES_ARE_SPREAD, random)?;
    world.meddle("DeleteItem", json!({"TableName": "Timelines", "Key": {"PK": row["PK"], "SK": row["SK"]}}));
    Some(())
}

/// A notice stands that has ended, or the other way round.
fn end_notice(world: &World, random: &mut StdRng) -> Option<()> {
    let mut row = any(world, "Timelines", |row| is_of_notices(row) && row.get("actor").is_some(), random)?;
    row["active"] = json!({"BOOL": row["active"]["BOOL"] != true});
    world.meddle("PutItem", json!({"TableName": "Timelines", "Item": row}));
    Some(())
}

/// An inbox is lost.
fn lose_inbox(world: &World, random: &mut StdRng) -> Option<()> {
    let row = any(world, "Timelines", |row| text(row, "SK") == "INBOX", random)?;
    world.meddle("DeleteItem", json!({"TableName": "Timelines", "Key": {"PK": row["PK"], "SK": row["SK"]}}));
    Some(())
}

/// A part of the statistics is lost: a fact, numbers, a sum, or tags.
fn lose_counted(world: &World, random: &mut StdRng) -> Option<()> {
    let row = any(world, "Timelines", is_of_statistics, random)?;
    world.meddle("DeleteItem", json!({"TableName": "Timelines", "Key": {"PK": row["PK"], "SK": row["SK"]}}));
    Some(())
}

/// A number of a user's day, or of the sum of a day, is wrong.
fn change_numbers(world: &World, random: &mut StdRng) -> Option<()> {
    let mut row = any(world, "Timelines", |row| text(row, "PK").starts_with("DAYS#"), random)?;
    let kind = *["post", "like", "comment", "gained", "lost", "joined", "active"].choose(random)?;
    row[kind] = json!({"N": (number(&row, kind) + 7).to_string()});
    world.meddle("PutItem", json!({"TableName": "Timelines", "Item": row}));
    Some(())
}

/// A fact appears that did not happen.
fn add_fact(world: &World, random: &mut StdRng) -> Option<()> {
    let is_event = |row: &Value| text(row, "PK").starts_with("FACTS#") && text(row, "SK").contains("#EVENT#");
    let mut row = any(world, "Timelines", is_event, random)?;
    let (of, _) = text(&row, "SK").rsplit_once('#')?;
    row["SK"] = json!({"S": format!("{of}#{:012}", random.random_range(100_000..200_000))});
    world.meddle("PutItem", json!({"TableName": "Timelines", "Item": row}));
    Some(())
}

/// The number of posts with a tag is wrong.
fn change_tag(world: &World, random: &mut StdRng) -> Option<()> {
    let is_tag = |row: &Value| text(row, "PK").starts_with("DAYTAGS#") && text(row, "SK").starts_with("TAG#");
    let mut row = any(world, "Timelines", is_tag, random)?;
    row["posts"] = json!({"N": (number(&row, "posts") + 7).to_string()});
    world.meddle("PutItem", json!({"TableName": "Timelines", "Item": row}));
    Some(())
}

/// A row appears for a post that there is not.
fn add_row(world: &World, random: &mut StdRng) -> Option<()> {
    let mut row = any(world, "Timelines", is_in_timeline, random)?;
    let post = text(&row, "SK").to_owned();
    // The beginning is the time, and the end is random.
    let end = format!("{:012x}", random.random_range(0..1u64 << 48));
    row["SK"] = json!({"S": format!("{}{end}", &post[..post.len() - end.len()])});
    world.meddle("PutItem", json!({"TableName": "Timelines", "Item": row}));
    Some(())
}

/// A card shows another number than its counter has.
fn change_count(world: &World, random: &mut StdRng) -> Option<()> {
    let card = any(world, "Cards", |card| card.get("likes").is_some(), random)?;
    let likes = number(&card, "likes") + 7;
    set(world, "Cards", &card, "likes", &json!({"N": likes.to_string()}));
    Some(())
}

/// A card has another image of a shard than the command table, with any version.
fn change_image(world: &World, random: &mut StdRng) -> Option<()> {
    let card = any(world, "Cards", |card| card["tally"]["M"].as_object().is_some_and(|all| !all.is_empty()), random)?;
    let mut tally = card["tally"].clone();
    let image = tally["M"].as_object_mut()?.values_mut().next()?;
    let version = number(&image["M"], "version") + random.random_range(-1..=1);
    image["M"]["version"] = json!({"N": version.max(0).to_string()});
    let counted = if text(&card, "PK").starts_with("USER#") { "followers" } else { "likes" };
    image["M"][counted] = json!({"N": "5"});
    set(world, "Cards", &card, "tally", &tally);
    Some(())
}

/// A card shows another text, or another name.
fn change_text(world: &World, random: &mut StdRng) -> Option<()> {
    let card = any(world, "Cards", |card| card.get("text").is_some() || card.get("profile").is_some(), random)?;
    if card.get("text").is_some() {
        set(world, "Cards", &card, "text", &json!({"S": "nobody wrote this"}));
    } else {
        let mut profile = card["profile"].clone();
        profile["M"]["display_name"] = json!({"S": "Nobody"});
        set(world, "Cards", &card, "profile", &profile);
    }
    Some(())
}

/// A card forgets what an administrator has hidden.
fn show_hidden(world: &World, random: &mut StdRng) -> Option<()> {
    let hidden = ["taken_down", "author_suspended", "suspended"];
    let card = any(world, "Cards", |card| hidden.iter().any(|name| is(card, name)), random)?;
    for name in hidden.iter().filter(|name| is(&card, name)) {
        set(world, "Cards", &card, name, &json!({"BOOL": false}));
    }
    Some(())
}

/// A card is lost.
fn lose_card(world: &World, random: &mut StdRng) -> Option<()> {
    let card = any(world, "Cards", |card| card.get("post").is_some() || card.get("user").is_some(), random)?;
    world.meddle("DeleteItem", json!({"TableName": "Cards", "Key": {"PK": card["PK"]}}));
    Some(())
}

/// More or less is applied than there is.
fn move_applied(world: &World, random: &mut StdRng) -> Option<()> {
    let viewer = any(world, "Viewers", |viewer| number(viewer, "applied") > 0, random)?;
    let applied = number(&viewer, "applied") + if random.random_bool(0.5) { 3 } else { -1 };
    set(world, "Viewers", &viewer, "applied", &json!({"N": applied.to_string()}));
    Some(())
}

/// A viewer item forgets whom its user follows.
fn lose_followed(world: &World, random: &mut StdRng) -> Option<()> {
    let viewer = any(world, "Viewers", |viewer| number(viewer, "applied") > 0, random)?;
    let sets = format!("SETS#{}", text(&viewer, "PK").trim_start_matches("USER#"));
    let sets = viewer.get("sets_revision").and_then(|_| any(world, "Viewers", |item| text(item, "PK") == sets, random));
    match sets {
        Some(sets) if random.random_bool(0.5) => {
            world.meddle("DeleteItem", json!({"TableName": "Viewers", "Key": {"PK": sets["PK"]}}));
        }
        sets => set(world, "Viewers", &sets.unwrap_or(viewer), "followed", &json!({"B": ""})),
    }
    Some(())
}

/// A viewer item says that walks are under way, but they are lost.
fn lose_walk(world: &World, random: &mut StdRng) -> Option<()> {
    let viewer = any(world, "Viewers", |viewer| number(viewer, "applied") > 0, random)?;
    let user = text(&viewer, "PK");
    let is_follow = |item: &Value| {
        text(item, "PK") == user && text(item, "SK").starts_with("FOLLOWS#") && item["active"]["BOOL"] == true
    };
    let mut walks = json!({"backfills": {"M": {}}, "profile": {"N": "1"}});
    if let Some(follow) = any(world, "Commands", is_follow, random) {
        let followee = text(&follow, "SK").trim_start_matches("FOLLOWS#");
        walks["backfills"]["M"][followee] = follow["version"].clone();
    }
    set(world, "Viewers", &viewer, "unfinished", &json!({ "M": walks }));
    Some(())
}

/// A row of the search index is lost.
fn lose_word(world: &World, random: &mut StdRng) -> Option<()> {
    let row = any(world, "SearchIndex", |row| text(row, "SK") != "ENTRY", random)?;
    world.meddle("DeleteItem", json!({"TableName": "SearchIndex", "Key": {"PK": row["PK"], "SK": row["SK"]}}));
    Some(())
}

/// A post or a user stands in a list of the search index that means something else.
fn add_word(world: &World, random: &mut StdRng) -> Option<()> {
    let mut row = any(world, "SearchIndex", is_of_lists, random)?;
    row["PK"] = json!({"S": format!("{}x", text(&row, "PK"))});
    world.meddle("PutItem", json!({"TableName": "SearchIndex", "Item": row}));
    Some(())
}

/// The search index does not know of rows that it has.
fn lose_entry(world: &World, random: &mut StdRng) -> Option<()> {
    let row = any(world, "SearchIndex", |row| text(row, "SK") == "ENTRY", random)?;
    world.meddle("DeleteItem", json!({"TableName": "SearchIndex", "Key": {"PK": row["PK"], "SK": row["SK"]}}));
    Some(())
}

/// Whether the row is one of a timeline: neither an announcement, nor a notice, nor of statistics.
fn is_in_timeline(row: &Value) -> bool {
    text(row, "PK") != "ANNOUNCED"
        && !is_visit(row)
        && !text(row, "PK").starts_with("RUN#")
        && !is_of_notices(row)
        && !is_of_statistics(row)
}

/// Any of these items of a table.
fn any(world: &World, table: &str, meant: impl Fn(&Value) -> bool, random: &mut StdRng) -> Option<Value> {
    let mut items: Vec<_> = world.items(table).into_iter().filter(meant).collect();
    items.sort_by_cached_key(Value::to_string);
    items.choose(random).cloned()
}

fn set(world: &World, table: &str, item: &Value, attribute: &str, value: &Value) {
    let request = json!({
        "TableName": table, "Key": {"PK": item["PK"]}, "UpdateExpression": "SET #attribute = :value",
        "ExpressionAttributeNames": {"#attribute": attribute}, "ExpressionAttributeValues": {":value": value},
    });
    world.meddle("UpdateItem", request);
}
