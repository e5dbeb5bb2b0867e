//! What passes between functions: events on the bus, messages in the queue, and what a function answers about a batch.

pub mod batch;
pub mod bus;
pub mod cloud_event;
pub mod work_queue;
