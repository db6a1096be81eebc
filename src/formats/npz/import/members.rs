//! The members of a `.npz`, each with one array.

use std::io::{BufReader, ErrorKind, Read};

use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

use crate::dtype::decode_integers;
use crate::error::{Error, Result};
use crate::formats::npy::import::{Header, header_text};
use crate::import::input::{Input, PIECE, Reader, no_memory};
use crate::word::to_usize;

pub(super) type Archive<'f> = ZipArchive<BufReader<Reader<'f>>>;
pub(super) type Member<'z, 'f> = ZipFile<'z, BufReader<Reader<'f>>>;

/// The names of the arrays.
pub(super) fn names(input: &Input<'_>) -> Result<Vec<String>> {
    let mut archive = open(input)?;
    let mut names = Vec::new();
    for i in 0..archive.len() {
        let member = archive.by_index_raw(i).map_err(|e| input.refused(e.to_string()))?;
        let name = String::from_utf8_lossy(member.name_raw()).into_owned();
        names.extend(name.strip_suffix(".npy").map(str::to_owned));
    }
    Ok(names)
}

pub(super) fn open<'f>(input: &'f Input<'_>) -> Result<Archive<'f>> {
    let file = BufReader::with_capacity(PIECE, input.reader());
    ZipArchive::new(file).map_err(|error| match error {
        ZipError::Io(error) => input.failed()(error),
        error => input.refused(format!("it is no whole archive, as a .npz is: was it cut? ({error})")),
    })
}

pub(super) fn by_name<'z, 'f>(
    input: &Input<'_>,
    archive: &'z mut Archive<'f>,
    name: &str,
) -> Result<Member<'z, 'f>> {
    archive.by_name(&format!("{name}.npy")).map_err(|e| input.refused(format!("{name}: {e}")))
}

/// Fills a buffer with the next bytes of a member.
pub(super) fn fill(input: &Input<'_>, member: &mut dyn Read, name: &str, buffer: &mut [u8]) -> Result<()> {
    member.read_exact(buffer).map_err(|error| broken(input, name, error))
}

fn broken(input: &Input<'_>, name: &str, error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => input.refused(format!("{name} ends before its last element")),
        // A wrong checksum, or invalid compressed data. An error of the system has an error number.
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other
            if error.raw_os_error().is_none() =>
        {
            input.refused(format!("{name}: {error}"))
        }
        _ => input.failed()(error),
    }
}

/// Reads to the end of a member, which must be at its last byte. `zip` verifies the checksum only there.
pub(super) fn end(input: &Input<'_>, member: &mut dyn Read, name: &str) -> Result<()> {
    let mut more = [0; 1];
    loop {
        return match member.read(&mut more) {
            Ok(0) => Ok(()),
            Ok(_) => Err(input.refused(format!("{name} goes on behind its last element"))),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(broken(input, name, error)),
        };
    }
}

/// The word in a member that holds text, as bytes or UTF-32.
pub(super) fn word(input: &Input<'_>, name: &str) -> Result<String> {
    let mut archive = open(input)?;
    let mut member = by_name(input, &mut archive, name)?;
    header_text(input, &mut member)?;
    let mut bytes = Vec::new();
    member.take(1 << 10).read_to_end(&mut bytes).map_err(|error| broken(input, name, error))?;
    // For ASCII, the difference between bytes and UTF-32 is only the zeros.
    bytes.retain(|byte| *byte != 0);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A reader of the elements of a member.
pub(super) struct Items<'i, 'z, 'f> {
    input: &'i Input<'i>,
    name: &'i str,
    member: Member<'z, 'f>,
    pub header: Header,
    width: usize,
    /// Number of elements not yet returned.
    left: u64,
    /// Elements that were read together: their bytes, their values if they are integers, and how many were
    /// returned.
    piece: Vec<u8>,
    integers: Vec<u64>,
    given: usize,
}

/// Number of elements per read.
const TOGETHER: usize = 8 << 10;

impl<'i, 'z, 'f> Items<'i, 'z, 'f> {
    pub fn of(input: &'i Input<'i>, archive: &'z mut Archive<'f>, name: &'i str) -> Result<Self> {
        let mut member = by_name(input, archive, name)?;
        let header = Header::read(input, &mut member)?;
        if header.shape.len() != 1 {
            return Err(input.refused(format!("{name} is no vector, but of shape {:?}", header.shape)));
        }
        let (left, width) = (header.count(input)?, header.width());
        let (piece, integers) = (Vec::new(), Vec::new());
        Ok(Self { input, name, member, header, width, left, piece, integers, given: 0 })
    }

    /// Number of elements not yet returned.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next element. Fails if there is none.
    pub fn next(&mut self) -> Result<&[u8]> {
        let at = self.step()? * self.width;
        Ok(&self.piece[at..at + self.width])
    }

    /// The next element as an integer. A negative or non-integer one is `u64::MAX`, which every bounds check
    /// rejects.
    pub fn next_integer(&mut self) -> Result<u64> {
        let at = self.step()?;
        Ok(self.integers.get(at).copied().unwrap_or(u64::MAX))
    }

    /// The index of the next element in the piece.
    fn step(&mut self) -> Result<usize> {
        if self.given * self.width == self.piece.len() {
            self.read()?;
        }
        self.left -= 1;
        self.given += 1;
        Ok(self.given - 1)
    }

    fn read(&mut self) -> Result<()> {
        if self.left == 0 {
            return Err(self.input.refused(format!("{} ends before its last element", self.name)));
        }
        let count = to_usize(self.left).min(TOGETHER);
        self.piece.resize(count * self.width, 0);
        fill(self.input, &mut self.member, self.name, &mut self.piece)?;
        self.header.swap(&mut self.piece);
        self.integers.clear();
        decode_integers(self.header.dtype, &self.piece, &mut self.integers);
        self.given = 0;
        Ok(())
    }

    /// Verifies the checksum, after the last element.
    pub fn end(mut self) -> Result<()> {
        end(self.input, &mut self.member, self.name)
    }
}

/// The integers of a member that has at most two.
pub(super) fn integers(input: &Input<'_>, name: &str) -> Result<Vec<u64>> {
    all_integers(input, name, |count| count <= 2)
}

/// The integers of a member, if `may_be` accepts their number. It is checked before memory is allocated.
pub(super) fn all_integers(input: &Input<'_>, name: &str, may_be: impl Fn(u64) -> bool) -> Result<Vec<u64>> {
    let mut archive = open(input)?;
    let mut items = Items::of(input, &mut archive, name)?;
    if !may_be(items.left()) {
        return Err(input.refused(format!("{name} has {} numbers, which make no matrix", items.left())));
    }
    let mut numbers = Vec::new();
    while items.left() > 0 {
        if numbers.len() == numbers.capacity() {
            numbers.try_reserve(numbers.len().max(1 << 10)).map_err(|_| no_memory(&input.path))?;
        }
        numbers.push(items.next_integer()?);
    }
    items.end()?;
    Ok(numbers)
}
