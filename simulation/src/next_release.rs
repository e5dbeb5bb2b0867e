//! The next release: its functions run beside those of this one during a deployment, so that items have attributes that
//! this release does not know, and logs have events of a type that it does not know.

use std::{collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{checks::Check, faults::Fault, ledger::Ledger, truth::text, world::World};

/// The attribute that this release does not know.
const ATTRIBUTE: &str = "from_the_future";
/// Items that get it.
const MARKED: usize = 6;
/// The type of events that this release knows, and what the next one calls it. Readers need none of it, so nobody sees
/// that they pass over it.
const TYPE: &str = "PostCommented";
const NEWER_TYPE: &str = "PostCommentedUpon";
/// How often the next release looks for an event that is not applied yet, and how many times.
const INTERVAL: Duration = Duration::from_millis(100);
const LOOKS: u32 = 100;

/// What the next release has done.
pub(crate) struct NextRelease {
    /// The keys of the items that got its attribute.
    marked: Vec<[String; 2]>,
    /// Writes an event of its type, and is gone when all functions are of the next release.
    deployment: JoinHandle<()>,
}

/// Begins to deploy the next release, which writes to the log of one of these users.
pub(crate) fn deploy(world: &Arc<World>, users: Rc<Vec<String>>, mut random: StdRng) -> NextRelease {
    // What commands change, and nothing that a deletion may remove.
    let kinds = ["PROFILE", "FOLLOWS#", "MUTES#", "BLOCKS#", "LIKES#", "COMMENTS#"];
    let mut items = world.items("Commands");
    items.retain(|item| text(item, "PK").starts_with("USER#"));
    items.retain(|item| kinds.iter().any(|kind| text(item, "SK").starts_with(kind)));
    items.sort_by_cached_key(Value::to_string);
    let marked: Vec<_> = items
        .choose_multiple(&mut random, MARKED)
        .map(|item| ["PK", "SK"].map(|part| text(item, part).to_owned()))
        .collect();
    for key in &marked {
        set(world, key, ATTRIBUTE, &json!({"S": "new"}));
    }
    let world = Arc::clone(world);
    let deployment = tokio::task::spawn_local(async move {
        let lasts = Duration::from_secs(random.random_range(30..600));
        for _ in 0..LOOKS {
            if let Some((key, _)) = not_applied(&world, &users, TYPE) {
                set(&world, &key, "type", &json!({"S": NEWER_TYPE}));
                world.network.count(Fault::NextRelease);
                tokio::time::sleep(lasts).await;
                return set(&world, &key, "type", &json!({"S": TYPE}));
            }
            tokio::time::sleep(INTERVAL).await;
        }
    });
    NextRelease { marked, deployment }
}

impl NextRelease {
    /// Waits until all functions are of the next release.
    ///
    /// # Errors
    /// If the deployment panicked.
    pub(crate) async fn deployed(&mut self) -> anyhow::Result<()> {
        Ok((&mut self.deployment).await?)
    }

    /// Whether its attributes are still there.
    pub(crate) fn check(&self, world: &World, ledger: &mut Ledger) {
        let items: BTreeMap<_, _> = world
            .items("Commands")
            .into_iter()
            .map(|item| (["PK", "SK"].map(|part| text(&item, part).to_owned()), item))
            .collect();
        for key in &self.marked {
            let item = items.get(key);
            if item.is_none() && !ledger.deletions_begun.is_empty() {
                // The erasure of an account removes what it knows, and what it does not know with it.
                continue;
            }
            let kept = item.is_some_and(|item| item.get(ATTRIBUTE).is_some());
            ledger.checks.decide(Check::NewerIsKept, kept, || format!("{key:?} has lost what the next release wrote"));
        }
    }
}

/// An event of this type that is not applied yet, in the log of one of these users, and its key.
pub(crate) fn not_applied(world: &World, users: &[String], kind: &str) -> Option<([String; 2], Value)> {
    users.iter().find_map(|user| {
        let key = format!("USER#{user}");
        let mut events = world.events_after(&key, world.applied(&key)).into_iter();
        let event = events.find(|event| text(event, "type") == kind)?;
        Some((["PK", "SK"].map(|part| text(&event, part).to_owned()), event))
    })
}

/// Sets an attribute of an item of the command table, if the item is there. The parts of a path stand between dots.
pub(crate) fn set(world: &World, [pk, sk]: &[String; 2], path: &str, value: &Value) {
    let parts: Vec<_> = path.split('.').map(|part| (format!("#{part}"), part)).collect();
    let placeholders: Vec<_> = parts.iter().map(|(placeholder, _)| placeholder.as_str()).collect();
    let names: BTreeMap<_, _> = parts.iter().cloned().collect();
    world.meddle(
        "UpdateItem",
        json!({
            "TableName": "Commands", "Key": {"PK": {"S": pk}, "SK": {"S": sk}},
            "UpdateExpression": format!("SET {} = :value", placeholders.join(".")),
            "ConditionExpression": "attribute_exists(PK)",
            "ExpressionAttributeNames": names, "ExpressionAttributeValues": {":value": value},
        }),
    );
}
