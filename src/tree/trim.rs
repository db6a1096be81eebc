//! Returns free memory to the system. The allocator does so itself only for memory above everything that is
//! in use, and of very many small allocations a few always remain.
#![allow(unsafe_code)]

/// Returns all free pages to the system, wherever they are. It takes some milliseconds.
pub fn give_back() {
    // SAFETY: it takes no pointer, and any thread may call it at any time.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
