//! The `cards` table: what can change about a post or user and is shown with it. Each stands once, whatever its
//! audience. Every part of a card has one writer's version beside it, and the highest version wins.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use serde::{Deserialize, Serialize};

use super::{
    Dynamo,
    dynamo::{Item, failed, item, n, number, s, value},
    key::{self, PK},
};
use crate::{
    error::Error,
    model::{Post, PostId, Profile, PublicProfile, Tag, Tally, TallyShard, Text, Timestamp, Totals, UserId, Version},
    retry::Backoff,
};

/// Times that keys which DynamoDB left unprocessed are asked for again.
const UNPROCESSED_RETRIES_MAX: u32 = 5;
/// Waits before that.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(10), longest: Duration::from_secs(1) };

/// The `cards` table.
#[derive(Debug, Clone)]
pub struct Cards {
    dynamo: Dynamo,
    table: String,
}

/// A post as readers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostCard {
    /// The post.
    pub post: PostId,
    /// Who wrote it.
    pub author: UserId,
    /// What the author shows.
    pub author_profile: PublicProfile,
    /// Version of the event that last changed `author_profile`.
    pub author_version: Version,
    /// What it says; nothing once it is deleted.
    pub text: Option<Text>,
    /// The tags in it.
    pub tags: Vec<Tag>,
    /// 1, and one more with each change of the post.
    pub version: u64,
    /// Whether its author took it back.
    pub deleted: bool,
}

/// A user as others see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCard {
    /// The user.
    pub user: UserId,
    /// What the user shows.
    pub profile: PublicProfile,
    /// When the user first made a profile.
    pub created_at: Timestamp,
    /// How many accounts the user follows.
    #[serde(default)]
    pub following: u64,
    /// How many accounts follow the user.
    #[serde(default)]
    pub followers: u64,
}

/// What a card knows of a counter, and which revision of that it is: how a writer tells that nobody came between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredTally {
    /// The newest known images.
    pub tally: Tally,
    revision: u64,
}

impl PostCard {
    /// The card of a post by an author with this profile.
    pub fn new(post: Post, author: Profile) -> Self {
        Self {
            deleted: post.is_deleted(),
            post: post.post,
            author: post.author,
            author_profile: author.public,
            author_version: author.version,
            text: post.text,
            tags: post.tags,
            version: post.version,
        }
    }
}

impl Cards {
    /// The table of this name.
    pub fn new(dynamo: Dynamo, table: String) -> Self {
        Self { dynamo, table }
    }

    /// Writes a post's card, unless the card is as new. The author part of a card that is there stays: it has a writer
    /// and a version of its own, see [`Cards::put_author`].
    pub async fn put_post(&self, card: &PostCard) -> Result<(), Error> {
        let (mut part, mut author) = (item(card)?, Item::new());
        for name in ["author_profile", "author_version"] {
            author.extend(part.remove_entry(name));
        }
        self.put_part(key::post(card.post), "version", part, author).await
    }

    /// Writes the author part of a post's card, unless it is as new.
    pub async fn put_author(&self, post: PostId, author: &Profile) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Part<'a> {
            author_profile: &'a PublicProfile,
            author_version: Version,
        }
        let part = Part { author_profile: &author.public, author_version: author.version };
        self.put_part(key::post(post), "author_version", item(&part)?, Item::new()).await
    }

    /// Writes what a user shows, unless the card is as new.
    pub async fn put_profile(&self, profile: &Profile) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Part<'a> {
            user: &'a UserId,
            profile: &'a PublicProfile,
            created_at: Timestamp,
            profile_version: Version,
        }
        let part = Part {
            user: &profile.user,
            profile: &profile.public,
            created_at: profile.created_at,
            profile_version: profile.version,
        };
        self.put_part(key::user(&profile.user), "profile_version", item(&part)?, Item::new()).await
    }

    /// Writes a user's totals as they are at this version, unless the card has newer ones.
    pub async fn put_totals(&self, user: &UserId, totals: Totals, version: Version) -> Result<(), Error> {
        #[derive(Serialize)]
        struct Part {
            following: u64,
            totals_version: Version,
        }
        let part = Part { following: totals.following, totals_version: version };
        self.put_part(key::user(user), "totals_version", item(&part)?, Item::new()).await
    }

    /// What the user's card knows of the user's counter.
    pub async fn tally(&self, user: &UserId) -> Result<StoredTally, Error> {
        let answer = self
            .dynamo
            .0
            .get_item()
            .table_name(&self.table)
            .key(PK, s(key::user(user)))
            .projection_expression("tally, tally_revision")
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("reading a counter"))?;
        let Some(mut item) = answer.item else { return Ok(StoredTally::default()) };
        let shards = match item.remove("tally") {
            Some(AttributeValue::M(shards)) => shards,
            _ => HashMap::new(),
        };
        let mut tally = Tally::default();
        for (shard, image) in shards {
            let number = shard.parse().ok().and_then(TallyShard::new);
            let number = number.ok_or_else(|| Error::poison("a counter", format!("shard {shard}")))?;
            let AttributeValue::M(image) = image else { return Err(Error::poison("a counter", "an image")) };
            tally.take(number, value("a counter", image)?);
        }
        Ok(StoredTally { tally, revision: number(&item, "tally_revision")? })
    }

    /// Replaces what the user's card knew as `before`, and what it shows of it.
    ///
    /// # Errors
    /// [`Error::Conflict`] if somebody else replaced it meanwhile.
    pub async fn put_tally(&self, user: &UserId, before: &StoredTally, tally: &Tally) -> Result<(), Error> {
        let shards =
            tally.0.iter().map(|(shard, image)| Ok((shard.get().to_string(), AttributeValue::M(item(image)?))));
        let shards = shards.collect::<Result<_, Error>>()?;
        let update = self
            .dynamo
            .0
            .update_item()
            .table_name(&self.table)
            .key(PK, s(key::user(user)))
            .update_expression("SET tally = :tally, followers = :followers, tally_revision = :next")
            .expression_attribute_values(":tally", AttributeValue::M(shards))
            .expression_attribute_values(":followers", n(tally.followers()))
            .expression_attribute_values(":next", n(before.revision + 1));
        let update = if before.revision == 0 {
            update.condition_expression("attribute_not_exists(tally_revision)")
        } else {
            update
                .condition_expression("tally_revision = :revision")
                .expression_attribute_values(":revision", n(before.revision))
        };
        update.send().await.map(|_| ()).map_err(failed("writing a counter"))
    }

    /// The cards of the posts that have one.
    pub async fn posts(&self, posts: &[PostId]) -> Result<HashMap<PostId, PostCard>, Error> {
        let items = self.batch_get(posts.iter().map(|post| key::post(*post))).await?;
        // An author part may come before the post part, when events of one user are projected at once.
        let whole = items.into_iter().filter(|item| item.contains_key("post"));
        whole.map(|item| value("a post's card", item).map(|card: PostCard| (card.post, card))).collect()
    }

    /// The cards of the users that have one.
    pub async fn users(&self, users: &[UserId]) -> Result<HashMap<UserId, UserCard>, Error> {
        let items = self.batch_get(users.iter().map(key::user)).await?;
        let whole = items.into_iter().filter(|item| item.contains_key("user"));
        whole.map(|item| value("a user's card", item).map(|card: UserCard| (card.user.clone(), card))).collect()
    }

    /// Sets the attributes of `part` if its `version` attribute is higher than the card's, and those of `initial` where
    /// the card has none. That the card is as new already is success: it holds what was to be written, or what followed.
    async fn put_part(&self, pk: String, version: &str, part: Item, initial: Item) -> Result<(), Error> {
        let mut update = self.dynamo.0.update_item().table_name(&self.table).key(PK, s(pk));
        let mut assignments = Vec::new();
        let sets = part.into_iter().map(|(name, value)| (name, value, true));
        for (name, value, replace) in sets.chain(initial.into_iter().map(|(name, value)| (name, value, false))) {
            assignments.push(match replace {
                true => format!("#{name} = :{name}"),
                false => format!("#{name} = if_not_exists(#{name}, :{name})"),
            });
            update = update
                .expression_attribute_names(format!("#{name}"), &name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        let answer = update
            .update_expression(format!("SET {}", assignments.join(", ")))
            .condition_expression(format!("attribute_not_exists(#{version}) OR #{version} < :{version}"))
            .send()
            .await
            .map_err(failed("writing a card"));
        match answer {
            Ok(_) | Err(Error::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// At most 100 items by their keys, in no order.
    async fn batch_get(&self, keys: impl Iterator<Item = String>) -> Result<Vec<Item>, Error> {
        let keys: Vec<Item> = keys.map(|key| HashMap::from([(PK.to_owned(), s(key))])).collect();
        let mut found = Vec::with_capacity(keys.len());
        let mut left = (!keys.is_empty()).then(|| KeysAndAttributes::builder().set_keys(Some(keys)).build());
        for retry in 0..=UNPROCESSED_RETRIES_MAX {
            let Some(keys) = left.take() else { return Ok(found) };
            BACKOFF.before(retry).await;
            let keys = keys.map_err(|error| Error::poison("keys of cards", error))?;
            let answer = self
                .dynamo
                .0
                .batch_get_item()
                .request_items(&self.table, keys)
                .send()
                .await
                .map_err(failed("reading cards"))?;
            found.extend(answer.responses.and_then(|mut tables| tables.remove(&self.table)).unwrap_or_default());
            left = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.table)).map(Ok);
        }
        match left {
            None => Ok(found),
            Some(_) => Err(Error::transient("reading cards", "keys left unprocessed")),
        }
    }
}
