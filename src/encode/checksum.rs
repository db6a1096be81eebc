//! CRC-32 fields, whose position and length are known but whose value is computed on first read.
//!
//! The content is read once, in pieces, on as many threads as there are cores. The result is cached with
//! the version of the array. So `stat` and opening a file cost nothing, and only the first read of the
//! field waits for all of the content.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crc32fast::Hasher;

use crate::array::stored_array::StoredArray;
use crate::bytes::crc_cache::Key;
use crate::bytes::virtual_file::{Extent, Fill, Generate, VirtualFile};
use crate::error::Result;
use crate::store::source::Source;
use crate::task;
use crate::word::to_usize;

/// Bytes that a thread reads at a time; also the memory it needs.
const BUFFER: usize = 1 << 20;

/// The smallest piece for one thread. Larger files have at most `MOST_PIECES` larger pieces.
const PIECE: u64 = 4 << 20;
const MOST_PIECES: u64 = 4096;

/// Length of the field in bytes.
pub const CRC32_LENGTH: u64 = 4;

/// The CRC-32 (IEEE 802.3, as in zip and gzip) of `content` as a field of 4 bytes, little-endian. It is
/// computed on first read. `key` must distinguish this content from all others of the array.
pub fn crc32(array: &Arc<StoredArray>, key: Key, content: VirtualFile) -> Extent {
    let field = Field { array: Arc::clone(array), key, content };
    Extent::Generated { content: Arc::new(field), length: CRC32_LENGTH }
}

struct Field {
    array: Arc<StoredArray>,
    key: Key,
    content: VirtualFile,
}

impl Field {
    fn compute(&self) -> Result<u32> {
        let sources = self.sources();
        let crc = crc32_of(&self.content)?;
        // Otherwise the CRC might mix two versions, half of the bytes old and half new.
        sources.iter().try_for_each(|source| source.check_unchanged())?;
        Ok(crc)
    }
}

impl Generate for Field {
    fn fill(&self, out: &mut Fill<'_>) -> Result<()> {
        // Do not cache the CRC of an array that is still being written: it may be outdated at once.
        let crc = match self.array.is_settled() {
            true => self.array.memo.get_or_compute(self.key, || self.compute())?,
            false => crc32_of(&self.content)?,
        };
        out.put(&crc.to_le_bytes());
        Ok(())
    }

    fn sources(&self) -> Vec<Arc<Source>> {
        self.content.sources()
    }
}

/// The CRC-32 of a whole file, on as many threads as there are cores. Stops early when nobody waits for it
/// any more.
///
/// # Errors
///
/// Errors from reading the file, and [`crate::Error::Unfinished`] when it stops early.
pub fn crc32_of(file: &VirtualFile) -> Result<u32> {
    let piece = file.len().div_ceil(MOST_PIECES).max(PIECE);
    let count = to_usize(file.len().div_ceil(piece));
    let pass = Pass {
        file,
        piece,
        next: AtomicUsize::new(0),
        failed: AtomicBool::new(false),
        done: Mutex::new(vec![None; count]),
    };
    let cores = thread::available_parallelism().map_or(1, Into::into);
    let task = task::inherit();
    thread::scope(|scope| {
        let others: Vec<_> = (1..cores.min(count))
            // If the system refuses another thread, fewer threads do the work.
            .filter_map(|_| {
                thread::Builder::new()
                    .name("crc32".into())
                    .spawn_scoped(scope, || task.help(|| pass.work()))
                    .ok()
            })
            .collect();
        // The calling thread is a helper too, so that a nested `Flight` makes it wait. Otherwise its request
        // could be parked, which would give up a pass that is half done.
        let own = task.help(|| pass.work());
        let of_others = others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        of_others.fold(own, Result::and)
    })?;
    let done = pass.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    // CRCs of adjacent pieces can be combined without their bytes, so the order of completion does not
    // matter.
    let mut whole = Hasher::new();
    done.iter().flatten().for_each(|piece| whole.combine(piece));
    Ok(whole.finalize())
}

/// One pass over a file by several threads.
struct Pass<'f> {
    file: &'f VirtualFile,
    /// Bytes of every piece except the last.
    piece: u64,
    /// The next piece to take.
    next: AtomicUsize,
    failed: AtomicBool,
    done: Mutex<Vec<Option<Hasher>>>,
}

impl Pass<'_> {
    /// Takes pieces until none is left.
    fn work(&self) -> Result<()> {
        let mut buffer = Vec::new();
        while !self.failed.load(Ordering::Relaxed) {
            let i = self.next.fetch_add(1, Ordering::Relaxed);
            let start = (i as u64).saturating_mul(self.piece);
            if start >= self.file.len() {
                break;
            }
            let hasher = self.hash(start, &mut buffer);
            let hasher = hasher.inspect_err(|_| self.failed.store(true, Ordering::Relaxed))?;
            self.done.lock().unwrap_or_else(PoisonError::into_inner)[i] = Some(hasher);
        }
        Ok(())
    }

    fn hash(&self, start: u64, buffer: &mut Vec<u8>) -> Result<Hasher> {
        let end = self.file.len().min(start + self.piece);
        let mut hasher = Hasher::new();
        let mut at = start;
        while at < end {
            task::check()?;
            buffer.resize(usize::try_from(end - at).unwrap_or(BUFFER).min(BUFFER), 0);
            self.file.read_exact_at(at, buffer)?;
            hasher.update(buffer);
            at += buffer.len() as u64;
        }
        Ok(hasher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::stored_array::StoredArray;
    use crate::error::Error;
    use crate::rows::Rows;
    use crate::store::Store;
    use std::fs;
    use std::path::Path;

    fn array(bytes: &[u8]) -> (tempfile::TempDir, Arc<StoredArray>) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.array"), bytes).unwrap();
        let yaml = format!("dtype: uint8\nshape: [{}]\nversion: [1, 0]\n", bytes.len());
        fs::write(dir.path().join("x.yaml"), yaml).unwrap();
        let store = Arc::new(Store::open(dir.path()).unwrap());
        let array = Arc::new(StoredArray::load(&store, Path::new("x")).unwrap());
        (dir, array)
    }

    fn content(array: &StoredArray) -> VirtualFile {
        let source = Arc::clone(&array.files()[0]);
        let length = source.len();
        VirtualFile::new([Extent::Slice { source, offset: 0, length }]).unwrap()
    }

    fn field(array: &Arc<StoredArray>) -> VirtualFile {
        let key = Key { what: "test", rows: Rows::all(1) };
        VirtualFile::new([crc32(array, key, content(array))]).unwrap()
    }

    #[test]
    fn of_pieces_it_is_that_of_the_whole() {
        for length in [0, 1, BUFFER as u64, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE + 12345] {
            let bytes: Vec<u8> =
                (0..length).map(|i| (i * 7 + i / 256 + i / 65536).to_le_bytes()[0]).collect();
            let file = VirtualFile::literal(bytes.clone());
            assert_eq!(crc32_of(&file).unwrap(), crc32fast::hash(&bytes), "{length}");
        }
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32_of(&VirtualFile::literal(*b"123456789")).unwrap(), 0xCBF4_3926);
    }

    #[test]
    fn the_field_is_read_in_any_pieces_and_computed_once() {
        let (_dir, array) = array(b"123456789");
        let file = field(&array);
        assert_eq!(file.len(), 4);
        let mut bytes = [0; 2];
        file.read_at(1, &mut bytes).unwrap();
        assert_eq!(bytes, [0x39, 0xF4]);
        // Each lookup creates a new file; the number is cached with the array.
        let again = field(&array);
        let mut bytes = [0; 4];
        again.read_at(0, &mut bytes).unwrap();
        assert_eq!(bytes, 0xCBF4_3926_u32.to_le_bytes());
    }

    #[test]
    fn of_a_file_that_changes_there_is_none() {
        let (dir, array) = array(b"123456789");
        let file = field(&array);
        file.open().unwrap();
        let path = dir.path().join("x.array");
        fs::write(&path, b"987654321").unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        let mut bytes = [0; 4];
        assert!(matches!(file.read_at(0, &mut bytes), Err(Error::Stale { .. })));
        fs::write(&path, b"1").unwrap();
        assert!(matches!(file.read_at(0, &mut bytes), Err(Error::Truncated { .. })));
    }
}
