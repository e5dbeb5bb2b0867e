use super::{Sqs, bodies, code, redrive_policy};
use crate::servers::sqs::store::arn;

/// Receives messages and makes them visible again at once, like a consumer that fails.
async fn fail_once(sqs: &Sqs, queue: &str) -> Vec<String> {
    let request = sqs.client.receive_message().queue_url(queue).max_number_of_messages(10).visibility_timeout(0);
    let messages = request.send().await.unwrap().messages.unwrap_or_default();
    bodies(&messages).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_receive_after_the_maximum_moves_a_message_to_the_dead_letter_queue() {
    let sqs = Sqs::start(None).await;
    let dead = sqs.queue("dead", &[]).await;
    let url = sqs.queue("q", &[("RedrivePolicy", &redrive_policy("dead", 2))]).await;
    sqs.send(&url, "poison").await;
    assert_eq!(fail_once(&sqs, &url).await, ["poison"]);
    assert_eq!(fail_once(&sqs, &url).await, ["poison"]);
    // The message was received as often as allowed. It stays in the queue until the next receive.
    assert_eq!(sqs.attribute(&dead, "ApproximateNumberOfMessages").await, "0");
    sqs.send(&url, "good").await;
    assert_eq!(fail_once(&sqs, &url).await, ["good"]);
    assert_eq!(sqs.attribute(&url, "ApproximateNumberOfMessages").await, "1");

    let buried = sqs.receive(&dead).await.remove(0);
    assert_eq!(buried.body(), Some("poison"));
    let attributes = buried.attributes.unwrap();
    assert_eq!(attributes[&"DeadLetterQueueSourceArn".into()], arn("q"));
    assert_eq!(attributes[&"ApproximateReceiveCount".into()], "3");
}

#[tokio::test]
async fn a_receive_that_waits_on_the_dead_letter_queue_is_woken() {
    let sqs = Sqs::start(None).await;
    let dead = sqs.queue("dead", &[]).await;
    let url = sqs.queue("q", &[("RedrivePolicy", &redrive_policy("dead", 1))]).await;
    sqs.send(&url, "poison").await;
    let begin = std::time::Instant::now();
    let waiting = tokio::spawn(sqs.client.receive_message().queue_url(&dead).wait_time_seconds(20).send());
    fail_once(&sqs, &url).await;
    fail_once(&sqs, &url).await;
    assert_eq!(bodies(waiting.await.unwrap().unwrap().messages()), ["poison"]);
    assert!(begin.elapsed() < super::SOON);
}

#[tokio::test]
async fn a_move_task_takes_messages_back_to_where_they_came_from_as_new_ones() {
    let sqs = Sqs::start(None).await;
    let dead = sqs.queue("dead", &[]).await;
    let url = sqs.queue("q", &[("RedrivePolicy", &redrive_policy("dead", 1))]).await;
    sqs.send(&url, "poison").await;
    fail_once(&sqs, &url).await;
    fail_once(&sqs, &url).await;
    sqs.send(&dead, "sent here directly").await;

    sqs.client.start_message_move_task().source_arn(arn("dead")).send().await.unwrap();
    let back = sqs.receive(&url).await.remove(0);
    assert_eq!(back.body(), Some("poison"));
    let attributes = back.attributes.unwrap();
    assert_eq!(attributes[&"ApproximateReceiveCount".into()], "1");
    assert_eq!(attributes.get(&"DeadLetterQueueSourceArn".into()), None);
    assert_eq!(sqs.attribute(&dead, "ApproximateNumberOfMessages").await, "1");

    let other = sqs.queue("other", &[]).await;
    let task = sqs.client.start_message_move_task().source_arn(arn("dead")).destination_arn(arn("other"));
    task.send().await.unwrap();
    assert_eq!(bodies(&sqs.receive(&other).await), ["sent here directly"]);
}

#[tokio::test]
async fn only_a_dead_letter_queue_can_be_moved_from() {
    let sqs = Sqs::start(None).await;
    sqs.queue("q", &[]).await;
    let start = |name: &str| sqs.client.start_message_move_task().source_arn(arn(name)).send();
    assert_eq!(code(&start("q").await.unwrap_err().into_service_error()), "InvalidParameterValue");
    assert!(start("missing").await.unwrap_err().into_service_error().is_resource_not_found_exception());
}
