//! Publishing items of the command table that could not be published when they changed.

use super::{bus::Bus, cloud_event::StreamChange};
use crate::{error::Error, metrics, store::command_table::CommandTable};

/// Publishes items again.
#[derive(Debug, Clone)]
pub struct Publisher {
    /// The truth.
    pub commands: CommandTable,
    /// The bus.
    pub bus: Bus,
}

impl Publisher {
    /// Publishes the item as it is now. An item that is gone has nothing to tell.
    ///
    /// # Errors
    /// [`Error::Poison`] if the item still makes no sense; [`Error::Transient`] if the bus did not take the event;
    /// otherwise as the store's.
    pub async fn republish(&self, pk: &str, sk: &str) -> Result<(), Error> {
        let Some(item) = self.commands.item_as_json(pk, sk).await? else { return Ok(()) };
        match self.bus.publish(&[StreamChange::from_item(item)?.into_event()]).await[..] {
            [true] => {
                metrics::PUBLISHED.add(1);
                Ok(())
            }
            _ => Err(Error::transient("publishing an item", "the bus did not take the event")),
        }
    }
}
