use std::time::Instant;

use super::{SOON, Sqs, api, bodies, code, receive_at, send_at, store};
use crate::servers::sqs::error::SqsError;

fn texts(messages: &[api::Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

#[test]
fn a_message_is_hidden_for_the_visibility_timeout_and_counted() {
    let mut store = store(&[("VisibilityTimeout", "30")]);
    send_at(&mut store, 0, "x");
    let request = r#"{"QueueUrl":"q","AttributeNames":["ApproximateReceiveCount","ApproximateFirstReceiveTimestamp"]}"#;
    let request = serde_json::from_str(request).unwrap();
    let first = store.receive(1000, &request).unwrap();
    assert_eq!(texts(&first), ["x"]);
    assert!(receive_at(&store, 30_999).is_empty());
    let second = store.receive(31_000, &request).unwrap();
    assert_eq!(second[0].attributes["ApproximateReceiveCount"], "2");
    assert_eq!(second[0].attributes["ApproximateFirstReceiveTimestamp"], "1000");
}

#[test]
fn the_visibility_timeout_can_be_changed_while_a_message_is_in_flight() {
    let mut store = store(&[]);
    send_at(&mut store, 0, "x");
    let receipt_handle = receive_at(&store, 0).remove(0).receipt_handle;
    let mut change = |now_ms, seconds| {
        let content = api::NewVisibility { receipt_handle: receipt_handle.clone(), visibility_timeout: Some(seconds) };
        store.change_message_visibility(now_ms, api::Single { queue_url: "q".to_owned(), content })
    };
    change(1000, 60).unwrap();
    assert!(matches!(change(1000, 43_201), Err(SqsError::InvalidParameterValue(_))));
    change(60_999, 1).unwrap();
    assert!(matches!(change(61_999, 1), Err(SqsError::MessageNotInflight)));
    assert_eq!(texts(&receive_at(&store, 61_999)), ["x"]);
}

#[test]
fn delayed_messages_appear_when_their_time_has_come() {
    let mut store = store(&[("DelaySeconds", "5")]);
    send_at(&mut store, 0, "by the queue");
    let content =
        api::NewMessage { message_body: "by itself".to_owned(), delay_seconds: Some(2), ..Default::default() };
    store.send_message(0, api::Single { queue_url: "q".to_owned(), content }).unwrap();
    assert!(receive_at(&store, 1999).is_empty());
    assert_eq!(store.next_visible_ms(1999, "q").unwrap(), Some(2000));
    assert_eq!(texts(&receive_at(&store, 2000)), ["by itself"]);
    assert_eq!(texts(&receive_at(&store, 5000)), ["by the queue"]);
}

#[test]
fn messages_are_kept_as_long_as_the_queue_says_and_no_longer() {
    let mut store = store(&[("MessageRetentionPeriod", "60"), ("VisibilityTimeout", "0")]);
    send_at(&mut store, 0, "old");
    send_at(&mut store, 1000, "new");
    assert_eq!(texts(&receive_at(&store, 59_999)), ["old", "new"]);
    assert_eq!(texts(&receive_at(&store, 60_000)), ["new"]);
    let visible = |store: &mut super::Store, now_ms| {
        let names = vec!["ApproximateNumberOfMessages".to_owned()];
        let request = api::GetQueueAttributes { queue_url: "q".to_owned(), attribute_names: names };
        store.get_queue_attributes(now_ms, request).unwrap().attributes["ApproximateNumberOfMessages"].clone()
    };
    assert_eq!(visible(&mut store, 60_000), "1");
    store.sweep(60_000).unwrap();
    let left: i64 = store.connection.query_row("SELECT count(*) FROM messages", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
}

#[test]
fn a_message_comes_once_in_an_answer_even_if_it_is_not_hidden() {
    let mut store = store(&[("VisibilityTimeout", "0")]);
    send_at(&mut store, 0, "x");
    assert_eq!(texts(&receive_at(&store, 0)), ["x"]);
    assert_eq!(texts(&receive_at(&store, 0)), ["x"]);
}

#[tokio::test]
async fn parameters_beyond_the_limits_are_refused() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    let receive = || sqs.client.receive_message().queue_url(&url);
    for request in [
        receive().max_number_of_messages(0),
        receive().max_number_of_messages(11),
        receive().wait_time_seconds(21),
        receive().visibility_timeout(43_201),
    ] {
        assert_eq!(code(&request.send().await.unwrap_err().into_service_error()), "InvalidParameterValue");
    }
    for n in 0..12 {
        sqs.send(&url, &n.to_string()).await;
    }
    assert_eq!(receive().send().await.unwrap().messages().len(), 1);
    assert_eq!(sqs.receive(&url).await.len(), 10);
    assert_eq!(sqs.receive(&url).await.len(), 1);
}

#[tokio::test]
async fn a_waiting_receive_is_woken_by_a_message() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    let waiting = tokio::spawn(sqs.client.receive_message().queue_url(&url).wait_time_seconds(20).send());
    // The message may come before or after the receive begins to wait. Neither may take the full wait time.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let begin = Instant::now();
    sqs.send(&url, "x").await;
    assert_eq!(bodies(waiting.await.unwrap().unwrap().messages()), ["x"]);
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_waiting_receive_is_woken_by_a_message_given_back_and_by_the_end_of_a_delay() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    sqs.send(&url, "x").await;
    let receipt = sqs.receive(&url).await.remove(0).receipt_handle.unwrap();
    let begin = Instant::now();
    let waiting = tokio::spawn(sqs.client.receive_message().queue_url(&url).wait_time_seconds(20).send());
    let change = sqs.client.change_message_visibility().queue_url(&url).receipt_handle(receipt).visibility_timeout(0);
    change.send().await.unwrap();
    assert_eq!(bodies(waiting.await.unwrap().unwrap().messages()), ["x"]);

    sqs.client.send_message().queue_url(&url).message_body("later").delay_seconds(1).send().await.unwrap();
    let received = sqs.client.receive_message().queue_url(&url).wait_time_seconds(20).send().await.unwrap();
    assert_eq!(bodies(received.messages()), ["later"]);
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_waiting_receive_ends_without_messages_when_its_time_is_up() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[("ReceiveMessageWaitTimeSeconds", "1")]).await;
    let begin = Instant::now();
    assert!(sqs.receive(&url).await.is_empty());
    assert!(begin.elapsed().as_millis() >= 1000, "{:?}", begin.elapsed());
}
