//! What all readers of resources need.

use std::path::Path;

use super::super::{node::Node, properties::Warnings};

/// One resource that is being read.
pub(super) struct Reading<'a> {
    /// The template's directory, if the template is a file.
    pub(super) directory: Option<&'a Path>,
    pub(super) warnings: &'a mut Warnings,
    /// The resource's physical name.
    pub(super) name: String,
    /// The resource's logical id.
    pub(super) id: &'a str,
    /// The resource's `Metadata`, with all references resolved.
    pub(super) metadata: Option<Node>,
}
