//! The files of a format that is a directory.

use crate::array::selection::Selection;
use crate::bytes::virtual_file::VirtualFile;
use crate::daf::metadata::Metadata;

/// A file split into chunks of equal length, the last one padded with zeros. Chunk files are created on
/// request, however many there are.
#[derive(Clone, Debug)]
pub struct Chunks {
    of: VirtualFile,
    length: u64,
    layout: Layout,
}

/// How the files of [`Chunks`] are named in their directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layout {
    /// `0`, `1`, …
    Numbers,
    /// `0.0`, `1.0`, …
    Dotted,
    /// `0/0`, `1/0`, …: each in a directory of its own.
    Folders,
}

impl Layout {
    /// Nodes per chunk. With [`Folders`](Self::Folders), a directory and then its file.
    const fn nodes(self) -> u64 {
        if matches!(self, Self::Folders) { 2 } else { 1 }
    }

    /// What follows the chunk number in the name of a child.
    const fn suffix(self) -> &'static str {
        if matches!(self, Self::Dotted) { ".0" } else { "" }
    }
}

impl Chunks {
    /// The smallest chunk, unless there is only one. It bounds the number of nodes; see [`Members::room`].
    pub const LEAST: u64 = 4 << 20;

    /// Splits a file into chunks of `length` bytes (above zero).
    pub fn new(of: VirtualFile, length: u64, layout: Layout) -> Self {
        debug_assert!(length >= Self::LEAST || length >= of.len(), "chunks of {length} bytes");
        Self { of, length, layout }
    }

    fn count(&self) -> u64 {
        self.of.len().div_ceil(self.length)
    }

    fn file(&self, i: u64) -> Option<VirtualFile> {
        self.of.part(i * self.length, self.length).ok()
    }
}

/// The content at a path.
#[derive(Clone, Debug)]
pub enum Content {
    /// A file.
    File(VirtualFile),
    /// A directory of chunks. Other members may have paths in it too.
    Chunks(Chunks),
}

impl From<VirtualFile> for Content {
    fn from(file: VirtualFile) -> Self {
        Self::File(file)
    }
}

/// The files of a directory by their relative paths, such as `c/0/0`. Directories in between are added.
///
/// Every node (file or directory) has a number, from which the mount derives its inode. The same array
/// always gives the same numbers. A write in place can change how many chunks there are, and a number that the
/// kernel knows must never stand for another path, so the chunks of all directories take turns:
///
/// ```text
/// 0 .. n           files and directories, by path
/// n + 2 (i g + f)  chunk i of directory f of g, or the directory that it is alone in; its file comes next
/// ```
#[derive(Debug, Default)]
pub struct Members {
    /// Indexed by node number. Sorted by path, so a directory comes before its content.
    nodes: Vec<(String, Option<VirtualFile>)>,
    /// The directories of chunks: path, chunks. Sorted by path.
    chunks: Vec<(String, Chunks)>,
}

/// A file or directory of the format.
#[derive(Debug)]
pub struct Member {
    /// Its path relative to the directory of the format.
    pub path: String,
    /// The file, or `None` for a directory.
    pub file: Option<VirtualFile>,
}

/// Called with a child's position in the listing, its number, its name, and whether it is a file. Returns
/// whether to continue.
pub type VisitMember<'v> = dyn FnMut(u64, u64, &str, bool) -> bool + 'v;

impl Members {
    /// The most nodes there can be, not counting those of chunks.
    pub const MOST: usize = 64;

    /// The members with these paths. Paths must be unique, no file may be a parent of another, and there
    /// may be at most [`MOST`](Self::MOST) nodes with the directories in between. The path of chunks is
    /// that of their directory.
    pub fn new<C: Into<Content>>(members: impl IntoIterator<Item = (String, C)>) -> Self {
        let mut nodes: Vec<(String, Option<VirtualFile>)> = Vec::new();
        let mut chunks = Vec::new();
        for (path, content) in members {
            let (folders, content) = match content.into() {
                Content::File(file) => (path.rfind('/').map_or("", |end| &path[..end]), Ok(file)),
                Content::Chunks(chunks) => (&path[..], Err(chunks)),
            };
            let ends = folders.match_indices('/').map(|(end, _)| end).chain([folders.len()]);
            for folder in ends.map(|end| &folders[..end]).filter(|folder| !folder.is_empty()) {
                if !nodes.iter().any(|(other, _)| other == folder) {
                    nodes.push((folder.to_owned(), None));
                }
            }
            match content {
                Ok(file) => nodes.push((path, Some(file))),
                Err(found) => chunks.push((path, found)),
            }
        }
        nodes.sort_by(|(a, _), (b, _)| a.cmp(b));
        chunks.sort_by(|(a, _), (b, _)| a.cmp(b));
        debug_assert!(nodes.len() <= Self::MOST, "a folder of more members than have numbers");
        debug_assert!(chunks.len() as u64 <= Self::MOST_CHUNKED, "more folders of chunks than have numbers");
        Self { nodes, chunks }
    }

    /// The most directories of chunks that a format has.
    const MOST_CHUNKED: u64 = 5;

    /// The number of the first node of chunk `i` of the directory at this place.
    fn first_node(&self, folder: usize, i: u64) -> u64 {
        let turn = i * self.chunks.len() as u64 + folder as u64;
        self.nodes.len() as u64 + turn * Layout::Folders.nodes()
    }

    /// An upper bound on the node numbers of any format for this selection. Known without reading data.
    pub fn room(selection: &Selection) -> u64 {
        /// The widest element that any format converts elements to, in bytes.
        const WIDEST: u64 = 8;
        let chunks = |bytes: u64| bytes / Chunks::LEAST + 1;
        let stored = match &selection.array().metadata {
            Metadata::Dense(_) => 0,
            Metadata::Sparse(meta) => {
                let [data, indptr] = [meta.nnz, selection.rows().count() + 1];
                chunks(data.saturating_mul(WIDEST)).max(chunks(indptr.saturating_mul(WIDEST)))
            }
        };
        let dense = selection.shape().bytes(selection.array().metadata.dtype());
        let most = stored.max(dense.map_or(0, chunks));
        Self::MOST as u64 + most.saturating_mul(Self::MOST_CHUNKED * Layout::Folders.nodes())
    }

    /// The number of nodes; all node numbers are below it.
    pub fn count(&self) -> u64 {
        let most = self.chunks.iter().map(|(_, chunks)| chunks.count()).max().unwrap_or(0);
        self.first_node(0, most)
    }

    /// The node with this number.
    pub fn get(&self, number: u64) -> Option<Member> {
        if let Some((path, file)) = usize::try_from(number).ok().and_then(|i| self.nodes.get(i)) {
            return Some(Member { path: path.clone(), file: file.clone() });
        }
        let (folder, chunks, i, is_file) = self.chunk(number)?;
        let slash = if folder.is_empty() { "" } else { "/" };
        let path = format!("{folder}{slash}{i}{}", chunks.layout.suffix());
        Some(match (chunks.layout, is_file) {
            (_, false) => Member { path, file: None },
            (Layout::Folders, true) => Member { path: path + "/0", file: Some(chunks.file(i)?) },
            (_, true) => Member { path, file: Some(chunks.file(i)?) },
        })
    }

    /// All nodes, ordered by number.
    pub fn iter(&self) -> impl Iterator<Item = Member> {
        (0..self.count()).filter_map(|number| self.get(number))
    }

    /// For the node of a chunk: directory, chunks, index of the chunk, and whether the node is its file.
    fn chunk(&self, number: u64) -> Option<(&str, &Chunks, u64, bool)> {
        let past = number.checked_sub(self.nodes.len() as u64)?;
        let (turn, node) = (past / Layout::Folders.nodes(), past % Layout::Folders.nodes());
        let folders = self.chunks.len() as u64;
        let (i, folder) = (turn.checked_div(folders)?, turn.checked_rem(folders)?);
        let (path, chunks) = self.chunks.get(usize::try_from(folder).ok()?)?;
        let per = chunks.layout.nodes();
        (i < chunks.count() && node < per).then_some((path, chunks, i, node == per - 1))
    }

    /// The path of a directory, or `None` for a file. `folder` is `None` for the top directory.
    fn folder(&self, folder: Option<u64>) -> Option<&str> {
        let Some(number) = folder else { return Some("") };
        let (path, file) = self.nodes.get(usize::try_from(number).ok()?)?;
        file.is_none().then_some(path)
    }

    /// The number of the child with this name. `folder` is `None` for the top directory.
    pub fn child(&self, folder: Option<u64>, name: &str) -> Option<u64> {
        if let Some(file) = folder.and_then(|folder| self.only_file(folder)) {
            return (name == "0").then_some(file);
        }
        let path = self.folder(folder)?;
        let known = self.named(path).find(|(_, other, _)| *other == name).map(|(number, ..)| number);
        known.or_else(|| {
            let folder = self.chunks.iter().position(|(other, _)| other == path)?;
            let (_, chunks) = self.chunks.get(folder)?;
            let digits = name.strip_suffix(chunks.layout.suffix())?;
            // Accept only the spelling that `list` shows: `parse` also takes `+1` and `00`.
            let is_plain = digits == "0" || !digits.starts_with(['0', '+']);
            let i: u64 = digits.parse().ok().filter(|i| is_plain && *i < chunks.count())?;
            Some(self.first_node(folder, i))
        })
    }

    /// The file in a chunk's own directory, by the number of that directory.
    fn only_file(&self, folder: u64) -> Option<u64> {
        let (.., is_file) = self.chunk(folder)?;
        (!is_file).then_some(folder + 1)
    }

    /// The children of a directory except chunks: number, name, and whether it is a file.
    fn named<'m>(&'m self, folder: &str) -> impl Iterator<Item = (u64, &'m str, bool)> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        (0..).zip(&self.nodes).filter_map(move |(number, (path, file))| {
            let name = path.strip_prefix(&prefix)?;
            (!name.contains('/')).then_some((number, name, file.is_some()))
        })
    }

    /// Calls `visit` for the children of a directory in order, from position `first` on, until it returns
    /// `false`.
    pub fn list(&self, folder: Option<u64>, first: u64, visit: &mut VisitMember<'_>) {
        if let Some(file) = folder.and_then(|folder| self.only_file(folder)) {
            if first == 0 {
                visit(0, file, "0", true);
            }
            return;
        }
        let Some(path) = self.folder(folder) else { return };
        let mut next = 0;
        for (number, name, is_file) in self.named(path) {
            if next >= first && !visit(next, number, name, is_file) {
                return;
            }
            next += 1;
        }
        if let Some((folder, (_, chunks))) = (0..).zip(&self.chunks).find(|(_, (other, _))| other == path) {
            let (per, suffix) = (chunks.layout.nodes(), chunks.layout.suffix());
            for i in first.saturating_sub(next)..chunks.count() {
                if !visit(next + i, self.first_node(folder, i), &format!("{i}{suffix}"), per == 1) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Content {
        VirtualFile::literal(text.as_bytes()).into()
    }

    fn names(members: &Members, folder: Option<u64>, first: u64) -> Vec<String> {
        let mut names = Vec::new();
        members.list(folder, first, &mut |i, number, name, is_file| {
            assert_eq!(i, first + names.len() as u64);
            assert_eq!(members.child(folder, name), Some(number));
            assert_eq!(members.get(number).unwrap().file.is_some(), is_file);
            names.push(name.to_owned());
            true
        });
        names
    }

    #[test]
    fn folders_between_are_there_by_themselves() {
        let paths = ["zarr.json", "c/0/0", "c/1"];
        let members = Members::new(paths.map(|path| (path.to_owned(), file(path))));
        assert_eq!(names(&members, None, 0), ["c", "zarr.json"]);
        let c = members.child(None, "c").unwrap();
        assert_eq!(names(&members, Some(c), 0), ["0", "1"]);
        let zero = members.child(Some(c), "0").unwrap();
        let found = members.get(members.child(Some(zero), "0").unwrap()).unwrap();
        assert_eq!((&found.path[..], found.file.unwrap().len()), ("c/0/0", 5));
        assert_eq!((members.child(None, "0"), members.count()), (None, 5));
    }

    /// Three chunks of 4 MiB: two full ones, and one with 5 bytes and padding.
    fn chunks(layout: Layout) -> Content {
        let length = Chunks::LEAST;
        let bytes = [vec![7; 2 * usize::try_from(length).unwrap()], vec![8; 5]].concat();
        Content::Chunks(Chunks::new(VirtualFile::literal(bytes), length, layout))
    }

    #[test]
    fn chunks_are_found_and_listed_by_their_numbers() {
        for (layout, folder, last) in [
            (Layout::Numbers, "x/c", "x/c/2"),
            (Layout::Folders, "x/c", "x/c/2/0"),
            (Layout::Dotted, "x", "x/2.0"),
            (Layout::Dotted, "", "2.0"),
        ] {
            let members = [("x/zarr.json".to_owned(), file("{}")), (folder.to_owned(), chunks(layout))];
            let members =
                Members::new(members.into_iter().chain([("y".to_owned(), chunks(Layout::Numbers))]));
            let mut found = members.iter().filter(|member| member.path == last);
            let file = found.next().unwrap().file.unwrap();
            assert!(found.next().is_none() && file.len() == Chunks::LEAST, "{last}");
            let mut bytes = [1; 7];
            file.read_at(0, &mut bytes).unwrap();
            assert_eq!(bytes, [8, 8, 8, 8, 8, 0, 0]);
            let walk = last.split('/').try_fold(None, |folder, name| members.child(folder, name).map(Some));
            assert_eq!(members.get(walk.unwrap().unwrap()).unwrap().path, last);
            let paths: std::collections::BTreeSet<_> = members.iter().map(|member| member.path).collect();
            assert_eq!(paths.len(), members.iter().count());
        }
    }

    #[test]
    fn a_number_stands_for_the_same_path_however_many_chunks_there_are() {
        let members = |bytes: usize| {
            let of = |count: usize| {
                let text = VirtualFile::literal(vec![7; count]);
                Content::Chunks(Chunks::new(text, Chunks::LEAST, Layout::Folders))
            };
            Members::new([("a".to_owned(), of(bytes)), ("b".to_owned(), of(9)), ("c".to_owned(), of(bytes))])
        };
        let chunk = usize::try_from(Chunks::LEAST).unwrap();
        let most = members(5 * chunk);
        for bytes in [0, 1, chunk, 2 * chunk] {
            let members = members(bytes);
            for number in 0..most.count() {
                if let Some(member) = members.get(number) {
                    assert_eq!(most.get(number).unwrap().path, member.path);
                }
            }
            assert_eq!(members.get(members.count()).map(|member| member.path), None);
        }
    }

    #[test]
    fn a_listing_goes_on_from_any_child() {
        let members = [("a".to_owned(), file("")), (String::new(), chunks(Layout::Dotted))];
        let members = Members::new(members);
        let all = ["a", "0.0", "1.0", "2.0"];
        for first in 0..=4 {
            assert_eq!(names(&members, None, first), all[usize::try_from(first).unwrap()..]);
        }
        assert!(names(&members, None, 9).is_empty());
        for name in ["3.0", "00.0", "0", "+1.0", "1.0.0", ".0", "-0.0"] {
            assert_eq!(members.child(None, name), None, "{name}");
        }
        let folders = Members::new([("c".to_owned(), chunks(Layout::Folders))]);
        let one = folders.child(folders.child(None, "c"), "1");
        assert_eq!((names(&folders, one, 0), names(&folders, one, 1).len()), (vec!["0".to_owned()], 0));
        assert_eq!(folders.child(one, "1"), None);
        assert_eq!(folders.child(folders.child(one, "0"), "0"), None);
    }
}
