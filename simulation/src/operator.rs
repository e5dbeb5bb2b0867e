//! What an operator does about messages that nobody could work on: once a minute, all are moved back.

use std::{sync::Arc, time::Duration};

use serde_json::json;

use crate::{
    faults::Fault,
    trace::Detail,
    world::{QUARANTINE, World, name},
};

/// How often messages are moved back.
const INTERVAL: Duration = Duration::from_secs(60);

/// Where the messages of the quarantine are moved to. SQS knows where a message came from only if SQS moved it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redrive {
    /// To the queue where it was received too often.
    Back,
    /// To the work queue.
    ToDeliveries,
}

/// Moves messages back for as long as the world is there.
pub(crate) fn watch_quarantine(world: &Arc<World>, redrive: Redrive) {
    let world = Arc::downgrade(world);
    tokio::task::spawn_local(async move {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let Some(world) = world.upgrade() else { return };
            move_back(&world, redrive);
        }
    });
}

fn move_back(world: &World, redrive: Redrive) {
    let waiting = world.messages(QUARANTINE);
    if waiting == 0 {
        return;
    }
    let arn = |queue: &str| format!("arn:aws:sqs:us-east-1:000000000000:{}", name(queue));
    let mut request = json!({"SourceArn": arn(QUARANTINE)});
    if redrive == Redrive::ToDeliveries {
        request["DestinationArn"] = arn("Deliveries").into();
    }
    world.network.aws.sqs("StartMessageMoveTask", &request);
    world.network.messages_were_sent();
    world.network.trace.note(Detail::Users, format_args!("an operator moves {waiting} messages back"));
    if redrive == Redrive::Back {
        (0..waiting).for_each(|_| world.network.count(Fault::Redrive));
    }
}
