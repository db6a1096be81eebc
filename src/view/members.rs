//! The files of a format that is a folder.

use crate::vfile::VirtualFile;

/// Files by their paths inside the folder, such as `c/0/0`; folders between are there by themselves.
///
/// The nodes (files and the folders between) are numbered: the same array gives the same numbers.
#[derive(Debug, Default)]
pub struct Members {
    /// Sorted by path: a folder comes before what is in it.
    nodes: Vec<(String, Option<VirtualFile>)>,
}

impl Members {
    /// The most nodes there can be.
    pub const MOST: usize = 64;

    /// The members with these paths: no path twice, none that is a folder of another, at most
    /// [`MOST`](Self::MOST) with the folders between.
    pub fn new(files: impl IntoIterator<Item = (String, VirtualFile)>) -> Self {
        let mut nodes: Vec<(String, Option<VirtualFile>)> = Vec::new();
        for (path, file) in files {
            for (slash, _) in path.match_indices('/') {
                if !nodes.iter().any(|(other, _)| *other == path[..slash]) {
                    nodes.push((path[..slash].to_owned(), None));
                }
            }
            nodes.push((path, Some(file)));
        }
        nodes.sort_by(|(a, _), (b, _)| a.cmp(b));
        debug_assert!(nodes.len() <= Self::MOST, "a folder of more members than have numbers");
        Self { nodes }
    }

    /// The path of a node, and its file unless it is a folder.
    pub fn get(&self, number: usize) -> Option<(&str, Option<&VirtualFile>)> {
        self.nodes.get(number).map(|(path, file)| (path.as_str(), file.as_ref()))
    }

    /// The number of the child of this name, of a folder or (without one) of the outermost.
    pub fn child(&self, folder: Option<usize>, name: &str) -> Option<usize> {
        self.children(folder).find(|(_, other, _)| *other == name).map(|(number, ..)| number)
    }

    /// The children of a folder, in order: number, name, and whether it is a file.
    pub fn children(&self, folder: Option<usize>) -> impl Iterator<Item = (usize, &str, bool)> {
        let prefix = match folder.and_then(|folder| self.get(folder)) {
            Some((path, _)) => format!("{path}/"),
            None => String::new(),
        };
        self.nodes.iter().enumerate().filter_map(move |(number, (path, file))| {
            let name = path.strip_prefix(&prefix)?;
            (!name.contains('/')).then_some((number, name, file.is_some()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_between_are_there_by_themselves() {
        let file = |text: &str| VirtualFile::literal(text.as_bytes());
        let paths = ["zarr.json", "c/0/0", "c/1"];
        let members = Members::new(paths.map(|path| (path.to_owned(), file(path))));
        let names = |folder| members.children(folder).map(|(_, name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(None), ["c", "zarr.json"]);
        let c = members.child(None, "c").unwrap();
        assert_eq!(names(Some(c)), ["0", "1"]);
        let zero = members.child(Some(c), "0").unwrap();
        let (path, found) = members.get(members.child(Some(zero), "0").unwrap()).unwrap();
        assert_eq!((path, found.unwrap().len()), ("c/0/0", 5));
        assert_eq!(members.child(None, "0"), None);
    }
}
