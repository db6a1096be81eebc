//! `.npz`, read by `zip`, which holds the checksums against the bytes.

use std::io::Read;

use zip::ZipArchive;
use zip::read::ZipFile;

use half::f16;

use super::npy::{Header, expect, verify_array};
use super::reader::{FileReader, expect_end};
use super::truth::{Numbers, numbers};
use super::{Fault, Shown, Verified};
use crate::dtype::Dtype;
use crate::part::{Part, Thing};

type Archive<'a> = ZipArchive<FileReader<'a>>;

pub(super) fn verify(shown: &Shown<'_>) -> Verified {
    let mut archive = ZipArchive::new(shown.file()?)?;
    let names = archive.file_names().map(|name| name.map(|name| name.into_owned()));
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    names.sort();
    let block = |thing| numbers(shown.selection, Part { thing, ..shown.part });
    if shown.part.thing != Thing::Matrix {
        let name = format!("{}.npy", shown.part.thing.name());
        expect("members", &names[..], std::slice::from_ref(&name))?;
        return verify_array(&mut member(&mut archive, &name)?, block(shown.part.thing)?, false);
    }
    expect(
        "members",
        &names[..],
        &["data", "format", "indices", "indptr", "shape"].map(|name| format!("{name}.npy")),
    )?;
    verify_array(&mut member(&mut archive, "data.npy")?, known_to_scipy(block(Thing::Data)?), false)?;
    verify_array(&mut member(&mut archive, "indices.npy")?, block(Thing::Indices)?, false)?;
    verify_array(&mut member(&mut archive, "indptr.npy")?, block(Thing::Indptr)?, false)?;
    verify_small(&mut archive, "format.npy", "|S3", b"csr")?;
    let axes = shown.selection.shape().axes();
    let shape: Vec<u8> = axes.iter().flat_map(|axis| axis.to_le_bytes()).collect();
    verify_small(&mut archive, "shape.npy", "<i8", &shape)
}

fn member<'z, 'a>(archive: &'z mut Archive<'a>, name: &str) -> Result<ZipFile<'z, FileReader<'a>>, Fault> {
    Ok(archive.by_name(name)?)
}

/// A member of few bytes.
fn verify_small(archive: &mut Archive<'_>, name: &str, descr: &str, expected: &[u8]) -> Verified {
    let mut file = member(archive, name)?;
    let header = Header::read(&mut file)?;
    expect("dtype", &header.descr[..], descr)?;
    let mut found = vec![0; expected.len()];
    file.read_exact(&mut found)?;
    expect(name, &found[..], expected)?;
    expect_end(&mut file)
}

/// SciPy has no float16, and gets float32.
fn known_to_scipy(numbers: Numbers<'_>) -> Numbers<'_> {
    if numbers.dtype != Dtype::Float16 {
        return numbers;
    }
    let widen = |item: &[u8; 2]| {
        let narrow = f16::from_le_bytes(*item);
        let bits = u32::from(narrow.to_bits());
        // A NaN keeps its bits.
        let nan = (bits & 0x8000) << 16 | 0x7F80_0000 | (bits & 0x03FF) << 13;
        if narrow.is_nan() { nan.to_le_bytes() } else { narrow.to_f32().to_le_bytes() }
    };
    let wide = move |piece: Vec<u8>| piece.as_chunks().0.iter().flat_map(widen).collect::<Vec<u8>>();
    let pieces = numbers.pieces.map(move |piece| piece.map(wide));
    Numbers { dtype: Dtype::Float32, shape: numbers.shape, pieces: Box::new(pieces) }
}
