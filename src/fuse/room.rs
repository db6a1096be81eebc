//! Checks before the mount that there is enough memory for the serving threads. A process that runs out of it
//! later cannot report the error.

use std::io;
use std::sync::{RwLock, mpsc};
use std::thread::{Builder, scope};

/// Size of a thread's request buffer in bytes. `fuser` allocates as much.
const BUFFER: usize = (16 << 20) + (1 << 16);
/// Bytes for the stack of a thread and its bookkeeping.
const STACK: usize = 4 << 20;
/// Bytes reserved for everything else.
const REST: usize = 64 << 20;

/// Tries whether this many threads can exist at the same time, each with its buffer, and then releases them.
///
/// # Errors
///
/// [`io::ErrorKind::OutOfMemory`] if the system refuses, whichever of its limits applies.
pub(super) fn check(threads: usize) -> io::Result<()> {
    let _rest = reserve(REST)?;
    let (are_all_there, (ready, is_ready)) = (RwLock::new(()), mpsc::channel());
    scope(|scope| {
        let wait = are_all_there.write();
        for _ in 0..threads {
            // If there is no memory when a thread starts, the process aborts. This check prevents that.
            reserve(BUFFER + STACK)?;
            let (ready, are_all_there) = (ready.clone(), &are_all_there);
            let take = move || {
                let buffer = reserve(BUFFER);
                let _ = ready.send(buffer.is_ok());
                drop(are_all_there.read());
            };
            Builder::new().name("room".into()).spawn_scoped(scope, take).map_err(|_| too_little())?;
            if is_ready.recv() != Ok(true) {
                return Err(too_little());
            }
        }
        drop(wait);
        Ok(())
    })
}

fn reserve(bytes: usize) -> io::Result<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(bytes).map_err(|_| too_little())?;
    Ok(buffer)
}

fn too_little() -> io::Error {
    io::Error::from(io::ErrorKind::OutOfMemory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_some_threads_and_not_for_all_there_could_be() {
        check(4).unwrap();
        assert_eq!(reserve(usize::MAX / 4).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
    }
}
