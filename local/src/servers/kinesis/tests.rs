use aws_sdk_kinesis::{
    Client,
    primitives::Blob,
    types::{PutRecordsRequestEntry, ShardIteratorType},
};
use tokio::sync::oneshot;

use super::*;

struct Server {
    client: Client,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<anyhow::Result<()>>,
}

impl Server {
    async fn start(database: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = crate::aws::kinesis(&format!("http://{}", listener.local_addr().unwrap()));
        let (stop, stopped) = oneshot::channel();
        let database = database.to_owned();
        let task = tokio::spawn(async move {
            serve(listener, Some(&database), async {
                stopped.await.ok();
            })
            .await
        });
        Self { client, stop, task }
    }

    async fn stop(self) {
        drop(self.client);
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }

    async fn put(&self, keys: impl IntoIterator<Item = String>) -> Vec<String> {
        let records = keys.into_iter().map(|key| {
            let data = Blob::new(format!("data of {key}"));
            PutRecordsRequestEntry::builder().partition_key(key).data(data).build().unwrap()
        });
        let records = Some(records.collect());
        let answer = self.client.put_records().stream_name("s").set_records(records).send().await.unwrap();
        answer.records().iter().map(|record| record.sequence_number().unwrap().to_owned()).collect()
    }

    /// The partition key and the sequence number of all records in the stream, shard by shard, from behind `after` if
    /// given.
    async fn read(&self, after: Option<(&str, &str)>) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let shards = self.client.list_shards().stream_name("s").send().await.unwrap();
        for shard in shards.shards() {
            let request = self.client.get_shard_iterator().stream_name("s").shard_id(shard.shard_id());
            let request = match after {
                Some((id, number)) if id == shard.shard_id() => {
                    request.shard_iterator_type(ShardIteratorType::AfterSequenceNumber).starting_sequence_number(number)
                }
                _ => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
            };
            let mut iterator = request.send().await.unwrap().shard_iterator;
            while let Some(position) = iterator {
                let page = self.client.get_records().shard_iterator(position).send().await.unwrap();
                if page.records().is_empty() {
                    break;
                }
                for record in page.records() {
                    let key = record.partition_key().unwrap();
                    assert_eq!(record.data().as_ref(), format!("data of {key}").as_bytes());
                    found.push((key.to_owned(), record.sequence_number().to_owned()));
                }
                iterator = page.next_shard_iterator;
            }
        }
        found
    }
}

#[tokio::test]
async fn records_shards_and_numbering_outlive_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("kinesis.sqlite");
    let server = Server::start(&database).await;
    server.client.create_stream().stream_name("s").shard_count(2).send().await.unwrap();
    server.put((0..300).map(|n| format!("k{n}"))).await;
    let before = server.read(None).await;
    assert_eq!(before.len(), 300);
    server.stop().await;

    let server = Server::start(&database).await;
    assert_eq!(server.read(None).await, before);
    let last = before.iter().map(|(_, number)| number.clone()).max().unwrap();
    let described = server.client.list_shards().stream_name("s").send().await.unwrap();
    let id = described.shards().last().unwrap().shard_id().to_owned();
    server.put((300..400).map(|n| format!("k{n}"))).await;
    // A consumer that had read everything before the restart continues and misses nothing.
    let newer = server.read(Some((&id, &last))).await.into_iter().filter(|read| !before.contains(read)).count();
    assert_eq!(newer, 100);
    server.stop().await;
}

#[tokio::test]
async fn shards_are_listed_and_read_by_the_arn_of_their_stream() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("kinesis.sqlite")).await;
    server.client.create_stream().stream_name("s").shard_count(2).send().await.unwrap();
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
    let shards = server.client.list_shards().stream_arn(arn).send().await.unwrap();
    assert_eq!(shards.shards().len(), 2);
    let iterator = server.client.get_shard_iterator().stream_arn(arn).shard_id(shards.shards()[0].shard_id());
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let page = server.client.get_records().set_shard_iterator(iterator.shard_iterator).stream_arn(arn);
    assert!(page.send().await.unwrap().records().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn resharding_outlives_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("kinesis.sqlite");
    let server = Server::start(&database).await;
    server.client.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
    server.put(["old".to_owned()]).await;
    let half = (1_u128 << 127).to_string();
    let shards = server.client.list_shards().stream_name("s").send().await.unwrap();
    let shard = shards.shards()[0].shard_id();
    server
        .client
        .split_shard()
        .stream_name("s")
        .shard_to_split(shard)
        .new_starting_hash_key(half)
        .send()
        .await
        .unwrap();
    server.put((0..10).map(|n| format!("new{n}"))).await;
    let before = (server.read(None).await, server.client.list_shards().stream_name("s").send().await.unwrap());
    assert_eq!((before.0.len(), before.1.shards().len()), (11, 3));
    server.stop().await;

    let server = Server::start(&database).await;
    assert_eq!(server.client.list_shards().stream_name("s").send().await.unwrap().shards(), before.1.shards());
    assert_eq!(server.read(None).await, before.0);
    server.stop().await;
}

#[tokio::test]
async fn a_reader_misses_no_record_of_concurrent_writers() {
    let directory = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::start(&directory.path().join("kinesis.sqlite")).await);
    server.client.create_stream().stream_name("s").shard_count(1).send().await.unwrap();
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let server = server.clone();
            tokio::spawn(async move {
                for batch in 0..25 {
                    server.put((0..10).map(|n| format!("{writer}-{batch}-{n}"))).await;
                }
            })
        })
        .collect();
    let shards = server.client.list_shards().stream_name("s").send().await.unwrap();
    let start = server.client.get_shard_iterator().stream_name("s").shard_id(shards.shards()[0].shard_id());
    let start = start.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let mut iterator = start.shard_iterator;
    let mut read = std::collections::BTreeSet::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while read.len() < 1000 && tokio::time::Instant::now() < deadline {
        let page = server.client.get_records().set_shard_iterator(iterator).send().await.unwrap();
        read.extend(page.records().iter().map(|record| record.partition_key().unwrap().to_owned()));
        iterator = page.next_shard_iterator;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(read.len(), 1000);
}
