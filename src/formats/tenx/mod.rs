//! `10x/` and `10x.v2/`: directories for single-cell programs, in the layouts of versions 3 and 2 of 10x
//! Genomics' Cell Ranger.
//!
//! ```text
//! 10x/matrix.mtx.gz     10x.v2/matrix.mtx     coordinates; features are rows, cells are columns
//! 10x/features.tsv.gz   10x.v2/genes.tsv      id, name (and "Gene Expression"): the array's columns
//! 10x/barcodes.tsv.gz   10x.v2/barcodes.tsv   the array's rows
//! ```
//!
//! The array has cells as rows, so the matrix here is its transpose: on each line, the column comes first.
//! Lines are in the order of the array, because the format requires no order.
//!
//! `.gz` members are stored and not compressed, so that their size is known without reading the data. Their
//! checksum is computed on the first read. Missing or empty names become `row_017` and `column_3`, numbered
//! as in `rows/` and `cols/`.

#[cfg(feature = "verify")]
pub(super) mod verify;

use std::sync::Arc;

use super::Format;
use crate::array::names::AxisNames;
use crate::array::selection::{Component, Part, Region, Selection};
use crate::bytes::crc_cache::Key;
use crate::bytes::gzip;
use crate::bytes::virtual_file::{Extent, VirtualFile};
use crate::encode::Rendered;
use crate::encode::checksum::crc32;
use crate::encode::members::Members;
use crate::encode::text::{Axis, Layout, NameLines, Piece, market_length_of, matrix_market};
use crate::error::{Error, Result};
#[cfg(feature = "verify")]
use crate::oracle::{Shown, Verified};
use crate::rows::{Rows, index_width};

/// The layout for one version of Cell Ranger.
pub(super) struct TenX {
    extension: &'static str,
    is_compressed: bool,
    features: &'static str,
    feature: &'static [Piece],
}

impl TenX {
    /// Cell Ranger 3 and later.
    pub const V3: Self = Self {
        extension: "",
        is_compressed: true,
        features: "features.tsv",
        feature: &[Piece::Name, Piece::Text("\t"), Piece::Name, Piece::Text("\tGene Expression\n")],
    };

    /// Cell Ranger 2.
    pub const V2: Self = Self {
        extension: "v2",
        is_compressed: false,
        features: "genes.tsv",
        feature: &[Piece::Name, Piece::Text("\t"), Piece::Name, Piece::Text("\n")],
    };

    fn member(
        &self,
        selection: &Selection,
        name: &'static str,
        file: VirtualFile,
    ) -> Result<(String, VirtualFile)> {
        if !self.is_compressed {
            return Ok((name.to_owned(), file));
        }
        let key = Key { what: name, rows: selection.rows() };
        let crc32 = crc32(selection.array(), key, file.clone());
        Ok((format!("{name}.gz"), gzip::stored(file, crc32)?))
    }
}

/// The names of the cells, and of the features.
fn names(selection: &Selection) -> Result<[Axis; 2]> {
    let names = selection.names()?;
    let all_rows = selection.array().metadata.shape().rows();
    let columns = selection.shape().columns();
    let all_columns = Rows::all(columns);
    // Readers treat an empty name as a missing one.
    let filled = |axis_names: Arc<AxisNames>, word, count| match axis_names.has_empty() {
        true => Arc::new(axis_names.filled(word, index_width(count))),
        false => axis_names,
    };
    let rows = match names.rows {
        Some(rows) => Axis::known(filled(rows, "row_", all_rows), selection.rows()),
        None => Axis::numbered("row_", all_rows, selection.rows()),
    };
    let columns = match names.columns {
        Some(axis_names) => Axis::known(filled(axis_names, "column_", columns), all_columns),
        None => Axis::numbered("column_", columns, all_columns),
    };
    Ok([rows, columns])
}

fn lines(names: Axis, pieces: &'static [Piece]) -> Result<VirtualFile> {
    let lines = NameLines::new(names, pieces);
    let length = lines.length();
    VirtualFile::new([Extent::Generated { content: Arc::new(lines), length }])
}

impl TenX {
    fn members(&self, selection: &Selection, part: Part) -> Result<Members> {
        if !self.offers(selection, part) {
            return Err(Error::not_found(&selection.array().path));
        }
        let [cells, features] = names(selection)?;
        let matrix = matrix_market(selection, Layout::MATRIX_MARKET.transposed())?;
        Ok(Members::new([
            self.member(selection, "barcodes.tsv", lines(cells, &[Piece::Name, Piece::Text("\n")])?)?,
            self.member(selection, self.features, lines(features, self.feature)?)?,
            self.member(selection, "matrix.mtx", matrix)?,
        ]))
    }
}

impl Format for TenX {
    fn extension(&self) -> &'static str {
        self.extension
    }

    fn name(&self) -> &'static str {
        "10x"
    }

    fn is_directory(&self) -> bool {
        true
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let is_whole = part.component == Component::TenX && part.of == Region::Whole;
        is_whole && market_length_of(selection).is_some() && super::has_countable_axes(selection)
    }

    fn about(&self) -> &'static str {
        "10x Genomics' folder: `scanpy.read_10x_mtx`, `Seurat::Read10X`"
    }

    fn is_listed(&self, part: Part) -> bool {
        part.component == Component::TenX && self.extension.is_empty()
    }

    fn render(&self, selection: &Selection, part: Part) -> Result<Rendered> {
        self.members(selection, part).map(Rendered::Directory)
    }

    #[cfg(feature = "verify")]
    fn verify(&self, shown: &Shown<'_>) -> Verified {
        verify::verify(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::text::testing::{sparse, text, whole};

    const PART: Part = Part { component: Component::TenX, of: Region::Whole };

    fn member(members: &Members, name: &str) -> VirtualFile {
        members.get(members.child(None, name).unwrap()).unwrap().file.unwrap()
    }

    #[test]
    fn files_are_exact() {
        let (_dir, selection) = sparse([2, 3], &[1.5, -2.0], &[2, 0], &[0, 1, 2]);
        let members = TenX::V2.members(&selection, PART).unwrap();
        assert_eq!(text(&member(&members, "barcodes.tsv")), "row_0\nrow_1\n");
        let genes = "column_0\tcolumn_0\ncolumn_1\tcolumn_1\ncolumn_2\tcolumn_2\n";
        assert_eq!(text(&member(&members, "genes.tsv")), genes);
        let matrix = "%%MatrixMarket matrix coordinate real general\n3 2 2\n3 1 1.500000000e+00\n1 2 -2.00000000e+00\n";
        assert_eq!(text(&member(&members, "matrix.mtx")), matrix);

        let members = TenX::V3.members(&selection, PART).unwrap();
        let compressed = whole(&member(&members, "matrix.mtx.gz"));
        assert_eq!(&compressed[15..compressed.len() - 8], matrix.as_bytes());
        let crc = crc32fast::hash(matrix.as_bytes()).to_le_bytes();
        assert_eq!(compressed[compressed.len() - 8..][..4], crc);
        let features = genes.replace('\n', "\tGene Expression\n");
        let compressed = whole(&member(&members, "features.tsv.gz"));
        assert_eq!(&compressed[15..compressed.len() - 8], features.as_bytes());
    }
}
