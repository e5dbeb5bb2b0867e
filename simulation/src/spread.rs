//! Likes and follows of a crowd, without the crowd: the commands of a history write them as if very many liked the same
//! post, or followed the same user.

use aws_memory::Request;
use serde_json::{Value, json};
use tidings::model::PartitionShard;

use crate::truth::text;

/// Gives a like or follow that begins the partition that it would get if very many did the same at this moment. A
/// sixteenth of them get the first one.
pub(crate) fn spread(request: &mut Request) {
    let mut body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let mut marks = Vec::new();
    for write in body["TransactItems"].as_array_mut().into_iter().flatten() {
        let Some(update) = write.get_mut("Update") else { continue };
        let (pk, sk) = (text(&update["Key"], "PK").to_owned(), text(&update["Key"], "SK").to_owned());
        let is_like = sk.starts_with("LIKES#") && update["ExpressionAttributeValues"][":version"]["N"] == "1";
        let is_first = update["ConditionExpression"] == "attribute_not_exists(PK)";
        let followed = match (pk.strip_prefix("USER#"), pk.strip_prefix("FOLLOWERS#")) {
            (Some(follower), _) => sk.strip_prefix("FOLLOWS#").map(|followee| (follower, followee)),
            (None, Some(followee)) => sk.strip_prefix("USER#").map(|follower| (follower, followee)),
            (None, None) => None,
        };
        let followed = followed.filter(|(_, followee)| is_first && !followee.contains('#'));
        let shard = match (is_like, followed) {
            (true, _) => shard_of(&pk, &sk),
            (false, Some((follower, followee))) => shard_of(follower, followee),
            (false, None) => 0,
        };
        if shard == 0 || update["ExpressionAttributeNames"].get("#shard").is_some() {
            continue;
        }
        let expression = format!("{}, #shard = :shard", update["UpdateExpression"].as_str().unwrap_or_default());
        update["UpdateExpression"] = expression.into();
        update["ExpressionAttributeNames"]["#shard"] = "shard".into();
        update["ExpressionAttributeValues"][":shard"] = json!({"N": shard.to_string()});
        if pk.starts_with("FOLLOWERS#") {
            marks.push(json!({"Update": {
                "TableName": update["TableName"],
                "Key": {"PK": {"S": pk}, "SK": {"S": "SPREAD"}},
                "UpdateExpression": "SET active = :true",
                "ExpressionAttributeValues": {":true": {"BOOL": true}},
            }}));
            update["Key"]["PK"] = json!({"S": format!("{pk}#{shard}")});
        }
    }
    if let Some(writes) = body["TransactItems"].as_array_mut() {
        writes.extend(marks);
    }
    request.body = body.to_string().into();
}

fn shard_of(one: &str, other: &str) -> u8 {
    one.bytes().chain(other.bytes()).fold(0, u8::wrapping_add) % PartitionShard::COUNT
}
