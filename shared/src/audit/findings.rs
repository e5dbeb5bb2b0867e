//! What an audit finds.

use crate::stream::work_queue::Task;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// The task that repairs it. None if only a person can.
    pub repair: Option<Task>,
}

/// Kinds of findings. Their names are those of the counts in the audit's log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A user's log is longer than what was applied of it.
    LogBehind,
    /// More of a user's log was applied than there is.
    LogAhead,
    /// A viewer item lists other users than the edges say.
    WrongViewer,
    /// A card is missing, or does not show what the truth says.
    WrongCard,
    /// A card's counter is not that of the command table.
    WrongTally,
    /// A row is missing.
    MissingRow,
    /// A row does not follow from the truth.
    StrayRow,
    /// A notice is missing or does not say what the truth says, or the inbox does not list its group.
    WrongNotice,
    /// Something that happened is not counted, or a number of a day is not that of what is counted.
    WrongStatistics,
    /// A walk has not ended for long, and may be lost.
    LostWalk,
    /// A user still follows somebody who blocked the user, or deleted the account, long ago.
    LostTask,
    /// A card or a viewer item is about something that does not exist.
    StrayItem,
    /// A counter in the command table is not the number of edges. The truth contradicts itself, so a person has to
    /// look.
    WrongTruth,
}

impl Kind {
    /// The name of the kind in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::LogBehind => "log_behind",
            Self::LogAhead => "log_ahead",
            Self::WrongViewer => "wrong_viewer",
            Self::WrongCard => "wrong_card",
            Self::WrongTally => "wrong_tally",
            Self::MissingRow => "missing_row",
            Self::StrayRow => "stray_row",
            Self::WrongNotice => "wrong_notice",
            Self::WrongStatistics => "wrong_statistics",
            Self::LostWalk => "lost_walk",
            Self::LostTask => "lost_task",
            Self::StrayItem => "stray_item",
            Self::WrongTruth => "wrong_truth",
        }
    }
}

impl Finding {
    /// Something that this task repairs.
    pub(super) fn new(kind: Kind, repair: Task) -> Self {
        Self { kind, repair: Some(repair) }
    }
}
