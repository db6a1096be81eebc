//! The formats: each dresses up a part of an array as a file. One format, one file, one line in
//! [`VIEWS`].

mod arrow;
mod cast;
mod csv;
mod envi;
#[cfg(test)]
mod extremes;
mod h5;
mod h5ad;
mod h5tenx;
mod mat;
mod members;
mod meta;
mod mtx;
mod npy;
mod npy_header;
mod npz;
mod nrrd;
mod parquet;
mod raw;
mod rds;
mod readme;
mod safetensors;
mod tenx;
mod tif;
mod zarr;

use crate::error::{Error, Result};
use crate::part::{Formats, Part, Scope, Selection};
use crate::source::Run;
use crate::vfile::VirtualFile;

pub use members::{Chunks, Members};

/// A format that parts of an array can be read in.
pub trait View: Sync {
    /// What follows the thing and the dot in the file's name; empty for the bytes as they are.
    fn format(&self) -> &'static str;

    /// What the format is called where formats are chosen.
    fn name(&self) -> &'static str {
        self.format()
    }

    /// Whether the part, which the selection has, comes in this format. Reads no data.
    fn offers(&self, selection: &Selection, part: Part) -> bool;

    /// Whether a listing shows the file; others are found by name all the same.
    fn is_listed(&self, part: Part) -> bool {
        matches!(part.of, Scope::All)
    }

    /// What the format is and what reads it, in a line of Markdown.
    fn about(&self) -> &'static str {
        ""
    }

    /// Whether the file may show names of rows or columns: only who may read those may read it, and it
    /// changes when they do.
    fn shows_names(&self, part: Part) -> bool {
        let _ = part;
        true
    }

    /// Whether to tell the size of the file takes a look at the data: that is for when it is asked for.
    fn size_needs_data(&self, selection: &Selection, part: Part) -> bool {
        let _ = (selection, part);
        false
    }

    /// Whether the format is a folder of files.
    fn is_folder(&self) -> bool {
        false
    }

    /// The part as a file, its size known.
    ///
    /// # Errors
    ///
    /// [`crate::Error::NotFound`] when the format does not [`offer`](Self::offers) the part, and
    /// whatever is read to know the size.
    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        let _ = part;
        Err(Error::not_found(&selection.array().path))
    }

    /// The run of a file of the store that the part is in this format, if that is known without
    /// reading or making anything: then it is read with no detour.
    fn run<'s>(&self, selection: &'s Selection, part: Part) -> Option<Run<'s>> {
        let _ = (selection, part);
        None
    }

    /// The files of a format that [is a folder](Self::is_folder).
    ///
    /// # Errors
    ///
    /// As [`file`](Self::file).
    fn members(&self, selection: &Selection, part: Part) -> Result<Members> {
        let _ = part;
        Err(Error::not_found(&selection.array().path))
    }
}

/// All formats. A file's inode number depends on its format's place here: add at the end.
pub static VIEWS: &[&dyn View] = &[
    &raw::Raw,
    &meta::Meta,
    &npy::Npy,
    &csv::Separated::CSV,
    &npz::Npz,
    &safetensors::Safetensors,
    &readme::Readme,
    &h5::H5,
    &h5ad::H5ad,
    &h5tenx::H5TenX,
    &arrow::Arrow,
    &parquet::Parquet,
    &csv::Separated::TSV,
    &mtx::Mtx,
    &tenx::TenX::V3,
    &tenx::TenX::V2,
    &zarr::Zarr::V3,
    &zarr::Dataset,
    &rds::Rds,
    &mat::Mat,
    &tif::Tif,
    &nrrd::Nrrd,
    &nrrd::Nhdr,
    &envi::Envi,
    &csv::Separated::TXT,
    &zarr::Zarr::V2,
];

/// The most elements, rows or columns of which there is something in a file: whatever a format has for each, it ends
/// before the last byte that a file can have. Beyond there are the bytes as they are.
const MOST: u64 = 1 << 56;

/// Whether a format can have something for each row and column.
fn has_countable_axes(selection: &Selection) -> bool {
    selection.shape().rows() <= MOST && selection.shape().columns() <= MOST
}

/// The formats that the part comes in, with their places in [`VIEWS`].
pub fn offered(selection: &Selection, part: Part) -> impl Iterator<Item = (usize, &'static dyn View)> {
    let is_there = selection.has(part);
    let fits = is_there && selection.count(part) <= MOST;
    let views = VIEWS.iter().copied().enumerate().filter(move |_| is_there);
    let views = views.filter(move |(_, view)| fits || view.name().is_empty());
    views.filter(move |(place, view)| selection.formats().has(*place) && view.offers(selection, part))
}

/// The format of this name that the part comes in, by its place in [`VIEWS`].
pub fn find(selection: &Selection, part: Part, format: &[u8]) -> Option<usize> {
    offered(selection, part).find(|(_, view)| view.format().as_bytes() == format).map(|(place, _)| place)
}

/// The formats of these names, and those that are always there: the bytes as they are, `meta.yaml` and
/// `README.md`.
///
/// # Errors
///
/// [`Error::Refused`] for a name that no format has; it names those there are.
pub fn formats(names: &[String]) -> Result<Formats> {
    let is_basic = |view: &dyn View| matches!(view.name(), "" | "yaml" | "md");
    let all = || VIEWS.iter().map(|view| view.name()).filter(|name| !matches!(*name, "" | "yaml" | "md"));
    if let Some(unknown) = names.iter().find(|name| !all().any(|other| other == name.as_str())) {
        let mut known: Vec<_> = all().collect();
        known.sort_unstable();
        known.dedup();
        return Err(Error::refused(unknown, format!("no such format; there are {}", known.join(", "))));
    }
    let is_wanted = |view: &dyn View| is_basic(view) || names.iter().any(|name| name == view.name());
    Ok(Formats::of(VIEWS.iter().enumerate().filter(|(_, view)| is_wanted(**view)).map(|(place, _)| place)))
}
