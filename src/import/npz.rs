//! `.npz`, read by `zip`: a sparse matrix that SciPy wrote (CSR, CSC or COO), or one of NumPy's arrays.

use std::fs::File;
use std::io::{BufReader, Read};

use zip::ZipArchive;
use zip::read::ZipFile;

use super::input::{Input, Reader};
use super::npy::{Header, header_text};
use super::number::Number;
use super::sparse::Elements;
use super::{Fill, Found, Options, dense};
use crate::dtype::{Dtype, decode_integers};
use crate::error::Result;
use crate::format::{Metadata, SparseMeta};

type Archive<'f> = ZipArchive<BufReader<Reader<'f>>>;
type Member<'z, 'f> = ZipFile<'z, BufReader<Reader<'f>>>;

pub(super) fn find<'f>(input: &'f Input<'f>, options: &'f Options) -> Result<Found<'f>> {
    if options.dtype.is_some() {
        return Err(input.refused("its arrays have types of their own: none can be chosen"));
    }
    let mut archive = open(input)?;
    let mut names = Vec::new();
    for i in 0..archive.len() {
        let member = archive.by_index_raw(i).map_err(|e| input.refused(e.to_string()))?;
        let name = String::from_utf8_lossy(member.name_raw()).into_owned();
        names.extend(name.strip_suffix(".npy").map(str::to_owned));
    }
    let is_sparse = ["data", "shape", "format"].iter().all(|part| names.iter().any(|name| name == part));
    match &options.member {
        None if is_sparse => sparse(input, &mut archive),
        None if names.len() == 1 => member(input, &mut archive, names.remove(0)),
        Some(name) if names.contains(name) => member(input, &mut archive, name.clone()),
        None if names.is_empty() => Err(input.refused("it has no arrays")),
        _ => Err(input.refused(format!("which of its arrays? --member {}", names.join(", --member ")))),
    }
}

fn open<'f>(input: &Input<'f>) -> Result<Archive<'f>> {
    let file = BufReader::with_capacity(1 << 20, input.open()?);
    ZipArchive::new(file).map_err(|e| input.refused(e.to_string()))
}

fn by_name<'z, 'f>(input: &Input<'_>, archive: &'z mut Archive<'f>, name: &str) -> Result<Member<'z, 'f>> {
    archive.by_name(&format!("{name}.npy")).map_err(|e| input.refused(format!("{name}: {e}")))
}

/// One of NumPy's arrays.
fn member<'f>(input: &'f Input<'f>, archive: &mut Archive<'f>, name: String) -> Result<Found<'f>> {
    let header = Header::read(input, &mut by_name(input, archive, &name)?)?;
    let metadata = dense(input.path, header.dtype, &header.shape)?;
    Ok(Found { metadata, fill: vec![copy(input, name, |_, _| Ok(()))], beside: Vec::new() })
}

/// Writes a member as it is, its checksum held against it, and shows it to `check`, whole elements of that type
/// in each piece.
fn copy<'f>(input: &'f Input<'f>, name: String, check: impl Fn(Dtype, &[u8]) -> Result<()> + 'f) -> Fill<'f> {
    Box::new(move |to: &mut File| {
        let mut archive = open(input)?;
        let mut member = by_name(input, &mut archive, &name)?;
        let header = Header::read(input, &mut member)?;
        match header.shape.len() {
            1 => header.copy_checked(input, &mut member, to, |piece| check(header.dtype, piece))?,
            _ => header.copy(input, &mut member, to)?,
        }
        std::io::copy(&mut member, &mut std::io::sink()).map(drop).map_err(input.failed())
    })
}

/// A sparse matrix that SciPy wrote.
fn sparse<'f>(input: &'f Input<'f>, archive: &mut Archive<'f>) -> Result<Found<'f>> {
    let format = text(input, &mut by_name(input, archive, "format")?)?;
    let shape = match integers(input, archive, "shape")?[..] {
        [rows, columns] => [rows, columns],
        ref shape => return Err(input.refused(format!("a sparse matrix of shape {shape:?}"))),
    };
    match &format[..] {
        "csr" => csr(input, archive, shape),
        "csc" => {
            let bounds = integers(input, archive, "indptr")?;
            let rows = integers(input, archive, "indices")?;
            let columns = (0..)
                .zip(bounds.windows(2))
                .flat_map(|(column, pair)| (pair[0]..pair[1]).map(move |_| column));
            let is_whole = is_bounds(&bounds, shape[1], rows.len() as u64);
            let columns = if is_whole { columns.collect() } else { Vec::new() };
            elements(input, archive, shape, &rows, &columns)
        }
        "coo" => {
            let [rows, columns] = ["row", "col"].map(|name| integers(input, archive, name));
            elements(input, archive, shape, &rows?, &columns?)
        }
        other => Err(input.refused(format!("a matrix in the format {other}: save it as CSR, with tocsr()"))),
    }
}

fn is_bounds(bounds: &[u64], count: u64, nnz: u64) -> bool {
    bounds.len() as u64 == count.saturating_add(1)
        && bounds.first() == Some(&0)
        && bounds.last() == Some(&nnz)
        && bounds.is_sorted()
}

/// A matrix in rows: its parts are copied as they are.
fn csr<'f>(input: &'f Input<'f>, archive: &mut Archive<'f>, shape: [u64; 2]) -> Result<Found<'f>> {
    let mut header = |name| Header::read(input, &mut by_name(input, archive, name)?);
    let headers = [header("data")?, header("indices")?, header("indptr")?];
    let nnz = headers[0].count(input)?;
    let bounds = integers(input, archive, "indptr")?;
    if headers.iter().any(|header| header.shape.len() != 1) || headers[1].count(input)? != nnz {
        return Err(input.refused("data and indices are not vectors of one length"));
    }
    if !is_bounds(&bounds, shape[0], nnz) {
        return Err(input.refused(format!(
            "indptr is not {} numbers rising from 0 to {nnz}",
            shape[0].saturating_add(1)
        )));
    }
    let types = headers.map(|header| header.dtype);
    let meta = SparseMeta::new(types, shape, nnz).map_err(|flaw| flaw.at(input.path))?;
    let check = move |dtype, piece: &[u8]| {
        let mut columns = Vec::new();
        decode_integers(dtype, piece, &mut columns);
        match columns.iter().find(|column| **column >= shape[1]) {
            None => Ok(()),
            Some(column) => Err(input.refused(format!("there is no column {column} of {}", shape[1]))),
        }
    };
    let whole = |name: &str| copy(input, name.to_owned(), |_, _| Ok(()));
    let fill = vec![whole("data"), copy(input, "indices".to_owned(), check), whole("indptr")];
    Ok(Found { metadata: Metadata::Sparse(meta), fill, beside: Vec::new() })
}

/// A matrix of the elements in `data`.
fn elements<'f>(
    input: &'f Input<'f>,
    archive: &mut Archive<'f>,
    shape: [u64; 2],
    rows: &[u64],
    columns: &[u64],
) -> Result<Found<'f>> {
    let (dtype, data) = numbers(input, archive, "data")?;
    if rows.len() != columns.len() || rows.len() != data.len() {
        return Err(input.refused("its parts do not make a matrix: rows, columns and data differ in number"));
    }
    if rows.iter().any(|row| *row >= shape[0]) || columns.iter().any(|column| *column >= shape[1]) {
        return Err(input.refused(format!("elements outside of the shape {shape:?}")));
    }
    let places = rows.iter().zip(columns).zip(data);
    let elements = places.map(|((row, column), value)| (*row, *column, value)).collect();
    Elements { dtype, shape, elements }.into_csr(input)
}

/// The elements of a member.
fn numbers(input: &Input<'_>, archive: &mut Archive<'_>, name: &str) -> Result<(Dtype, Vec<Number>)> {
    let (dtype, bytes) = bytes(input, archive, name)?;
    let number = |item: &[u8]| {
        let mut number = Number::default();
        number[..item.len()].copy_from_slice(item);
        number
    };
    Ok((dtype, bytes.chunks_exact(usize::try_from(dtype.itemsize()).unwrap_or(8)).map(number).collect()))
}

/// The integers of a member; one below zero is larger than any number there can be.
fn integers(input: &Input<'_>, archive: &mut Archive<'_>, name: &str) -> Result<Vec<u64>> {
    let (dtype, bytes) = bytes(input, archive, name)?;
    let mut numbers = Vec::new();
    decode_integers(dtype, &bytes, &mut numbers);
    Ok(numbers)
}

fn bytes(input: &Input<'_>, archive: &mut Archive<'_>, name: &str) -> Result<(Dtype, Vec<u8>)> {
    let mut member = by_name(input, archive, name)?;
    let header = Header::read(input, &mut member)?;
    let mut bytes = Vec::new();
    header.copy_checked(input, &mut member, &mut bytes, |_| Ok(()))?;
    Ok((header.dtype, bytes))
}

/// The word that a member of text holds: bytes, or UTF-32.
fn text(input: &Input<'_>, member: &mut dyn Read) -> Result<String> {
    header_text(input, member)?;
    let mut bytes = Vec::new();
    member.take(1 << 10).read_to_end(&mut bytes).map_err(input.failed())?;
    bytes.retain(|byte| *byte != 0);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
