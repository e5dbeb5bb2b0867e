//! Tests of queries as a whole, with tables in memory.

mod blocks;
mod conversation;
mod moderation;
mod own_writes;
