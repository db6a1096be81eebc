//! Memory that is free again is given back to the system. The allocator does so by itself only with what lies above all
//! that is in use, and of very many small pieces a few always stay.
#![allow(unsafe_code)]

/// Gives back all pages that are free, wherever they lie. Takes some milliseconds.
pub fn give_back() {
    // SAFETY: it takes no pointer, and may be called by any thread at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
