use aws_sdk_sqs::types::QueueAttributeName;

use super::{Sqs, api, code, redrive_policy, send_at, store};

#[tokio::test]
async fn creating_a_queue_again_with_the_same_attributes_gives_the_same_queue() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("orders", &[("VisibilityTimeout", "7")]).await;
    assert_eq!(sqs.queue("orders", &[("VisibilityTimeout", "7")]).await, url);
    assert_eq!(sqs.queue("orders", &[]).await, url);
    assert_eq!(sqs.queue("orders", &[("DelaySeconds", "0")]).await, url);

    let other = sqs.client.create_queue().queue_name("orders").attributes(QueueAttributeName::VisibilityTimeout, "8");
    let error = other.send().await.unwrap_err().into_service_error();
    assert!(error.is_queue_name_exists(), "{error:?}");
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_a_typed_error() {
    let sqs = Sqs::start(None).await;
    let missing = sqs.client.get_queue_url().queue_name("missing").send().await.unwrap_err().into_service_error();
    assert!(missing.is_queue_does_not_exist(), "{missing:?}");
    let url = sqs.queue("gone", &[]).await;
    sqs.client.delete_queue().queue_url(&url).send().await.unwrap();
    let sent = sqs.client.send_message().queue_url(&url).message_body("x").send().await;
    assert!(sent.unwrap_err().into_service_error().is_queue_does_not_exist());
    let received = sqs.client.receive_message().queue_url(&url).send().await;
    assert!(received.unwrap_err().into_service_error().is_queue_does_not_exist());
}

#[tokio::test]
async fn queues_are_found_by_name_and_listed_by_prefix_and_page() {
    let sqs = Sqs::start(None).await;
    let mut urls = Vec::new();
    for name in ["a-1", "a-2", "a-3", "b-1"] {
        urls.push(sqs.queue(name, &[]).await);
    }
    let found = sqs.client.get_queue_url().queue_name("a-2").send().await.unwrap();
    assert_eq!(found.queue_url(), Some(urls[1].as_str()));
    let first = sqs.client.list_queues().queue_name_prefix("a-").max_results(2).send().await.unwrap();
    assert_eq!(first.queue_urls(), &urls[..2]);
    let token = first.next_token().unwrap();
    let rest = sqs.client.list_queues().queue_name_prefix("a-").max_results(2).next_token(token).send().await.unwrap();
    assert_eq!((rest.queue_urls(), rest.next_token()), (&urls[2..3], None));
    assert_eq!(sqs.client.list_queues().send().await.unwrap().queue_urls(), urls);
}

#[tokio::test]
async fn bad_names_and_attributes_are_refused() {
    let sqs = Sqs::start(None).await;
    for name in ["", "with space", "x.fifo", &"x".repeat(81)] {
        let error = sqs.client.create_queue().queue_name(name).send().await.unwrap_err().into_service_error();
        assert_eq!(code(&error), "InvalidParameterValue", "{name}");
    }
    for (name, value, expected) in [
        ("VisibilityTimeout", "43201", "InvalidAttributeValue"),
        ("VisibilityTimeout", "soon", "InvalidAttributeValue"),
        ("MessageRetentionPeriod", "59", "InvalidAttributeValue"),
        ("FifoQueue", "true", "InvalidAttributeName"),
        ("RedrivePolicy", "{}", "InvalidParameterValue"),
        ("RedrivePolicy", &redrive_policy("missing", 3), "InvalidParameterValue"),
        ("RedrivePolicy", &redrive_policy("q", 3), "InvalidParameterValue"),
    ] {
        let request = sqs.client.create_queue().queue_name("q").attributes(name.into(), value);
        let error = request.send().await.unwrap_err().into_service_error();
        assert_eq!(code(&error), expected, "{name} = {value}");
    }
}

#[tokio::test]
async fn attributes_are_set_and_given_back_with_their_defaults() {
    let sqs = Sqs::start(None).await;
    sqs.queue("dead", &[]).await;
    let url = sqs.queue("q", &[("VisibilityTimeout", "7")]).await;
    let policy = redrive_policy("dead", 3);
    let set = sqs.client.set_queue_attributes().queue_url(&url);
    set.attributes(QueueAttributeName::RedrivePolicy, &policy).send().await.unwrap();
    let all = sqs.client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All);
    let all = all.send().await.unwrap().attributes.unwrap();
    for (name, value) in [
        ("VisibilityTimeout", "7"),
        ("MaximumMessageSize", "1048576"),
        ("MessageRetentionPeriod", "345600"),
        ("RedrivePolicy", &policy),
        ("QueueArn", "arn:aws:sqs:us-east-1:000000000000:q"),
        ("ApproximateNumberOfMessages", "0"),
    ] {
        assert_eq!(all.get(&name.into()).map(String::as_str), Some(value), "{name}");
    }
    // A request may ask for attributes that are not set. AWS leaves them out.
    let names = sqs.client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::Policy);
    assert!(names.send().await.unwrap().attributes.unwrap_or_default().is_empty());
    let unknown = sqs.client.get_queue_attributes().queue_url(&url).attribute_names("Nonsense".into());
    assert_eq!(code(&unknown.send().await.unwrap_err().into_service_error()), "InvalidAttributeName");
    // An empty value removes the policy.
    let unset = sqs.client.set_queue_attributes().queue_url(&url).attributes(QueueAttributeName::RedrivePolicy, "");
    unset.send().await.unwrap();
    let policy = sqs.client.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::RedrivePolicy);
    assert!(policy.send().await.unwrap().attributes.unwrap_or_default().is_empty());
    // A queue cannot be its own dead-letter queue.
    let set = sqs.client.set_queue_attributes().queue_url(&url);
    let own = set.attributes(QueueAttributeName::RedrivePolicy, redrive_policy("q", 3)).send().await.unwrap_err();
    assert_eq!(code(&own.into_service_error()), "InvalidParameterValue");
}

#[tokio::test]
async fn counts_tell_visible_hidden_and_delayed_messages_apart() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    for body in ["a", "b", "c"] {
        sqs.send(&url, body).await;
    }
    sqs.client.send_message().queue_url(&url).message_body("later").delay_seconds(900).send().await.unwrap();
    sqs.client.receive_message().queue_url(&url).send().await.unwrap();
    assert_eq!(sqs.attribute(&url, "ApproximateNumberOfMessages").await, "2");
    assert_eq!(sqs.attribute(&url, "ApproximateNumberOfMessagesNotVisible").await, "1");
    assert_eq!(sqs.attribute(&url, "ApproximateNumberOfMessagesDelayed").await, "1");
}

#[tokio::test]
async fn purging_empties_a_queue_once_a_minute() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    sqs.send(&url, "a").await;
    sqs.client.purge_queue().queue_url(&url).send().await.unwrap();
    assert!(sqs.receive(&url).await.is_empty());
    let again = sqs.client.purge_queue().queue_url(&url).send().await.unwrap_err().into_service_error();
    assert!(again.is_purge_queue_in_progress(), "{again:?}");

    let mut store = store(&[]);
    let purge = || api::OnQueue { queue_url: "q".to_owned() };
    store.purge_queue(0, purge()).unwrap();
    send_at(&mut store, 1, "a");
    assert!(store.purge_queue(59_999, purge()).is_err());
    store.purge_queue(60_000, purge()).unwrap();
    assert!(super::receive_at(&store, 60_000).is_empty());
}

#[tokio::test]
async fn an_operation_that_is_not_served_says_so() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    let error = sqs.client.tag_queue().queue_url(&url).tags("k", "v").send().await.unwrap_err().into_service_error();
    assert_eq!(code(&error), "UnknownOperationException");
}
