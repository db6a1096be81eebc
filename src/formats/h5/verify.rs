//! Verifies `.h5`: the expected HDF5 tree of an array, of a sparse matrix, and of Cell Ranger's matrix.

use crate::array::selection::{Component, Part, Selection};
use crate::dtype::Dtype;
use crate::error::shown as in_words;
use crate::oracle::hdf5::{self, Body, Node, Value};
use crate::oracle::{Called, MatrixNames};
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{Numbers, known_to_scipy, numbers};

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let names = MatrixNames::of(shown.selection)?;
    let root = match shown.part.component {
        Component::TenX => Node::group([("matrix", cell_ranger(shown.selection, &names)?)]),
        component => {
            let content = if component == Component::Matrix { "matrix" } else { "array" };
            let root = Node::group([(content, matrix(shown)?)]);
            with_names(facts(shown.selection, root), &names)
        }
    };
    hdf5::verify(shown, root)
}

/// The numbers as AnnData stores them: one dataset, or a group of three.
pub(crate) fn matrix<'s>(shown: &Shown<'s>) -> Result<Node<'s>, Mismatch> {
    if shown.part.component != Component::Matrix {
        return Ok(Node::numbers(numbers(shown.selection, shown.part)?).encoded("array", "0.2.0"));
    }
    let shape = shown.selection.shape().axes().into_iter().map(i64::try_from).collect::<Result<_, _>>()?;
    let group = Node::group(csr(shown.selection)?).encoded("csr_matrix", "0.1.0");
    Ok(group.with("shape", Value::Integers(shape)))
}

fn csr(selection: &Selection) -> Result<[(&'static str, Node<'_>); 3], Mismatch> {
    let of = |component| numbers(selection, Part { component, of: crate::array::selection::Region::Whole });
    Ok([
        ("data", Node::numbers(known_to_scipy(of(Component::Data)?))),
        ("indices", Node::counts(of(Component::Indices)?)),
        ("indptr", Node::counts(of(Component::Indptr)?)),
    ])
}

/// The attributes of the root about the array and its rows.
fn facts<'s>(selection: &Selection, root: Node<'s>) -> Node<'s> {
    let root = root.with("name", Value::Text(in_words(&selection.array().path)));
    if selection.is_whole() {
        return root;
    }
    let rows = selection.rows();
    let facts = [
        ("rows_of", selection.array().metadata.shape().rows()),
        ("rows_start", rows.row(0)),
        ("rows_step", rows.step()),
    ];
    let integer = |number: u64| Value::Integer(number.try_into().unwrap_or(i64::MAX));
    facts.into_iter().fold(root, |root, (name, number)| root.with(name, integer(number)))
}

fn with_names<'s>(mut root: Node<'s>, names: &'s MatrixNames) -> Node<'s> {
    for (name, axis) in [("row_names", &names.rows), ("column_names", &names.columns)] {
        if axis.in_cells().is_some()
            && let Body::Group(children) = &mut root.body
        {
            children.push((name, text(axis)));
        }
        if let Some(why) = axis.left_out() {
            root = root.with(name, Value::Text(why));
        }
    }
    root
}

fn text(axis: &Called) -> Node<'_> {
    Node::text(axis.count, |i| axis.cell(i)).encoded("string-array", "0.2.0")
}

/// The names of an axis. If they are left out, their numbers, with an attribute that says why.
pub(crate) fn names_or_numbers(axis: &Called) -> Node<'_> {
    match axis.left_out() {
        Some(why) => text(axis).with("names", Value::Text(why)),
        None => text(axis),
    }
}

fn cell_ranger<'s>(selection: &'s Selection, names: &'s MatrixNames) -> Result<Node<'s>, Mismatch> {
    let columns = names.columns.count;
    let word = |word: &'static str| {
        Node::text(columns, move |_| word.as_bytes().to_vec()).encoded("string-array", "0.2.0")
    };
    let features = Node::group([
        ("feature_type", word("Gene Expression")),
        ("genome", word("unknown")),
        ("id", names_or_numbers(&names.columns)),
        ("name", names_or_numbers(&names.columns)),
    ]);
    let shape = [columns, names.rows.count].map(u64::to_le_bytes).concat();
    let pieces = Box::new(std::iter::once(Ok(shape)));
    let shape = Numbers { dtype: Dtype::Uint64, shape: vec![2], pieces };
    let others =
        [("barcodes", names_or_numbers(&names.rows)), ("features", features), ("shape", Node::counts(shape))];
    // A second copy for readers that decode HDF5 strings as ASCII.
    let wide = [("barcodes", &names.rows), ("id", &names.columns), ("name", &names.columns)];
    let wide: Vec<_> = wide
        .into_iter()
        .filter(|(_, axis)| !axis.is_ascii())
        .map(|(name, axis)| (name, Node::wide(axis.count, |i| axis.cell(i)).encoded("string-array", "0.2.0")))
        .collect();
    let wide = (!wide.is_empty()).then(|| ("wide", Node::group(wide)));
    Ok(Node::group(csr(selection)?.into_iter().chain(others).chain(wide)))
}
