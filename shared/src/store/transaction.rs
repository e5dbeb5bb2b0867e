//! The changes of a command as parts of a transaction ([`super::commit`]). Every change carries the condition under
//! which it was decided.

use aws_sdk_dynamodb::{
    error::BuildError,
    types::{
        AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update,
        builders::{ConditionCheckBuilder, DeleteBuilder, PutBuilder, UpdateBuilder},
    },
};
use serde::Serialize;

use super::{
    command_table::{CLAIM, Claim, CommandTable, POST, PROFILE, Remembered},
    dynamo::{item, n, s},
    edges::near_side,
    key::{self, PK, SK, TRACE},
    likes::LikeLimit,
};
use crate::{
    error::Error,
    model::{
        Comment, CommentId, Commenter, Counts, Edge, EdgeKey, EdgeKind, Handle, IdempotencyKey, Like, LogEvent,
        PartitionShard, Post, PostId, Profile, TallyShard, TallySubject, Timestamp, UserId, Version,
    },
    trace,
};

/// A change of the truth, with its condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Write the profile, if there is none yet or the stored one still has this version.
    PutProfile {
        /// The new profile.
        profile: Profile,
        /// Version that it replaces.
        replaces: Option<Version>,
    },
    /// Remove the profile, if the stored one still has this version.
    RemoveProfile {
        /// The user.
        user: UserId,
        /// The version.
        replaces: Version,
    },
    /// Claim the handle, if nobody has it, and nobody else gave it up so recently that it is not free at this moment.
    ClaimHandle {
        /// The handle.
        handle: Handle,
        /// The user who claims it.
        user: UserId,
        /// The present moment.
        at: Timestamp,
    },
    /// Give the handle up, if the user has it. Until it is free, only the user can claim it again.
    ReleaseHandle {
        /// The handle.
        handle: Handle,
        /// The user who gives it up.
        user: UserId,
        /// When it is free for everybody.
        free_at: Timestamp,
    },
    /// Write a new post.
    CreatePost(Post),
    /// Replace a post by its next version, if the stored one has the version before.
    ReplacePost(Post),
    /// Remove the text from the event that created a post or a comment.
    ScrubEvent {
        /// The user whose log holds the event.
        user: UserId,
        /// The event.
        version: Version,
    },
    /// Append an event to another user's log, if the log does not have that version yet.
    Append(LogEvent),
    /// Require that a user does not block another one. Nothing changes.
    RequireNoBlock {
        /// The user who may not block.
        by: UserId,
        /// The other one.
        of: UserId,
    },
    /// Write an edge, if there is none yet or the stored one still has this version. A follow is written to both sides.
    PutEdge {
        /// Identifies the edge.
        key: EdgeKey,
        /// The edge.
        edge: Edge,
        /// Version that it replaces.
        replaces: Option<Version>,
    },
    /// Remove both sides of an edge that has ended, without a trace. One of its users has deleted the account.
    RemoveEdge {
        /// Identifies the edge.
        key: EdgeKey,
        /// Where the other side of a follow stands.
        shard: PartitionShard,
    },
    /// Write a new comment.
    CreateComment(Comment),
    /// Replace a comment that is not deleted by what its deletion leaves.
    DeleteComment(Comment),
    /// Remove a comment, without a trace. Its post is deleted.
    RemoveComment {
        /// The post.
        post: PostId,
        /// The comment.
        comment: CommentId,
        /// Where it stands.
        shard: PartitionShard,
    },
    /// Forget the tags that a deleted post ever had.
    ForgetTags(PostId),
    /// Write what a user's comments on a post add up to, if the stored one has the version before.
    PutCommenter {
        /// The user who comments.
        user: UserId,
        /// The post.
        post: PostId,
        /// What the comments add up to.
        commenter: Commenter,
    },
    /// Write the state of a user's limit for likes, if the stored one has the version before.
    PutLikeLimit {
        /// The user.
        user: UserId,
        /// The state.
        limit: LikeLimit,
    },
    /// Write a like or its end, if the stored one has the version before.
    PutLike {
        /// The user who likes the post.
        user: UserId,
        /// The post.
        post: PostId,
        /// The like.
        like: Like,
    },
    /// Add to a counter.
    Count {
        /// What is counted.
        subject: TallySubject,
        /// The shard to add to.
        shard: TallyShard,
        /// What to add. It may be negative.
        more: Counts,
    },
    /// Store a response under an idempotency key, if the key is free at this moment.
    Remember {
        /// The user whose key it is.
        user: UserId,
        /// The key.
        key: IdempotencyKey,
        /// What to store.
        remembered: Remembered,
        /// The present moment.
        at: Timestamp,
    },
}

impl CommandTable {
    /// A part of a transaction that requires that the post still has this version. Nothing changes.
    pub(super) fn require_post_version(&self, post: PostId, version: u64) -> Result<TransactWriteItem, Error> {
        check(
            ConditionCheck::builder()
                .table_name(&self.table)
                .key(PK, s(key::post(post)))
                .key(SK, s(POST))
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":version", n(version)),
        )
    }

    /// A part of a transaction that requires that the user's profile has this version. Nothing changes.
    pub(super) fn require_profile_version(&self, user: &UserId, version: Version) -> Result<TransactWriteItem, Error> {
        check(
            ConditionCheck::builder()
                .table_name(&self.table)
                .key(PK, s(key::user(user)))
                .key(SK, s(PROFILE))
                .condition_expression("#version = :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":version", n(version.get())),
        )
    }

    /// A part of a transaction that requires that the edge has ended. Nothing changes.
    pub(super) fn require_ended(&self, key: &EdgeKey) -> Result<TransactWriteItem, Error> {
        let (pk, sk) = near_side(key);
        check(
            ConditionCheck::builder()
                .table_name(&self.table)
                .key(PK, s(pk))
                .key(SK, s(sk))
                .condition_expression("#active = :false")
                .expression_attribute_names("#active", "active")
                .expression_attribute_values(":false", AttributeValue::Bool(false)),
        )
    }

    /// The parts of a transaction that are this change: two if it is a follow, which stands on two sides.
    pub(super) fn parts(&self, change: &Change) -> Result<Vec<TransactWriteItem>, Error> {
        let part = match change {
            Change::PutEdge { key, edge, replaces } => {
                let put = |(pk, sk)| updated(replacing(self.set(pk, sk, edge)?, replaces.map(n)));
                return sides(key, edge.shard).map(put).collect();
            }
            Change::RemoveEdge { key, shard } => {
                return sides(key, *shard).map(|side| deleted(self.ended_edge(side))).collect();
            }
            Change::PutProfile { profile, replaces } => {
                let set = self.set(key::user(&profile.user), PROFILE.to_owned(), profile)?;
                updated(replacing(set, replaces.map(n)))
            }
            Change::RemoveProfile { user, replaces } => deleted(
                self.deletion(key::user(user), PROFILE.to_owned())
                    .condition_expression("#version = :replaced")
                    .expression_attribute_names("#version", "version")
                    .expression_attribute_values(":replaced", n(replaces)),
            ),
            Change::ClaimHandle { handle, user, at } => built(self.claimed_handle(handle, user, *at)?),
            Change::ReleaseHandle { handle, user, free_at } => {
                let claim = Claim { user: user.clone(), expires_at: Some(free_at.as_secs()) };
                let set = self.set(key::handle(handle), CLAIM.to_owned(), &claim)?;
                updated(set.condition_expression("#user = :user AND attribute_not_exists(expires_at)"))
            }
            Change::CreatePost(post) => {
                let put = self.put(key::post(post.post), POST.to_owned(), post)?;
                built(put.condition_expression("attribute_not_exists(PK)"))
            }
            Change::ReplacePost(post) if !post.is_deleted() => {
                let set = self.set(key::post(post.post), POST.to_owned(), post)?;
                updated(replacing(set, Some(n(post.version - 1))))
            }
            // A deletion leaves nothing of what a newer release may have added.
            Change::ReplacePost(post) => built(
                self.put(key::post(post.post), POST.to_owned(), post)?
                    .condition_expression("#version = :replaced")
                    .expression_attribute_names("#version", "version")
                    .expression_attribute_values(":replaced", n(post.version - 1)),
            ),
            Change::ScrubEvent { user, version } => updated(self.scrubbed_event(user, *version)),
            Change::Append(event) => self.append(event),
            Change::RequireNoBlock { by, of } => self.require_inactive(&EdgeKey::new(by, EdgeKind::Blocks, of)),
            Change::CreateComment(comment) => {
                let partition = key::comments(comment.post, comment.shard);
                let put = self.put(partition, key::comment(comment.comment), comment)?;
                built(put.condition_expression("attribute_not_exists(PK)"))
            }
            Change::DeleteComment(comment) => built(
                self.put(key::comments(comment.post, comment.shard), key::comment(comment.comment), comment)?
                    .condition_expression("attribute_type(deleted_at, :null)")
                    .expression_attribute_values(":null", s("NULL")),
            ),
            Change::RemoveComment { post, comment, shard } => {
                deleted(self.deletion(key::comments(*post, *shard), key::comment(*comment)))
            }
            Change::ForgetTags(post) => updated(self.post_without_tags(*post)),
            Change::PutCommenter { user, post, commenter } => {
                let set = self.set(key::user(user), key::commenter(*post), commenter)?;
                updated(replacing(set, version_before(commenter.version)))
            }
            Change::PutLikeLimit { user, limit } => {
                let set = self.set(key::user(user), key::LIKE_LIMIT.to_owned(), limit)?;
                updated(replacing(set, version_before(limit.version)))
            }
            Change::PutLike { user, post, like } => {
                let set = self.set(key::user(user), key::likes(*post), like)?;
                updated(replacing(set, version_before(like.version)))
            }
            Change::Count { subject, shard, more } => updated(self.counted(subject, *shard, more)?),
            Change::Remember { user, key, remembered, at } => built(
                self.put(key::user(user), key::idempotency(key), remembered)?
                    .condition_expression("attribute_not_exists(PK) OR expires_at <= :now")
                    .expression_attribute_values(":now", n(at.as_secs())),
            ),
        };
        Ok(vec![part?])
    }

    /// Replaces the claim of another user, if there is one, with all that belongs to it.
    fn claimed_handle(&self, handle: &Handle, user: &UserId, at: Timestamp) -> Result<PutBuilder, Error> {
        let put = self.put(key::handle(handle), CLAIM.to_owned(), &Claim { user: user.clone(), expires_at: None })?;
        Ok(put
            .condition_expression(
                "attribute_not_exists(PK) OR expires_at <= :now \
                 OR (attribute_exists(expires_at) AND #user = :user)",
            )
            .expression_attribute_names("#user", "user")
            .expression_attribute_values(":user", s(user.as_str()))
            .expression_attribute_values(":now", n(at.as_secs())))
    }

    fn scrubbed_event(&self, user: &UserId, version: Version) -> UpdateBuilder {
        self.update(key::user(user), key::event(version))
            .condition_expression("attribute_exists(PK)")
            .update_expression("REMOVE #data.#text, #data.#tags SET scrubbed = :true")
            .expression_attribute_names("#data", "data")
            .expression_attribute_names("#text", "text")
            .expression_attribute_names("#tags", "tags")
            .expression_attribute_values(":true", AttributeValue::Bool(true))
    }

    fn ended_edge(&self, (pk, sk): (String, String)) -> DeleteBuilder {
        self.deletion(pk, sk)
            .condition_expression("attribute_not_exists(PK) OR #active = :false")
            .expression_attribute_names("#active", "active")
            .expression_attribute_values(":false", AttributeValue::Bool(false))
    }

    fn post_without_tags(&self, post: PostId) -> UpdateBuilder {
        self.update(key::post(post), POST.to_owned())
            .condition_expression("attribute_type(deleted_at, :number)")
            .update_expression("SET tags_ever = :none")
            .expression_attribute_values(":number", s("N"))
            .expression_attribute_values(":none", AttributeValue::L(Vec::new()))
    }

    fn counted(&self, subject: &TallySubject, shard: TallyShard, more: &Counts) -> Result<UpdateBuilder, Error> {
        let mut update = self
            .update(key::tally(subject, shard), key::TALLY.to_owned())
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":one", n(1));
        let mut additions = vec!["#version :one".to_owned()];
        for (name, value) in item(more)? {
            additions.push(format!("#{name} :{name}"));
            update = update
                .expression_attribute_names(format!("#{name}"), &name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        Ok(update.update_expression(format!("ADD {}", additions.join(", "))))
    }

    /// A part of a transaction that appends the event to its log.
    pub(super) fn append(&self, event: &LogEvent) -> Result<TransactWriteItem, Error> {
        let mut put = self.put(key::user(&event.user), key::event(event.version), event)?;
        if let Some(trace) = trace::current() {
            put = put.item(TRACE, s(trace.to_string()));
        }
        built(put.condition_expression("attribute_not_exists(PK)"))
    }

    fn require_inactive(&self, edge: &EdgeKey) -> Result<TransactWriteItem, Error> {
        let inactive = self
            .check(edge)
            .condition_expression("attribute_not_exists(PK) OR #active = :false")
            .expression_attribute_names("#active", "active")
            .expression_attribute_values(":false", AttributeValue::Bool(false));
        check(inactive)
    }

    fn check(&self, edge: &EdgeKey) -> ConditionCheckBuilder {
        let (pk, sk) = near_side(edge);
        ConditionCheck::builder().table_name(&self.table).key(PK, s(pk)).key(SK, s(sk))
    }

    /// Writes the attributes of the value, and leaves all others of the item as they are: a newer release may have
    /// added some, and its functions run beside this one during a deployment.
    fn set(&self, pk: String, sk: String, value: &impl Serialize) -> Result<UpdateBuilder, Error> {
        let mut update = self.update(pk, sk);
        let mut assignments = Vec::new();
        for (name, value) in item(value)? {
            assignments.push(format!("#{name} = :{name}"));
            update = update
                .expression_attribute_names(format!("#{name}"), &name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        Ok(update.update_expression(format!("SET {}", assignments.join(", "))))
    }

    fn update(&self, pk: String, sk: String) -> UpdateBuilder {
        Update::builder().table_name(&self.table).key(PK, s(pk)).key(SK, s(sk))
    }

    fn deletion(&self, pk: String, sk: String) -> DeleteBuilder {
        Delete::builder().table_name(&self.table).key(PK, s(pk)).key(SK, s(sk))
    }

    /// Writes the whole item. What was there is gone.
    fn put(&self, pk: String, sk: String, value: &impl Serialize) -> Result<PutBuilder, Error> {
        let mut item = item(value)?;
        item.insert(PK.to_owned(), s(pk));
        item.insert(SK.to_owned(), s(sk));
        Ok(Put::builder().table_name(&self.table).set_item(Some(item)))
    }
}

/// The sides of an edge. Only follows have a second one, in this partition of the followers.
fn sides(key: &EdgeKey, shard: PartitionShard) -> impl Iterator<Item = (String, String)> {
    let far = || (key::followers(&key.to, shard), key::user(&key.from));
    std::iter::once(near_side(key)).chain((key.kind == EdgeKind::Follows).then(far))
}

/// Writes an item only if there is none yet, or only if the stored one has this version. The new one has a version,
/// too.
fn replacing(update: UpdateBuilder, replaces: Option<AttributeValue>) -> UpdateBuilder {
    match replaces {
        None => update.condition_expression("attribute_not_exists(PK)"),
        Some(version) => update
            .condition_expression("#version = :replaced")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":replaced", version),
    }
}

/// The version that an item of this version replaces. None for the first one.
fn version_before(version: u64) -> Option<AttributeValue> {
    (version > 1).then(|| n(version - 1))
}

/// A part of a transaction lacks a required field.
fn invalid(error: BuildError) -> Error {
    Error::poison("a transaction to be written", error)
}

fn check(check: ConditionCheckBuilder) -> Result<TransactWriteItem, Error> {
    let check = check.build().map_err(invalid)?;
    Ok(TransactWriteItem::builder().condition_check(check).build())
}

fn deleted(delete: DeleteBuilder) -> Result<TransactWriteItem, Error> {
    let delete = delete.build().map_err(invalid)?;
    Ok(TransactWriteItem::builder().delete(delete).build())
}

fn updated(update: UpdateBuilder) -> Result<TransactWriteItem, Error> {
    let update = update.build().map_err(invalid)?;
    Ok(TransactWriteItem::builder().update(update).build())
}

fn built(put: PutBuilder) -> Result<TransactWriteItem, Error> {
    let put = put.build().map_err(invalid)?;
    Ok(TransactWriteItem::builder().put(put).build())
}
