//! Items at equal distances in a file: a column, or every n-th row.
//!
//! Single elements are copied from the mapped file if possible. Rows are read, and so is everything that is
//! not mapped.

use std::sync::Arc;

use bytemuck::Pod;

use crate::bytes::virtual_file::{Extent, Fill, Generate};
use crate::error::Result;
use crate::store::source::Source;
use crate::word::to_usize;

/// Below this stride in bytes, one read of everything is cheaper than one read for each item.
const NEAR: u64 = 2048;

/// Bytes per read when the bytes between the items are read too.
const WINDOW: u64 = 256 * 1024;

/// `count` items of `item` bytes, `stride` bytes apart.
pub(super) struct Strided {
    pub source: Arc<Source>,
    /// Offset of the first item.
    pub offset: u64,
    pub item: u64,
    pub stride: u64,
    pub count: u64,
}

impl Strided {
    /// The items as one extent. If they are adjacent, this is a slice of the file.
    pub fn extent(self) -> Extent {
        let length = self.item * self.count;
        if self.item == self.stride || self.count == 1 {
            return Extent::Slice { source: self.source, offset: self.offset, length };
        }
        Extent::Generated { content: Arc::new(self), length }
    }

    /// Fills `room` with elements from number `first` on, from the mapped file or else by reading.
    fn pick(&self, first: u64, room: &mut [u8]) -> Result<()> {
        let is_picked = match self.item {
            1 => self.gather::<u8>(first, room)?,
            2 => self.gather::<u16>(first, room)?,
            4 => self.gather::<u32>(first, room)?,
            8 => self.gather::<u64>(first, room)?,
            _ => false,
        };
        match is_picked {
            true => Ok(()),
            false if self.stride <= NEAR => self.read_along(first, room),
            false => self.read_apart(first, room),
        }
    }

    /// Copies the elements from the mapped file. Returns `false` if that is impossible. Elements are only
    /// copied, so `T` may be any type of the right size.
    fn gather<T: Pod>(&self, first: u64, room: &mut [u8]) -> Result<bool> {
        match bytemuck::try_cast_slice_mut::<u8, T>(room) {
            Ok(items) => self.source.gather(self.place(first), self.stride, items),
            Err(_) => Ok(false),
        }
    }

    /// Reads each item on its own.
    fn read_apart(&self, first: u64, room: &mut [u8]) -> Result<()> {
        let items = (first..).zip(room.chunks_exact_mut(self.width()));
        items.into_iter().try_for_each(|(i, item)| self.source.read_exact_at(item, self.place(i)))
    }

    /// Reads many items at once, with the bytes between them.
    fn read_along(&self, first: u64, room: &mut [u8]) -> Result<()> {
        let most = (WINDOW / self.stride).max(1);
        let (mut window, mut first) = (Vec::new(), first);
        for items in room.chunks_mut(self.width() * to_usize(most)) {
            let count = items.len() as u64 / self.item;
            let length = (count - 1) * self.stride + self.item;
            window.resize(to_usize(length), 0);
            self.source.read_exact_at(&mut window, self.place(first))?;
            let stride = to_usize(self.stride);
            for (item, found) in items.chunks_exact_mut(self.width()).zip(window.chunks(stride)) {
                item.copy_from_slice(&found[..item.len()]);
            }
            first += count;
        }
        Ok(())
    }

    /// Offset of item `i` in the file.
    fn place(&self, i: u64) -> u64 {
        self.offset + i * self.stride
    }

    fn width(&self) -> usize {
        to_usize(self.item)
    }
}

impl Generate for Strided {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        if self.stride <= NEAR || self.item <= 8 {
            return out.put_items(self.item, self.count, &mut |first, room| {
                self.pick(first, room)?;
                Ok(room.len() as u64 / self.item)
            });
        }
        // These items are long. Read each on its own, and only its wanted part.
        let first = out.seek_item(self.item);
        for i in first..self.count {
            if out.is_full() {
                break;
            }
            out.put_source(&self.source, self.place(i), self.item)?;
        }
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        vec![Arc::clone(&self.source)]
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;
    use crate::array::selection::{Component, Part, Region, Selection};
    use crate::array::stored_array::StoredArray;
    use crate::store::Store;

    /// Behind the end of a truncated file, the rest of the last mapped page reads as zeros, without a
    /// SIGBUS. A check of the size afterwards may come too late: the file may have its full size again.
    #[test]
    fn a_column_has_no_zeros_that_the_file_never_had() {
        const ROWS: u64 = 64;
        const COLUMNS: u64 = 1024;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.array");
        let bytes = vec![u8::MAX; usize::try_from(ROWS * COLUMNS).unwrap()];
        fs::write(&path, &bytes).unwrap();
        let yaml = format!("{{version: [1, 0], dtype: uint8, shape: [{ROWS}, {COLUMNS}]}}");
        fs::write(dir.path().join("x.yaml"), yaml).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        let (right, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        for _ in 0..40 {
            let store = Arc::new(Store::open(dir.path()).unwrap());
            let array = StoredArray::load(&store, Path::new("x")).unwrap();
            let part = Part { component: Component::Array, of: Region::Column(COLUMNS - 1) };
            let column = Selection::whole(Arc::new(array)).block(part).unwrap().bytes;
            column.open().unwrap();
            let is_over = AtomicBool::new(false);
            let read = || {
                let mut found = vec![7; usize::try_from(ROWS).unwrap()];
                while !is_over.load(Ordering::Relaxed) {
                    match column.read_exact_at(0, &mut found) {
                        Ok(()) => {
                            assert!(found.iter().all(|byte| *byte == u8::MAX), "{found:?}");
                            right.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(_) => drop(failed.fetch_add(1, Ordering::Relaxed)),
                    }
                }
            };
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(read);
                }
                for _ in 0..100 {
                    file.set_len(ROWS * COLUMNS - 1000).unwrap();
                    file.write_all_at(&bytes, 0).unwrap();
                }
                is_over.store(true, Ordering::Relaxed);
            });
        }
        let (right, failed) = (right.into_inner(), failed.into_inner());
        assert!(right > 40 && failed > 0, "{right} were right, {failed} failed");
    }
}
