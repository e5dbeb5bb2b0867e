//! Tests of queries as a whole, with tables in memory.

mod conversation;
mod own_writes;
