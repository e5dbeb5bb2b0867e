//! Conflicts between transactions.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    error::ProvideErrorMetadata,
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, Put, TransactWriteItem},
};
use futures::future::join_all;
use tidings_local::{aws, servers::conflicts::Conflicts, template::model::KeySchema};

use crate::world::World;

const TABLE: &str = "conflicts";

async fn transact(client: &Client, items: &[&str]) -> Result<(), Vec<String>> {
    let put = |item: &&str| {
        let put = Put::builder().table_name(TABLE).item("PK", AttributeValue::S((*item).to_owned())).build().unwrap();
        TransactWriteItem::builder().put(put).build()
    };
    let items = items.iter().map(put).collect();
    match client.transact_write_items().set_transact_items(Some(items)).send().await {
        Ok(_) => Ok(()),
        Err(error) => match error.into_service_error() {
            TransactWriteItemsError::TransactionCanceledException(cancelled) => {
                let reasons = cancelled.cancellation_reasons();
                Err(reasons.iter().map(|reason| reason.code().unwrap_or_default().to_owned()).collect())
            }
            error => panic!("{error:?}"),
        },
    }
}

async fn world() -> (World, Conflicts, Client) {
    let world = World::start();
    world.table(TABLE).await;
    let keys = [(TABLE.to_owned(), KeySchema { partition: "PK".to_owned(), sort: None })].into();
    let time = Duration::from_millis(300);
    let conflicts = Conflicts::start(&world.dynamodb, keys, time..=time).await.unwrap();
    let client = aws::dynamodb(&conflicts.url);
    (world, conflicts, client)
}

#[tokio::test]
async fn one_of_two_transactions_on_the_same_item_is_cancelled() {
    let (_world, _conflicts, client) = world().await;
    let outcomes = join_all([transact(&client, &["a", "b"]), transact(&client, &["c", "b"])]).await;
    let cancelled = Err(vec!["None".to_owned(), "TransactionConflict".to_owned()]);
    assert!(outcomes.contains(&Ok(())) && outcomes.contains(&cancelled), "{outcomes:?}");
    assert_eq!(transact(&client, &["c", "b"]).await, Ok(()), "after the other transaction has ended");
}

#[tokio::test]
async fn transactions_on_different_items_do_not_conflict() {
    let (_world, _conflicts, client) = world().await;
    let outcomes = join_all([transact(&client, &["a"]), transact(&client, &["b"]), transact(&client, &["c"])]).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[tokio::test]
async fn a_single_write_fails_while_a_transaction_holds_the_item() {
    let (_world, _conflicts, client) = world().await;
    let write = async |item: &str| {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let put = client.put_item().table_name(TABLE).item("PK", AttributeValue::S(item.to_owned()));
        let error = put.send().await.err();
        error.and_then(|error| error.into_service_error().code().map(str::to_owned))
    };
    let (transaction, met, other) = futures::join!(transact(&client, &["a"]), write("a"), write("b"));
    assert_eq!(transaction, Ok(()));
    assert_eq!((met.as_deref(), other), (Some("TransactionConflictException"), None));
}
