//! What users do: commands, reactions to posts, and chains of commands whose order matters. These are plain values;
//! [`crate::replay`] sends them.

use std::{collections::BTreeMap, fmt};

use crate::texts::Draft;

/// One command of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `follower` follows `followee`, or no longer.
    Follow {
        /// Number of the user who sends it.
        follower: usize,
        /// Number of the user followed.
        followee: usize,
        /// Whether from now on or no longer.
        on: bool,
    },
    /// `viewer` mutes `author`, or no longer.
    Mute {
        /// Number of the user who sends it.
        viewer: usize,
        /// Number of the user muted.
        author: usize,
        /// Whether from now on or no longer.
        on: bool,
    },
    /// `blocker` blocks `blocked`, or no longer.
    Block {
        /// Number of the user who sends it.
        blocker: usize,
        /// Number of the user blocked.
        blocked: usize,
        /// Whether from now on or no longer.
        on: bool,
    },
    /// A post.
    Post {
        /// Number of the post.
        number: usize,
        /// What it is.
        draft: Draft,
    },
    /// A post's end.
    Delete {
        /// Number of the post.
        number: usize,
        /// Number of its author, who sends it.
        author: usize,
    },
    /// What somebody makes of a post.
    React(Reaction),
}

impl Command {
    /// Number of the user who sends the command.
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
    /// Those of this plan.
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

/// Commands that have to keep their order, each possible only after the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// What all of them come after.
    pub after: Anchor,
    /// The commands.
    pub commands: Vec<Command>,
}

/// What makes a chain possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anchor {
    /// The post with this number.
    Post(usize),
    /// That one user followed another.
    Follow {
        /// Number of the one.
        follower: usize,
        /// Number of the other.
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
    /// Number of the user who sends it.
    pub sender: usize,
    /// Number of the post.
    pub post: usize,
    /// What it is.
    pub what: ReactionKind,
}

/// What can be done about a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReactionKind {
    /// A like.
    Like,
    /// The end of a like.
    Unlike,
    /// A comment.
    Comment {
        /// Number of the comment.
        number: usize,
        /// The text.
        text: String,
    },
    /// The comment's end.
    DeleteComment {
        /// Number of the comment.
        number: usize,
    },
    /// Other words in the same place; sent by the author.
    Edit {
        /// The new text.
        text: String,
    },
}
