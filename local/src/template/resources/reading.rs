//! What the readers of all types of resources work with.

use std::path::Path;

use super::super::{node::Node, properties::Warnings};

/// What a resource's properties are read with.
pub(super) struct Reading<'a> {
    /// The template's directory, if it is one of the file system.
    pub(super) directory: Option<&'a Path>,
    pub(super) warnings: &'a mut Warnings,
    /// The physical name of the resource.
    pub(super) name: String,
    /// Its logical id.
    pub(super) id: &'a str,
    /// Its `Metadata`, resolved.
    pub(super) metadata: Option<Node>,
}
