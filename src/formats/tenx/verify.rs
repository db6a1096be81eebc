//! Verifies `10x/` and `10x.v2/`: the matrix with the verifier of `.mtx`, transposed, and the names line by
//! line.

use std::io::{BufRead, BufReader, Read};

use csv::{ByteRecord, ReaderBuilder};
use flate2::read::MultiGzDecoder;

use crate::formats::mtx::verify as mtx;
use crate::oracle::Files;
use crate::oracle::MatrixNames;
use crate::oracle::expect;
use crate::oracle::{Mismatch, Shown, Verified};

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let files = Files::of(shown)?;
    let is_new = !files.has("matrix.mtx");
    let [matrix, features, barcodes] = match is_new {
        true => ["matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz"],
        false => ["matrix.mtx", "genes.tsv", "barcodes.tsv"],
    };
    let kind: &[&[u8]] = if is_new { &[b"Gene Expression"] } else { &[] };
    let names = MatrixNames::of(shown.selection)?;
    expect_lines(open(&files, barcodes)?, names.rows.count, |i| vec![names.rows.name_or_number(i, "row")])?;
    expect_lines(open(&files, features)?, names.columns.count, |j| {
        let name = names.columns.name_or_number(j, "column");
        [name.clone(), name].into_iter().chain(kind.iter().map(|kind| kind.to_vec())).collect()
    })?;
    mtx::verify_lines(shown, &mut *open(&files, matrix)?, true)?;
    files.expect_no_others()
}

/// Opens a file and decompresses it if necessary. The decoder checks the checksum and the length.
fn open<'a>(files: &Files<'a>, name: &str) -> Result<Box<dyn BufRead + 'a>, Mismatch> {
    let file = files.open(name)?;
    let file: Box<dyn Read + 'a> = if name.ends_with(".gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        file.expect_lines()?;
        Box::new(file)
    };
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

/// Verifies `count` lines of tab-separated fields, which are quoted where necessary.
fn expect_lines(file: impl Read, count: u64, line: impl Fn(u64) -> Vec<Vec<u8>>) -> Verified {
    let mut table = ReaderBuilder::new().has_headers(false).flexible(true).delimiter(b'\t').from_reader(file);
    let mut found = ByteRecord::new();
    for i in 0..count {
        table.read_byte_record(&mut found)?;
        expect(&format!("line {i}"), &found, &ByteRecord::from(line(i)))?;
    }
    match table.read_byte_record(&mut found)? {
        false => Ok(()),
        true => Err(Mismatch("more lines than names".into())),
    }
}
