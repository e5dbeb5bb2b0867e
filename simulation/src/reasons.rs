//! Why a command may be refused, as far as it is known from outside.

use std::time::Duration;

use crate::{command::Command, ledger::Ledger};

/// Whether there is a reason to refuse this command of the user, which was sent at this moment, with this code.
pub(crate) fn has_reason(ledger: &Ledger, own: &str, command: &Command, sent_at: Duration, code: &str) -> bool {
    let blocked = |other: &str| ledger.may_have_blocked(own, other, sent_at);
    match (command, code) {
        (_, "account_suspended") => ledger.moderated.contains(own),
        (_, "account_deleted") => ledger.deletions_begun.contains(own),
        (Command::Like(post, _) | Command::Comment { post, .. } | Command::Edit { post, .. }, "post_not_found") => {
            ledger.deleted.contains(post) || ledger.may_be_withdrawn(post)
        }
        (Command::Delete(post), "post_not_found") => {
            ledger.deletions_begun.contains(own) && ledger.deleted.contains(post)
        }
        (Command::Like(post, true) | Command::Comment { post, .. } | Command::Edit { post, .. }, "post_taken_down") => {
            ledger.moderated.contains(post)
        }
        (Command::Like(post, true) | Command::Comment { post, .. }, "blocked") => {
            ledger.authors.get(post).is_some_and(|author| blocked(author))
        }
        (Command::DeleteComment { comment, post }, "comment_not_found" | "post_not_found" | "not_author") => {
            ledger.deleted_comments.contains(comment) || ledger.deleted.contains(post)
        }
        (Command::Follow(other, true), "blocked") => blocked(other),
        (
            Command::Follow(other, _)
            | Command::Mute(other, _)
            | Command::Block(other, _)
            | Command::RemoveFollower(other),
            "user_not_found",
        ) => ledger.moderated.contains(other) || ledger.deletions_begun.contains(other),
        (Command::Rename(profile), "handle_taken") => {
            ledger.handles.get(&profile.handle).is_some_and(|users| users.len() > 1)
        }
        (
            Command::Post { .. }
            | Command::Edit { .. }
            | Command::Comment { .. }
            | Command::Like(_, true)
            | Command::Follow(_, true)
            | Command::Mute(_, true)
            | Command::Block(_, true)
            | Command::Rename(_),
            "rate_limited",
        ) => ledger.rate_limit.is_some(),
        _ => false,
    }
}
