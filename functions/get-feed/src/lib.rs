//! get-feed
