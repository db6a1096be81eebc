//! A file of the tree, and the files of an array that were rendered lately.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::node::NodeId;
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::error::Result;
use crate::store::source::Source;

/// A file of the tree, and what to name when reading it fails.
#[derive(Debug)]
pub struct File {
    pub(super) content: VirtualFile,
    pub(super) subject: PathBuf,
    pub(super) version: u64,
}

impl File {
    /// The whole of a file of the store.
    pub(super) fn plain(source: &Arc<Source>, path: &Path) -> Result<Self> {
        let extent = Extent::Slice { source: Arc::clone(source), offset: 0, length: source.len() };
        Ok(Self { content: VirtualFile::new([extent])?, subject: path.to_owned(), version: 0 })
    }

    /// Size in bytes.
    pub fn len(&self) -> u64 {
        self.content.len()
    }

    /// Whether the file is empty.
    pub fn is_empty(&self) -> bool {
        self.content.is_empty()
    }

    /// Whether nobody was seen who writes in what it is made of since that was found.
    pub fn is_settled(&self) -> bool {
        self.content.sources().iter().all(|source| source.is_settled())
    }

    /// The file of the store that this one is, byte for byte, if it is one.
    pub fn whole_source(&self) -> Option<&Arc<Source>> {
        self.content.whole_source()
    }
}

/// The files of a folder that were read lately. Those of single rows and columns are quickly made, and
/// not kept.
#[derive(Debug, Default)]
pub(super) struct RenderCache(ArcSwap<Vec<(NodeId, Arc<File>)>>);

impl RenderCache {
    /// The most files that are kept.
    const MOST: usize = 16;

    pub(super) fn get(&self, node_id: NodeId) -> Option<Arc<File>> {
        let files = self.0.load();
        files.iter().find(|(other, _)| *other == node_id).map(|(_, file)| Arc::clone(file))
    }

    /// Removes a file, so that it is recreated on its next use.
    pub(super) fn forget(&self, node_id: NodeId) {
        if self.get(node_id).is_some() {
            self.0.rcu(|files| {
                files.iter().filter(|(other, _)| *other != node_id).cloned().collect::<Vec<_>>()
            });
        }
    }

    pub(super) fn keep(&self, node_id: NodeId, file: &Arc<File>) {
        self.0.rcu(|files| {
            let mut files: Vec<_> = files.iter().filter(|(other, _)| *other != node_id).cloned().collect();
            files.truncate(Self::MOST - 1);
            files.insert(0, (node_id, Arc::clone(file)));
            files
        });
    }
}
