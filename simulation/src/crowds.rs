//! What a crowd leaves behind, without the crowd: followers and comments that stand in several partitions.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde_json::{Value, json};
use tidings::model::{CommentId, PartitionShard};

use crate::{
    truth::text,
    world::{World, name},
};

/// Moves all comments where they stand if very many are written at once. A sixteenth of them stays.
///
/// # Errors
/// If a comment's key is none.
pub(crate) fn spread_comments(world: &World) -> anyhow::Result<()> {
    for mut item in world.items("Commands") {
        let (first, sk) = (text(&item, "PK").to_owned(), text(&item, "SK").to_owned());
        // A crowd was there, where a comment stands elsewhere already.
        let is_first = first.matches('#').count() == 1;
        let Some(comment) = sk.strip_prefix("COMMENT#").filter(|_| is_first) else { continue };
        put(world, json!({"PK": {"S": first}, "SK": {"S": "SPREAD"}, "active": {"BOOL": true}}));
        let comment: CommentId = comment.parse().with_context(|| sk.clone())?;
        let shard = PartitionShard::of_spread_comment(comment).get();
        if shard == 0 {
            continue;
        }
        item["PK"] = json!({"S": format!("{first}#{shard}")});
        item["shard"] = json!({"N": shard.to_string()});
        put(world, item);
        let key = json!({"PK": {"S": first}, "SK": {"S": sk}});
        world.network.aws.dynamodb("DeleteItem", &json!({"TableName": name("Commands"), "Key": key}));
    }
    Ok(())
}

fn put(world: &World, item: Value) {
    world.network.aws.dynamodb("PutItem", &json!({"TableName": name("Commands"), "Item": item}));
}

/// Gives a user followers who never do anything. In half of the cases, they stand in several partitions.
pub(crate) fn haunt(world: &World, user: &str, count: usize) -> BTreeSet<String> {
    let ghosts: BTreeSet<String> = (0..count).map(|number| format!("ghost{number:04}")).collect();
    let edge = json!({"active": {"BOOL": true}, "version": {"N": "1"}});
    let is_spread = count % 2 == 1;
    if is_spread {
        let mark = json!({"PK": {"S": format!("FOLLOWERS#{user}")}, "SK": {"S": "SPREAD"}, "active": {"BOOL": true}});
        put(world, mark);
    }
    for (number, ghost) in ghosts.iter().enumerate() {
        let shard = if is_spread { number % usize::from(PartitionShard::COUNT) } else { 0 };
        let far = if shard == 0 { format!("FOLLOWERS#{user}") } else { format!("FOLLOWERS#{user}#{shard}") };
        for (pk, sk) in [(format!("USER#{ghost}"), format!("FOLLOWS#{user}")), (far, format!("USER#{ghost}"))] {
            let mut item = edge.clone();
            if shard > 0 {
                item["shard"] = json!({"N": shard.to_string()});
            }
            (item["PK"], item["SK"]) = (json!({"S": pk}), json!({"S": sk}));
            put(world, item);
        }
    }
    if count > 0 {
        put(
            world,
            json!({
                "PK": {"S": format!("TALLY#USER#{user}#0")}, "SK": {"S": "TALLY"}, "version": {"N": count.to_string()},
                "followers": {"N": count.to_string()},
            }),
        );
    }
    ghosts
}
