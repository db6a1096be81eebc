//! The path of a node, for messages.

use std::path::{Path, PathBuf};

use super::array_directory::{ArrayDirectory, BY_NAME, COLUMNS, ROWS, SLICES, file_name};
use super::node::{NodeId, NodeKind};
use super::{Content, Ino, RESERVED, Tree};
use crate::array::selection::{Component, Region};

impl Tree {
    /// The path of a node in the mount, or of the directory that contains it.
    pub fn path(&self, ino: Ino) -> PathBuf {
        let Ok(place) = self.place(ino) else { return format!("inode {}", ino.0).into() };
        match &place.what {
            Content::Directory(directory) => directory.directory.path.clone(),
            Content::Plain { path, .. } => path.clone(),
            Content::Folder { folder, first, .. } => {
                let node_id = self.node_id(&place, folder, *first, ino);
                node_id.map_or_else(|_| folder.path(), |node_id| folder.path_of(node_id))
            }
            Content::Status | Content::Report(_) => RESERVED.into(),
        }
    }
}

impl ArrayDirectory {
    /// The path in the mount of an array's directory, or of a slice of it with row numbers of the whole
    /// array.
    fn path(&self) -> PathBuf {
        let rows = self.selection.rows();
        let array = &self.selection.array().path;
        let stop = rows.row(rows.count() - 1) + 1;
        match self.is_slice() {
            true if rows.is_contiguous() => array.join(SLICES).join(format!("{}:{stop}", rows.start())),
            true => array.join(SLICES).join(format!("{}:{stop}:{}", rows.start(), rows.step())),
            false => array.clone(),
        }
    }

    fn path_of(&self, node_id: NodeId) -> PathBuf {
        let scope = match node_id.of {
            Region::Whole => self.path(),
            Region::Row(row) => self.path().join(ROWS).join(self.row_name(row)),
            Region::Column(column) => self.path().join(COLUMNS).join(self.column_name(column)),
        };
        match node_id.node {
            NodeKind::Directory | NodeKind::Link(_) => scope,
            NodeKind::Rows => scope.join(ROWS),
            NodeKind::Columns => scope.join(COLUMNS),
            NodeKind::Slices => scope.join(SLICES),
            NodeKind::ByName => scope.join(BY_NAME),
            NodeKind::NamedRows => scope.join(BY_NAME).join(ROWS),
            NodeKind::NamedColumns => scope.join(BY_NAME).join(COLUMNS),
            NodeKind::File(Component::Array, format) if node_id.of != Region::Whole => {
                with_format(&scope, &file_name(Component::Array, format))
            }
            NodeKind::File(component, format) | NodeKind::Member(component, format, _) => {
                scope.join(file_name(component, format))
            }
        }
    }
}

/// The path of a row or column of a dense array, with the extension of a file name: `rows/17` for `array`,
/// `rows/17.csv` for `array.csv`.
fn with_format(path: &Path, name: &str) -> PathBuf {
    let format = name.find('.').map_or("", |dot| &name[dot..]);
    crate::store::with_suffix(path, format)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;

    use super::*;

    #[test]
    fn a_path_leads_back_to_its_node() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        fs::write(path("sub/x.yaml"), "dtype: uint8\nshape: [12, 3]\nversion: [1, 0]\n").unwrap();
        fs::write(path("sub/x.array"), [7; 36]).unwrap();
        fs::write(path("note"), "plain").unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let paths = [
            "note",
            "sub",
            "sub/x",
            "sub/x/array.npy",
            "sub/x/meta.yaml",
            "sub/x/rows",
            "sub/x/rows/07",
            "sub/x/rows/07.csv",
            "sub/x/cols/2",
            "sub/x/slices",
            "sub/x/slices/2:5/rows/1",
        ];
        for path in paths {
            let mut ino = Ino::ROOT;
            for name in path.split('/') {
                ino = tree.lookup(ino, OsStr::new(name)).unwrap().ino;
            }
            assert_eq!(tree.path(ino), Path::new(path));
        }
        assert_eq!(tree.path(Ino(1 << 50)), Path::new("inode 1125899906842624"));
    }
}
