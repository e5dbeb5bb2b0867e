//! get-profile
