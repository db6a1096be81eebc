//! Verifies `.zarr` and `.v2.zarr` according to the Zarr specifications: arrays in chunks of whole rows,
//! AnnData's group of a sparse matrix, and groups for xarray.

mod chunks;
mod metadata;

use std::io::{self, Read};

use serde_json::{Map, Value, json};

use crate::array::selection::{Component, Part};
use crate::dtype::Dtype;
use crate::oracle::Files;
use crate::oracle::compare_as;
use crate::oracle::expect;
use crate::oracle::{Called, MatrixNames};
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{Numbers, known_to_scipy, numbers};
use crate::oracle::{expect_end, read_word};
use chunks::Chunks;
use metadata::Version;

/// `.zarr`: an array, or AnnData's group.
pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    verify_version(shown, Version::Three)
}

/// `.v2.zarr`: the same in version 2.
pub(crate) fn verify_v2(shown: &Shown<'_>) -> Verified {
    verify_version(shown, Version::Two)
}

fn verify_version(shown: &Shown<'_>, version: Version) -> Verified {
    let tree = Tree { files: Files::of(shown)?, shown, version };
    match shown.part.component {
        Component::Matrix => tree.verify_anndata()?,
        component => {
            let axes = tree.verify_array("", numbers(shown.selection, shown.part)?)?;
            if !matches!(component, Component::Array | Component::Dense) {
                expect("name of the axis", &axes[..], &[component.name().to_owned()][..])?;
            }
        }
    }
    tree.files.expect_no_others()
}

/// `.xarray.zarr`: a group of an array, and of names if there are any.
pub(crate) fn verify_dataset(shown: &Shown<'_>) -> Verified {
    let tree = Tree { files: Files::of(shown)?, shown, version: Version::Three };
    let names = MatrixNames::of(shown.selection)?;
    let (name, numbers) = (shown.part.component.name(), numbers(shown.selection, shown.part)?);
    let axes = tree.verify_array(name, numbers)?;
    let mut nodes = vec![name.to_owned()];
    for (axis, names) in axes.into_iter().zip([&names.rows, &names.columns]) {
        if names.name(0).is_some() {
            tree.verify_names(&axis, names, Some(&axis))?;
            nodes.push(axis);
        }
    }
    tree.verify_group("", &json!({}))?;
    tree.verify_consolidated(&nodes)?;
    tree.files.expect_no_others()
}

/// The nodes below one directory.
struct Tree<'a> {
    files: Files<'a>,
    shown: &'a Shown<'a>,
    version: Version,
}

impl Tree<'_> {
    fn verify_anndata(&self) -> Verified {
        let selection = self.shown.selection;
        let names = MatrixNames::of(selection)?;
        self.verify_csr()?;
        let shape = selection.shape().axes();
        let csr = json!({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape});
        self.verify_group("X", &csr)?;
        let table = json!({
            "encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index", "column-order": [],
        });
        for (name, names) in [("obs", &names.rows), ("var", &names.columns)] {
            self.verify_group(name, &table)?;
            self.verify_names(&format!("{name}/_index"), names, None)?;
        }
        self.verify_group("", &json!({"encoding-type": "anndata", "encoding-version": "0.1.0"}))?;
        let nodes = ["X", "X/data", "X/indices", "X/indptr", "obs", "obs/_index", "var", "var/_index"];
        self.verify_consolidated(&nodes.map(str::to_owned))
    }

    /// Verifies the three arrays. SciPy counts in int32 or int64, and needs the same type for `indices` and
    /// `indptr`.
    fn verify_csr(&self) -> Verified {
        const COUNTS: [Dtype; 2] = [Dtype::Int32, Dtype::Int64];
        let of = |component| numbers(self.shown.selection, Part { component, ..self.shown.part });
        let verify = |component: Component, numbers, dtypes: &[Dtype]| {
            let (axes, dtype) = self.verify_array_as(&format!("X/{}", component.name()), numbers, dtypes)?;
            expect("name of the axis", &axes[..], &[component.name().to_owned()][..])?;
            Ok::<_, Mismatch>(dtype)
        };
        let data = known_to_scipy(of(Component::Data)?);
        let (dtype, count) = (data.dtype, data.count());
        verify(Component::Data, data, &[dtype])?;
        let indices = verify(Component::Indices, of(Component::Indices)?, &COUNTS)?;
        let indptr = verify(Component::Indptr, of(Component::Indptr)?, &COUNTS)?;
        match i32::try_from(count) {
            Ok(_) => expect("type of indptr", &indptr, &indices),
            Err(_) => Ok(()),
        }
    }

    fn json(&self, path: &str, name: &str) -> Result<Value, Mismatch> {
        Ok(serde_json::from_slice(&self.files.read(&in_folder(path, name))?)?)
    }

    /// Verifies the metadata files of a node.
    fn expect_metadata(&self, path: &str, expected: Vec<(&str, Value)>) -> Verified {
        for (name, expected) in expected {
            let mut found = self.json(path, name)?;
            if name == "zarr.json" && path.is_empty() {
                // Consolidated metadata is verified on its own, in `verify_consolidated`.
                found.as_object_mut().map(|found| found.remove("consolidated_metadata"));
            }
            expect(&format!("metadata {name} of {path}"), &found, &expected)?;
        }
        Ok(())
    }

    fn verify_group(&self, path: &str, attributes: &Value) -> Verified {
        self.expect_metadata(path, self.version.group(attributes))
    }

    /// Verifies that the root repeats the metadata of these nodes.
    fn verify_consolidated(&self, nodes: &[String]) -> Verified {
        match self.version {
            Version::Three => {
                let nodes = nodes.iter().map(|node| Ok((node.clone(), self.json(node, "zarr.json")?)));
                let metadata = nodes.collect::<Result<Map<_, _>, Mismatch>>()?;
                let expected = json!({"kind": "inline", "must_understand": false, "metadata": metadata});
                expect(
                    "consolidated metadata",
                    &self.json("", "zarr.json")?["consolidated_metadata"],
                    &expected,
                )
            }
            Version::Two => {
                let mut metadata = Map::new();
                for node in nodes.iter().map(String::as_str).chain([""]) {
                    for name in [".zgroup", ".zarray", ".zattrs"].map(|name| in_folder(node, name)) {
                        if self.files.has(&name) {
                            metadata.insert(name.clone(), self.json("", &name)?);
                        }
                    }
                }
                let expected = json!({"zarr_consolidated_format": 1, "metadata": metadata});
                expect("consolidated metadata", &self.json("", ".zmetadata")?, &expected)
            }
        }
    }

    /// Verifies an array of numbers of their own type. Returns the names of its axes.
    fn verify_array(&self, path: &str, numbers: Numbers<'_>) -> Result<Vec<String>, Mismatch> {
        let dtype = numbers.dtype;
        self.verify_array_as(path, numbers, &[dtype]).map(|(axes, _)| axes)
    }

    /// Verifies an array of numbers that may be of any of `dtypes`. Returns the names of its axes, and its
    /// type.
    fn verify_array_as(
        &self,
        path: &str,
        numbers: Numbers<'_>,
        dtypes: &[Dtype],
    ) -> Result<(Vec<String>, Dtype), Mismatch> {
        let shape = numbers.shape.clone();
        let facts = self.version.facts();
        let fact = |(name, place): (&str, &str)| -> Result<Value, Mismatch> {
            let value = self.json(path, name)?.pointer(place).cloned();
            value.ok_or_else(|| Mismatch(format!("{path}: {name} has no {place}")))
        };
        let chunk: Vec<u64> = serde_json::from_value(fact(facts.chunk)?)?;
        let axes: Vec<String> = serde_json::from_value(fact(facts.axes)?)?;
        let found = fact(facts.dtype)?;
        let dtype = dtypes.iter().find(|dtype| self.version.dtype(**dtype) == found);
        let dtype = *dtype.ok_or_else(|| Mismatch(format!("{path}: elements of type {found}")))?;
        self.expect_metadata(path, self.version.numbers(dtype, &shape, &chunk, &axes))?;
        let is_distinct = axes.len() == shape.len()
            && axes.iter().all(|axis| !axis.is_empty())
            && axes.first() != axes.get(1);
        expect("names of axes that differ", &is_distinct, &true)?;
        let open = |i: u64| self.files.open(&in_folder(path, &self.version.chunk(shape.len(), i)));
        let mut chunks = Chunks::new(&shape, &chunk, dtype.itemsize(), &open)?;
        compare_as(&mut chunks, dtype, numbers)?;
        expect_end(&mut chunks)?;
        Ok((axes, dtype))
    }

    /// Verifies a vector of names, or of numbers in their place. `axis` is the name of its axis, if it has
    /// one.
    fn verify_names(&self, path: &str, names: &Called, axis: Option<&str>) -> Verified {
        self.expect_metadata(path, self.version.text(names.count, axis))?;
        let mut file = io::BufReader::new(self.files.open(&in_folder(path, &self.version.chunk(1, 0)))?);
        expect("number of names", &u64::from(read_word(&mut file)?), &names.count)?;
        for i in 0..names.count {
            let expected = names.name(i).map_or_else(|| names.number(i), <[u8]>::to_vec);
            let length = u64::from(read_word(&mut file)?);
            let mut found = Vec::new();
            // Read one byte more than expected, which is enough to detect a longer name.
            (&mut file).take(length.min(expected.len() as u64 + 1)).read_to_end(&mut found)?;
            expect(&format!("name {i} in {path}"), &found, &expected)?;
        }
        expect_end(&mut file)
    }
}

fn in_folder(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}
