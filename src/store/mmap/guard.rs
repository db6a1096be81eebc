//! A map whose bytes may be touched although its file may be truncated at any moment.
//!
//! Touching a page of a map that is no longer there, or that the disk does not give, kills a program
//! with SIGBUS. Reading with `pread` is safe, but for single elements that lie far apart a system
//! call each takes ten times as long as the memory does. So here the signal is caught: its handler puts zeros
//! in the place of what is lost, the loop that touched it goes on to its end, and then knows that what
//! it has is worth nothing: it, and any other that touches the same map meanwhile. Such a map serves for
//! nothing else, and is not touched again.

use std::cell::Cell;
use std::fs::File;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, compiler_fence, fence};

use bytemuck::Pod;
use libc::{c_int, c_void, siginfo_t};
use memmap2::{Mmap, MmapOptions};

/// Bytes of a page: a fault is rounded down to its start. Known before a handler needs it.
static PAGE: AtomicUsize = AtomicUsize::new(0);

/// The addresses that a thread may touch at this moment, and the mark of the map that they are of.
#[derive(Clone, Copy)]
struct Touched {
    start: usize,
    end: usize,
    is_lost: *const AtomicBool,
}

const NOTHING: Touched = Touched { start: 0, end: 0, is_lost: ptr::null() };

thread_local! {
    /// What this thread touches. No destructor and no lazy start, so that a signal handler may use it.
    static TOUCHED: Cell<Touched> = const { Cell::new(NOTHING) };
}

/// What was done about SIGBUS before.
static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(ptr::null_mut());

/// A map of a whole file, for reading elements that lie apart.
#[derive(Debug)]
pub struct GuardedMap {
    map: Mmap,
    is_lost: AtomicBool,
}

impl GuardedMap {
    /// Maps a file; none where the system does not.
    pub fn new(file: &File) -> Option<Self> {
        catch_sigbus();
        // SAFETY: the bytes are only touched by `gather`, which expects them to change and to go.
        let map = unsafe { MmapOptions::new().map(file) }.ok()?;
        Some(Self { map, is_lost: AtomicBool::new(false) })
    }

    /// Copies elements, the first at `offset` and each `stride` bytes after the one before, to `out`
    /// until it is full. False if they are not all there, or not aligned; then `out` is worth nothing.
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
        // The handler runs in this thread: to it the order of the program is enough.
        compiler_fence(Ordering::SeqCst);
        for (i, item) in out.iter_mut().enumerate() {
            // SAFETY: the element lies inside the map and is aligned, which was checked above; if its page
            // is gone, the handler puts another there. Volatile, for others may write the file meanwhile.
            *item = unsafe { ptr::read_volatile(start.add(offset + i * stride).cast::<T>()) };
        }
        compiler_fence(Ordering::SeqCst);
        TOUCHED.set(NOTHING);
        // Whoever saw a zero that was put in place sees the mark as well, for that was set before.
        fence(Ordering::SeqCst);
        !self.is_lost.load(Ordering::SeqCst)
    }
}

/// Has SIGBUS caught from here on, in all threads.
fn catch_sigbus() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: it only tells a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        PAGE.store(usize::try_from(page).unwrap_or(4096), Ordering::SeqCst);
        // SAFETY: an all-zero sigaction is a valid one; the handler is installed once, after what
        // it needs, and does only what a handler may.
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

/// Puts zeros in the place of a guarded map from the fault on; any other fault goes its usual way.
extern "C" fn on_sigbus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes a valid siginfo.
    let address = unsafe { (*info).si_addr() } as usize;
    let Touched { start, end, is_lost } = TOUCHED.get();
    if (start..end).contains(&address) {
        let page = (address - address % PAGE.load(Ordering::Relaxed).max(1)).max(start);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // Before, for other threads read the same map, and see the zeros at once.
        // SAFETY: this thread is inside `gather`, which holds the map and its mark.
        unsafe { &*is_lost }.store(true, Ordering::SeqCst);
        // SAFETY: the range lies inside a map that this thread is touching, and that nothing but such
        // touching uses; mmap is safe to call in a handler.
        let put = unsafe { libc::mmap(page as *mut c_void, end - page, libc::PROT_READ, flags, -1, 0) };
        if put != libc::MAP_FAILED {
            return;
        }
    }
    pass_on(signal, info, context);
}

/// Does with the signal what was done with it before; by default that ends the program.
fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let before = BEFORE.load(Ordering::Acquire);
    // SAFETY: BEFORE points to what sigaction filled in, and its handler has the type that its flags
    // say; without one the default is put back, and the fault happens again.
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

    /// What one of the threads puts in the place of lost pages, the other must not take for what the file holds.
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
            // One takes long, the other goes over the end of the map again and again.
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
