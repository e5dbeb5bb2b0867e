//! What users send: every command, with its values.

use harness::{client::ProfileInput, model::Window};

/// A command.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    /// Write a post, perhaps twice with the same key, perhaps another with that key. Without a key, it is sent once.
    Post { text: String, key: Option<String>, again: Again },
    /// Change a post's text.
    Edit { post: String, text: String },
    /// Delete a post.
    Delete(String),
    /// Like a post, or stop that.
    Like(String, bool),
    /// Comment on a post, perhaps twice with the same key. Without a key, it is sent once.
    Comment { post: String, text: String, key: Option<String>, again: Again },
    /// Delete a comment.
    DeleteComment { post: String, comment: String },
    /// Follow somebody, or stop that.
    Follow(String, bool),
    /// Mute somebody, or stop that.
    Mute(String, bool),
    /// Block somebody, or stop that.
    Block(String, bool),
    /// Remove a follower.
    RemoveFollower(String),
    /// Change the profile.
    Rename(ProfileInput),
    /// Delete the account.
    DeleteAccount,
}

/// What else is sent with an idempotency key after the command is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// Nothing.
    No,
    /// The same request.
    Same,
    /// The same request, while the first is on its way.
    AtOnce,
    /// Another request.
    Other,
}

impl Command {
    /// Whether the command may be sent again: its repetition changes nothing.
    pub(crate) fn is_repeatable(&self) -> bool {
        !matches!(self, Self::Post { key: None, .. } | Self::Comment { key: None, .. })
    }
}

/// A command that was not answered, and not sent again, or whose last attempt was refused, and an earlier one not
/// answered.
#[derive(Debug)]
pub(crate) struct Doubt {
    /// The caller.
    pub(crate) by: String,
    /// The command.
    pub(crate) command: Command,
    /// When it happened, if it did.
    pub(crate) at: Window,
}
