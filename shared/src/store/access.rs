//! What the methods beside this file ask AWS for, and so what a function that calls them must be allowed: no more and no
//! less is in `template.yaml`, which a test compares with [`FUNCTIONS`]. Another test compares the first part of the list
//! with the source of the stores; whether each function really makes the calls is seen where the system runs with its
//! policies in force (`--check-access` of the local stack).

/// Something that the template makes, by its logical id there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the template")]
pub enum Resource {
    Commands,
    Timelines,
    Viewers,
    Cards,
    /// The index `trending` of `Cards`.
    CardsTrending,
    Events,
    Deliveries,
    Quarantine,
}

/// A call on a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    /// On what.
    pub resource: Resource,
    /// As IAM calls it.
    pub action: &'static str,
    /// Only in this partition of the table, if there is one.
    pub partition: Option<&'static str>,
}

const fn to(resource: Resource, action: &'static str) -> Access {
    Access { resource, action, partition: None }
}

/// `Commands`: one item, as a profile, a post, who has a handle, an idempotency key.
const ITEM: Access = to(Resource::Commands, "dynamodb:GetItem");
/// `Commands`: some of a partition, as the head of a log, the log, followers, comments, likes, the celebrities.
const PARTITION: Access = to(Resource::Commands, "dynamodb:Query");
/// `Commands`: edges, reactions, posts by their keys.
const ITEMS: Access = to(Resource::Commands, "dynamodb:BatchGetItem");
/// `CommandTable::commit`: an event and what else is written as a whole. In a transaction, each part needs its own action.
const APPEND: Access = to(Resource::Commands, "dynamodb:PutItem");
/// `Change::Count`, `Change::ScrubEvent`.
const CHANGE: Access = to(Resource::Commands, "dynamodb:UpdateItem");
/// `Change::ReleaseHandle`.
const RELEASE: Access = to(Resource::Commands, "dynamodb:DeleteItem");
/// `Change::RequireNoBlock`, `Change::RequireEdge`.
const REQUIRE: Access = to(Resource::Commands, "dynamodb:ConditionCheckItem");
/// `CommandTable::promote`, `begin_demotion`: of the truth, only who is a celebrity is written outside of commands.
const MARK_CELEBRITY: Access = Access { partition: Some("CELEBRITIES"), ..CHANGE };
/// `CommandTable::end_demotion`.
const END_DEMOTION: Access = Access { partition: Some("CELEBRITIES"), ..RELEASE };

/// `Timelines`: rows.
const ROWS: Access = to(Resource::Timelines, "dynamodb:Query");
/// `Timelines::put`, `put_rows`.
const PUT_ROWS: Access = to(Resource::Timelines, "dynamodb:BatchWriteItem");
/// `Timelines::tag`.
const TAG: Access = to(Resource::Timelines, "dynamodb:UpdateItem");
/// `Timelines::untag`, `delete`.
const UNTAG: Access = to(Resource::Timelines, "dynamodb:DeleteItem");

/// `Viewers::get`.
const VIEWER: Access = to(Resource::Viewers, "dynamodb:GetItem");
/// `Viewers::put`.
const PUT_VIEWER: Access = to(Resource::Viewers, "dynamodb:UpdateItem");

/// `Cards`: what is shown, by keys.
const CARDS: Access = to(Resource::Cards, "dynamodb:BatchGetItem");
/// `Cards`: parts of a card.
const PUT_CARD: Access = to(Resource::Cards, "dynamodb:UpdateItem");
/// `Cards::tally`.
const TALLY: Access = to(Resource::Cards, "dynamodb:GetItem");
/// `Cards::trending`.
const TRENDING: Access = to(Resource::CardsTrending, "dynamodb:Query");

/// `Bus::publish`.
const PUBLISH: Access = to(Resource::Events, "kinesis:PutRecords");
/// `WorkQueue::send`, on the one queue and the other. IAM knows a batch by the name of its parts.
const DELIVER: Access = to(Resource::Deliveries, "sqs:SendMessage");
const QUARANTINE: Access = to(Resource::Quarantine, "sqs:SendMessage");

/// What each function asks for, by the name of its binary.
pub const FUNCTIONS: [(&str, &[Access]); 17] = [
    ("block-user", &[ITEM, PARTITION, ITEMS, APPEND, CHANGE, REQUIRE]),
    ("comment-on-post", &[ITEM, PARTITION, ITEMS, APPEND, CHANGE, REQUIRE]),
    ("create-post", &[ITEM, PARTITION, APPEND]),
    ("delete-post", &[ITEM, PARTITION, APPEND, CHANGE]),
    (
        "deliver",
        &[
            ITEM,
            PARTITION,
            ITEMS,
            MARK_CELEBRITY,
            END_DEMOTION,
            ROWS,
            PUT_ROWS,
            TAG,
            UNTAG,
            VIEWER,
            PUT_VIEWER,
            PUT_CARD,
            DELIVER,
            QUARANTINE,
        ],
    ),
    ("demote-author", &[ITEM, MARK_CELEBRITY, CARDS, DELIVER]),
    ("edit-post", &[ITEM, PARTITION, APPEND, CARDS]),
    ("fanout", &[ITEM, PARTITION, MARK_CELEBRITY, ROWS, PUT_ROWS, TAG, UNTAG, VIEWER, PUT_VIEWER, PUT_CARD, DELIVER]),
    ("follow-user", &[ITEM, PARTITION, ITEMS, APPEND, CHANGE, REQUIRE]),
    ("get-feed", &[ITEM, PARTITION, ITEMS, ROWS, VIEWER, CARDS, TRENDING]),
    ("get-post", &[ITEM, PARTITION, ITEMS, VIEWER, CARDS]),
    ("get-profile", &[ITEM, PARTITION, ITEMS, VIEWER, CARDS]),
    ("mute-user", &[ITEM, PARTITION, ITEMS, APPEND]),
    ("publish-events", &[PUBLISH]),
    ("react-to-post", &[PARTITION, ITEMS, APPEND, CHANGE]),
    ("trending", &[TALLY, PUT_CARD]),
    ("update-profile", &[ITEM, PARTITION, APPEND, RELEASE]),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// How a call looks in the source, and what IAM calls it.
    const CALLS: [(&str, &str); 14] = [
        (".get_item()", "dynamodb:GetItem"),
        (".batch_get(", "dynamodb:BatchGetItem"),
        (".query()", "dynamodb:Query"),
        (".scan()", "dynamodb:Scan"),
        (".put_item()", "dynamodb:PutItem"),
        ("Put::builder()", "dynamodb:PutItem"),
        (".update_item()", "dynamodb:UpdateItem"),
        ("Update::builder()", "dynamodb:UpdateItem"),
        (".delete_item()", "dynamodb:DeleteItem"),
        ("Delete::builder()", "dynamodb:DeleteItem"),
        ("ConditionCheck::builder()", "dynamodb:ConditionCheckItem"),
        (".batch_write_item()", "dynamodb:BatchWriteItem"),
        (".put_records()", "kinesis:PutRecords"),
        (".send_message_batch()", "sqs:SendMessage"),
    ];

    /// Whether the source has the call, and not only as the end of a longer name.
    fn is_called(call: &str, source: &str) -> bool {
        let whole = |at: usize| call.starts_with('.') || !source[..at].ends_with(char::is_alphanumeric);
        source.match_indices(call).any(|(at, _)| whole(at))
    }

    #[test]
    fn the_list_has_the_calls_that_the_stores_make() {
        use Resource::{Cards, CardsTrending, Commands, Deliveries, Events, Quarantine, Timelines, Viewers};
        let commands = [
            include_str!("command_table.rs"),
            include_str!("edges.rs"),
            include_str!("reactions.rs"),
            include_str!("celebrities.rs"),
            include_str!("transaction.rs"),
        ];
        let stores: [(&[Resource], &[&str]); 6] = [
            (&[Commands], &commands),
            (&[Timelines], &[include_str!("timelines.rs")]),
            (&[Viewers], &[include_str!("viewers.rs")]),
            (&[Cards, CardsTrending], &[include_str!("cards.rs"), include_str!("card_tallies.rs")]),
            (&[Events], &[include_str!("../stream/bus.rs")]),
            (&[Deliveries, Quarantine], &[include_str!("../stream/work_queue.rs")]),
        ];
        for (resources, sources) in stores {
            let listed = FUNCTIONS.iter().flat_map(|(_, accesses)| *accesses);
            let listed: BTreeSet<_> =
                listed.filter(|access| resources.contains(&access.resource)).map(|access| access.action).collect();
            let made = |call: &&(&str, &str)| sources.iter().any(|source| is_called(call.0, source));
            let made: BTreeSet<_> = CALLS.iter().filter(made).map(|(_, action)| *action).collect();
            assert_eq!(listed, made, "{resources:?}");
        }
    }
}
