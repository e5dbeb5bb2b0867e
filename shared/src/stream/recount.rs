//! What is counted again of the daily statistics. The JSON is that of the task in the work queue.

use serde::{Deserialize, Serialize};

use crate::model::{Day, UserId, Version};

/// A part of the daily statistics that is counted again, and set to what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recount {
    /// A user's numbers of a day, and the sum that they are part of.
    User {
        /// The user.
        user: UserId,
        /// The day, as its number since 1970.
        day: Day,
    },
    /// The sum of the users of a part of a day.
    Sum {
        /// The day.
        day: Day,
        /// The part.
        part: u8,
    },
    /// The numbers of posts with each tag, in a part of a day.
    Tags {
        /// The day.
        day: Day,
        /// The part.
        part: u8,
    },
    /// The facts that follow from an event. Nothing else of the event is applied.
    Event {
        /// The user whose log holds the event.
        user: UserId,
        /// The event.
        version: Version,
    },
    /// A fact: it goes unless it follows from the truth.
    Fact {
        /// The partition key of the fact.
        facts: String,
        /// Its sort key.
        fact: String,
    },
}

impl Recount {
    /// The user whose numbers they are, if they are one user's.
    pub(super) fn user(&self) -> Option<&UserId> {
        match self {
            Self::User { user, .. } | Self::Event { user, .. } => Some(user),
            Self::Sum { .. } | Self::Tags { .. } | Self::Fact { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{model::Timestamp, samples::user, stream::work_queue::Task};

    #[test]
    fn the_json_of_every_kind_is_that_of_the_messages_in_queues() {
        let day = Day::of(Timestamp::from_ms(86_400_000 * 7));
        let (facts, fact) = ("FACTS#ada#1".to_owned(), "1970-01-08#active#".to_owned());
        let all: [(Recount, Value); 5] = [
            (
                Recount::Event { user: user("ada"), version: Version::ZERO.next() },
                json!({"recount": {"event": {"user": "ada", "version": 1}}}),
            ),
            (Recount::User { user: user("ada"), day }, json!({"recount": {"user": {"user": "ada", "day": 7}}})),
            (Recount::Sum { day, part: 3 }, json!({"recount": {"sum": {"day": 7, "part": 3}}})),
            (Recount::Tags { day, part: 3 }, json!({"recount": {"tags": {"day": 7, "part": 3}}})),
            (
                Recount::Fact { facts, fact },
                json!({"recount": {"fact": {"facts": "FACTS#ada#1", "fact": "1970-01-08#active#"}}}),
            ),
        ];
        for (recount, json) in all {
            assert_eq!(serde_json::to_value(Task::Recount(recount)).unwrap(), json);
        }
    }
}
