//! Virtual files: lists of extents whose lengths are known, and what is computed when it is read.
//!
//! ```text
//! virtual_file  the list of extents, and reading any part of it
//! cast          numbers of one type as another
//! offset_table  numbers at equal distances, such as the places of chunks
//! gzip          stored blocks of deflate, whose size follows from that of what they hold
//! crc_cache     checksums that were computed, for one version of an array
//! text_index    where the text of numbers of different lengths is
//! ```

pub mod cast;
pub mod crc_cache;
pub mod gzip;
pub mod offset_table;
pub mod text_index;
pub mod virtual_file;
