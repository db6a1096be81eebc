//! Zarr, version 3: folders of metadata in JSON and of bytes as they are.
//!
//! ```text
//! array.zarr/zarr.json      one array, rows of chunks in one shard
//! array.zarr/c/0/0          where each chunk is | zeros to a page | the elements | zeros to a whole chunk
//!
//! matrix.zarr/zarr.json     AnnData's group
//! matrix.zarr/X/            CSR: data/ indices/ indptr/, each an array as above
//! matrix.zarr/obs/ var/     _index/: the names of rows and columns, their numbers where none are known
//!
//! array.dataset.zarr/       a group that xarray opens: array/, and the names as coordinates
//! ```
//!
//! Zarr core specification 3.0; codec `sharding_indexed` 1.0, the index at the start and with no
//! checksum, so that it is arithmetic; AnnData's on-disk format 0.1.0 with `csr_matrix` 0.1.0 and
//! `dataframe` 0.2.0.

mod array;
mod group;

use super::{Members, View};
use crate::error::{Error, Result};
use crate::part::{Part, Scope, Selection, Thing};
use group::Group;

pub(super) struct Zarr;
pub(super) struct Dataset;

/// The most names that one chunk of strings can count.
const MOST_NAMES: u64 = u32::MAX as u64;

impl View for Zarr {
    fn format(&self) -> &'static str {
        "zarr"
    }

    fn about(&self) -> &'static str {
        "Zarr, version 3: `zarr.open`, `dask.array.from_zarr`; of a sparse matrix `anndata.read_zarr`"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let shape = selection.shape();
        let countable = shape.rows() <= MOST_NAMES && shape.columns() <= MOST_NAMES;
        part.of == Scope::All && (part.thing.is_block() || part.thing == Thing::Matrix && countable)
    }

    fn is_listed(&self, part: Part) -> bool {
        matches!(part.thing, Thing::Array | Thing::Matrix)
    }

    fn is_folder(&self) -> bool {
        true
    }

    fn members(&self, selection: &Selection, part: Part) -> Result<Members> {
        match part.thing {
            _ if !self.offers(selection, part) => Err(Error::not_found(&selection.array().path)),
            Thing::Matrix => group::anndata(selection)?.members(),
            _ => {
                let mut group = Group::default();
                let axes = group::axes(&selection.names()?);
                group.put("", array::sharded(&selection.block(part)?, &axes)?);
                group.members()
            }
        }
    }
}

impl View for Dataset {
    fn format(&self) -> &'static str {
        "dataset.zarr"
    }

    fn about(&self) -> &'static str {
        "a Zarr group with the names as coordinates: `xarray.open_zarr`"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let shape = selection.shape();
        let countable = shape.rows() <= MOST_NAMES && shape.columns() <= MOST_NAMES;
        part.of == Scope::All && countable && matches!(part.thing, Thing::Array | Thing::Dense)
    }

    fn is_listed(&self, _: Part) -> bool {
        false
    }

    fn is_folder(&self) -> bool {
        true
    }

    fn members(&self, selection: &Selection, part: Part) -> Result<Members> {
        if !self.offers(selection, part) {
            return Err(Error::not_found(&selection.array().path));
        }
        group::dataset(selection, part)?.members()
    }
}
