//! Batches of which AWS does only a part, and says so: at least one entry is done, any may be left.

use aws_memory::{Answer, Aws, Request};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Map, Value, json};

/// Whether AWS may do the operation in part.
pub(crate) fn concerns(operation: &str) -> bool {
    matches!(operation, "BatchWriteItem" | "BatchGetItem" | "PutRecords" | "SendMessageBatch")
}

/// Does a random part of a batch. None if the batch has only one entry.
pub(crate) fn apply(aws: &Aws, request: &Request, dice: u64) -> Option<Answer> {
    let mut random = StdRng::seed_from_u64(dice);
    let mut document: Value = serde_json::from_slice(&request.body).ok()?;
    let apply = |document: &Value| {
        let answer = aws.apply(&Request { body: document.to_string().into(), ..request.clone() });
        (answer.status == 200).then(|| answer.json())
    };
    let answer = match request.operation.as_str() {
        "BatchWriteItem" | "BatchGetItem" => {
            let (left_in, nested) = match request.operation.as_str() {
                "BatchGetItem" => ("UnprocessedKeys", true),
                _ => ("UnprocessedItems", false),
            };
            let mut left = Map::new();
            for (table, of_table) in document["RequestItems"].as_object_mut()? {
                let mut rest = of_table.clone();
                let entries = if nested { &mut of_table["Keys"] } else { &mut *of_table };
                let undone = Value::from(leave(entries.as_array_mut()?, &mut random)?);
                *(if nested { &mut rest["Keys"] } else { &mut rest }) = undone;
                left.insert(table.clone(), rest);
            }
            let mut answer = apply(&document)?;
            answer[left_in] = left.into();
            answer
        }
        "PutRecords" => {
            let all = document["Records"].as_array()?.clone();
            let mut places: Vec<usize> = (0..all.len()).collect();
            let undone = leave(&mut places, &mut random)?;
            document["Records"] = places.iter().map(|place| all[*place].clone()).collect();
            let mut done = apply(&document)?;
            let mut done = done["Records"].as_array_mut()?.drain(..).collect::<Vec<_>>().into_iter();
            let failed =
                json!({"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"});
            let results = (0..all.len()).map(|place| match undone.contains(&place) {
                true => failed.clone(),
                false => done.next().unwrap_or_default(),
            });
            json!({"Records": results.collect::<Vec<_>>(), "FailedRecordCount": undone.len()})
        }
        _ => {
            let undone = leave(document["Entries"].as_array_mut()?, &mut random)?;
            let mut answer = apply(&document)?;
            let failed = |entry: &Value| json!({"Id": entry["Id"], "Code": "InternalError", "SenderFault": false});
            answer["Failed"] = undone.iter().map(failed).collect();
            answer
        }
    };
    Some(Answer::new(200, &answer))
}

/// Takes some entries out, at least one, and leaves at least one, in their order. None if there is only one.
fn leave<T: Clone>(entries: &mut Vec<T>, random: &mut StdRng) -> Option<Vec<T>> {
    let count = entries.len();
    if count < 2 {
        return None;
    }
    let mut places: Vec<usize> = (0..count).collect();
    places.shuffle(random);
    let undone = &places[..rand::Rng::random_range(random, 1..count)];
    let (mut left, mut done) = (Vec::new(), Vec::new());
    for (place, entry) in entries.drain(..).enumerate() {
        if undone.contains(&place) { left.push(entry) } else { done.push(entry) }
    }
    *entries = done;
    Some(left)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aws_memory::Service;

    use super::*;

    #[test]
    fn what_is_left_of_a_batch_is_what_was_not_written() {
        let aws = Arc::new(Aws::new().unwrap());
        assert_eq!(aws.create_table("table", true).status, 200);
        let put = |sk: u32| json!({"PutRequest": {"Item": {"PK": {"S": "p"}, "SK": {"S": sk.to_string()}}}});
        for dice in 0..20 {
            let before = aws.items("table").len();
            let first = u32::try_from(dice).unwrap() * 10;
            let puts: Vec<_> = (first..first + 5).map(put).collect();
            let body = json!({"RequestItems": {"table": puts}}).to_string().into();
            let request = Request { service: Service::DynamoDb, operation: "BatchWriteItem".to_owned(), body };
            let answer = apply(&aws, &request, dice).unwrap().json();
            let left = answer["UnprocessedItems"]["table"].as_array().unwrap().len();
            assert!((1..5).contains(&left));
            assert_eq!(aws.items("table").len() - before, 5 - left);
        }
    }

    #[test]
    fn a_single_entry_is_done_or_not() {
        let aws = Aws::new().unwrap();
        let body = json!({"Entries": [{"Id": "0", "MessageBody": "b"}], "QueueUrl": "q"}).to_string().into();
        let request = Request { service: Service::Sqs, operation: "SendMessageBatch".to_owned(), body };
        assert_eq!(apply(&aws, &request, 1), None);
    }
}
