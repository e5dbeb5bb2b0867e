//! follow-user
