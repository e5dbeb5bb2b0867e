//! delete-post
