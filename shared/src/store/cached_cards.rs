//! Cards of posts in the shared cache. A card has three parts with a version each, and each write of the table raises
//! one of these, or leaves it. So the states of a card follow each other as the sum of its versions does, and the sum
//! is the version of an entry. A write returns the whole card as it is from then on, at no extra cost.

use std::collections::HashMap;

use aws_sdk_dynamodb::{operation::update_item::builders::UpdateItemFluentBuilder, types::ReturnValue};
use serde::{Deserialize, Serialize};

use super::{
    cards::{Cards, PostCard, is_whole},
    consistency::Consistency,
    dynamo::{Item, number, value},
    key,
    trending::TrendingPost,
};
use crate::{
    cache::Read,
    error::Error,
    model::{PostId, TallySubject, Timestamp},
    shared_cache::{CARD, Found, Leases, TRENDING},
};

/// The versions of a card's parts.
const VERSIONS: [&str; 3] = ["version", "author_version", "tally_revision"];

/// A card with its numbers, which the table's writers of cards leave out.
#[derive(Debug, Serialize, Deserialize)]
struct CachedCard {
    card: PostCard,
    likes: u64,
    comments: u64,
    heat: i64,
}

impl From<PostCard> for CachedCard {
    fn from(card: PostCard) -> Self {
        Self { likes: card.likes, comments: card.comments, heat: card.heat, card }
    }
}

impl From<CachedCard> for PostCard {
    fn from(CachedCard { card, likes, comments, heat }: CachedCard) -> Self {
        Self { likes, comments, heat, ..card }
    }
}

impl Cards {
    /// The cards of those of the posts that have one, from the shared cache as far as it has them. They are as old as
    /// an eventually consistent read allows, or as old as an entry may be if a write did not reach the cache.
    pub(crate) async fn posts_through_cache(&self, posts: &[PostId]) -> Result<HashMap<PostId, PostCard>, Error> {
        let keys: Vec<_> = posts.iter().map(|post| self.entry_of(&key::post(*post))).collect();
        let found = self.cache.find::<CachedCard>(&CARD, &keys, None, Leases::Wanted).await;
        let (mut cards, mut leases) = (HashMap::with_capacity(posts.len()), HashMap::new());
        let (mut strongly, mut eventually) = (Vec::new(), Vec::new());
        for (post, found) in posts.iter().zip(found) {
            match found {
                Found::Value(read) => drop(cards.insert(*post, PostCard::from(read.value))),
                Found::Nothing => eventually.push(*post),
                Found::Lease(lease) => {
                    if lease.reads_strongly { &mut strongly } else { &mut eventually }.push(*post);
                    leases.insert(*post, lease);
                }
            }
        }
        let (strongly, eventually) = tokio::try_join!(
            self.post_items(&strongly, Consistency::Strong),
            self.post_items(&eventually, Consistency::Eventual)
        )?;
        let mut filled = Vec::new();
        for item in strongly.into_iter().chain(eventually) {
            let (version, card) = (version(&item), value::<PostCard>("a post's card", item)?);
            if let (Some(lease), Ok(version)) = (leases.remove(&card.post), version) {
                filled.push((lease, version, CachedCard::from(card.clone())));
            }
            cards.insert(card.post, card);
        }
        self.cache.fill(filled).await;
        Ok(cards)
    }

    /// The update, with the whole card in its answer if the cache may have an entry to replace.
    pub(super) fn returning(&self, update: UpdateItemFluentBuilder, pk: &str) -> UpdateItemFluentBuilder {
        match self.cache.is_on() && key::parse_post(pk).is_some() {
            true => update.return_values(ReturnValue::AllNew),
            false => update,
        }
    }

    /// Replaces the entry of a card that was written. Forgets it if that is not known, or if the card is not whole.
    pub(super) async fn card_written(&self, pk: &str, item: Option<Item>) {
        if !self.cache.is_on() || key::parse_post(pk).is_none() {
            return;
        }
        let entry = self.entry_of(pk);
        let whole = item.filter(is_whole).and_then(|item| {
            let version = version(&item).ok()?;
            Some((version, value::<PostCard>("a post's card", item).ok()?))
        });
        match whole {
            Some((version, card)) => self.cache.replace(&CARD, &entry, version, &CachedCard::from(card)).await,
            None => self.cache.forget(&CARD, [entry]).await,
        }
    }

    /// Makes the cache forget a card that shows already what somebody wants to write. Whoever wrote it may have been
    /// killed, or given up because work beside it failed, before the cache was told.
    pub(crate) async fn cache_is_in_doubt(&self, subject: &TallySubject) {
        self.card_written(&key::card(subject), None).await;
    }

    /// Ends what the cache has of a card that was removed. If there is a new card afterwards, its versions begin anew.
    pub(super) async fn card_removed(&self, subject: &TallySubject) {
        if let TallySubject::Post(_) = subject {
            self.cache.block(&CARD, &self.entry_of(&key::card(subject))).await;
        }
    }

    /// Whether the shared cache may have cards of this table.
    pub(crate) fn is_cached(&self) -> bool {
        self.cache.is_on()
    }

    /// The trending list, read no earlier than `not_before`, from the shared cache or by `read`, which begins now.
    pub(crate) async fn trending_through_cache(
        &self,
        not_before: Option<Timestamp>,
        now: Timestamp,
        read: impl AsyncFnOnce() -> Result<Vec<TrendingPost>, Error>,
    ) -> Result<Read<Vec<TrendingPost>>, Error> {
        let entry = [self.table.get().to_owned()];
        let found = self.cache.find::<Vec<TrendingPost>>(&TRENDING, &entry, not_before, Leases::Wanted).await.pop();
        match found {
            Some(Found::Value(list)) => Ok(list),
            Some(Found::Lease(lease)) => {
                let value = read().await?;
                self.cache.fill(vec![(lease, 0, &value)]).await;
                Ok(Read { value, at: now })
            }
            Some(Found::Nothing) | None => Ok(Read { value: read().await?, at: now }),
        }
    }

    fn entry_of(&self, pk: &str) -> String {
        format!("{}:{pk}", self.table.get())
    }
}

fn version(item: &Item) -> Result<u64, Error> {
    VERSIONS.iter().map(|name| number(item, name)).sum()
}
