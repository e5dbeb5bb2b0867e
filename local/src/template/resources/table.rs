//! `AWS::DynamoDB::Table`.

use std::collections::BTreeSet;

use super::{
    super::model::{Index, KeySchema, Table},
    super::{
        error::{Result, TemplateError},
        properties::Properties,
    },
    reading::Reading,
};

pub(super) fn read(reading: &mut Reading<'_>, mut open: Properties<'_>) -> Result<Table> {
    let at = open.at();
    let mut attributes = Vec::new();
    for definition in open.require("AttributeDefinitions")?.items() {
        let mut definition = open.part("AttributeDefinitions", definition)?;
        let name = definition.require("AttributeName")?.text("AttributeName")?.to_owned();
        let kind = definition.one_of("AttributeType", &["S", "N", "B"])?.unwrap_or("S").to_owned();
        definition.finish()?;
        attributes.push((name, kind));
    }
    let key = read_key(&mut open)?;
    let mut indexes = Vec::new();
    for index in open.take("GlobalSecondaryIndexes").map(|list| list.items()).unwrap_or_default() {
        indexes.push(read_index(reading, open.part("GlobalSecondaryIndexes", index)?)?);
    }
    let stream_view = match open.nested("StreamSpecification")? {
        Some(mut stream) => {
            let views = ["NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY"];
            let view = stream.one_of("StreamViewType", &views)?;
            let view =
                view.ok_or_else(|| TemplateError::new(stream.at(), "StreamSpecification needs a StreamViewType"))?;
            stream.finish()?;
            Some(view.to_owned())
        }
        None => None,
    };
    let ttl_attribute = match open.nested("TimeToLiveSpecification")? {
        Some(mut ttl) => {
            let attribute = ttl.text("AttributeName")?.map(str::to_owned);
            let enabled = ttl.boolean("Enabled")?.unwrap_or(false);
            ttl.finish()?;
            attribute.filter(|_| enabled)
        }
        None => None,
    };
    open.one_of("BillingMode", &["PAY_PER_REQUEST", "PROVISIONED"])?;
    open.ignore(
        reading.warnings,
        &[
            "PointInTimeRecoverySpecification",
            "ProvisionedThroughput",
            "OnDemandThroughput",
            "SSESpecification",
            "DeletionProtectionEnabled",
            "ContributorInsightsSpecification",
            "TableClass",
            "Tags",
            "WarmThroughput",
        ],
    );
    open.finish()?;

    let keys = std::iter::once(&key).chain(indexes.iter().map(|index: &Index| &index.key));
    let used: BTreeSet<&String> = keys.flat_map(|key| std::iter::once(&key.partition).chain(&key.sort)).collect();
    let defined: BTreeSet<&String> = attributes.iter().map(|(name, _)| name).collect();
    if used != defined {
        let message = "AttributeDefinitions must define exactly the attributes of the table's and its indexes' keys";
        return Err(TemplateError::new(at, message));
    }
    Ok(Table { name: reading.name.clone(), attributes, key, indexes, stream_view, ttl_attribute })
}

fn read_key(open: &mut Properties<'_>) -> Result<KeySchema> {
    let node = open.require("KeySchema")?;
    let (mut partition, mut sort) = (None, None);
    for element in node.items() {
        let mut element = open.part("KeySchema", element)?;
        let name = element.require("AttributeName")?.text("AttributeName")?.to_owned();
        match element.one_of("KeyType", &["HASH", "RANGE"])? {
            Some("RANGE") => sort = Some(name),
            _ => partition = Some(name),
        }
        element.finish()?;
    }
    let partition = partition.ok_or_else(|| node.error("KeySchema needs a HASH key"))?;
    Ok(KeySchema { partition, sort })
}

fn read_index(reading: &mut Reading<'_>, mut open: Properties<'_>) -> Result<Index> {
    let name = open.require("IndexName")?.text("IndexName")?.to_owned();
    let key = read_key(&mut open)?;
    let projection_node = open.require("Projection")?;
    let mut projection = open.part("Projection", projection_node)?;
    let kind = projection.one_of("ProjectionType", &["ALL", "KEYS_ONLY", "INCLUDE"])?.unwrap_or("ALL").to_owned();
    let non_key_attributes = projection.texts("NonKeyAttributes")?;
    projection.finish()?;
    open.ignore(reading.warnings, &["ProvisionedThroughput", "OnDemandThroughput", "WarmThroughput"]);
    open.finish()?;
    Ok(Index { name, key, projection: kind, non_key_attributes })
}
