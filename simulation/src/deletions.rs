//! What deletions must leave nothing of, in any table: texts and tags of deleted posts and comments, and everything of
//! deleted accounts.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    checks::{Check, Checks},
    search::is_of_lists,
    truth::{Truth, text, without_shard},
};

/// Of a deleted account, the end of its log and the reservation of its handles are left. Others keep what they said of
/// it: their likes, mutes and blocks, and the names of the account and its posts in their logs. Rows in their homes
/// expire.
pub(crate) fn nothing_of_the_erased(checks: &mut Checks, truth: &Truth, items: &[Value]) {
    let erased: BTreeSet<&str> = truth.logs.keys().map(String::as_str).filter(|user| truth.is_erased(user)).collect();
    if erased.is_empty() {
        return;
    }
    for item in items {
        let (pk, sk) = (text(item, "PK"), text(item, "SK"));
        let of = |key: &str| key.split('#').any(|part| erased.contains(part));
        let is_reservation = pk.starts_with("HANDLE#") && item.get("expires_at").is_some();
        // A word, or a beginning of a name, may be the id of somebody.
        let is_theirs = (of(pk) && !is_reservation && !is_of_lists(item))
            || (of(sk) && !sk.starts_with("MUTES#") && !sk.starts_with("BLOCKS#"));
        let wrote = pk.starts_with("POST#") && erased.contains(text(item, "author"));
        let is_end = sk.starts_with("EVENT#") && text(item, "type") == "AccountDeleted";
        let problem = || format!("{pk} {sk} is left of a deleted account: {item}");
        checks.decide(Check::NothingOfTheDeleted, is_end || !(is_theirs || wrote), problem);
    }
}

/// Looks at every item for what a deletion has to remove: a text, or a tag.
pub(crate) fn nothing_of_the_deleted(checks: &mut Checks, truth: &Truth, items: &[Value]) {
    let is_shown = |post: &str| truth.shown_posts().any(|(shown, _)| shown == post);
    for item in items {
        let (pk, sk) = (text(item, "PK"), text(item, "SK"));
        let data = &item["data"]["M"];
        let (post, comment) = match pk.split_once('#') {
            Some(("POST", post)) => (without_shard(post), sk.strip_prefix("COMMENT#")),
            Some(("TAG" | "WORD", _)) => (sk, None),
            Some(("USER", _)) if data["text"]["S"].is_string() => (text(data, "post"), data["comment"]["S"].as_str()),
            _ => continue,
        };
        let has_text = item["text"]["S"].is_string() || data["text"]["S"].is_string();
        let holds = |name: &str| item[name]["L"].as_array().is_some_and(|tags| !tags.is_empty());
        let says_something = has_text || holds("tags") || holds("tags_ever") || holds("lists");
        let says_something = says_something || ["TAG#", "WORD#"].iter().any(|prefix| pk.starts_with(prefix));
        let deleted = !is_shown(post) || comment.is_some_and(|comment| !truth.comments.contains_key(comment));
        let problem = || format!("{pk} {sk} still says something of {post}, {comment:?}: {item}");
        checks.decide(Check::NothingOfTheDeleted, !deleted || !says_something, problem);
    }
}
