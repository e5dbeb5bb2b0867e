//! What passes between functions: events on the bus, tasks in the work queue, events in the quarantine, and the partial
//! batch responses with which a function answers.

pub mod batch;
pub mod bus;
pub mod cloud_event;
pub mod failed_batches;
pub mod publisher;
pub mod quarantine;
mod queue;
mod recount;
mod task;
pub mod walk;
pub mod work_queue;
