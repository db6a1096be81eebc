//! The table of all formats, and lookups in it.

use super::Format;
use crate::array::format_id::{FormatId, Formats};
use crate::array::selection::{Part, Selection};
use crate::error::{Error, Result};
#[cfg(feature = "import")]
use crate::import::{Importer, Importers};

/// All formats with their stable numbers. A new format takes the next free number; numbers are never reused.
pub(crate) static FORMATS: &[(FormatId, &dyn Format)] = &[
    (FormatId::RAW, &super::raw::Raw),
    (FormatId::new(1), &super::meta::Meta),
    (FormatId::new(2), &super::npy::Npy),
    (FormatId::new(3), &super::csv::Separated::CSV),
    (FormatId::new(4), &super::npz::Npz),
    (FormatId::new(5), &super::safetensors::Safetensors),
    (FormatId::new(6), &super::readme::Readme),
    (FormatId::new(7), &super::h5::H5),
    (FormatId::new(8), &super::h5ad::H5ad),
    (FormatId::new(9), &super::h5tenx::H5TenX),
    (FormatId::new(10), &super::arrow::Arrow),
    (FormatId::new(11), &super::parquet::Parquet),
    (FormatId::new(12), &super::csv::Separated::TSV),
    (FormatId::new(13), &super::mtx::Mtx),
    (FormatId::new(14), &super::tenx::TenX::V3),
    (FormatId::new(15), &super::tenx::TenX::V2),
    (FormatId::new(16), &super::zarr::Zarr::V3),
    (FormatId::new(17), &super::zarr::Dataset),
    (FormatId::new(18), &super::rds::Rds),
    (FormatId::new(19), &super::mat::Mat),
    (FormatId::new(20), &super::tif::Tif),
    (FormatId::new(21), &super::nrrd::Nrrd),
    (FormatId::new(22), &super::nrrd::Nhdr),
    (FormatId::new(23), &super::envi::Envi),
    (FormatId::new(24), &super::csv::Separated::TXT),
    (FormatId::new(25), &super::zarr::Zarr::V2),
    (FormatId::new(26), &super::pgm::Pgm),
];

/// The format with this number.
pub(crate) fn format(id: FormatId) -> Option<&'static dyn Format> {
    FORMATS.iter().find(|(other, _)| *other == id).map(|(_, format)| *format)
}

/// The importers: which files become arrays, by extension.
#[cfg(feature = "import")]
pub static IMPORTERS: Importers = Importers(&[
    Importer { end: "npy", times: 1, is_archive: false, find: super::npy::import::find },
    Importer { end: "npz", times: 1, is_archive: true, find: super::npz::import::find },
    Importer { end: "mtx", times: 2, is_archive: false, find: super::mtx::import::find },
    Importer { end: "csv", times: 2, is_archive: false, find: super::csv::import::find_csv },
    Importer { end: "tsv", times: 2, is_archive: false, find: super::csv::import::find_tsv },
    Importer { end: "txt", times: 2, is_archive: false, find: super::csv::import::find_txt },
]);

/// The most elements, rows or columns for which formats other than raw bytes are offered. With it, no format
/// exceeds the largest file size (2^63 - 1 bytes), whatever it writes per element, row or column. Larger
/// arrays are still readable as raw bytes.
const MOST: u64 = 1 << 56;

/// Whether rows and columns are few enough for formats that write an entry for each of them.
pub(crate) fn has_countable_axes(selection: &Selection) -> bool {
    selection.shape().rows() <= MOST && selection.shape().columns() <= MOST
}

/// The formats in which this part is available, with their numbers.
pub(crate) fn offered(
    selection: &Selection,
    part: Part,
) -> impl Iterator<Item = (FormatId, &'static dyn Format)> {
    let is_there = selection.has(part);
    // Raw bytes have no overhead per element, so the limit does not apply to them.
    let fits = is_there && selection.count(part) <= MOST;
    let formats = FORMATS.iter().copied().filter(move |_| is_there);
    let formats = formats.filter(move |(_, format)| fits || format.name().is_empty());
    formats.filter(move |(id, format)| selection.formats().has(*id) && format.offers(selection, part))
}

/// The number of the format with this file extension, if the part is available in it.
pub(crate) fn find(selection: &Selection, part: Part, extension: &[u8]) -> Option<FormatId> {
    offered(selection, part).find(|(_, format)| format.extension().as_bytes() == extension).map(|(id, _)| id)
}

/// The names by which users choose formats, repeated where formats share one. Formats that are always
/// available (see `is_basic`) are not included.
pub fn names() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|(_, format)| format.name()).filter(|name| !is_basic(name))
}

/// Whether a format is always available: raw bytes, `meta.yaml` and `README.md`.
fn is_basic(name: &str) -> bool {
    matches!(name, "" | "yaml" | "md")
}

/// The set of formats with these names, plus those that are always available.
///
/// # Errors
///
/// [`Error::Refused`] for an unknown name. The message lists the known ones.
pub fn formats(names: &[String]) -> Result<Formats> {
    if let Some(unknown) = names.iter().find(|name| !self::names().any(|other| other == name.as_str())) {
        let mut known: Vec<_> = self::names().collect();
        known.sort_unstable();
        known.dedup();
        return Err(Error::refused(unknown, format!("no such format; there are {}", known.join(", "))));
    }
    let is_wanted =
        |format: &dyn Format| is_basic(format.name()) || names.iter().any(|name| name == format.name());
    Ok(Formats::of(FORMATS.iter().filter(|(_, format)| is_wanted(*format)).map(|(id, _)| *id)))
}
