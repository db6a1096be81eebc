//! Integration tests of the program and the library. They are one binary, because linking takes most of the
//! build time.
//!
//! Each module has one subject. For example, `cargo test --test integration unmount` runs one module.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::type_complexity)]
#![allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)]

mod common;

mod broken;
mod changes;
mod check;
mod cli;
mod disk;
mod every_view;
mod exhaustion;
mod existing;
mod faults;
mod import;
mod in_place;
mod inodes;
mod layers;
mod limits;
mod links;
mod log;
mod memory_mapping;
mod mmap_cache;
mod names;
mod permissions;
mod posix;
mod readers;
mod readme;
mod rewritten;
mod second_mount;
mod semantics;
mod shared_directories;
mod slow;
mod tree;
mod unmount;
mod unprivileged;
mod verify;
mod writers;
