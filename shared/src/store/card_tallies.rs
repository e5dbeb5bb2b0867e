//! Counters on cards: what a card knows of a counter's shards, and the numbers that the card shows. A post with some
//! heat is also in the index of [`super::trending`].

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    cards::Cards,
    dynamo::{Item, failed, item, n, number, s, value},
    key::{self, BUCKET, PK},
    statistics::signed,
    trending::index_attributes,
};
use crate::{
    error::Error,
    model::{
        Counts, PostId, Tally, TallyShard, TallySubject, Timestamp,
        ranking::{Score, TRENDING_HEAT_MIN},
    },
    retry::until_no_conflict,
};

/// What a card knows of a counter, with the revision by which a writer notices that another writer came between.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredTally {
    /// The newest known image of each shard.
    pub tally: Tally,
    revision: u64,
    /// Whether there is a card. A counter alone makes none.
    pub has_card: bool,
    /// Whether the counter is that of a post that others do not see, for one of the reasons in [`HIDDEN`].
    hidden: bool,
    /// Whether the card is in the index of trending posts.
    in_index: bool,
}

/// The attributes that hide a post from others, and keep it out of the index: it is deleted, it was taken down, or its
/// author is suspended.
const HIDDEN: [&str; 3] = ["deleted", "taken_down", "author_suspended"];

impl StoredTally {
    /// Whether the card of a post that others do not see is in the index of those that trend.
    pub fn is_misplaced(&self) -> bool {
        self.hidden && self.in_index
    }
}

impl Cards {
    /// Writes the numbers and the place in the index again, as the card knows the counter. A post that was hidden has
    /// lost its place.
    ///
    /// # Errors
    /// [`Error::Conflict`] if other writers kept changing the card.
    pub async fn show_tally_again(&self, subject: &TallySubject) -> Result<(), Error> {
        until_no_conflict(async || {
            let before = self.tally(subject).await?;
            if !before.has_card {
                return Ok(());
            }
            self.put_tally(subject, &before, &before.tally).await
        })
        .await
    }

    /// Puts a post into the index whose card has no place there, if it should have one. Returns whether it should. A
    /// counter that makes no sense is for the audit to repair.
    pub(super) async fn give_place_back(&self, post: PostId, card: &Item, now: Timestamp) -> Result<bool, Error> {
        let heat = signed(card, "heat").unwrap_or_default();
        if is_hidden(card) || heat < TRENDING_HEAT_MIN {
            return Ok(false);
        }
        self.learn_contenders(now).await?;
        if index_attributes(post, heat, self.known_list.least()).is_none() {
            return Ok(false);
        }
        match self.show_tally_again(&TallySubject::Post(post)).await {
            Err(error @ Error::Poison { .. }) => {
                tracing::error!(%post, %error, "a post has no place among those that trend");
                Ok(false)
            }
            shown => shown.map(|()| true),
        }
    }

    /// What the subject's card knows of the subject's counter.
    pub async fn tally(&self, subject: &TallySubject) -> Result<StoredTally, Error> {
        let answer = self
            .dynamo
            .0
            .get_item()
            .table_name(self.table.get())
            .key(PK, s(key::card(subject)))
            .projection_expression(format!("PK, tally, tally_revision, {}, #bucket", HIDDEN.join(", ")))
            .expression_attribute_names("#bucket", BUCKET)
            .consistent_read(true)
            .send()
            .await
            .map_err(failed("reading a counter"))?;
        answer.item.map_or(Ok(StoredTally::default()), stored_tally)
    }

    /// Whether the trending list may change when this counter is written: the post is among the contenders before or
    /// afterwards, or has so little heat that it may have been.
    pub(crate) fn may_trend(&self, subject: &TallySubject, before: &StoredTally, tally: &Tally) -> bool {
        let TallySubject::Post(post) = subject else { return false };
        let heat = tally.counts().heat;
        before.in_index || heat < TRENDING_HEAT_MIN || index_attributes(*post, heat, self.known_list.least()).is_some()
    }

    /// Replaces what the subject's card knew when it was read as `before`, and the numbers that the card shows. It
    /// never makes a card: that of an erased account would stay.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another writer replaced it meanwhile, the post was hidden or is shown again, or there is
    /// no card.
    pub async fn put_tally(&self, subject: &TallySubject, before: &StoredTally, tally: &Tally) -> Result<(), Error> {
        let mut set = shown(subject, &tally.counts(), before.hidden, self.known_list.least());
        let in_index = set.contains_key(BUCKET);
        let image = |(shard, image): (&TallyShard, _)| Ok((shard.get().to_string(), AttributeValue::M(item(image)?)));
        let images = tally.0.iter().map(image).collect::<Result<_, Error>>()?;
        set.insert("tally".to_owned(), AttributeValue::M(images));
        set.insert("tally_revision".to_owned(), n(before.revision + 1));

        let pk = key::card(subject);
        let mut update = self.dynamo.0.update_item().table_name(self.table.get()).key(PK, s(&pk));
        let assignments: Vec<_> = set.keys().map(|name| format!("#{name} = :{name}")).collect();
        for (name, value) in set {
            update = update
                .expression_attribute_names(format!("#{name}"), &name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        let mut condition = "attribute_exists(PK) AND attribute_not_exists(#tally_revision)".to_owned();
        if before.revision > 0 {
            "#tally_revision = :revision".clone_into(&mut condition);
            update = update.expression_attribute_values(":revision", n(before.revision));
        }
        // Whoever hides a post removes it from the index, and whoever shows it again puts it back, whether that comes
        // before or after this write.
        condition += &match before.hidden {
            true => format!(" AND ({})", HIDDEN.map(|name| format!("{name} = :hidden")).join(" OR ")),
            false => HIDDEN.map(|name| format!(" AND (attribute_not_exists({name}) OR {name} = :hidden)")).concat(),
        };
        update = update.expression_attribute_values(":hidden", AttributeValue::Bool(before.hidden));
        let mut expression = format!("SET {}", assignments.join(", "));
        if !in_index {
            expression += &format!(" REMOVE #{BUCKET}");
            update = update.expression_attribute_names(format!("#{BUCKET}"), BUCKET);
        }
        let update = update.update_expression(expression).condition_expression(condition);
        let written = self.returning(update, &pk).send().await.map_err(failed("writing a counter"));
        // After an error, it may be written all the same.
        let (card, result) = written.map_or_else(|error| (None, Err(error)), |answer| (answer.attributes, Ok(())));
        self.card_written(&pk, card).await;
        result
    }
}

/// The attributes that a card shows of its counter. A card with a `bucket` is in the index.
fn shown(subject: &TallySubject, counts: &Counts, hidden: bool, least: Option<Score>) -> Item {
    let mut shown = Item::new();
    let mut show = |name: &str, value| shown.insert(name.to_owned(), value);
    match subject {
        TallySubject::User(_) => {
            show("followers", n(counts.followers));
        }
        TallySubject::Post(post) => {
            show("likes", n(counts.likes));
            show("comments", n(counts.comments));
            show("heat", n(counts.heat));
            if !hidden {
                for (name, value) in index_attributes(*post, counts.heat, least).into_iter().flatten() {
                    show(name, value);
                }
            }
        }
    }
    shown
}

fn is_hidden(item: &Item) -> bool {
    HIDDEN.into_iter().any(|name| matches!(item.get(name), Some(AttributeValue::Bool(true))))
}

fn stored_tally(mut item: Item) -> Result<StoredTally, Error> {
    let hidden = is_hidden(&item);
    let in_index = item.contains_key(BUCKET);
    let shards = match item.remove("tally") {
        Some(AttributeValue::M(shards)) => shards,
        _ => HashMap::new(),
    };
    let mut tally = Tally::default();
    for (shard, image) in shards {
        let number = shard.parse().ok().map(TallyShard::new);
        let number =
            number.ok_or_else(|| Error::poison("a counter on a card", format!("there is no shard {shard}")))?;
        let AttributeValue::M(image) = image else {
            return Err(Error::poison("a counter on a card", "an image is not a map"));
        };
        tally.take(number, value("a counter on a card", image)?);
    }
    Ok(StoredTally { tally, revision: number(&item, "tally_revision")?, has_card: true, hidden, in_index })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::post;

    #[test]
    fn a_post_trends_from_its_first_like_until_it_is_deleted() {
        let shown = |heat, deleted| {
            let counts = Counts { heat, ..Counts::default() };
            shown(&TallySubject::Post(post().post), &counts, deleted, None).contains_key(BUCKET)
        };
        assert!(shown(TRENDING_HEAT_MIN, false));
        assert!(!shown(TRENDING_HEAT_MIN - 1, false) && !shown(TRENDING_HEAT_MIN, true));
    }
}
