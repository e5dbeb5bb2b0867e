//! Both tables of each read model, for projections, which write to given ones.

use super::{
    cards::Cards, dynamo::Dynamo, emptied::Emptied, search::SearchIndex, table::TablePair, timelines::Timelines,
    viewers::Viewers,
};
use crate::{
    model::{ReadModel, TableOf},
    shared_cache::SharedCache,
};

/// Both tables of each read model.
#[derive(Debug, Clone)]
pub struct ModelTables {
    dynamo: Dynamo,
    names: [TablePair; 4],
    timelines: [Timelines; 2],
    viewers: [Viewers; 2],
    cards: [Cards; 2],
    search: [SearchIndex; 2],
}

/// Sizes that only tests and scenarios change.
#[derive(Debug, Clone, Copy)]
pub struct ModelSizes {
    /// Bytes of sets that stay in a viewer item, see [`Viewers::new`].
    pub inline_max: usize,
    /// Posts in the index of those that trend.
    pub contenders: usize,
}

/// Both tables of a model, in their order.
const BOTH: [TableOf; 2] = [TableOf::A, TableOf::B];

impl ModelTables {
    /// The tables of these names, in the order of [`READ_MODELS`](crate::model::READ_MODELS). Their writes change what
    /// the shared cache has of them.
    pub fn new(dynamo: Dynamo, names: [TablePair; 4], sizes: ModelSizes, cache: &SharedCache) -> Self {
        let [timelines, viewers, cards, search] = &names;
        let timelines = BOTH.map(|table| Timelines::new(dynamo.clone(), timelines.fixed(table)));
        let viewers = BOTH.map(|table| Viewers::new(dynamo.clone(), viewers.fixed(table), sizes.inline_max));
        let cards = BOTH.map(|table| Cards::new(dynamo.clone(), cards.fixed(table)));
        Self {
            timelines: timelines.map(|table| table.with_cache(cache.clone())),
            viewers: viewers.map(|table| table.with_cache(cache.clone())),
            cards: cards.map(|table| table.with_cache(cache.clone()).with_contenders(sizes.contenders)),
            search: BOTH.map(|table| SearchIndex::new(dynamo.clone(), search.fixed(table))),
            names,
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

    /// This table of the search index.
    pub fn search(&self, table: TableOf) -> &SearchIndex {
        &self.search[table as usize]
    }

    /// This table of the model, in order to empty it.
    pub fn emptied(&self, model: ReadModel, table: TableOf) -> Emptied {
        let name = self.names[model as usize].fixed(table);
        Emptied::new(self.dynamo.clone(), name, matches!(model, ReadModel::Timelines | ReadModel::Search))
    }
}
