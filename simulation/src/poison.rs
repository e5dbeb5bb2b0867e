//! An event that makes no sense until somebody repairs it. Meanwhile, it waits in the quarantine, and an operator has
//! it tried again and again.

use std::{rc::Rc, sync::Arc, time::Duration};

use rand::{Rng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{
    faults::Fault,
    next_release::{not_applied, set},
    world::World,
};

/// The type of the event. Readers need none of it, so nobody sees that they pass over it.
const TYPE: &str = "PostCommented";
/// What of it makes no sense.
const SPOILED: &str = "data.post";
/// How often to look for an event that is not applied yet, and how many times.
const INTERVAL: Duration = Duration::from_millis(100);
const LOOKS: u32 = 100;
/// After how many seconds it is repaired.
const REPAIRED_AFTER: std::ops::Range<u64> = 30..600;

/// Begins to look for an event in the logs of these users, which then makes no sense for some minutes. Ends when it is
/// repaired.
pub(crate) fn spoil(world: &Arc<World>, users: Rc<Vec<String>>, mut random: StdRng) -> JoinHandle<()> {
    let world = Arc::clone(world);
    tokio::task::spawn_local(async move {
        for _ in 0..LOOKS {
            if let Some((key, event)) = not_applied(&world, &users, TYPE) {
                let right: Value = event["data"]["M"]["post"].clone();
                set(&world, &key, SPOILED, &json!({"S": "no id"}));
                world.network.count(Fault::Poison);
                tokio::time::sleep(Duration::from_secs(random.random_range(REPAIRED_AFTER))).await;
                return set(&world, &key, SPOILED, &right);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    })
}
