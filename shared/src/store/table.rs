//! The names of tables. A read model has two tables. A projection writes to a given one of them, and a reader reads
//! from the one that is active when its invocation begins.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use crate::model::{ModelSet, ReadModel, TableOf};

/// The tables that are active, as far as this process knows. Clones share this. An invocation sets it once, at its
/// beginning, so all reads of an invocation are from the same tables.
#[derive(Debug, Clone, Default)]
pub struct ActiveTables(Arc<AtomicU8>);

impl ActiveTables {
    /// From now on, readers use these.
    pub fn set(&self, active: ModelSet) {
        self.0.store(active.bits(), Ordering::Relaxed);
    }

    /// The ones that readers use.
    pub(crate) fn get(&self) -> ModelSet {
        ModelSet::of_bits(self.0.load(Ordering::Relaxed))
    }
}

/// The name of a read model's table.
#[derive(Debug, Clone)]
pub struct TableName(Which);

#[derive(Debug, Clone)]
enum Which {
    Fixed(Arc<str>),
    Active { model: ReadModel, tables: TablePair, active: ActiveTables },
}

/// The names of the two tables of a read model.
#[derive(Debug, Clone)]
pub struct TablePair {
    /// The first table.
    pub a: Arc<str>,
    /// The second table.
    pub b: Arc<str>,
}

impl TablePair {
    /// The name of this one.
    pub fn fixed(&self, table: TableOf) -> TableName {
        TableName(Which::Fixed(Arc::clone(match table {
            TableOf::A => &self.a,
            TableOf::B => &self.b,
        })))
    }

    /// The name of the one that is active.
    pub fn active(&self, model: ReadModel, active: &ActiveTables) -> TableName {
        TableName(Which::Active { model, tables: self.clone(), active: active.clone() })
    }
}

impl From<&str> for TableName {
    fn from(name: &str) -> Self {
        Self(Which::Fixed(name.into()))
    }
}

impl TableName {
    /// Which of its read model's tables it is. A table whose name is given counts as the first one.
    pub(super) fn of(&self) -> TableOf {
        match &self.0 {
            Which::Fixed(_) => TableOf::A,
            Which::Active { model, active, .. } => active.get().table(*model),
        }
    }

    /// The name.
    pub(super) fn get(&self) -> &str {
        self.shared()
    }

    /// The name, of which a clone is cheap.
    pub(super) fn shared(&self) -> &Arc<str> {
        match &self.0 {
            Which::Fixed(name) => name,
            Which::Active { tables, .. } => match self.of() {
                TableOf::A => &tables.a,
                TableOf::B => &tables.b,
            },
        }
    }
}
