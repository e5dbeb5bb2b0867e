//! What passes between functions: events on the bus, messages in the queue, and what a function answers about a batch.

pub mod batch;
pub mod bus;
pub mod deliveries;
pub mod event;
