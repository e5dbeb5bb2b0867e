//! Creates the template's tables, streams and queues through the AWS SDK, as a deployment would. What exists already is
//! kept, so that a restart finds its data. If something exists and differs from the template, that is an error: nothing
//! is migrated.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, ensure};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, StreamSpecification, StreamViewType, TableDescription, TimeToLiveSpecification,
};
use aws_sdk_sqs::types::QueueAttributeName;

use crate::{
    aws,
    sources::Clients,
    template::model::{KeySchema, KinesisStream, Queue, System, Table},
};

/// Makes sure that everything `system` names exists where `clients` lead. Returns the keys of all tables.
///
/// # Errors
/// If a server refuses, if something of the same name exists that was made from another template, or if a table that
/// the template does not make is missing.
pub async fn provision(system: &System, clients: &Clients) -> anyhow::Result<HashMap<String, KeySchema>> {
    let mut keys: HashMap<_, _> = system.tables.iter().map(|table| (table.name.clone(), table.key.clone())).collect();
    for name in &system.other_tables {
        let key = key_of_other(&clients.dynamodb, name).await;
        keys.insert(name.clone(), key.with_context(|| format!("cannot use the table {name}"))?);
    }
    for table in &system.tables {
        provision_table(&clients.dynamodb, table)
            .await
            .with_context(|| format!("cannot create table {}", table.name))?;
    }
    for stream in &system.streams {
        provision_stream(&clients.kinesis, stream)
            .await
            .with_context(|| format!("cannot create stream {}", stream.name))?;
    }
    // First all queues, then their settings: a redrive policy names a queue that has to exist.
    let mut urls = Vec::new();
    for queue in &system.queues {
        let created = clients.sqs.create_queue().queue_name(&queue.name).send().await;
        let created = created.with_context(|| format!("cannot create queue {}", queue.name))?;
        urls.push(created.queue_url.with_context(|| format!("queue {} has no URL", queue.name))?);
    }
    for (queue, url) in system.queues.iter().zip(urls) {
        configure_queue(&clients.sqs, url, queue)
            .await
            .with_context(|| format!("cannot set up queue {}", queue.name))?;
    }
    Ok(keys)
}

/// The key of a table that the template does not make.
async fn key_of_other(client: &aws_sdk_dynamodb::Client, name: &str) -> anyhow::Result<KeySchema> {
    let described = client.describe_table().table_name(name).send().await;
    let table = described.context("it has to exist already")?.table.context("an answer without a table")?;
    let stream = table.stream_specification().and_then(|stream| stream.stream_view_type());
    ensure!(stream == Some(&StreamViewType::NewAndOldImages), "it needs a stream with new and old images");
    let name_of = |kind: &KeyType| {
        let element = table.key_schema().iter().find(|element| element.key_type() == kind);
        element.map(|element| element.attribute_name().to_owned())
    };
    Ok(KeySchema { partition: name_of(&KeyType::Hash).context("it has no key")?, sort: name_of(&KeyType::Range) })
}

async fn provision_table(client: &aws_sdk_dynamodb::Client, table: &Table) -> anyhow::Result<()> {
    let existing = match client.describe_table().table_name(&table.name).send().await {
        Ok(answer) => answer.table,
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => None,
        Err(error) => return Err(error.into()),
    };
    match existing {
        Some(existing) => return check_unchanged(table, &existing),
        None => create_table(client, table).await?,
    }
    if let Some(attribute) = &table.ttl_attribute {
        let ttl = TimeToLiveSpecification::builder().attribute_name(attribute).enabled(true).build()?;
        client.update_time_to_live().table_name(&table.name).time_to_live_specification(ttl).send().await?;
    }
    Ok(())
}

async fn create_table(client: &aws_sdk_dynamodb::Client, table: &Table) -> anyhow::Result<()> {
    let mut request = client
        .create_table()
        .table_name(&table.name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_key_schema(Some(key_schema(&table.key)?));
    for (name, kind) in &table.attributes {
        let kind = ScalarAttributeType::from(kind.as_str());
        request = request
            .attribute_definitions(AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build()?);
    }
    for index in &table.indexes {
        let non_key = (!index.non_key_attributes.is_empty()).then(|| index.non_key_attributes.clone());
        let projection = Projection::builder()
            .projection_type(ProjectionType::from(index.projection.as_str()))
            .set_non_key_attributes(non_key)
            .build();
        request = request.global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name(&index.name)
                .set_key_schema(Some(key_schema(&index.key)?))
                .projection(projection)
                .build()?,
        );
    }
    if let Some(view) = &table.stream_view {
        let view = StreamViewType::from(view.as_str());
        request = request
            .stream_specification(StreamSpecification::builder().stream_enabled(true).stream_view_type(view).build()?);
    }
    request.send().await?;
    Ok(())
}

/// Without this check, later requests could fail in ways that are hard to understand.
fn check_unchanged(table: &Table, existing: &TableDescription) -> anyhow::Result<()> {
    let stream = existing.stream_specification().and_then(|stream| stream.stream_view_type());
    let indexes: BTreeSet<_> =
        existing.global_secondary_indexes().iter().filter_map(|index| index.index_name()).collect();
    ensure!(
        existing.key_schema() == key_schema(&table.key)?
            && stream.map(StreamViewType::as_str) == table.stream_view.as_deref()
            && indexes == table.indexes.iter().map(|index| index.name.as_str()).collect(),
        "the data directory has this table with another key, index or stream; use another --data, or the template that \
         created the table"
    );
    Ok(())
}

fn key_schema(key: &KeySchema) -> anyhow::Result<Vec<KeySchemaElement>> {
    let element = |name: &String, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let partition = element(&key.partition, KeyType::Hash)?;
    let sort = key.sort.as_ref().map(|name| element(name, KeyType::Range)).transpose()?;
    Ok(std::iter::once(partition).chain(sort).collect())
}

async fn provision_stream(client: &aws_sdk_kinesis::Client, stream: &KinesisStream) -> anyhow::Result<()> {
    match client.describe_stream_summary().stream_name(&stream.name).send().await {
        Ok(_) => return Ok(()),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception()) => {}
        Err(error) => return Err(error.into()),
    }
    let shards = i32::try_from(stream.shards)?;
    client.create_stream().stream_name(&stream.name).shard_count(shards).send().await?;
    Ok(())
}

async fn configure_queue(client: &aws_sdk_sqs::Client, url: String, queue: &Queue) -> anyhow::Result<()> {
    let mut attributes = HashMap::from([
        (QueueAttributeName::VisibilityTimeout, queue.visibility_timeout.as_secs().to_string()),
        (QueueAttributeName::MessageRetentionPeriod, queue.retention.as_secs().to_string()),
    ]);
    if let Some(redrive) = &queue.redrive {
        let policy = serde_json::json!({
            "deadLetterTargetArn":
                format!("arn:aws:sqs:{}:{}:{}", aws::REGION, aws::ACCOUNT, redrive.dead_letter_queue),
            "maxReceiveCount": redrive.max_receive_count,
        });
        attributes.insert(QueueAttributeName::RedrivePolicy, policy.to_string());
    }
    client.set_queue_attributes().queue_url(url).set_attributes(Some(attributes)).send().await?;
    Ok(())
}
