//! A map that can be read even though its file may be truncated at any moment.
//!
//! Reading a page of a map that no longer exists, or that the disk fails to deliver, kills the process with
//! SIGBUS. Reading with `pread` is safe, but for scattered single elements a system call for each takes ten
//! times as long. Therefore this module handles the signal. The handler puts zeros in place of the lost pages
//! and marks the map as lost. The reading loop then runs to its end, finds the mark and discards its result,
//! and so does any other thread that reads the same map. A lost map is never read again.

use std::cell::Cell;
use std::fs::File;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, compiler_fence, fence};

use bytemuck::Pod;
use libc::{c_int, c_void, siginfo_t};
use memmap2::{Mmap, MmapOptions};

/// The page size, to round a fault address down. It is stored before the handler needs it.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// The addresses that a thread may currently read, and the mark of their map.
#[derive(Clone, Copy)]
struct Touched {
    start: usize,
    end: usize,
    is_lost: *const AtomicBool,
}

const NOTHING: Touched = Touched { start: 0, end: 0, is_lost: ptr::null() };

thread_local! {
    /// The addresses that this thread reads. It has no destructor and no lazy initialization, so a signal
    /// handler may use it.
    static TOUCHED: Cell<Touched> = const { Cell::new(NOTHING) };
}

/// The previous action for SIGBUS.
static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// A map of a whole file for reading scattered elements.
#[derive(Debug)]
pub struct GuardedMap {
    map: Mmap,
    is_lost: AtomicBool,
}

impl GuardedMap {
    /// Maps a file. None if the system cannot map it.
    pub fn new(file: &File) -> Option<Self> {
        catch_sigbus();
        // SAFETY: only `gather` reads the bytes, and it expects them to change and to disappear.
        let map = unsafe { MmapOptions::new().map(file) }.ok()?;
        Some(Self { map, is_lost: AtomicBool::new(false) })
    }

    /// Copies elements to `out` until it is full. The first is at `offset`, each of the others `stride` bytes
    /// after the previous one. Returns false if they do not all exist or are not aligned. `out` is then
    /// meaningless.
    pub fn gather<T: Pod>(&self, offset: usize, stride: usize, out: &mut [T]) -> bool {
        let Some(last) = out.len().checked_sub(1) else { return true };
        let end =
            last.checked_mul(stride).and_then(|end| end.checked_add(offset)?.checked_add(size_of::<T>()));
        let is_aligned = offset.is_multiple_of(align_of::<T>()) && stride.is_multiple_of(align_of::<T>());
        if !is_aligned || end.is_none_or(|end| end > self.map.len()) || self.is_lost.load(Ordering::Acquire) {
            return false;
        }
        let start = self.map.as_ptr();
        let (from, to) = (start as usize, start as usize + self.map.len());
        TOUCHED.set(Touched { start: from, end: to, is_lost: &raw const self.is_lost });
        // The handler runs in this thread, so the order of instructions suffices.
        compiler_fence(Ordering::SeqCst);
        for (i, item) in out.iter_mut().enumerate() {
            // SAFETY: the checks above show that the element lies inside the map and is aligned. If its page
            // is gone, the handler replaces it. The read is volatile because others may write to the file
            // meanwhile.
            *item = unsafe { ptr::read_volatile(start.add(offset + i * stride).cast::<T>()) };
        }
        compiler_fence(Ordering::SeqCst);
        TOUCHED.set(NOTHING);
        // The handler sets the mark before it maps zeros, so a thread that read such a zero also sees the
        // mark.
        fence(Ordering::SeqCst);
        !self.is_lost.load(Ordering::SeqCst)
    }
}

/// Installs the handler for SIGBUS, once for all threads.
fn catch_sigbus() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: it only returns a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        PAGE.store(usize::try_from(page).unwrap_or(4096), Ordering::SeqCst);
        // SAFETY: an all-zero sigaction is valid. The handler is installed once, after everything that it
        // needs, and is async-signal-safe.
        unsafe {
            let before = Box::leak(Box::new(std::mem::zeroed::<libc::sigaction>()));
            libc::sigaction(libc::SIGBUS, ptr::null(), before);
            BEFORE.store(before, Ordering::Release);
            let mut action = std::mem::zeroed::<libc::sigaction>();
            action.sa_sigaction = on_sigbus as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
            libc::sigaction(libc::SIGBUS, &action, ptr::null_mut());
        }
    });
}

/// Replaces a guarded map with zeros from the faulting page to its end. Other faults go to the previous
/// handler.
extern "C" fn on_sigbus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo.
    let address = unsafe { (*info).si_addr() } as usize;
    let Touched { start, end, is_lost } = TOUCHED.get();
    if (start..end).contains(&address) {
        let page = (address - address % PAGE.load(Ordering::Relaxed).max(1)).max(start);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // Set before the zeros appear, because other threads may read the same map and see them at once.
        // SAFETY: this thread is inside `gather`, which keeps the map and its mark alive.
        unsafe { &*is_lost }.store(true, Ordering::SeqCst);
        // SAFETY: the range lies inside a map that this thread is reading, and only `gather` uses this map.
        // In a handler, mmap is safe to call.
        let put = unsafe { libc::mmap(page as *mut c_void, end - page, libc::PROT_READ, flags, -1, 0) };
        if put != libc::MAP_FAILED {
            return;
        }
    }
    pass_on(signal, info, context);
}

/// Handles the signal as before the installation. By default that ends the process.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let before = BEFORE.load(Ordering::Acquire);
    // SAFETY: BEFORE points to what sigaction stored, and the handler has the type that its flags say.
    // Without a handler the default is restored, and the fault occurs again.
    unsafe {
        match (*before).sa_sigaction {
            libc::SIG_DFL | libc::SIG_IGN => {
                libc::signal(signal, libc::SIG_DFL);
            }
            handler if (*before).sa_flags & libc::SA_SIGINFO != 0 => {
                let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = std::mem::transmute(handler);
                handler(signal, info, context);
            }
            handler => {
                let handler: extern "C" fn(c_int) = std::mem::transmute(handler);
                handler(signal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn elements_are_gathered_and_what_is_lost_is_told() {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
        file.write_all_at(&bytes, 0).unwrap();
        let map = GuardedMap::new(&file).unwrap();
        let mut out = [0u32; 1000];
        assert!(map.gather(8, 400, &mut out));
        assert!(out.iter().zip(0u32..).all(|(item, i)| u32::from_le(*item) == 2 + i * 100));
        assert!(!map.gather(12, 400, &mut [0u32; 1001]), "beyond the end");
        assert!(!map.gather(9, 400, &mut out), "not aligned");
        file.set_len(100_000).unwrap();
        assert!(!map.gather(8, 400, &mut out));
        assert!(!map.gather(8, 400, &mut out[..1]), "a map that lost something is not used again");
        let again = GuardedMap::new(&file).unwrap();
        assert!(again.gather(8, 400, &mut out[..200]));
    }

    /// Zeros that one thread put in place of lost pages must not count as content of the file for the other.
    #[test]
    fn of_two_threads_on_one_map_neither_takes_zeros_for_elements() {
        const ELEMENTS: usize = 1 << 20;
        const ROUNDS: usize = 60;
        let ones = vec![u8::MAX; ELEMENTS * 4];
        let (mut right, mut lost) = (0, 0);
        for round in 0..ROUNDS {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&ones, 0).unwrap();
            let map = GuardedMap::new(&file).unwrap();
            let is_over = AtomicBool::new(false);
            // One thread takes long, the other reads beyond the end of the file again and again.
            let pick = |offset: usize, stride: usize, count: usize| {
                let (mut out, mut right, mut lost) = (vec![7u32; count], 0, 0);
                while !is_over.load(Ordering::Relaxed) && lost == 0 {
                    match map.gather(offset, stride, &mut out) {
                        true => {
                            assert!(
                                out.iter().all(|item| *item == u32::MAX),
                                "round {round}: zeros are right"
                            );
                            right += 1;
                        }
                        false => lost += 1,
                    }
                }
                (right, lost)
            };
            let counts = std::thread::scope(|scope| {
                let long = scope.spawn(|| pick(0, 4, ELEMENTS));
                let short = scope.spawn(|| pick(ELEMENTS * 4 - 64 * 4096, 4096, 64));
                std::thread::sleep(std::time::Duration::from_micros(500 + 37 * (round as u64 % 50)));
                file.set_len(0).unwrap();
                std::thread::sleep(std::time::Duration::from_micros(100 * (round as u64 % 4)));
                file.write_all_at(&ones, 0).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(2));
                is_over.store(true, Ordering::Relaxed);
                [long.join().unwrap(), short.join().unwrap()]
            });
            for (was_right, was_lost) in counts {
                right += was_right;
                lost += was_lost;
            }
        }
        assert!(right > ROUNDS && lost > ROUNDS / 2, "{right} were right, {lost} were lost");
    }
}
