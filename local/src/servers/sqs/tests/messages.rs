use aws_sdk_sqs::{
    primitives::Blob,
    types::{ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageAttributeValue},
};

use super::{Sqs, bodies, code, entry};
use crate::servers::sqs::limits::MESSAGE_BYTES_MAX;

#[tokio::test]
async fn a_message_arrives_as_it_was_sent_with_its_digests() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    let text = MessageAttributeValue::builder().data_type("String").string_value("x").build().unwrap();
    let binary = MessageAttributeValue::builder().data_type("Binary.custom").binary_value(Blob::new([0, 255]));
    let request =
        sqs.client.send_message().queue_url(&url).message_body("This is a test message").message_group_id("g");
    let request = request.message_attributes("b", binary.build().unwrap()).message_attributes("a", text.clone());
    let sent = request.send().await.unwrap();
    assert_eq!(sent.md5_of_message_body(), Some("fafb00f5732ab283681e124bf8747ed1"));

    let received = sqs.receive(&url).await.remove(0);
    assert_eq!(received.message_id(), sent.message_id());
    assert_eq!(received.body(), Some("This is a test message"));
    assert_eq!(received.md5_of_body(), sent.md5_of_message_body());
    assert_eq!(received.md5_of_message_attributes(), sent.md5_of_message_attributes());
    let attributes = received.message_attributes.unwrap();
    assert_eq!(attributes["a"], text);
    assert_eq!(attributes["b"].binary_value(), Some(&Blob::new([0, 255])));
    let system = received.attributes.unwrap();
    assert_eq!(system[&"MessageGroupId".into()], "g");
    assert_eq!(system[&"ApproximateReceiveCount".into()], "1");
    assert!(system[&"SentTimestamp".into()] <= system[&"ApproximateFirstReceiveTimestamp".into()]);
}

#[tokio::test]
async fn a_message_comes_with_the_requested_attributes_only() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    let value = MessageAttributeValue::builder().data_type("Number").string_value("1").build().unwrap();
    let request = sqs.client.send_message().queue_url(&url).message_body("x").message_attributes("a.b", value.clone());
    request.message_attributes("c", value).send().await.unwrap();
    let again = || sqs.client.receive_message().queue_url(&url).visibility_timeout(0);

    let plain = again().send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!((plain.attributes, plain.message_attributes, plain.md5_of_message_attributes), (None, None, None));
    let some = again().message_attribute_names("a.*").send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(some.message_attributes.unwrap().into_keys().collect::<Vec<_>>(), ["a.b"]);
    let error = again().message_system_attribute_names("Nonsense".into()).send().await.unwrap_err();
    assert_eq!(code(&error.into_service_error()), "InvalidAttributeName");
}

#[tokio::test]
async fn messages_beyond_the_limits_are_refused() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    let send = || sqs.client.send_message().queue_url(&url);
    send().message_body("x".repeat(MESSAGE_BYTES_MAX)).send().await.unwrap();
    // In JSON these characters are escaped and take twice the bytes. Only the message itself counts.
    send().message_body("\"".repeat(MESSAGE_BYTES_MAX)).send().await.unwrap();
    let attribute = MessageAttributeValue::builder().data_type("String").string_value("x").build().unwrap();
    let empty = MessageAttributeValue::builder().data_type("String").string_value("").build().unwrap();
    for (request, expected) in [
        (send().message_body("x".repeat(MESSAGE_BYTES_MAX + 1)), "InvalidParameterValue"),
        (
            send().message_body("x".repeat(MESSAGE_BYTES_MAX - 7)).message_attributes("a", attribute.clone()),
            "InvalidParameterValue",
        ),
        (send().message_body(""), "MissingParameter"),
        (send().message_body("a\u{0}b"), "InvalidMessageContents"),
        (send().message_body("a\u{fffe}b"), "InvalidMessageContents"),
        (send().message_body("x").delay_seconds(901), "InvalidParameterValue"),
        (send().message_body("x").message_group_id("white space"), "InvalidParameterValue"),
        (send().message_body("x").message_group_id("x".repeat(129)), "InvalidParameterValue"),
        (send().message_body("x").message_deduplication_id("x"), "InvalidParameterValue"),
        (send().message_body("x").message_attributes("aws.x", attribute.clone()), "InvalidParameterValue"),
        (send().message_body("x").message_attributes("x", empty), "InvalidParameterValue"),
    ] {
        let error = request.send().await.unwrap_err().into_service_error();
        assert_eq!(code(&error), expected, "{error:?}");
    }
    let eleven = (0..11)
        .fold(send().message_body("x"), |request, n| request.message_attributes(n.to_string(), attribute.clone()));
    assert_eq!(code(&eleven.send().await.unwrap_err().into_service_error()), "InvalidParameterValue");
    assert_eq!(sqs.attribute(&url, "ApproximateNumberOfMessages").await, "2");
}

#[tokio::test]
async fn a_malformed_batch_is_refused_as_a_whole() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    let half = "x".repeat(MESSAGE_BYTES_MAX / 2);
    for (entries, expected) in [
        (vec![], "AWS.SimpleQueueService.EmptyBatchRequest"),
        ((0..11).map(|n| entry(&n.to_string(), "x")).collect(), "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
        (vec![entry("a", "x"), entry("a", "y")], "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
        (vec![entry("a b", "x")], "AWS.SimpleQueueService.InvalidBatchEntryId"),
        (vec![entry("a", &half), entry("b", &half), entry("c", "x")], "AWS.SimpleQueueService.BatchRequestTooLong"),
    ] {
        let request = sqs.client.send_message_batch().queue_url(&url).set_entries(Some(entries));
        assert_eq!(code(&request.send().await.unwrap_err().into_service_error()), expected);
    }
    assert_eq!(sqs.attribute(&url, "ApproximateNumberOfMessages").await, "0");
}

#[tokio::test]
async fn entries_of_a_batch_fail_one_by_one() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    let entries = vec![entry("good", "x"), entry("bad", "\u{1}"), entry("fine", "y")];
    let result = sqs.client.send_message_batch().queue_url(&url).set_entries(Some(entries)).send().await.unwrap();
    assert_eq!(result.successful().iter().map(|entry| entry.id()).collect::<Vec<_>>(), ["good", "fine"]);
    let failed = &result.failed()[0];
    assert_eq!((failed.id(), failed.code(), failed.sender_fault()), ("bad", "InvalidMessageContents", true));

    let received = sqs.receive(&url).await;
    assert_eq!(bodies(&received), ["x", "y"]);
    let receipt = received[0].receipt_handle().unwrap();
    let delete = |id: &str, receipt: &str| {
        DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(receipt).build().unwrap()
    };
    let request = sqs.client.delete_message_batch().queue_url(&url);
    let result = request.entries(delete("a", receipt)).entries(delete("b", "nonsense")).send().await.unwrap();
    assert_eq!((result.successful()[0].id(), result.failed()[0].code()), ("a", "ReceiptHandleIsInvalid"));

    let change = |id: &str, receipt: &str| {
        ChangeMessageVisibilityBatchRequestEntry::builder()
            .id(id)
            .receipt_handle(receipt)
            .visibility_timeout(0)
            .build()
            .unwrap()
    };
    let request = sqs.client.change_message_visibility_batch().queue_url(&url);
    let request =
        request.entries(change("gone", receipt)).entries(change("here", received[1].receipt_handle().unwrap()));
    let result = request.send().await.unwrap();
    assert_eq!((result.successful()[0].id(), result.failed()[0].code()), ("here", "MessageNotInflight"));
    assert_eq!(bodies(&sqs.receive(&url).await), ["y"]);
}

#[tokio::test]
async fn a_receipt_is_good_for_its_own_receive_and_queue() {
    let sqs = Sqs::start(None).await;
    let url = sqs.queue("q", &[]).await;
    let other = sqs.queue("other", &[]).await;
    sqs.send(&url, "x").await;
    let receive = || sqs.client.receive_message().queue_url(&url).visibility_timeout(0).send();
    let first = receive().await.unwrap().messages.unwrap()[0].receipt_handle.clone().unwrap();
    let second = receive().await.unwrap().messages.unwrap()[0].receipt_handle.clone().unwrap();
    assert_ne!(first, second);
    let delete =
        |queue: &str, receipt: &str| sqs.client.delete_message().queue_url(queue).receipt_handle(receipt).send();

    delete(&url, &first).await.unwrap();
    assert_eq!(sqs.attribute(&url, "ApproximateNumberOfMessages").await, "1");
    let error = delete(&other, &second).await.unwrap_err().into_service_error();
    assert!(error.is_receipt_handle_is_invalid(), "{error:?}");
    delete(&url, &second).await.unwrap();
    assert_eq!(sqs.attribute(&url, "ApproximateNumberOfMessages").await, "0");
    // A second call has the same result.
    delete(&url, &second).await.unwrap();
}
