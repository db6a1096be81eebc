//! Virtual files: lists of extents of known length, whose bytes are computed only when they are read.
//!
//! ```text
//! virtual_file  the list of extents, and reads of any byte range of it
//! cast          elements of one dtype converted exactly to another
//! offset_table  tables of evenly spaced offsets, such as those of chunks
//! gzip          gzip with stored (uncompressed) blocks, so that its size is known in advance
//! crc_cache     checksums, cached for one version of an array
//! text_index    byte offsets into text whose numbers differ in length
//! ```
//!
//! `stat` must report the exact size of a file before anyone reads it. So every extent knows its length
//! without touching the data, and encodings whose size depends on the values are measured first.

pub mod cast;
pub mod crc_cache;
pub mod gzip;
pub mod offset_table;
pub mod text_index;
pub mod virtual_file;
