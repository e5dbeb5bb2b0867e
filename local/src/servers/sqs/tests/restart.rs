use aws_limits::sqs::InFlightRules;
use tokio::{net::TcpListener, sync::oneshot};

use super::{SOON, Sqs, bodies, code, redrive_policy, serve};
use crate::aws;

#[tokio::test]
async fn queues_and_messages_survive_a_restart_even_messages_in_flight() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sqs.sqlite");
    let before = Sqs::start(Some(&file)).await;
    before.queue("dead", &[]).await;
    let url = before.queue("q", &[("RedrivePolicy", &redrive_policy("dead", 5))]).await;
    for body in ["a", "b"] {
        before.send(&url, body).await;
    }
    assert_eq!(before.receive(&url).await.len(), 2, "both are in flight");

    // A copy of the file as a killed process leaves it: not closed, with its write-ahead log.
    let killed = directory.path().join("killed.sqlite");
    std::fs::copy(&file, &killed).unwrap();
    std::fs::copy(directory.path().join("sqs.sqlite-wal"), directory.path().join("killed.sqlite-wal")).unwrap();
    drop(before);

    let after = Sqs::start(Some(&killed)).await;
    let received = after.receive(&url).await;
    let mut received = bodies(&received);
    received.sort();
    assert_eq!(received, ["a", "b"], "their receiver died");
    assert_eq!(after.attribute(&url, "RedrivePolicy").await, redrive_policy("dead", 5));
}

#[tokio::test]
async fn a_database_of_another_version_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sqs.sqlite");
    rusqlite::Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let error = serve(listener, Some(&file), InFlightRules::default(), std::future::pending()).await.unwrap_err();
    assert!(error.to_string().contains("version 99"), "{error}");
}

#[tokio::test]
async fn shutdown_answers_waiting_receives_and_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = aws::sqs(&format!("http://{}", listener.local_addr().unwrap()));
    let (stop, stopped) = oneshot::channel::<()>();
    let server =
        tokio::spawn(serve(listener, None, InFlightRules::default(), async { stopped.await.unwrap_or_default() }));
    let url = client.create_queue().queue_name("q").send().await.unwrap().queue_url.unwrap();
    let waiting = tokio::spawn(client.receive_message().queue_url(&url).wait_time_seconds(20).send());
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    stop.send(()).unwrap();
    // A receive that has not reached the server yet fails. A receive that has reached it is answered.
    if let Ok(received) = waiting.await.unwrap() {
        assert!(received.messages().is_empty());
    }
    tokio::time::timeout(SOON, server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn malformed_requests_get_the_reason() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    let error = sqs.client.delete_message().queue_url(&url).receipt_handle("%%%").send().await.unwrap_err();
    assert_eq!(code(&error.into_service_error()), "ReceiptHandleIsInvalid");
    let endpoint = url.rsplit_once("/0").unwrap().0.to_owned();
    let request = reqwest::Client::new().post(endpoint).header("x-amz-target", "AmazonSQS.SendMessage").body("{");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers()["x-amzn-query-error"], "SerializationException;Sender");
}
