//! Generations of files that are written in place. They distinguish the contents at different times.
//!
//! A program that writes through a memory map changes neither size nor times of a file with its second write
//! to a page, so the times alone do not tell one version from another. What can be seen is whether anybody
//! has the file open or mapped for writing: the kernel refuses a read lease (`F_RDLCK`, see fcntl(2)) for
//! exactly as long. So each file that was opened has a generation: a number that is even while nobody was
//! seen who writes, odd while somebody is, and larger by one with each change between the two.
//!
//! Leases are only for the owner of the file and processes with `CAP_LEASE`, on local file systems. Without
//! them, the generation advances only when a writer closes the file, if the system reports it.
#![allow(unsafe_code)]

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// Device and inode number of a file.
pub type FileId = (u64, u64);

/// Watches files that other processes open and close, and is notified when a generation advances.
pub trait Listener: Send + Sync {
    /// Starts to watch every open and close of this file. Returns false if that is impossible.
    fn listen(&self, id: FileId, file: &File) -> bool;

    /// Stops to watch this file. The caller makes sure that no other thread starts to watch it meanwhile.
    fn leave(&self, id: FileId);

    /// Some generation has advanced. Any thread may call this.
    fn moved(&self);
}

/// The generation of one file that is, or was, open.
pub struct Generation {
    id: FileId,
    number: AtomicU64,
    /// The file, each time that it is open here: a lease needs a descriptor.
    files: Mutex<Vec<Weak<File>>>,
    /// How often other processes were seen to open the file.
    opens: AtomicU64,
    /// The number of opens at which nobody was writing, and one more; zero before that.
    quiet_since: AtomicU64,
    /// Whether a listener watches the file.
    is_heard: AtomicBool,
}

/// The generation of a file, for as long as somebody uses the file.
///
/// The last user gives it up under the same lock under which the next one starts. Otherwise the next one
/// could start to listen, and the last one could stop that. Later writers would then not be noticed.
pub struct Used {
    generation: Arc<Generation>,
    all: Arc<All>,
}

impl Deref for Used {
    type Target = Generation;

    fn deref(&self) -> &Generation {
        &self.generation
    }
}

impl fmt::Debug for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.generation.fmt(f)
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        self.all.leave(&self.generation);
    }
}

/// The numbers of files that were written while they were in use, and are not in use any more: the kernel may
/// know what was shown of them then, so none of them comes again.
#[derive(Debug, Default)]
struct Past(Mutex<HashMap<FileId, u64>>);

impl Past {
    /// Files that are kept.
    const MOST: usize = 1 << 14;

    fn number(&self, id: FileId) -> u64 {
        lock(&self.0).get(&id).copied().unwrap_or(0)
    }

    fn keep(&self, id: FileId, number: u64) {
        let mut numbers = lock(&self.0);
        if numbers.len() >= Self::MOST
            && let Some(other) = numbers.keys().next().copied()
        {
            numbers.remove(&other);
        }
        numbers.insert(id, number);
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generation({} of {:?})", self.number(), self.id)
    }
}

/// Whether somebody is writing in a file of this generation.
pub const fn is_written(number: u64) -> bool {
    number % 2 == 1
}

impl Generation {
    fn new(id: FileId, number: u64) -> Self {
        let (files, opens, quiet_since, is_heard) = Default::default();
        Self { id, number: number.into(), files, opens, quiet_since, is_heard }
    }

    /// The number as it was last seen; nothing is looked at.
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The number as it is now: asks the system whether anybody is writing, unless nobody can have begun to.
    pub fn look(&self) -> u64 {
        if self.is_quiet() {
            return self.number();
        }
        // One thread asks at a time, and stores the answer before the next one asks. Otherwise an older "no
        // writer" could overwrite a newer "writer".
        let files = lock(&self.files);
        let opens = self.opens.load(Ordering::Acquire);
        let file = files.iter().find_map(Weak::upgrade);
        match file.as_ref().and_then(|file| has_writer(file)) {
            Some(true) => self.set_written(true),
            Some(false) => {
                self.set_written(false);
                // If somebody opened it meanwhile, the next look asks again.
                self.quiet_since.store(opens + 1, Ordering::Release);
            }
            None => {}
        }
        drop(files);
        // Where it was closed meanwhile this closes it, which others need not wait for.
        drop(file);
        self.number()
    }

    /// Whether nobody was heard to open the file since nobody was writing in it.
    fn is_quiet(&self) -> bool {
        let opens = self.opens.load(Ordering::Acquire);
        self.is_heard.load(Ordering::Acquire) && self.quiet_since.load(Ordering::Acquire) == opens + 1
    }

    /// Whether the system can be asked: the file is open here.
    fn can_look(&self) -> bool {
        lock(&self.files).iter().any(|file| file.strong_count() > 0)
    }

    /// The file is open here once more.
    fn add(&self, file: &Arc<File>) {
        let mut files = lock(&self.files);
        files.retain(|file| file.strong_count() > 0);
        files.push(Arc::downgrade(file));
    }

    /// Somebody opened the file, perhaps to write in it.
    pub fn was_opened(&self) {
        self.opens.fetch_add(1, Ordering::AcqRel);
    }

    /// Somebody closed the file who had it open for writing, so its bytes may have changed.
    pub fn was_written(&self) {
        self.was_opened();
        // If the number is odd, the next check finds out whether this was the last writer.
        let _ = self.number.fetch_update(Ordering::AcqRel, Ordering::Acquire, |number| {
            (!is_written(number)).then_some(number + 2)
        });
    }

    fn set_written(&self, now: bool) {
        let _ = self.number.fetch_update(Ordering::AcqRel, Ordering::Acquire, |number| {
            (is_written(number) != now).then_some(number + 1)
        });
    }
}

/// Whether anybody has the file open or mapped for writing. `None` if the system cannot tell. Only one thread
/// at a time may ask about one descriptor.
///
/// A program that opens the file for writing in the instant between the last two calls waits for the last
/// one, or gets `EWOULDBLOCK` if it opened with `O_NONBLOCK`. This process then gets a signal. It must not be
/// the default SIGIO, which ends a process without a handler, so it is one that is ignored by default. The
/// end of a lease resets that choice.
fn has_writer(file: &File) -> Option<bool> {
    // F_SETSIG of `linux/fcntl.h`, which the crate `libc` does not have for every system.
    const F_SETSIG: libc::c_int = 10;
    let file = file.as_raw_fd();
    // SAFETY: these calls take a descriptor that is open and numbers, and touch no memory.
    unsafe {
        if libc::fcntl(file, F_SETSIG, libc::SIGURG) == -1 {
            return None;
        }
        if libc::fcntl(file, libc::F_SETLEASE, libc::F_RDLCK) == -1 {
            let is_refused = std::io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN);
            return is_refused.then_some(true);
        }
        libc::fcntl(file, libc::F_SETLEASE, libc::F_UNLCK);
        Some(false)
    }
}

/// The generations of the files of a store that are in use.
#[derive(Default)]
pub struct Generations(Arc<All>);

#[derive(Default)]
struct All {
    known: Mutex<HashMap<FileId, Known>>,
    listener: OnceLock<Weak<dyn Listener>>,
    past: Past,
}

/// A generation, and how many use it.
struct Known {
    generation: Arc<Generation>,
    users: usize,
}

impl All {
    fn listener(&self) -> Option<Arc<dyn Listener>> {
        self.listener.get().and_then(Weak::upgrade)
    }

    /// The generation of a file, with one more who uses it.
    fn enter(self: &Arc<Self>, id: FileId) -> Used {
        let mut known = lock(&self.known);
        let entry = known.entry(id).or_insert_with(|| {
            let generation = Arc::new(Generation::new(id, self.past.number(id)));
            Known { generation, users: 0 }
        });
        entry.users += 1;
        Used { generation: Arc::clone(&entry.generation), all: Arc::clone(self) }
    }

    /// One less uses it: after the last it is known no more, but for its number.
    fn leave(&self, generation: &Generation) {
        let mut known = lock(&self.known);
        let Some(entry) = known.get_mut(&generation.id) else { return };
        entry.users -= 1;
        if entry.users > 0 {
            return;
        }
        known.remove(&generation.id);
        let number = generation.number();
        if number > 0 {
            self.past.keep(generation.id, number);
        }
        if generation.is_heard.load(Ordering::Acquire)
            && let Some(listener) = self.listener()
        {
            listener.leave(generation.id);
        }
        // Of very many that were in use at once the room is given back.
        if known.capacity() / 8 > known.len() {
            let room = 2 * known.len();
            known.shrink_to(room);
        }
    }
}

impl fmt::Debug for Generations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generations({})", lock(&self.0.known).len())
    }
}

impl Generations {
    /// The generation of a file that is in use, if it is.
    fn get(&self, id: FileId) -> Option<Arc<Generation>> {
        lock(&self.0.known).get(&id).map(|known| Arc::clone(&known.generation))
    }

    fn all(&self) -> Vec<Arc<Generation>> {
        lock(&self.0.known).values().map(|known| Arc::clone(&known.generation)).collect()
    }

    /// The number of a file as it was last seen; zero of one that was never seen to be written.
    pub fn number(&self, id: FileId) -> u64 {
        self.get(id).map_or_else(|| self.0.past.number(id), |generation| generation.number())
    }

    /// The number of a file as it is now; as it was last seen, if it is not in use.
    pub fn look(&self, id: FileId) -> u64 {
        let Some(generation) = self.get(id) else { return self.0.past.number(id) };
        self.watch(&generation, Generation::look)
    }

    /// The generation of a file that was just opened.
    pub fn opened(&self, id: FileId, file: &Arc<File>) -> Used {
        let used = self.0.enter(id);
        used.add(file);
        // Before the look: of who opens it from here on we hear.
        if !used.is_heard.load(Ordering::Acquire)
            && self.0.listener().is_some_and(|listener| listener.listen(id, file))
        {
            used.is_heard.store(true, Ordering::Release);
        }
        self.watch(&used, Generation::look);
        used
    }

    /// Somebody opened a file, perhaps for writing. Returns false if the file must be open here to find out.
    pub fn was_opened(&self, id: FileId) -> bool {
        let Some(generation) = self.get(id) else { return true };
        generation.was_opened();
        self.watch(&generation, Generation::look);
        generation.can_look()
    }

    /// Somebody who could write has closed a file.
    pub fn was_written(&self, id: FileId) {
        let Some(generation) = self.get(id) else { return };
        self.watch(&generation, |generation| {
            generation.was_written();
            generation.look();
        });
    }

    /// Checks the files that had a writer at the last check. Returns whether any still has one.
    pub fn look_at_written(&self) -> bool {
        let mut is_any = false;
        for generation in self.all().iter().filter(|generation| is_written(generation.number())) {
            is_any |= is_written(self.watch(generation, Generation::look));
        }
        is_any
    }

    /// Events were lost, so any file may have been written.
    pub fn were_lost(&self) {
        for generation in self.all() {
            generation.was_written();
            generation.look();
        }
        self.wake_listener();
    }

    /// Sets the listener for all files that are opened from now on. There can be only one.
    pub fn set_listener(&self, listener: Weak<dyn Listener>) {
        let _ = self.0.listener.set(listener);
    }

    /// Has the listener look at what the kernel is to be told; false where there is none.
    pub fn wake_listener(&self) -> bool {
        let listener = self.0.listener();
        listener.inspect(|listener| listener.moved()).is_some()
    }

    /// Does something that may move a generation on, and tells if it did.
    fn watch<T>(&self, generation: &Generation, act: impl FnOnce(&Generation) -> T) -> T {
        let before = generation.number();
        let done = act(generation);
        if generation.number() != before {
            self.wake_listener();
        }
        done
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    fn opened(generations: &Generations, path: &Path) -> (Arc<File>, FileId, Used) {
        let file = Arc::new(File::open(path).unwrap());
        let meta = file.metadata().unwrap();
        let id = (meta.dev(), meta.ino());
        let generation = generations.opened(id, &file);
        (file, id, generation)
    }

    #[test]
    fn a_writer_is_seen_until_its_last_map_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, [1; 8192]).unwrap();
        let generations = Generations::default();
        let (_file, id, generation) = opened(&generations, &path);
        assert_eq!((generation.number(), generations.look(id)), (0, 0));
        let writer = File::options().read(true).write(true).open(&path).unwrap();
        assert_eq!(generations.look(id), 1);
        // SAFETY: nobody else has this file.
        let map = unsafe { memmap2::MmapMut::map_mut(&writer) }.unwrap();
        drop(writer);
        assert_eq!(generations.look(id), 1, "the map alone");
        drop(map);
        assert_eq!(generations.look(id), 2);
        assert_eq!(generations.look(id), 2, "a look changes nothing");
    }

    #[derive(Default)]
    struct Counting {
        left: AtomicU64,
        moves: AtomicU64,
    }

    impl Listener for Counting {
        fn listen(&self, _: FileId, _: &File) -> bool {
            true
        }

        fn leave(&self, _: FileId) {
            self.left.fetch_add(1, Ordering::Relaxed);
        }

        fn moved(&self) {
            self.moves.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_is_heard_opening_is_asked_about_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, [1]).unwrap();
        let (generations, listener) = (Generations::default(), Arc::new(Counting::default()));
        generations.set_listener(Arc::downgrade(&listener) as Weak<dyn Listener>);
        let (file, id, generation) = opened(&generations, &path);
        assert_eq!(generations.look(id), 0);
        let writer = File::options().write(true).open(&path).unwrap();
        assert_eq!(generations.look(id), 0, "nobody was heard");
        generations.was_opened(id);
        assert_eq!(generations.look(id), 1);
        drop(writer);
        generations.was_written(id);
        assert_eq!(generations.look(id), 2);
        assert_eq!(listener.moves.load(Ordering::Relaxed), 2);
        generations.was_written(id);
        assert_eq!(generations.look(id), 4, "a writer that came and went between two looks");
        generations.were_lost();
        assert_eq!(generation.number(), 6);
        drop((file, generation));
        assert!(generations.get(id).is_none());
        assert_eq!(listener.left.load(Ordering::Relaxed), 1);
        assert_eq!(generations.look(id), 6, "no number comes again");
        assert_eq!(opened(&generations, &path).2.number(), 6);
    }

    #[test]
    fn whichever_of_its_descriptors_is_closed_a_file_is_asked_about() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, [1]).unwrap();
        for first in [true, false] {
            let generations = Generations::default();
            let (one, id, _used) = opened(&generations, &path);
            let (other, _, _also) = opened(&generations, &path);
            let (kept, closed) = if first { (one, other) } else { (other, one) };
            drop(closed);
            let writer = File::options().write(true).open(&path).unwrap();
            assert_eq!(generations.look(id), 1);
            assert!(generations.was_opened(id));
            drop((writer, kept));
            assert!(!generations.was_opened(id), "it is not open here");
            assert_eq!(generations.look(id), 1, "nobody can be asked");
        }
    }

    /// As the system has it: a file has one watch, however often it was asked for.
    #[derive(Default)]
    struct OneWatch(AtomicBool);

    impl Listener for OneWatch {
        fn listen(&self, _: FileId, _: &File) -> bool {
            self.0.store(true, Ordering::Release);
            true
        }

        fn leave(&self, _: FileId) {
            self.0.store(false, Ordering::Release);
        }

        fn moved(&self) {}
    }

    #[test]
    fn who_uses_a_file_hears_of_it_whoever_gives_it_up_just_then() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, [1]).unwrap();
        let (generations, watch) = (Generations::default(), Arc::new(OneWatch::default()));
        generations.set_listener(Arc::downgrade(&watch) as Weak<dyn Listener>);
        let file = Arc::new(File::open(&path).unwrap());
        let use_it = || {
            for _ in 0..20_000 {
                let _used = generations.opened((1, 1), &file);
                assert!(watch.0.load(Ordering::Acquire), "who opens it now is not heard");
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(use_it))));
        assert!(!watch.0.load(Ordering::Acquire));
    }
}
