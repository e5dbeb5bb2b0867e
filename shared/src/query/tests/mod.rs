//! Tests of queries as a whole, with tables in memory.

mod blocks;
mod celebrities;
mod conversation;
mod moderation;
mod newer;
mod notifications;
mod own_fields;
mod own_writes;
mod shared_cache;
