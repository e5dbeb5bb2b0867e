use super::{Sqs, bodies};

#[tokio::test]
async fn a_noisy_group_does_not_delay_a_quiet_one() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    sqs.send_in_group(&url, "noisy", (0..60).map(|n| format!("noisy {n}"))).await;
    sqs.send_in_group(&url, "quiet", (0..2).map(|n| format!("quiet {n}"))).await;
    sqs.send(&url, "no group").await;
    // Up to 30 messages in flight, a group is not noisy, so the oldest messages come first, as in any queue.
    for _ in 0..3 {
        assert!(bodies(&sqs.receive(&url).await).iter().all(|body| body.starts_with("noisy")));
    }
    // Now the rest of the noisy group waits behind the others.
    let next = sqs.receive(&url).await;
    assert_eq!(bodies(&next)[..3], ["quiet 0", "quiet 1", "no group"]);
    assert_eq!(bodies(&next)[3..].iter().filter(|body| body.starts_with("noisy")).count(), 7);
}

#[tokio::test]
async fn the_noisy_group_with_the_fewest_messages_in_flight_comes_first() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    sqs.send_in_group(&url, "much", (0..39).map(|n| format!("much {n}"))).await;
    sqs.send_in_group(&url, "little", (0..31).map(|n| format!("little {n}"))).await;
    for _ in 0..7 {
        assert_eq!(sqs.receive(&url).await.len(), 10);
    }
    sqs.send_in_group(&url, "much", ["much 39".to_owned()].into_iter()).await;
    sqs.send_in_group(&url, "little", ["little 31".to_owned()].into_iter()).await;
    assert_eq!(bodies(&sqs.receive(&url).await), ["little 31", "much 39"]);
}

#[tokio::test]
async fn a_group_without_messages_in_flight_has_no_disadvantage() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    sqs.send_in_group(&url, "a", (0..11).map(|n| format!("a {n}"))).await;
    for message in sqs.receive(&url).await {
        sqs.client.delete_message().queue_url(&url).set_receipt_handle(message.receipt_handle).send().await.unwrap();
    }
    sqs.send_in_group(&url, "b", ["b".to_owned()].into_iter()).await;
    assert_eq!(bodies(&sqs.receive(&url).await), ["a 10", "b"]);
}
