//! How fresh a read of DynamoDB has to be.

/// The consistency of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// The read returns every write that succeeded before the read began. It costs one read unit for 4 kB.
    Strong,
    /// The read may miss the writes of the last moments. It costs half a read unit for 4 kB.
    Eventual,
}

impl Consistency {
    /// The value of DynamoDB's parameter `ConsistentRead`.
    pub(crate) fn is_strong(self) -> bool {
        self == Self::Strong
    }
}
