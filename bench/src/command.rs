//! What users do: commands, reactions to posts, and chains of commands whose order matters. These are plain values;
//! [`crate::replay`] sends them.

use std::{collections::BTreeMap, fmt};

use crate::texts::Draft;

/// One command of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `follower` follows or unfollows `followee`.
    Follow {
        /// The number of the user who sends the command.
        follower: usize,
        /// The number of the user who is followed.
        followee: usize,
        /// `true` for a follow, `false` for an unfollow.
        on: bool,
    },
    /// `viewer` mutes or unmutes `author`.
    Mute {
        /// The number of the user who sends the command.
        viewer: usize,
        /// The number of the user who is muted.
        author: usize,
        /// `true` for a mute, `false` for an unmute.
        on: bool,
    },
    /// `blocker` blocks or unblocks `blocked`.
    Block {
        /// The number of the user who sends the command.
        blocker: usize,
        /// The number of the user who is blocked.
        blocked: usize,
        /// `true` for a block, `false` for an unblock.
        on: bool,
    },
    /// A post.
    Post {
        /// The number of the post.
        number: usize,
        /// The author and the text.
        draft: Draft,
    },
    /// The deletion of a post.
    Delete {
        /// The number of the post.
        number: usize,
        /// The number of its author, who sends the command.
        author: usize,
    },
    /// A reaction to a post.
    React(Reaction),
}

impl Command {
    /// The number of the user who sends the command.
    pub fn sender(&self) -> usize {
        match self {
            Self::Follow { follower, .. } => *follower,
            Self::Mute { viewer, .. } => *viewer,
            Self::Block { blocker, .. } => *blocker,
            Self::Post { draft, .. } => draft.author,
            Self::Delete { author, .. } => *author,
            Self::React(reaction) => reaction.sender,
        }
    }
}

/// How many commands of each kind a plan has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kinds(BTreeMap<&'static str, usize>);

impl Kinds {
    /// Counts the kinds of these commands.
    pub fn of(commands: &[Command]) -> Self {
        let mut kinds = BTreeMap::new();
        for command in commands {
            let kind = match command {
                Command::Follow { on: true, .. } => "follows",
                Command::Follow { on: false, .. } => "unfollows",
                Command::Mute { on: true, .. } => "mutes",
                Command::Mute { on: false, .. } => "unmutes",
                Command::Block { on: true, .. } => "blocks",
                Command::Block { on: false, .. } => "unblocks",
                Command::Post { .. } => "posts",
                Command::Delete { .. } => "deletions",
                Command::React(_) => "reactions",
            };
            *kinds.entry(kind).or_default() += 1;
        }
        Self(kinds)
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted: Vec<_> = self.0.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        f.write_str(&counted.join(", "))
    }
}

/// Commands that must keep their order. Each command is possible only after the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// All commands of the chain come after this.
    pub after: Anchor,
    /// The commands in their order.
    pub commands: Vec<Command>,
}

/// What a chain needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anchor {
    /// The post with this number exists.
    Post(usize),
    /// One user follows another.
    Follow {
        /// The number of the follower.
        follower: usize,
        /// The number of the followee.
        followee: usize,
    },
}

impl Anchor {
    /// What `command` makes possible.
    pub(crate) fn of(command: &Command) -> Option<Self> {
        match *command {
            Command::Post { number, .. } => Some(Self::Post(number)),
            Command::Follow { follower, followee, on: true } => Some(Self::Follow { follower, followee }),
            _ => None,
        }
    }
}

/// A reaction to a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// The number of the user who sends it.
    pub sender: usize,
    /// The number of the post.
    pub post: usize,
    /// The kind of reaction.
    pub what: ReactionKind,
}

/// The kinds of reactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReactionKind {
    /// A like.
    Like,
    /// The removal of a like.
    Unlike,
    /// A comment.
    Comment {
        /// The number of the comment.
        number: usize,
        /// The text.
        text: String,
    },
    /// The deletion of a comment.
    DeleteComment {
        /// The number of the comment.
        number: usize,
    },
    /// A new text for the post, sent by its author.
    Edit {
        /// The new text.
        text: String,
    },
}
