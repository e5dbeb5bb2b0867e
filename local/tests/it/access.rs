//! What each function's code calls at AWS, and so what its policies have to allow. A test in `template.rs` compares
//! [`FUNCTIONS`] with the policies in `template.yaml`: they allow these calls, no fewer and no more. The tests below
//! compare the list with the source. Whether each function really makes its calls shows where the system runs with its
//! policies in force (`--check-access` of the local stack).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// A resource of the template, by its logical id. Read models stand for both of their tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Resource {
    Commands,
    Timelines,
    Viewers,
    Cards,
    SearchIndex,
    /// The index `hottest` of `Cards`.
    CardsHottest,
    Events,
    Deliveries,
    Quarantine,
    FailedBatches,
    /// The stream of `Commands`.
    CommandsStream,
}

/// A call on a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Access {
    /// The resource.
    pub(crate) resource: Resource,
    /// The name of the action in IAM.
    pub(crate) action: &'static str,
    /// The only partition of the table in which the call is made, if there is one.
    pub(crate) partition: Option<&'static str>,
}

const fn to(resource: Resource, action: &'static str) -> Access {
    Access { resource, action, partition: None }
}

/// `Commands`: one item, such as a profile, a post, a claim of a handle, or an idempotency key.
const ITEM: Access = to(Resource::Commands, "dynamodb:GetItem");
/// `Commands`: a part of a partition, such as a log, followers, comments, likes, or the celebrities.
const PARTITION: Access = to(Resource::Commands, "dynamodb:Query");
/// `Commands`: several items by their keys, such as edges, likes and posts.
const ITEMS: Access = to(Resource::Commands, "dynamodb:BatchGetItem");
/// `CommandTable::commit`: an event, and other items that are new or deleted, which are written as a whole. IAM checks
/// each part of a transaction by its own action.
const APPEND: Access = to(Resource::Commands, "dynamodb:PutItem");
/// Changes of items, which leave the attributes that they do not know.
const CHANGE: Access = to(Resource::Commands, "dynamodb:UpdateItem");
/// `Change::RemoveComment`, `Change::RemoveProfile`, `CommandTable::end_demotion`, and the erasure of accounts.
const REMOVE: Access = to(Resource::Commands, "dynamodb:DeleteItem");
/// `Change::RequireNoBlock`, `Timelines::tag`.
const REQUIRE: Access = to(Resource::Commands, "dynamodb:ConditionCheckItem");
/// `CommandTable::promote`, `begin_demotion`: outside of commands, celebrities are written, what is left of deleted
/// posts is removed, and follows of blocked users end.
const MARK_CELEBRITY: Access = Access { partition: Some("CELEBRITIES"), ..CHANGE };
/// `CommandTable::read_models`, `segments`, `put_read_models`, `put_segment`: which tables are active, and how far a
/// rebuild is.
const STATE: Access = Access { partition: Some("READMODELS"), ..ITEM };
const SEGMENTS: Access = Access { partition: Some("READMODELS"), ..PARTITION };
const PUT_STATE: Access = Access { partition: Some("READMODELS"), ..CHANGE };
/// `Timelines::newest`, `announced`.
const ROWS: Access = to(Resource::Timelines, "dynamodb:Query");
/// `Timelines::put`, `put_rows`.
const PUT_ROWS: Access = to(Resource::Timelines, "dynamodb:BatchWriteItem");
/// `Timelines::tag`, `put_announced`, `count_facts`, `count_tags`.
const TAG: Access = to(Resource::Timelines, "dynamodb:PutItem");
/// `Timelines::untag`, `delete`.
const UNTAG: Access = to(Resource::Timelines, "dynamodb:DeleteItem");
/// `Timelines::put_notice`, `put_inbox`, `count_facts`, `mark_group`.
const PUT_NOTICE: Access = to(Resource::Timelines, "dynamodb:UpdateItem");
/// `Timelines::change_visit`, by readers.
const PUT_VISIT: Access = Access { partition: Some("HOME#*"), ..PUT_NOTICE };
/// `Timelines::inbox`, `as_shown`, `visit`, `is_group_marked`.
const INBOX: Access = to(Resource::Timelines, "dynamodb:GetItem");

/// `Viewers::get`.
const VIEWER: Access = to(Resource::Viewers, "dynamodb:GetItem");
/// `Viewers::put`.
const PUT_VIEWER: Access = to(Resource::Viewers, "dynamodb:UpdateItem");
/// `Viewers::remove`.
const REMOVE_VIEWER: Access = to(Resource::Viewers, "dynamodb:DeleteItem");

/// `Cards::posts`, `Cards::users`.
const CARDS: Access = to(Resource::Cards, "dynamodb:BatchGetItem");
/// `Cards`: writing a part of a card, or the trending list.
const PUT_CARD: Access = to(Resource::Cards, "dynamodb:UpdateItem");
/// `Cards::tally`, `trending_list`.
const TALLY: Access = to(Resource::Cards, "dynamodb:GetItem");
/// `Emptied::delete_some`, besides [`PUT_ROWS`].
const EMPTY_VIEWERS: Access = to(Resource::Viewers, "dynamodb:BatchWriteItem");
const EMPTY_CARDS: Access = to(Resource::Cards, "dynamodb:BatchWriteItem");
/// `TrendingIndex::best`.
const TRENDING: Access = to(Resource::CardsHottest, "dynamodb:Query");

/// `SearchIndex::entry`.
const ENTRY: Access = to(Resource::SearchIndex, "dynamodb:GetItem");
/// `SearchIndex::put`.
const PUT_WORDS: Access = to(Resource::SearchIndex, "dynamodb:PutItem");
/// `SearchIndex::put`, `remove`.
const REMOVE_ENTRY: Access = to(Resource::SearchIndex, "dynamodb:DeleteItem");
/// `SearchIndex::remove`.
const REMOVE_WORDS: Access = to(Resource::SearchIndex, "dynamodb:BatchWriteItem");
/// `SearchIndex::posts`, `names`.
const WORDS: Access = to(Resource::SearchIndex, "dynamodb:Query");
/// `SearchIndex::which`.
const WHICH_WORDS: Access = to(Resource::SearchIndex, "dynamodb:BatchGetItem");
const SCAN_INDEX: Access = to(Resource::SearchIndex, "dynamodb:Scan");

/// `Bus::publish`.
const PUBLISH: Access = to(Resource::Events, "kinesis:PutRecords");
/// `WorkQueue::put_off`.
const PUT_OFF_TASK: Access = to(Resource::Deliveries, "sqs:ChangeMessageVisibility");
/// `FailedBatches::send`.
const SEND_REST: Access = to(Resource::FailedBatches, "sqs:SendMessage");
/// `FailedBatches::put_off`.
const PUT_OFF_BATCH: Access = to(Resource::FailedBatches, "sqs:ChangeMessageVisibility");
/// `Shards::data` of `recover`.
const PLACE_ON_BUS: Access = to(Resource::Events, "kinesis:GetShardIterator");
/// `Shards::data` of `recover`.
const READ_BUS: Access = to(Resource::Events, "kinesis:GetRecords");
/// `Shards::keys` of `recover`.
const PLACE_IN_STREAM: Access = to(Resource::CommandsStream, "dynamodb:GetShardIterator");
/// `Shards::keys` of `recover`.
const READ_STREAM: Access = to(Resource::CommandsStream, "dynamodb:GetRecords");
/// `CommandTable::scan` and `sources`, and those of the read models.
const SCAN: Access = to(Resource::Commands, "dynamodb:Scan");
const SCAN_TIMELINES: Access = to(Resource::Timelines, "dynamodb:Scan");
const SCAN_VIEWERS: Access = to(Resource::Viewers, "dynamodb:Scan");
const SCAN_CARDS: Access = to(Resource::Cards, "dynamodb:Scan");
/// `Timelines::which`, `counted`, `days_of`, `days`, `tags_add_up`.
const WHICH_ROWS: Access = to(Resource::Timelines, "dynamodb:BatchGetItem");
/// `Cards::remove`.
const REMOVE_CARD: Access = to(Resource::Cards, "dynamodb:DeleteItem");
/// `CommandTable::put_audit_state`, `request_sweep`.
const AUDIT_STATE: Access = Access { partition: Some("AUDIT"), ..CHANGE };
/// `WorkQueue::send`. IAM checks SendMessageBatch as SendMessage.
const DELIVER: Access = to(Resource::Deliveries, "sqs:SendMessage");
/// `Quarantine::put`.
const QUARANTINE: Access = to(Resource::Quarantine, "sqs:SendMessage");

/// What the code of each function calls, by the name of its binary.
pub(crate) const FUNCTIONS: [(&str, &[Access]); 26] = [
    (
        "audit",
        &[
            ITEM,
            PARTITION,
            ITEMS,
            SCAN,
            AUDIT_STATE,
            ROWS,
            WHICH_ROWS,
            INBOX,
            SCAN_TIMELINES,
            VIEWER,
            SCAN_VIEWERS,
            CARDS,
            TALLY,
            SCAN_CARDS,
            ENTRY,
            WHICH_WORDS,
            SCAN_INDEX,
            DELIVER,
        ],
    ),
    ("block-user", &[ITEM, PARTITION, ITEMS, APPEND, CHANGE]),
    ("comment-on-post", &[ITEM, PARTITION, ITEMS, APPEND, CHANGE, REQUIRE]),
    ("create-post", &[ITEM, PARTITION, ITEMS, APPEND]),
    ("delete-account", &[ITEM, PARTITION, APPEND, CHANGE, REMOVE]),
    ("delete-post", &[ITEM, PARTITION, APPEND, CHANGE]),
    (
        "deliver",
        &[
            ITEM,
            PARTITION,
            ITEMS,
            APPEND,
            CHANGE,
            REMOVE,
            REQUIRE,
            SCAN,
            ROWS,
            WHICH_ROWS,
            PUT_ROWS,
            TAG,
            UNTAG,
            PUT_NOTICE,
            INBOX,
            SCAN_TIMELINES,
            VIEWER,
            PUT_VIEWER,
            SCAN_VIEWERS,
            EMPTY_VIEWERS,
            REMOVE_VIEWER,
            CARDS,
            TALLY,
            PUT_CARD,
            REMOVE_CARD,
            SCAN_CARDS,
            EMPTY_CARDS,
            TRENDING,
            ENTRY,
            PUT_WORDS,
            REMOVE_ENTRY,
            REMOVE_WORDS,
            SCAN_INDEX,
            PUBLISH,
            DELIVER,
            PUT_OFF_TASK,
            QUARANTINE,
        ],
    ),
    ("demote-author", &[ITEM, MARK_CELEBRITY, CARDS, DELIVER]),
    ("edit-post", &[ITEM, PARTITION, ITEMS, APPEND, CHANGE, CARDS]),
    ("export-account", &[PARTITION, ITEMS]),
    (
        "fanout",
        &[
            ITEM,
            PARTITION,
            ITEMS,
            REQUIRE,
            MARK_CELEBRITY,
            ROWS,
            WHICH_ROWS,
            PUT_ROWS,
            TAG,
            UNTAG,
            PUT_NOTICE,
            INBOX,
            VIEWER,
            PUT_VIEWER,
            CARDS,
            PUT_CARD,
            TALLY,
            ENTRY,
            PUT_WORDS,
            REMOVE_ENTRY,
            REMOVE_WORDS,
            DELIVER,
        ],
    ),
    ("follow-user", &[ITEM, PARTITION, ITEMS, APPEND, CHANGE, REQUIRE]),
    ("get-feed", &[ITEM, PARTITION, ITEMS, ROWS, INBOX, PUT_VISIT, VIEWER, CARDS, TALLY]),
    ("get-post", &[ITEM, PARTITION, ITEMS, VIEWER, CARDS]),
    ("get-profile", &[ITEM, PARTITION, ITEMS, ROWS, INBOX, VIEWER, CARDS]),
    ("issue-ticket", &[]),
    ("moderate", &[ITEM, PARTITION, ITEMS, APPEND, CHANGE, REMOVE]),
    ("mute-user", &[ITEM, PARTITION, ITEMS, APPEND, CHANGE]),
    ("publish-events", &[PUBLISH, QUARANTINE]),
    ("react-to-post", &[ITEM, PARTITION, ITEMS, CHANGE]),
    ("read-statistics", &[STATE, ROWS, WHICH_ROWS]),
    ("rebuild", &[STATE, SEGMENTS, PUT_STATE, DELIVER]),
    (
        "recover",
        &[
            AUDIT_STATE,
            PLACE_IN_STREAM,
            READ_STREAM,
            PLACE_ON_BUS,
            READ_BUS,
            SEND_REST,
            PUT_OFF_BATCH,
            DELIVER,
            QUARANTINE,
        ],
    ),
    ("search", &[ITEM, PARTITION, ITEMS, ROWS, VIEWER, CARDS, WORDS]),
    ("trending", &[ITEM, ITEMS, TALLY, PUT_CARD, ROWS, WHICH_ROWS, INBOX, TAG, PUT_NOTICE, ENTRY, DELIVER]),
    ("update-profile", &[ITEM, PARTITION, APPEND, CHANGE]),
];

/// How a call looks in the source, and the name of its action in IAM.
const CALLS: [(&str, &str); 20] = [
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
    (".change_message_visibility()", "sqs:ChangeMessageVisibility"),
    (".scan_page(", "dynamodb:Scan"),
    ("kinesis.get_shard_iterator()", "kinesis:GetShardIterator"),
    ("kinesis.get_records()", "kinesis:GetRecords"),
    ("streams.get_shard_iterator()", "dynamodb:GetShardIterator"),
    ("streams.get_records()", "dynamodb:GetRecords"),
];

/// The source files that call AWS, below `shared/src`, with the resources that they call.
const SOURCES: [(&[Resource], &[&str]); 7] = [
    (
        &[Resource::Commands],
        &[
            "store/command_table.rs",
            "store/edges.rs",
            "store/followers.rs",
            "store/spread.rs",
            "store/likes.rs",
            "store/notification_settings.rs",
            "store/comments.rs",
            "store/celebrities.rs",
            "store/demotions.rs",
            "store/read_models.rs",
            "store/segments.rs",
            "store/erasure.rs",
            "store/export.rs",
            "store/commit.rs",
            "store/transaction.rs",
            "store/audit_state.rs",
            "store/scan.rs",
        ],
    ),
    (
        &[Resource::Timelines],
        &[
            "store/timelines.rs",
            "store/announcements.rs",
            "store/spread_notices.rs",
            "store/notices.rs",
            "store/statistics.rs",
            "store/day_tags.rs",
            "store/recount.rs",
            "store/runs.rs",
            "store/tag_rows.rs",
            "store/visits.rs",
            "store/emptied.rs",
            "store/scan.rs",
        ],
    ),
    (&[Resource::Viewers], &["store/viewers.rs", "store/emptied.rs", "store/scan.rs"]),
    (
        &[Resource::Cards, Resource::CardsHottest],
        &[
            "store/cards.rs",
            "store/card_tallies.rs",
            "store/trending.rs",
            "store/trending_list.rs",
            "store/emptied.rs",
            "store/scan.rs",
        ],
    ),
    (&[Resource::SearchIndex], &["store/search.rs", "store/emptied.rs", "store/scan.rs"]),
    (&[Resource::Events, Resource::CommandsStream], &["stream/bus.rs", "../../functions/recover/src/shards.rs"]),
    (&[Resource::Deliveries, Resource::Quarantine, Resource::FailedBatches], &["stream/queue.rs"]),
];

/// Whether the source contains the call, and not only as the end of a longer name.
fn is_called(call: &str, source: &str) -> bool {
    let whole = |at: usize| call.starts_with('.') || !source[..at].ends_with(char::is_alphanumeric);
    source.match_indices(call).any(|(at, _)| whole(at))
}

fn calls(source: &str) -> impl Iterator<Item = &'static str> {
    CALLS.iter().filter(move |(call, _)| is_called(call, source)).map(|(_, action)| *action)
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/src")
}

#[test]
fn the_list_has_the_calls_that_the_sources_make() {
    for (resources, files) in SOURCES {
        let listed = FUNCTIONS.iter().flat_map(|(_, accesses)| *accesses);
        let listed: BTreeSet<_> =
            listed.filter(|access| resources.contains(&access.resource)).map(|access| access.action).collect();
        let files = files.iter().map(|file| std::fs::read_to_string(sources().join(file)).unwrap());
        let made: BTreeSet<_> = files.flat_map(|source| calls(&source).collect::<Vec<_>>()).collect();
        assert_eq!(listed, made, "{resources:?}");
    }
}

#[test]
fn no_other_source_calls_aws() {
    let known: BTreeSet<_> = SOURCES.iter().flat_map(|(_, files)| *files).map(|file| sources().join(file)).collect();
    let mut directories = vec![sources()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if !known.contains(&path) {
                // The client's own helper makes the calls of `.batch_get(`.
                let source = std::fs::read_to_string(&path).unwrap();
                let made: Vec<_> = calls(&source).filter(|_| !path.ends_with("store/dynamo.rs")).collect();
                assert!(made.is_empty(), "{} calls {made:?}", path.display());
            }
        }
    }
}
