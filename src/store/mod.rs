//! Where the bytes lie: a directory opened so that nothing leads out of it, and its files as they are served.
//!
//! ```text
//! directory    the store's root: listing it, opening beneath it, the identity of what is found
//! links        symbolic links, followed by hand
//! permissions  who may read, and what the directories on the way allow
//! above        the directories above the root, which may be closed too
//! source       one version of one file: opened when first needed, mapped once, never trusted
//! mmap         memory maps, and the cache of them
//! generation   whether somebody writes in a file, and how often that changed
//! open_files   the budget of open files
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
pub use permissions::Rights;
