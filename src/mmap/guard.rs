//! A map whose bytes may be touched although its file may be truncated at any moment.
//!
//! Touching a page of a map that is no longer there, or that the disk does not give, kills a program
//! with SIGBUS. Reading with `pread` is safe, but for single elements that lie far apart a system
//! call each takes ten times as long as the memory does. So here the signal is caught: its handler puts zeros
//! in the place of what is lost, the loop that touched it goes on to its end, and then knows that what
//! it has is worth nothing. Such a map serves for nothing else, and is not touched again.

use std::cell::Cell;
use std::fs::File;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use bytemuck::Pod;
use libc::{c_int, c_void, siginfo_t};
use memmap2::{Mmap, MmapOptions};

/// Bytes of the smallest page there is; a fault is rounded down to it, or to a larger page's start.
const PAGE: usize = 4096;

thread_local! {
    /// The addresses that this thread may touch at this moment, and whether some were lost. No
    /// destructor and no lazy start, so that a signal handler may use it.
    static TOUCHED: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
    static IS_LOST: Cell<bool> = const { Cell::new(false) };
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
        TOUCHED.set((start as usize, start as usize + self.map.len()));
        for (i, item) in out.iter_mut().enumerate() {
            // SAFETY: the element lies inside the map and is aligned, which was checked above; if its page
            // is gone, the handler puts another there. Volatile, for others may write the file meanwhile.
            *item = unsafe { ptr::read_volatile(start.add(offset + i * stride).cast::<T>()) };
        }
        TOUCHED.set((0, 0));
        let is_lost = IS_LOST.replace(false);
        if is_lost {
            self.is_lost.store(true, Ordering::Release);
        }
        // Another thread may have put zeros in place meanwhile.
        !self.is_lost.load(Ordering::Acquire)
    }
}

/// Has SIGBUS caught from here on, in all threads.
fn catch_sigbus() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
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
    let (start, end) = TOUCHED.get();
    if (start..end).contains(&address) {
        let page = (address - address % PAGE).max(start);
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
        // SAFETY: the range lies inside a map that this thread is touching, and that nothing but such
        // touching uses; mmap is safe to call in a handler.
        let put = unsafe { libc::mmap(page as *mut c_void, end - page, libc::PROT_READ, flags, -1, 0) };
        if put != libc::MAP_FAILED {
            IS_LOST.set(true);
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
}
