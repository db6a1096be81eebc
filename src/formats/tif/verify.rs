//! Verifies `.tif`. The `tiff` crate reads the directory and the strips. Files below 4 GiB must not be
//! BigTIFF, which fewer programs read.

use std::io::{self, Read, Seek};

use tiff::decoder::{Decoder, Limits};
use tiff::tags::Tag;

use crate::oracle::compare;
use crate::oracle::expect;
use crate::oracle::{FileReader, expect_end, read_bytes};
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{Numbers, numbers};
use crate::word::to_usize;

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let numbers = numbers(shown.selection, shown.part)?;
    let mut file = shown.file()?;
    let length = file.len();
    let magic = if length < 1 << 32 { b"II\x2A\0" } else { b"II\x2B\0" };
    expect("magic number", &read_bytes(&mut file)?, magic)?;
    file.rewind()?;
    let decoder = Decoder::new(file)?;
    // Allow strips and tables of strips up to the size of the file; the default limits may be too small.
    let mut limits = Limits::default();
    let most = to_usize(length);
    (limits.decoding_buffer_size, limits.intermediate_buffer_size, limits.ifd_value_size) =
        (most, most, most);
    let mut decoder = decoder.with_limits(limits);
    let strips = verify_directory(&mut decoder, &numbers, length)?;
    let mut strips = Strips { decoder, next: 0, count: strips, ahead: io::Cursor::default() };
    compare(&mut strips, numbers)?;
    expect_end(&mut strips)?;
    expect("more images", &strips.decoder.more_images(), &false)
}

/// Verifies the fields of the only directory. Returns the number of strips, which must be contiguous up to
/// the end.
fn verify_directory(
    decoder: &mut Decoder<FileReader<'_>>,
    numbers: &Numbers<'_>,
    length: u64,
) -> Result<u32, Mismatch> {
    let (rows, columns) = match numbers.shape[..] {
        [rows, columns] => (rows, columns),
        _ => (1, numbers.count()),
    };
    let (width, height) = decoder.dimensions()?;
    expect("shape", &[u64::from(height), u64::from(width)], &[rows, columns])?;
    let format = match numbers.dtype.name() {
        name if name.starts_with("int") => 2,
        name if name.starts_with("float") => 3,
        _ => 1,
    };
    let one = [
        (Tag::BitsPerSample, numbers.dtype.itemsize() * 8),
        (Tag::SampleFormat, format),
        (Tag::SamplesPerPixel, 1),
        (Tag::Compression, 1),
        (Tag::PhotometricInterpretation, 1),
    ];
    for (tag, expected) in one {
        expect(&format!("{tag:?}"), &decoder.get_tag_u64(tag)?, &expected)?;
    }
    let description: serde_json::Value =
        serde_json::from_str(&decoder.get_tag_ascii_string(Tag::ImageDescription)?)?;
    expect("shape that is described", &description["shape"], &numbers.shape.clone().into())?;
    verify_strips(decoder, rows, columns * numbers.dtype.itemsize(), length)
}

fn verify_strips(
    decoder: &mut Decoder<FileReader<'_>>,
    rows: u64,
    row_bytes: u64,
    length: u64,
) -> Result<u32, Mismatch> {
    let strip_rows = decoder.get_tag_u64(Tag::RowsPerStrip)?;
    let places = decoder.get_tag_u64_vec(Tag::StripOffsets)?;
    let bytes = decoder.get_tag_u64_vec(Tag::StripByteCounts)?;
    expect("strips", &(places.len() as u64), &rows.div_ceil(strip_rows.max(1)))?;
    expect("strips with a length", &bytes.len(), &places.len())?;
    let mut end = places.first().copied().unwrap_or_default();
    for (i, (place, bytes)) in (0..).zip(places.into_iter().zip(bytes)) {
        expect("place of a strip", &place, &end)?;
        expect("bytes of a strip", &bytes, &((rows - i * strip_rows).min(strip_rows) * row_bytes))?;
        end = place.saturating_add(bytes);
    }
    expect("end of the strips", &end, &length)?;
    Ok(decoder.strip_count()?)
}

/// Reads the elements of all strips, one strip after the other.
struct Strips<'a> {
    decoder: Decoder<FileReader<'a>>,
    next: u32,
    count: u32,
    ahead: io::Cursor<Vec<u8>>,
}

impl Read for Strips<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let filled = self.ahead.read(buffer)?;
        if filled > 0 || self.next == self.count {
            return Ok(filled);
        }
        let mut strip = self.decoder.read_chunk(self.next).map_err(io::Error::other)?;
        self.next += 1;
        self.ahead = io::Cursor::new(strip.as_buffer(0).as_bytes().to_vec());
        self.ahead.read(buffer)
    }
}
