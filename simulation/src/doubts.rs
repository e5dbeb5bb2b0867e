//! What nobody can know before everything is at rest, when the command table tells. Above all, commands of which the
//! caller cannot know whether they happened: an attempt was not answered, and there was no other one, or the next one
//! was refused, for a reason that may have come between the two: a suspension, or a deletion.

use std::collections::BTreeSet;

use harness::model::{Remark, Said};
use serde_json::Value;

use crate::{
    command::{Command, Doubt},
    ledger::Ledger,
    truth::{Truth, is_null, number, text},
};

/// Enters into the ledger, at rest, what nobody could tell before.
pub(crate) fn adopt(ledger: &mut Ledger, truth: &Truth) {
    for doubt in std::mem::take(&mut ledger.doubts) {
        if !ledger.accounts_deleted.contains(&doubt.by) {
            adopt_one(ledger, truth, doubt);
        }
    }
    adopt_uncertain_follows(ledger, truth);
    ledger.forget_the_deleted();
    adopt_versions(ledger, truth);
    adopt_views(ledger, truth);
}

fn adopt_one(ledger: &mut Ledger, truth: &Truth, Doubt { by, command, at }: Doubt) {
    let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    match command {
        Command::Follow(other, _) => drop(ledger.uncertain.insert(pair(&by, &other))),
        Command::RemoveFollower(other) => drop(ledger.uncertain.insert(pair(&other, &by))),
        Command::Block(other, _) => {
            ledger.uncertain.extend([pair(&by, &other), pair(&other, &by)]);
            set(&mut ledger.member(&by).blocks, &other, truth.has("BLOCKS", &by, &other));
        }
        Command::Mute(other, _) => set(&mut ledger.member(&by).mutes, &other, truth.has("MUTES", &by, &other)),
        Command::Like(post, _) => {
            let likes = &mut ledger.member(&by).likes;
            if truth.likes.contains(&pair(&by, &post)) {
                likes.entry(post).or_insert(at);
            } else {
                likes.remove(&post);
            }
        }
        Command::Edit { post, .. } | Command::Delete(post) => {
            let Some(item) = truth.posts.get(&post) else { return };
            let posts = &mut ledger.member(&by).posts;
            if is_null(item, "deleted_at") {
                let known = posts.get(&post).is_some_and(|said| said.text == text(item, "text"));
                let version = number(item, "version").unsigned_abs();
                if let Some(said) = posts.get_mut(&post).filter(|_| !known) {
                    *said = Said { taken_down: said.taken_down, ..Said::edited(text(item, "text"), version) };
                }
            } else {
                posts.remove(&post);
            }
        }
        Command::DeleteComment { comment, .. } if !truth.comments.contains_key(&comment) => {
            ledger.model.members.values_mut().for_each(|member| drop(member.comments.remove(&comment)));
        }
        // The handle alone says nothing: the user may have had it before.
        Command::Rename(profile) if truth.profile(&by).as_ref() == Some(&profile) => {
            ledger.member(&by).profile = Some(profile);
        }
        // The texts of a user differ, but those of different parts of a history may not.
        Command::Post { text: said, .. } => {
            let is_it = |post: &Value| text(post, "author") == by && text(post, "text") == said;
            let found = truth.shown_posts().find(|(id, post)| is_it(post) && !ledger.authors.contains_key(*id));
            if let Some((id, post)) = found {
                let known = Said { taken_down: !is_null(post, "taken_down_at"), ..Said::new(&said) };
                ledger.authors.insert(id.clone(), by.clone());
                ledger.texts.entry(id.clone()).or_default().insert(said);
                ledger.member(&by).posts.entry(id.clone()).or_insert(known);
            }
        }
        Command::Comment { post, text, .. } => {
            let said = (post.clone(), by.clone(), text.clone());
            let is_known = |id: &String| ledger.model.members.values().any(|it| it.comments.contains_key(id));
            let found = truth.comments.iter().find(|(id, it)| **it == said && !is_known(id));
            if let Some((id, _)) = found {
                ledger.member(&by).comment(id.clone(), Remark { post, text, at });
            }
        }
        // The others did not happen.
        Command::DeleteComment { .. } | Command::Rename(_) | Command::DeleteAccount => {}
    }
}

/// Where a follow and a block overlapped, only the table knows which came first.
fn adopt_uncertain_follows(ledger: &mut Ledger, truth: &Truth) {
    for (from, to) in std::mem::take(&mut ledger.uncertain) {
        let follows = truth.has("FOLLOWS", &from, &to);
        let member = ledger.member(&from);
        if follows {
            member.follows.insert(to)
        } else {
            member.follows.remove(&to)
        };
    }
}

/// Where an edit and a decision about a post overlapped, only the table knows how often the post changed.
fn adopt_versions(ledger: &mut Ledger, truth: &Truth) {
    for post in &ledger.moderated {
        let version = truth.posts.get(post).map(|item| number(item, "version").unsigned_abs());
        let mut members = ledger.model.members.values_mut();
        if let (Some(version), Some(said)) = (version, members.find_map(|member| member.posts.get_mut(post))) {
            said.version = version;
        }
    }
}

/// At rest, everybody's view of others is that of the newest version, whatever was in doubt before.
fn adopt_views(ledger: &mut Ledger, truth: &Truth) {
    for (user, versions) in &truth.logs {
        if ledger.model.members.contains_key(user) {
            ledger.views(user, versions.len() as u64);
        }
    }
}

fn set(edges: &mut BTreeSet<String>, other: &str, is_there: bool) {
    if is_there {
        edges.insert(other.to_owned());
    } else {
        edges.remove(other);
    }
}

#[cfg(test)]
mod tests {
    use harness::{client::ProfileInput, model::Window};
    use serde_json::json;

    use super::*;

    fn named(display_name: &str) -> ProfileInput {
        ProfileInput { handle: "barbara".to_owned(), display_name: display_name.to_owned(), avatar_url: None }
    }

    /// What the model has of a profile if it had `known`, the table has `there`, and nobody knows what came of `sent`.
    fn adopted(known: &str, there: &str, sent: &str) -> Option<ProfileInput> {
        let truth = Truth::read(&[json!({
            "PK": {"S": "USER#ada"}, "SK": {"S": "PROFILE"}, "handle": {"S": "barbara"},
            "display_name": {"S": there}, "avatar_url": {"NULL": true},
        })]);
        let mut ledger = Ledger::default();
        ledger.member("ada").profile = Some(named(known));
        let at = Window { from_ms: 0, to_ms: 0 };
        ledger.doubts.push(Doubt { by: "ada".to_owned(), command: Command::Rename(named(sent)), at });
        adopt(&mut ledger, &truth);
        ledger.member("ada").profile.clone()
    }

    #[test]
    fn what_an_unmute_in_doubt_came_to_is_part_of_the_newest_view() {
        let truth = Truth::read(&[
            json!({"PK": {"S": "USER#ada"}, "SK": {"S": "EVENT#000000000001"}}),
            json!({"PK": {"S": "USER#ada"}, "SK": {"S": "EVENT#000000000002"}}),
            json!({"PK": {"S": "USER#ada"}, "SK": {"S": "MUTES#bob"}, "active": {"BOOL": false}}),
        ]);
        let mut ledger = Ledger::default();
        ledger.member("ada").mutes.insert("bob".to_owned());
        ledger.views("ada", 1);
        let at = Window { from_ms: 0, to_ms: 0 };
        ledger.doubts.push(Doubt { by: "ada".to_owned(), command: Command::Mute("bob".to_owned(), false), at });
        adopt(&mut ledger, &truth);
        let mutes = |version| ledger.views_at("ada", version)[0].mutes.len();
        assert_eq!((mutes(1), mutes(2)), (1, 0));
    }

    #[test]
    fn a_profile_in_doubt_is_what_the_table_has_as_a_whole() {
        // Refused, and it never ran.
        assert_eq!(adopted("before", "before", "sent"), Some(named("before")));
        // An accepted one came after it.
        assert_eq!(adopted("after", "after", "sent"), Some(named("after")));
        // It happened.
        assert_eq!(adopted("before", "sent", "sent"), Some(named("sent")));
    }
}
