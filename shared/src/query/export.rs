//! The export of an account: everything that the command table holds about a user, page by page. First come the items
//! of the user, in the order of their keys: the mutes and blocks, the log, the follows, the likes, the profile and so
//! on. An event comes with the post or comment that it made, as it stands now. Last come the followers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::pipeline::Page;
use crate::{
    error::Error,
    model::UserId,
    store::{Made, StoredItem, command_table::CommandTable},
};

/// Where an export goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportAt {
    /// Behind the item with this sort key.
    Items(String),
    /// Behind this follower. None before the first one.
    Followers(Option<UserId>),
}

/// Something that the command table holds about a user.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exported {
    /// What it is.
    pub kind: String,
    /// What is stored.
    pub data: Map<String, Value>,
    /// The post or comment that an event made, as it is stored now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<Map<String, Value>>,
}

/// Kinds of items by what their sort keys begin with.
const KINDS: [(&str, &str); 10] = [
    ("PROFILE", "profile"),
    ("NOTIFICATIONS", "notification_settings"),
    ("EVENT#", "event"),
    ("FOLLOWS#", "follow"),
    ("MUTES#", "mute"),
    ("BLOCKS#", "block"),
    ("LIKES#", "like"),
    ("COMMENTS#", "commented_post"),
    ("KEY#", "idempotency_key"),
    ("LIMIT#", "rate_limit"),
];

/// At most `limit` entries of the export of a user, from this place on.
///
/// # Errors
/// As the store's.
pub async fn export(
    commands: &CommandTable,
    user: &UserId,
    at: Option<ExportAt>,
    limit: usize,
) -> Result<Page<Exported, ExportAt>, Error> {
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    let after = match at {
        Some(ExportAt::Followers(after)) => {
            let page = commands.followers(user, after.as_ref(), limit).await?;
            let entries = page.users.iter().map(follower).collect();
            return Ok(Page { entries, next: page.next.map(|last| ExportAt::Followers(Some(last))) });
        }
        Some(ExportAt::Items(after)) => Some(after),
        None => None,
    };
    let (items, next) = commands.items_of(user, after, limit).await?;
    let made: Vec<_> = items.iter().filter_map(made_by).collect();
    let found = commands.made(&made).await?;
    let entries = items.into_iter().map(|item| {
        let made = made_by(&item).and_then(|made| found.get(&made).cloned());
        exported(item, made)
    });
    Ok(Page { entries: entries.collect(), next: Some(next.map_or(ExportAt::Followers(None), ExportAt::Items)) })
}

/// The post or comment that an event made.
fn made_by(item: &StoredItem) -> Option<Made> {
    let data = item.attributes.get("data")?;
    let id = |name: &str| data.get(name)?.as_str();
    match item.attributes.get("type")?.as_str()? {
        "PostCreated" => Some(Made::Post(id("post")?.parse().ok()?)),
        "PostCommented" => Some(Made::Comment(id("post")?.parse().ok()?, id("comment")?.parse().ok()?)),
        _ => None,
    }
}

fn exported(StoredItem { key, mut attributes }: StoredItem, made: Option<Map<String, Value>>) -> Exported {
    let (kind, of) = KINDS
        .iter()
        .find_map(|(prefix, kind)| key.strip_prefix(prefix).map(|of| (*kind, of)))
        .unwrap_or(("other", key.as_str()));
    if !of.is_empty() && kind != "event" {
        // Whom or what the item is about, which only its key tells.
        let of = percent_encoding::percent_decode_str(of).decode_utf8_lossy().into_owned();
        attributes.insert("of".to_owned(), Value::String(of));
    }
    Exported { kind: kind.to_owned(), data: attributes, made }
}

fn follower(user: &UserId) -> Exported {
    let data = json!({ "of": user });
    Exported { kind: "follower".to_owned(), data: data.as_object().cloned().unwrap_or_default(), made: None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        command::{MuteUser, turn_notifications},
        model::{EdgeState, NotificationKind, TallySubject},
        samples::user,
        test_world::{Process, World},
    };

    /// All entries of a user's export, read in pages of this size.
    async fn whole(process: &Process, id: &str, limit: usize) -> Vec<Exported> {
        let (mut all, mut at) = (Vec::new(), None);
        loop {
            let page = export(&process.commands, &user(id), at, limit).await.unwrap();
            assert!(page.entries.len() <= limit);
            all.extend(page.entries);
            match page.next {
                Some(next) => at = Some(next),
                None => return all,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_export_has_everything_whatever_the_size_of_its_pages() {
        let world = World::new();
        world.other.join(&["ada", "bob"]).await;
        let post = world.other.post("ada", "hello").await;
        world.other.edit("ada", post, "goodbye").await;
        // Most of these stand in other partitions than the post.
        for _ in 0..4 {
            world.other.meets_a_crowd(&TallySubject::Post(post));
            world.other.comment("ada", post, "so true").await;
        }
        world.other.follow("ada", "bob").await;
        world.other.follow("bob", "ada").await;
        world.other.done("ada", &MuteUser { muted: user("bob"), wanted: EdgeState::Active }).await;
        turn_notifications(&user("ada"), NotificationKind::Like, false, &world.other.commands).await.unwrap();

        let all = whole(&world.tested, "ada", 100).await;
        for limit in [1, 2, 3] {
            assert_eq!(whole(&world.tested, "ada", limit).await, all);
        }
        let mut kinds = BTreeMap::<&str, usize>::new();
        all.iter().for_each(|entry| *kinds.entry(&entry.kind).or_default() += 1);
        let expected =
            [("event", 9), ("follow", 1), ("follower", 1), ("mute", 1), ("notification_settings", 1), ("profile", 1)];
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
        let settings = all.iter().find(|entry| entry.kind == "notification_settings").unwrap();
        assert_eq!(settings.data["off"], json!(["like"]));
        let made: Vec<_> = all.iter().filter_map(|entry| entry.made.as_ref()?.get("text")?.as_str()).collect();
        let expected = ["goodbye", "so true", "so true", "so true", "so true"];
        assert_eq!(made, expected, "the present text");
        let follow = all.iter().find(|entry| entry.kind == "follow").unwrap();
        assert_eq!((&follow.data["of"], &follow.data["active"]), (&"bob".into(), &true.into()));
        assert!(all.iter().all(|entry| !entry.data.contains_key("PK")));
    }
}
