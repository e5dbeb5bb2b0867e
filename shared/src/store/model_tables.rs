//! Both tables of each read model, for projections, which write to given ones.

use super::{cards::Cards, dynamo::Dynamo, emptied::Emptied, table::TablePair, timelines::Timelines, viewers::Viewers};
use crate::model::{ReadModel, TableOf};

/// Both tables of each read model.
#[derive(Debug, Clone)]
pub struct ModelTables {
    dynamo: Dynamo,
    names: [TablePair; 3],
    timelines: [Timelines; 2],
    viewers: [Viewers; 2],
    cards: [Cards; 2],
}

/// Both tables of a model, in their order.
const BOTH: [TableOf; 2] = [TableOf::A, TableOf::B];

impl ModelTables {
    /// The tables of these names. `inline_max` is that of [`Viewers::new`].
    pub fn new(dynamo: Dynamo, timelines: TablePair, viewers: TablePair, cards: TablePair, inline_max: usize) -> Self {
        Self {
            timelines: BOTH.map(|table| Timelines::new(dynamo.clone(), timelines.fixed(table))),
            viewers: BOTH.map(|table| Viewers::new(dynamo.clone(), viewers.fixed(table), inline_max)),
            cards: BOTH.map(|table| Cards::new(dynamo.clone(), cards.fixed(table))),
            names: [timelines, viewers, cards],
            dynamo,
        }
    }

    /// This table of timelines.
    pub fn timelines(&self, table: TableOf) -> &Timelines {
        &self.timelines[table as usize]
    }

    /// This table of viewer items.
    pub fn viewers(&self, table: TableOf) -> &Viewers {
        &self.viewers[table as usize]
    }

    /// This table of cards.
    pub fn cards(&self, table: TableOf) -> &Cards {
        &self.cards[table as usize]
    }

    /// This table of the model, in order to empty it.
    pub fn emptied(&self, model: ReadModel, table: TableOf) -> Emptied {
        let name = self.names[model as usize].fixed(table);
        Emptied::new(self.dynamo.clone(), name, model == ReadModel::Timelines)
    }
}
