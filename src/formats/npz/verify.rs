//! Verifies `.npz`. The `zip` crate reads it and checks the checksums.

use std::io::{Read, Seek, SeekFrom};

use zip::ZipArchive;
use zip::read::ZipFile;

use crate::array::selection::{Component, Part};
use crate::formats::npy::verify::{Header, verify_array};
use crate::oracle::expect;
use crate::oracle::{FileReader, expect_end, read_bytes, read_word};
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{known_to_scipy, numbers};

type Archive<'a> = ZipArchive<FileReader<'a>>;

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let mut archive = ZipArchive::new(shown.file()?)?;
    let names = archive.file_names().map(|name| name.map(|name| name.into_owned()));
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    names.sort();
    let block = |component| numbers(shown.selection, Part { component, ..shown.part });
    if shown.part.component != Component::Matrix {
        let name = format!("{}.npy", shown.part.component.name());
        expect("members", &names[..], std::slice::from_ref(&name))?;
        return verify_array(&mut member(shown, &mut archive, &name)?, block(shown.part.component)?, false);
    }
    expect(
        "members",
        &names[..],
        &["data", "format", "indices", "indptr", "shape"].map(|name| format!("{name}.npy")),
    )?;
    verify_array(
        &mut member(shown, &mut archive, "data.npy")?,
        known_to_scipy(block(Component::Data)?),
        false,
    )?;
    verify_array(&mut member(shown, &mut archive, "indices.npy")?, block(Component::Indices)?, false)?;
    verify_array(&mut member(shown, &mut archive, "indptr.npy")?, block(Component::Indptr)?, false)?;
    verify_small(shown, &mut archive, "format.npy", "|S3", b"csr")?;
    let axes = shown.selection.shape().axes();
    let shape: Vec<u8> = axes.iter().flat_map(|axis| axis.to_le_bytes()).collect();
    verify_small(shown, &mut archive, "shape.npy", "<i8", &shape)
}

/// Opens a member, after checking that its local header agrees with the central directory at the end. Some
/// readers use one, some the other.
fn member<'z, 'a>(
    shown: &'a Shown<'_>,
    archive: &'z mut Archive<'a>,
    name: &str,
) -> Result<ZipFile<'z, FileReader<'a>>, Mismatch> {
    let member = archive.by_name(name)?;
    let mut file = shown.file()?;
    file.seek(SeekFrom::Start(member.header_start() + 14))?;
    expect_local(&mut file, &member)?;
    Ok(member)
}

/// Checks the rest of a local file header, from the checksum on (APPNOTE.TXT 4.3.7): checksum, compressed and
/// uncompressed size, and the lengths of the name and of the extra field. If both sizes are 0xFFFFFFFF, the
/// actual ones are in the extra field, after its header of four bytes (4.5.3).
fn expect_local(file: &mut FileReader<'_>, member: &ZipFile<'_, FileReader<'_>>) -> Verified {
    const IN_EXTRA: u32 = u32::MAX;
    expect("checksum in the member's header", &read_word(file)?, &member.crc32())?;
    let sizes = [read_word(file)?, read_word(file)?];
    let [length, extra] = [u16::from_le_bytes(read_bytes(file)?), u16::from_le_bytes(read_bytes(file)?)];
    let mut name = vec![0; length.into()];
    file.read_exact(&mut name)?;
    expect("name in the member's header", &name[..], member.name_raw())?;
    let sizes = if sizes == [IN_EXTRA; 2] && extra >= 20 {
        expect("extra field of the member's header", &read_word(file)?, &0x0010_0001)?;
        [u64::from_le_bytes(read_bytes(file)?), u64::from_le_bytes(read_bytes(file)?)]
    } else {
        sizes.map(u64::from)
    };
    expect("sizes in the member's header", &sizes, &[member.compressed_size(), member.size()])
}

/// Verifies a member of a few bytes.
fn verify_small<'a>(
    shown: &'a Shown<'_>,
    archive: &mut Archive<'a>,
    name: &str,
    descr: &str,
    expected: &[u8],
) -> Verified {
    let mut file = member(shown, archive, name)?;
    let header = Header::read(&mut file)?;
    expect("dtype", &header.descr[..], descr)?;
    let mut found = vec![0; expected.len()];
    file.read_exact(&mut found)?;
    expect(name, &found[..], expected)?;
    expect_end(&mut file)
}
