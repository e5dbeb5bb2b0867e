//! create-post
