//! The trending list: the best posts of the index, merged into one item of the table `cards`, which all readers use. A
//! projection that has changed the index has it merged again: see [`crate::projection::trending`].

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use serde::{Deserialize, Serialize};

use super::{
    cards::Cards,
    dynamo::{failed, item, n, newer_wins, s, value},
    key::{PK, TRENDING_LIST, TRENDING_MERGE},
    trending::{Merged, TrendingPost},
};
use crate::{
    error::Error,
    model::{
        Timestamp,
        limits::{TRENDING_AGE_MAX, TRENDING_MAX},
        ranking::Score,
    },
};

/// What goes on, for errors.
const MERGING: &str = "merging the trending list";

/// The list as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredList {
    /// When the read of the index began.
    at: Timestamp,
    /// The least score of a contender, if there are enough posts.
    least: Option<Score>,
    posts: Vec<TrendingPost>,
}

impl Cards {
    /// The trending list. It may have posts that are too old by now.
    pub(crate) async fn trending_list(&self) -> Result<Vec<TrendingPost>, Error> {
        Ok(self.stored_list().await?.map(|list| list.posts).unwrap_or_default())
    }

    /// When the last merge that has ended began.
    pub(crate) async fn trending_merged_at(&self) -> Result<Option<Timestamp>, Error> {
        #[derive(Deserialize)]
        struct Merge {
            ended: Option<Timestamp>,
        }
        let request = self.dynamo.0.get_item().table_name(self.table.get()).key(PK, s(TRENDING_MERGE));
        let answer = request.consistent_read(true).send().await.map_err(failed(MERGING))?;
        let merge: Option<Merge> = answer.item.map(|item| value(MERGING, item)).transpose()?;
        Ok(merge.and_then(|merge| merge.ended))
    }

    /// Begins a merge at this moment. False if another one began after `before`.
    pub(crate) async fn begin_merge(&self, now: Timestamp, before: Timestamp) -> Result<bool, Error> {
        let claim = self.merge_moment("began", now).expression_attribute_values(":before", n(before.as_ms()));
        let claim = claim.condition_expression("attribute_not_exists(#moment) OR #moment <= :before");
        match claim.send().await.map_err(failed(MERGING)) {
            Ok(_) => Ok(true),
            Err(Error::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Merges the index, as it is now, into the list. A merge that began later wins.
    pub(crate) async fn merge_trending(&self, now: Timestamp) -> Result<(), Error> {
        let since = now.before(TRENDING_AGE_MAX);
        let Merged { best: posts, least } = self.trending_index().best(since, now, TRENDING_MAX).await?;
        let mut request = self
            .dynamo
            .0
            .update_item()
            .table_name(self.table.get())
            .key(PK, s(TRENDING_LIST))
            .update_expression("SET #at = :at, #least = :least, #posts = :posts")
            .condition_expression("attribute_not_exists(#at) OR #at < :at");
        for (name, value) in item(&StoredList { at: now, least, posts })? {
            request = request
                .expression_attribute_names(format!("#{name}"), &name)
                .expression_attribute_values(format!(":{name}"), value);
        }
        request.send().await.map(drop).or_else(newer_wins("writing the trending list"))?;
        let ended =
            self.merge_moment("ended", now).condition_expression("attribute_not_exists(#moment) OR #moment < :now");
        ended.send().await.map(drop).or_else(newer_wins(MERGING))
    }

    /// The write of a moment of the last merge.
    fn merge_moment(&self, name: &str, now: Timestamp) -> UpdateItemFluentBuilder {
        let request = self.dynamo.0.update_item().table_name(self.table.get()).key(PK, s(TRENDING_MERGE));
        request
            .update_expression("SET #moment = :now")
            .expression_attribute_names("#moment", name)
            .expression_attribute_values(":now", n(now.as_ms()))
    }

    /// Reads which score makes a post a contender, unless this process has read it lately.
    pub(crate) async fn learn_contenders(&self, now: Timestamp) -> Result<(), Error> {
        if self.known_list.is_old(now) {
            let list = self.stored_list().await?;
            self.known_list.least.put((), list.and_then(|list| list.least), now);
        }
        Ok(())
    }

    /// Whether this process has asked for a merge that covers a change at this moment.
    pub(crate) fn merge_is_asked(&self, now: Timestamp) -> bool {
        self.known_list.merge_asked.get(&(), now, None).is_some()
    }

    /// This process has asked for a merge at this moment.
    pub(crate) fn note_merge(&self, at: Timestamp) {
        self.known_list.merge_asked.put((), (), at);
    }

    async fn stored_list(&self) -> Result<Option<StoredList>, Error> {
        let request = self.dynamo.0.get_item().table_name(self.table.get()).key(PK, s(TRENDING_LIST));
        let answer = request.send().await.map_err(failed("reading the trending list"))?;
        answer.item.map(|item| value("the trending list", item)).transpose()
    }
}
