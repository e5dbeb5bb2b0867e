use std::time::Instant;

use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;

use super::{Sqs, entry};

/// A measurement, not a test: `cargo test --release -p tidings-local --lib throughput -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn sends_receives_and_deletes_in_batches_of_ten() {
    const BATCHES: usize = 1000;
    const WORKERS: usize = 4;
    let directory = tempfile::tempdir().unwrap();
    let sqs = Sqs::start(Some(&directory.path().join("sqs.sqlite"))).await;
    let url = sqs.queue("q", &[]).await;
    let body = "x".repeat(2000);
    let begin = Instant::now();
    let workers = (0..WORKERS).map(|worker| {
        let (client, url, body) = (sqs.client.clone(), url.clone(), body.clone());
        tokio::spawn(async move {
            for _ in 0..BATCHES / WORKERS {
                let entries = (0..10).map(|n| {
                    let mut entry = entry(&n.to_string(), &body);
                    entry.message_group_id = Some(format!("group-{worker}"));
                    entry
                });
                let send = client.send_message_batch().queue_url(&url).set_entries(Some(entries.collect()));
                assert!(send.send().await.unwrap().failed().is_empty());
                let receive = client.receive_message().queue_url(&url).max_number_of_messages(10);
                let messages = receive.wait_time_seconds(20).send().await.unwrap().messages.unwrap();
                let entries = messages.into_iter().enumerate().map(|(n, message)| {
                    let entry = DeleteMessageBatchRequestEntry::builder().id(n.to_string());
                    entry.set_receipt_handle(message.receipt_handle).build().unwrap()
                });
                let delete = client.delete_message_batch().queue_url(&url).set_entries(Some(entries.collect()));
                assert!(delete.send().await.unwrap().failed().is_empty());
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    println!("{:.0} messages/s", (BATCHES * 10) as f64 / begin.elapsed().as_secs_f64());
}
