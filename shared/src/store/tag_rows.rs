//! Rows of timelines of tags. The tags of a post change with its text, so its rows there have the version of the post.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};

use super::{
    command_table::CommandTable,
    dynamo::{n, newer_wins, s},
    key::{self, PK, SK},
    timelines::{CONFLICTS, Row, Timelines, past_transactions},
};
use crate::{
    error::Error,
    model::{PostId, Tag},
};

impl Timelines {
    /// Writes the rows of a post to the timelines of the tags that this version of the post has, unless the command
    /// table has a newer version by now. The worker of that version writes its rows.
    ///
    /// The check and the rows are one transaction. So no worker that is late writes a row that a later version does not
    /// have, and after a deletion, nothing brings a tag back.
    pub async fn tag(&self, commands: &CommandTable, tags: &[Tag], row: &Row, version: u64) -> Result<(), Error> {
        if tags.is_empty() {
            return Ok(());
        }
        let put = |tag: &Tag| {
            let put = Put::builder()
                .table_name(self.table.get())
                .item(PK, s(key::tag(tag)))
                .item(SK, s(row.post))
                .item("author", s(row.author.as_str()))
                .item("expires_at", n(row.post.leaves_feeds_at().as_secs()))
                .item("version", n(version));
            let put = put.build().map_err(|error| Error::poison("a tag's row", error))?;
            Ok(TransactWriteItem::builder().put(put).build())
        };
        let unchanged = std::iter::once(commands.require_post_version(row.post, version));
        let writes = unchanged.chain(tags.iter().map(put)).collect::<Result<Vec<_>, Error>>()?;
        let mut retries = CONFLICTS.start();
        loop {
            match self.dynamo.transact(writes.clone()).await {
                // Either the post has changed, or two workers write the same rows at this moment.
                Err(Error::Conflict) => match commands.post(row.post).await? {
                    Some(post) if post.version == version && retries.wait().await => {}
                    Some(post) if post.version == version => return Err(Error::Conflict),
                    _ => return Ok(()),
                },
                written => return written,
            }
        }
    }

    /// Deletes the row of a post from the timeline of a tag that this version of the post does not have.
    pub async fn untag(&self, tag: &Tag, post: PostId, version: u64) -> Result<(), Error> {
        past_transactions(async || {
            let request = self.dynamo.0.delete_item().table_name(self.table.get());
            let request = request
                .key(PK, s(key::tag(tag)))
                .key(SK, s(post))
                .condition_expression("attribute_not_exists(PK) OR #version < :version")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":version", n(version));
            request.send().await.map(drop).or_else(newer_wins("deleting a tag's row"))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        error::Error,
        model::Tag,
        store::timelines::{Row, Timeline},
        test_world::{Calls, Failure, World},
    };

    const DELETE_ROW: Calls = Calls("DeleteItem", "TAG#old");

    /// Ada's post with a tag, which it has no more.
    async fn a_post_without_its_tag() -> (World, Row, Tag) {
        let world = World::new();
        world.other.join(&["ada"]).await;
        let post = world.other.post("ada", "first #old").await;
        world.other.catch_up(&["ada"]).await;
        world.other.edit("ada", post, "second").await;
        (world, Row { post, author: "ada".parse().unwrap() }, "old".parse().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_is_deleted_although_the_write_meets_transactions() {
        let (world, Row { post, .. }, tag) = a_post_without_its_tag().await;
        world.network.fail_next(DELETE_ROW, 3, Failure::Conflict);

        world.tested.timelines.untag(&tag, post, 2).await.unwrap();

        assert_eq!(world.other.rows(&Timeline::Tag(tag)).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_that_cannot_be_deleted_for_transactions_is_not_taken_for_a_newer_one() {
        let (world, row, tag) = a_post_without_its_tag().await;
        world.network.fail(DELETE_ROW, Failure::Conflict);

        let untagged = world.tested.timelines.untag(&tag, row.post, 2).await;

        assert!(matches!(untagged, Err(Error::Conflict)), "{untagged:?}");
        assert_eq!(world.other.rows(&Timeline::Tag(tag)).await, [row]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_row_of_a_newer_version_stays() {
        let (world, row, tag) = a_post_without_its_tag().await;

        world.tested.timelines.untag(&tag, row.post, 1).await.unwrap();

        assert_eq!(world.other.rows(&Timeline::Tag(tag)).await, [row]);
    }
}
