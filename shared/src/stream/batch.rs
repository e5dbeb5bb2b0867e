//! Partial batch responses, built in this one place: an identifier that is missing or empty would fail the whole batch,
//! and for a stream the lowest failed sequence number is where Lambda goes on (AWS Lambda, "Partial batch responses").

use serde::Serialize;

/// Which items of a batch failed. Empty means that all went well.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResponse {
    batch_item_failures: Vec<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    item_identifier: String,
}

impl BatchResponse {
    /// Of a stream's batch: everything from the first failed record on comes again. `outcomes` are in the order of the
    /// batch.
    pub fn stream<'a>(outcomes: impl IntoIterator<Item = (&'a str, bool)>) -> Self {
        Self::of(outcomes.into_iter().find(|(_, done)| !done))
    }

    /// Of a queue's batch: each failed message comes again.
    pub fn queue<'a>(outcomes: impl IntoIterator<Item = (&'a str, bool)>) -> Self {
        Self::of(outcomes.into_iter().filter(|(_, done)| !done))
    }

    fn of<'a>(failed: impl IntoIterator<Item = (&'a str, bool)>) -> Self {
        let failures = failed.into_iter().map(|(id, _)| Failure { item_identifier: id.to_owned() });
        Self { batch_item_failures: failures.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(response: &BatchResponse) -> String {
        serde_json::to_string(response).unwrap()
    }

    #[test]
    fn success_is_an_empty_list() {
        assert_eq!(json(&BatchResponse::stream([("1", true)])), r#"{"batchItemFailures":[]}"#);
    }

    #[test]
    fn a_stream_goes_on_from_its_first_failure() {
        let response = BatchResponse::stream([("10", true), ("9", false), ("8", true), ("7", false)]);
        assert_eq!(json(&response), r#"{"batchItemFailures":[{"itemIdentifier":"9"}]}"#);
    }

    #[test]
    fn a_queue_repeats_each_failure() {
        let response = BatchResponse::queue([("a", false), ("b", true), ("c", false)]);
        assert_eq!(json(&response), r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"c"}]}"#);
    }
}
