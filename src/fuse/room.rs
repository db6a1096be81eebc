//! Whether there is room for the threads that serve, found out before anything is mounted: a program that runs
//! out of it later cannot say so.

use std::io;
use std::sync::{RwLock, mpsc};
use std::thread::{Builder, scope};

/// Bytes of the buffer that a thread reads requests into: as many as `fuser` takes.
const BUFFER: usize = (16 << 20) + (1 << 16);
/// Bytes of a thread's stack, and of what comes with it.
const STACK: usize = 4 << 20;
/// Bytes that are left for all else.
const REST: usize = 64 << 20;

/// Has so many threads there at once, each with its buffer, and lets go of them.
///
/// # Errors
///
/// [`io::ErrorKind::OutOfMemory`] when the system does not give so much, whichever of its limits it is.
pub(super) fn check(threads: usize) -> io::Result<()> {
    let _rest = reserve(REST)?;
    let (are_all_there, (ready, is_ready)) = (RwLock::new(()), mpsc::channel());
    scope(|scope| {
        let wait = are_all_there.write();
        for _ in 0..threads {
            // A thread that has no room to start in ends the program.
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
