//! Likes of a crowd, without the crowd: the commands of a history write them as if very many liked the same post.

use aws_memory::Request;
use serde_json::{Value, json};
use tidings::model::PartitionShard;

use crate::truth::text;

/// Gives a like that begins the partition that it would get if very many liked the post at this moment. A sixteenth of
/// them get the first one.
pub(crate) fn spread_like(request: &mut Request) {
    let mut body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    for write in body["TransactItems"].as_array_mut().into_iter().flatten() {
        let Some(update) = write.get_mut("Update") else { continue };
        let (user, likes) = (text(&update["Key"], "PK"), text(&update["Key"], "SK"));
        let begins = likes.starts_with("LIKES#") && update["ExpressionAttributeValues"][":version"]["N"] == "1";
        let shard = user.bytes().chain(likes.bytes()).fold(0, u8::wrapping_add) % PartitionShard::COUNT;
        let has_one = update["ExpressionAttributeNames"].get("#shard").is_some();
        if begins && !has_one && shard > 0 {
            let expression = format!("{}, #shard = :shard", update["UpdateExpression"].as_str().unwrap_or_default());
            update["UpdateExpression"] = expression.into();
            update["ExpressionAttributeNames"]["#shard"] = "shard".into();
            update["ExpressionAttributeValues"][":shard"] = json!({"N": shard.to_string()});
        }
    }
    request.body = body.to_string().into();
}
