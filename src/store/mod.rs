//! Access to the bytes on disk: a directory that nothing can lead out of, and its files.
//!
//! ```text
//! directory    the root of a store: listing, opening files beneath it, their identity
//! links        resolves symbolic links
//! permissions  who may read, and what the directories on the way allow
//! above        the directories above the root, which may deny access too
//! source       one version of one file: opened on first use, mapped once, never trusted
//! mmap         memory maps and their cache
//! generation   whether someone writes to a file, and how often that changed
//! open_files   the limit on open files
//! ```

mod above;
mod directory;
pub mod generation;
mod links;
pub mod mmap;
pub mod open_files;
mod permissions;
pub mod source;

pub use directory::*;
pub use links::Way;
pub use permissions::Permissions;
