use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use tempfile::TempDir;

use crate::array::selection::Selection;
use crate::array::selection::tests::whole;
use crate::array::stored_array::StoredArray;
use crate::bytes::virtual_file::VirtualFile;
use crate::error::Error;
use crate::store::Store;

/// A matrix of float32 with these elements in each row: a column (uint16) and a value.
fn matrix(rows: &[Vec<(u16, f32)>], columns: u64) -> (TempDir, Selection) {
    let dir = tempfile::tempdir().unwrap();
    let elements = || rows.iter().flatten();
    let mut bound = 0u64;
    let ends = rows.iter().map(|row| {
        bound += row.len() as u64;
        bound
    });
    let indptr: Vec<_> = std::iter::once(0).chain(ends).flat_map(u64::to_le_bytes).collect();
    let yaml = format!(
        "{{version: [1, 0], data_dtype: float32, indices_dtype: uint16, indptr_dtype: uint64, nnz: {}, shape: [{}, {columns}]}}",
        elements().count(),
        rows.len()
    );
    let files = [
        ("yaml", yaml.into_bytes()),
        ("data", elements().flat_map(|(_, value)| value.to_le_bytes()).collect()),
        ("indices", elements().flat_map(|(column, _)| column.to_le_bytes()).collect()),
        ("indptr", indptr),
    ];
    files
        .into_iter()
        .for_each(|(suffix, bytes)| std::fs::write(dir.path().join(format!("x.{suffix}")), bytes).unwrap());
    let store = Arc::new(Store::open(dir.path()).unwrap());
    let array = StoredArray::load(&store, Path::new("x")).unwrap();
    (dir, Selection::whole(Arc::new(array)))
}

/// The expected data, indices and indptr.
fn expected<'r>(rows: impl Iterator<Item = &'r Vec<(u16, f32)>>) -> (Vec<f32>, Vec<u16>, Vec<u64>) {
    let (mut data, mut indices, mut indptr) = (Vec::new(), Vec::new(), vec![0]);
    for row in rows {
        let mut sums = BTreeMap::new();
        row.iter().for_each(|(column, value)| *sums.entry(*column).or_insert(0.0) += value);
        indices.extend(sums.keys());
        data.extend(sums.values());
        indptr.push(data.len() as u64);
    }
    (data, indices, indptr)
}

#[track_caller]
fn check<'r>(
    selection: &Selection,
    rows: impl Iterator<Item = &'r Vec<(u16, f32)>>,
    read: fn(&VirtualFile) -> Vec<u8>,
) {
    let (data, indices, indptr) = expected(rows);
    let found = selection.rising().unwrap().map(|block| (block.shape.elements(), read(&block.bytes)));
    let [(count, found_data), (_, found_indices), (_, found_indptr)] = found;
    assert_eq!(count, data.len() as u64);
    assert_eq!(found_data, data.iter().flat_map(|item| item.to_le_bytes()).collect::<Vec<_>>());
    assert_eq!(found_indices, indices.iter().flat_map(|item| item.to_le_bytes()).collect::<Vec<_>>());
    assert_eq!(found_indptr, indptr.iter().flat_map(|item| item.to_le_bytes()).collect::<Vec<_>>());
}

/// All bytes of a file, from reads that start and end anywhere.
fn in_pieces(file: &VirtualFile) -> Vec<u8> {
    let mut bytes = vec![0xAA; usize::try_from(file.len()).unwrap()];
    for (i, piece) in bytes.chunks_mut(12_347).enumerate() {
        file.read_exact_at(i as u64 * 12_347, piece).unwrap();
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn rows_of_any_order_are_put_in_order(
        rows in proptest::collection::vec(proptest::collection::vec((0u16..12, (0u8..50).prop_map(f32::from)), 0..9), 1..30),
    ) {
        let (_dir, selection) = matrix(&rows, 12);
        check(&selection, rows.iter(), whole);
        if rows.len() > 4 {
            check(&selection.slice(b"1:4").unwrap(), rows[1..4].iter(), whole);
            check(&selection.slice(b"::3").unwrap(), rows.iter().step_by(3), whole);
        }
    }
}

#[test]
fn what_is_in_order_is_the_stores() {
    let rows = [vec![(0, 1.0), (5, 2.0)], vec![], vec![(3, 7.0)]];
    let (_dir, selection) = matrix(&rows, 6);
    for block in selection.rising().unwrap() {
        assert!(block.bytes.whole_source().is_some());
    }
}

/// Rows with these numbers of elements, some of them unsorted.
fn many(lengths: &[u32], is_out_of_order: impl Fn(usize) -> bool) -> Vec<Vec<(u16, f32)>> {
    let column = |at: u32| u16::try_from(at).unwrap();
    let row = |(i, length): (usize, &u32)| {
        let mut row: Vec<_> = (0..*length).map(|at| (column(at), f32::from(column(at % 251)))).collect();
        if is_out_of_order(i) {
            row.reverse();
            let last = row.len() - 1;
            row[last].0 = row[0].0;
        }
        row
    };
    lengths.iter().enumerate().map(row).collect()
}

#[test]
fn blocks_follow_one_another() {
    let lengths: Vec<u32> = (0..200).map(|i| if i % 97 == 5 { 20_000 } else { i * 37 % 300 }).collect();
    for rows in [
        many(&lengths, |i| i % 97 == 5),
        many(&lengths, |i| lengths[i] > 1 && i % 3 == 0),
        many(&lengths, |i| i == 199),
    ] {
        let (_dir, selection) = matrix(&rows, 40_000);
        check(&selection, rows.iter(), in_pieces);
    }
}

#[test]
fn a_column_that_is_none_is_an_error_that_names_the_row() {
    let rows = [vec![], vec![(2, 1.0)], vec![(1, 1.0), (3, 1.0)]];
    let (_dir, selection) = matrix(&rows, 3);
    let error = selection.rising().unwrap_err().to_string();
    assert!(error.contains("in row 2") && error.contains('3'), "{error}");
}

#[test]
fn what_changes_after_it_was_looked_at_is_an_error() {
    let rows = [vec![(2, 1.0), (0, 1.0), (2, 1.0)], vec![(1, 5.0)]];
    let (dir, selection) = matrix(&rows, 3);
    let [data, indices, indptr] = selection.rising().unwrap();
    let indices_now = [2u16, 0, 1, 1].map(u16::to_le_bytes).concat();
    std::fs::write(dir.path().join("x.indices"), indices_now).unwrap();
    for block in [data, indices, indptr] {
        let mut bytes = vec![0; usize::try_from(block.bytes.len()).unwrap()];
        assert!(block.bytes.read_at(0, &mut bytes).is_err());
    }
}

#[test]
fn a_row_that_is_too_long_to_be_sorted_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let count = (1u64 << 20) + 1;
    let yaml = format!(
        "{{version: [1, 0], data_dtype: int8, indices_dtype: int32, indptr_dtype: int64, nnz: {count}, shape: [1, {count}]}}"
    );
    let mut indices: Vec<u8> = (0..u32::try_from(count).unwrap()).flat_map(u32::to_le_bytes).collect();
    std::fs::write(dir.path().join("x.yaml"), yaml).unwrap();
    std::fs::write(dir.path().join("x.indptr"), [0, count].map(u64::to_le_bytes).concat()).unwrap();
    std::fs::write(dir.path().join("x.data"), vec![1; usize::try_from(count).unwrap()]).unwrap();
    let selection = |indices: &[u8]| {
        std::fs::write(dir.path().join("x.indices"), indices).unwrap();
        let store = Arc::new(Store::open(dir.path()).unwrap());
        Selection::whole(Arc::new(StoredArray::load(&store, Path::new("x")).unwrap()))
    };
    assert!(selection(&indices).rising().is_ok());
    indices[..4].copy_from_slice(&[1, 0, 0, 0]);
    let error = selection(&indices).rising().unwrap_err();
    assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains("row 0"), "{error}");
}
