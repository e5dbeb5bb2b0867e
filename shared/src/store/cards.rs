//! The `cards` table: what can change about a post or a user, and is shown with it. A card exists once, however many
//! readers it has. Each part of a card has one kind of writer and that writer's version beside it. The highest version
//! wins.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use aws_sdk_dynamodb::types::ReturnValue;
use serde::{Deserialize, Serialize};

use super::{
    consistency::Consistency,
    dynamo::{Dynamo, Item, SCHEMA, failed, item, newer_wins, s, value},
    key::{self, BUCKET, PK},
    table::TableName,
    trending::{CONTENDERS, KnownList, TrendingIndex},
};
use crate::{
    error::Error,
    model::{Post, PostId, Profile, PublicProfile, Tag, TallySubject, Text, Timestamp, Totals, UserId, Version},
    shared_cache::SharedCache,
};

/// What readers of posts need of a card. The rest is for those who write counters: the images of a counter's shards,
/// which may be 256, and the place in the index.
const OF_POSTS: [&str; 16] = [
    "post",
    "author",
    "author_profile",
    "author_version",
    "text",
    "tags",
    "version",
    "edited_at",
    "deleted",
    "taken_down",
    "author_suspended",
    "likes",
    "comments",
    "heat",
    "tally_revision",
    SCHEMA,
];

/// The `cards` table.
#[derive(Debug, Clone)]
pub struct Cards {
    pub(super) dynamo: Dynamo,
    pub(super) table: TableName,
    pub(super) cache: SharedCache,
    pub(super) known_list: KnownList,
    contenders: usize,
}

/// A post as readers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostCard {
    /// The post.
    pub post: PostId,
    /// Who wrote the post.
    pub author: UserId,
    /// The author's profile.
    pub author_profile: PublicProfile,
    /// Version of the event that last changed `author_profile`.
    pub author_version: Version,
    /// The text. None once the post is deleted.
    pub text: Option<Text>,
    /// The tags in the text.
    pub tags: Vec<Tag>,
    /// Version of the post: 1 at first, and one more with each change.
    pub version: u64,
    /// When the post was last edited.
    #[serde(default)]
    pub edited_at: Option<Timestamp>,
    /// Whether the author deleted the post.
    pub deleted: bool,
    /// Whether an administrator took the post down.
    #[serde(default)]
    pub taken_down: bool,
    /// Whether an administrator has suspended the author.
    #[serde(default)]
    pub author_suspended: bool,
    /// Number of likes. The counters have a writer of their own, see [`Cards::put_tally`].
    #[serde(default, skip_serializing)]
    pub likes: u64,
    /// Number of comments that are not deleted.
    #[serde(default, skip_serializing)]
    pub comments: u64,
    /// The heat, see [`crate::model::ranking`].
    #[serde(default, skip_serializing)]
    pub heat: i64,
}

/// A user as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCard {
    /// The user.
    pub user: UserId,
    /// The user's profile.
    pub profile: PublicProfile,
    /// When the user created the profile.
    pub created_at: Timestamp,
    /// Whether an administrator has suspended the user.
    #[serde(default)]
    pub suspended: bool,
    /// Number of accounts that the user follows.
    #[serde(default)]
    pub following: u64,
    /// Number of accounts that follow the user.
    #[serde(default)]
    pub followers: u64,
}

impl PostCard {
    /// The card of a post by an author with this profile. All counters are 0.
    pub fn new(post: Post, author: Profile) -> Self {
        Self {
            deleted: post.is_deleted(),
            taken_down: post.is_taken_down(),
            author_suspended: author.suspended,
            post: post.post,
            author: post.author,
            author_profile: author.public,
            author_version: author.version,
            text: post.text,
            tags: post.tags,
            version: post.version,
            edited_at: post.edited_at,
            likes: 0,
            comments: 0,
            heat: 0,
        }
    }

    /// Whether this viewer may see the post, as far as the post and its author decide. What an administrator has hidden
    /// is shown to its author only.
    pub fn is_shown_to(&self, viewer: &UserId) -> bool {
        !self.deleted && (!self.is_withdrawn() || self.author == *viewer)
    }

    /// Whether an administrator has hidden the post, or its author.
    pub fn is_withdrawn(&self) -> bool {
        self.taken_down || self.author_suspended
    }
}

impl UserCard {
    /// Whether this viewer may see the user, as far as the user's account decides.
    pub fn is_shown_to(&self, viewer: &UserId) -> bool {
        !self.suspended || self.user == *viewer
    }
}

impl Cards {
    /// The table of this name.
    pub fn new(dynamo: Dynamo, table: TableName) -> Self {
        let (cache, known_list) = (SharedCache::none(), KnownList::new());
        Self { dynamo, table, cache, known_list, contenders: CONTENDERS }
    }

    /// The same table, whose writes change what the shared cache has of it.
    #[must_use]
    pub fn with_cache(self, cache: SharedCache) -> Self {
        Self { cache, ..self }
    }

    /// The same table, with so many posts in its index of those that trend.
    #[must_use]
    pub(super) fn with_contenders(self, contenders: usize) -> Self {
        Self { contenders, ..self }
    }

    /// The name of the table that is read at present.
    pub(crate) fn table_name(&self) -> &Arc<str> {
        self.table.shared()
    }

    /// The table's index of the posts that trend.
    pub fn trending_index(&self) -> TrendingIndex {
        TrendingIndex::new(self.dynamo.clone(), self.table.clone(), self.contenders)
    }

    /// Writes the post part of a card, unless the card has a newer version. The author part has a writer and a version
    /// of its own, see [`Cards::put_author`]. So it stays, unless it is older: a rebuild of timelines alone, which uses
    /// the same cards, may have made this one before the author's profile changed, and the walk of the new profile did
    /// not find the post. Returns whether what trends may change by such an author part.
    pub async fn put_post(&self, card: &PostCard, now: Timestamp) -> Result<bool, Error> {
        let (mut set, mut initial) = (item(card)?, Item::new());
        for name in ["author_profile", "author_suspended", "author_version"] {
            initial.extend(set.remove_entry(name));
        }
        // A post that others do not see does not trend.
        let remove = if card.deleted || card.taken_down { vec![BUCKET] } else { Vec::new() };
        let part = Part { set, initial, remove, returned: true };
        let written = self.put_part(key::post(card.post), "version", part).await?;
        let shown = written.as_ref().and_then(|item| item.get("author_version")?.as_n().ok()?.parse::<u64>().ok());
        match shown.is_some_and(|shown| shown < card.author_version.get()) {
            true => self.put_author_part(card.post, &AuthorPart::of(card), now).await,
            false => Ok(false),
        }
    }

    /// Writes the post part of the card of a deleted post whose author has no profile any more.
    pub async fn put_deleted(&self, post: &Post) -> Result<(), Error> {
        #[derive(Serialize)]
        struct PostPart<'a> {
            post: PostId,
            author: &'a UserId,
            text: Option<Text>,
            tags: &'a [Tag],
            version: u64,
            deleted: bool,
        }
        let Post { post, author, tags, version, .. } = post;
        let part = PostPart { post: *post, author, text: None, tags, version: *version, deleted: true };
        let part = Part { remove: vec![BUCKET, "author_profile"], ..Part::of(&part)? };
        // Without an author part, the card is not read as one of a post.
        self.put_part(key::post(*post), "version", part).await.map(drop)
    }

    /// Writes the author part of a post's card, unless the card has a newer version. The post of a suspended author
    /// loses its place in the index of what trends, and has it back afterwards. Returns whether what trends may change
    /// by that, or has changed when this was done before.
    pub async fn put_author(&self, post: PostId, author: &Profile, now: Timestamp) -> Result<bool, Error> {
        let (author_suspended, author_version) = (author.suspended, author.version);
        let part = AuthorPart { author_profile: &author.public, author_suspended, author_version };
        self.put_author_part(post, &part, now).await
    }

    async fn put_author_part(&self, post: PostId, part: &AuthorPart<'_>, now: Timestamp) -> Result<bool, Error> {
        // A post that others do not see does not trend.
        let remove = if part.author_suspended { vec![BUCKET] } else { Vec::new() };
        let written = Part { remove, returned: true, ..Part::of(part)? };
        match self.put_part(key::post(post), "author_version", written).await? {
            None => Ok(false),
            Some(_) if part.author_suspended => Ok(true),
            Some(card) if card.contains_key(BUCKET) => Ok(true),
            Some(card) => self.give_place_back(post, &card, now).await,
        }
    }

    /// Writes the profile part of a user's card, unless the card has a newer version.
    pub async fn put_profile(&self, profile: &Profile) -> Result<(), Error> {
        #[derive(Serialize)]
        struct ProfilePart<'a> {
            user: &'a UserId,
            profile: &'a PublicProfile,
            created_at: Timestamp,
            suspended: bool,
            profile_version: Version,
        }
        let part = ProfilePart {
            user: &profile.user,
            profile: &profile.public,
            created_at: profile.created_at,
            suspended: profile.suspended,
            profile_version: profile.version,
        };
        self.put_part(key::user(&profile.user), "profile_version", Part::of(&part)?).await.map(drop)
    }

    /// Removes the profile part of the card of a user who deleted the account as of this version.
    pub async fn remove_profile(&self, user: &UserId, version: Version) -> Result<(), Error> {
        #[derive(Serialize)]
        struct ProfilePart {
            profile_version: Version,
        }
        let remove = vec!["user", "profile", "created_at", "suspended"];
        let part = Part { remove, ..Part::of(&ProfilePart { profile_version: version })? };
        self.put_part(key::user(user), "profile_version", part).await.map(drop)
    }

    /// Writes the totals part of a user's card, unless the card has a newer version.
    pub async fn put_totals(&self, user: &UserId, totals: Totals, version: Version) -> Result<(), Error> {
        #[derive(Serialize)]
        struct TotalsPart {
            following: u64,
            totals_version: Version,
        }
        let part = TotalsPart { following: totals.following, totals_version: version };
        self.put_part(key::user(user), "totals_version", Part::of(&part)?).await.map(drop)
    }

    /// The cards of those of the posts that have one.
    pub async fn posts(&self, posts: &[PostId], consistency: Consistency) -> Result<HashMap<PostId, PostCard>, Error> {
        let items = self.post_items(posts, consistency).await?;
        items.into_iter().map(|item| value("a post's card", item).map(|card: PostCard| (card.post, card))).collect()
    }

    /// The items of the cards of those of the posts that have a whole one.
    pub(super) async fn post_items(&self, posts: &[PostId], consistency: Consistency) -> Result<Vec<Item>, Error> {
        let keys = keys(posts.iter().map(|post| key::post(*post)));
        let mut items = self.dynamo.batch_get_parts(self.table.get(), keys, &OF_POSTS, consistency).await?;
        items.retain(is_whole);
        Ok(items)
    }

    /// The cards of those of the users that have one.
    pub async fn users(&self, users: &[UserId], consistency: Consistency) -> Result<HashMap<UserId, UserCard>, Error> {
        let items = self.dynamo.batch_get(self.table.get(), keys(users.iter().map(key::user)), consistency).await?;
        let whole = items.into_iter().filter(|item| item.contains_key("user"));
        whole.map(|item| value("a user's card", item).map(|card: UserCard| (card.user.clone(), card))).collect()
    }

    /// Deletes a card. Nothing that it showed is lost: all of it follows from the truth.
    pub(crate) async fn remove(&self, subject: &TallySubject) -> Result<(), Error> {
        let request = self.dynamo.0.delete_item().table_name(self.table.get()).key(PK, s(key::card(subject)));
        request.send().await.map_err(failed("deleting a card"))?;
        self.card_removed(subject).await;
        Ok(())
    }

    /// Writes a part of a card unless the card's attribute named `version` is higher. That is success, too. The same
    /// version is written again, which repairs a part that was damaged, and costs no more than to refuse the write.
    ///
    /// Returns the card as it is then, if that is asked for and the part was written.
    async fn put_part(&self, pk: String, version: &str, part: Part) -> Result<Option<Item>, Error> {
        let returned = part.returned;
        let mut update = self.dynamo.0.update_item().table_name(self.table.get()).key(PK, s(&pk));
        let mut assignments = Vec::new();
        let sets = part.set.into_iter().map(|(name, value)| (name, value, true));
        for (name, value, replace) in sets.chain(part.initial.into_iter().map(|(name, value)| (name, value, false))) {
            assignments.push(match replace {
                true => format!("#{name} = :{name}"),
                false => format!("#{name} = if_not_exists(#{name}, :{name})"),
            });
            update = update
                .expression_attribute_names(format!("#{name}"), &name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        let mut remove = String::new();
        if !part.remove.is_empty() {
            let names: Vec<_> = part.remove.iter().map(|name| format!("#{name}")).collect();
            remove = format!(" REMOVE {}", names.join(", "));
            for name in part.remove {
                update = update.expression_attribute_names(format!("#{name}"), name);
            }
        }
        update = update
            .update_expression(format!("SET {}{remove}", assignments.join(", ")))
            .condition_expression(format!("attribute_not_exists(#{version}) OR #{version} <= :{version}"));
        let update = match returned {
            true => update.return_values(ReturnValue::AllNew),
            false => self.returning(update, &pk),
        };
        match update.send().await {
            Ok(answer) => {
                let card = if returned { answer.attributes.clone() } else { None };
                self.card_written(&pk, answer.attributes).await;
                Ok(card)
            }
            // It may be written all the same.
            Err(error) => {
                self.card_written(&pk, None).await;
                newer_wins("writing a card")(error).map(|()| None)
            }
        }
    }
}

/// The author part of a post's card.
#[derive(Serialize)]
struct AuthorPart<'a> {
    author_profile: &'a PublicProfile,
    author_suspended: bool,
    author_version: Version,
}

impl<'a> AuthorPart<'a> {
    fn of(card: &'a PostCard) -> Self {
        let PostCard { author_profile, author_suspended, author_version, .. } = card;
        Self { author_profile, author_suspended: *author_suspended, author_version: *author_version }
    }
}

/// DynamoDB refuses a read that has a key twice.
fn keys(partitions: impl Iterator<Item = String>) -> Vec<Item> {
    let once: BTreeSet<_> = partitions.collect();
    once.into_iter().map(|key| HashMap::from([(PK.to_owned(), s(key))])).collect()
}

/// Events of one user are applied at once, so a card may have an author part before it has a post part. Nor has that of
/// a deleted account an author part.
pub(super) fn is_whole(item: &Item) -> bool {
    item.contains_key("post") && item.contains_key("author_profile")
}

/// What is to be written of a card.
struct Part {
    /// Attributes to set.
    set: Item,
    /// Attributes to set where the card has none.
    initial: Item,
    /// Attributes to remove.
    remove: Vec<&'static str>,
    /// Whether the whole card is returned. That costs no unit.
    returned: bool,
}

impl Part {
    fn of(values: &impl Serialize) -> Result<Self, Error> {
        Ok(Self { set: item(values)?, initial: Item::new(), remove: Vec::new(), returned: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{post, profile};

    #[test]
    fn readers_of_posts_ask_for_all_that_a_card_has() {
        // Without the numbers, which others write.
        let written = item(&PostCard::new(post(), profile("ada"))).unwrap();
        let known: Vec<_> = written.keys().filter(|name| !OF_POSTS.contains(&name.as_str())).collect();
        assert!(known.is_empty(), "{known:?} of a card would be read as if it were not there");
    }
}
