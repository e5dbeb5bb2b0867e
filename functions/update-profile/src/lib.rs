//! update-profile
