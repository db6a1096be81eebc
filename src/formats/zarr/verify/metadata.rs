//! The expected metadata of groups and arrays, in each version of the format.

use serde_json::{Value, json};

use crate::dtype::Dtype;

/// A version of the format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    Two,
    Three,
}

/// The file and JSON pointer at which to find the shape of a chunk, the type of the elements, and the names
/// of the axes.
pub(super) struct Facts {
    pub chunk: (&'static str, &'static str),
    pub dtype: (&'static str, &'static str),
    pub axes: (&'static str, &'static str),
}

/// Metadata files by name.
type Files = Vec<(&'static str, Value)>;

impl Version {
    /// The metadata of a group.
    pub fn group(self, attributes: &Value) -> Files {
        match self {
            Self::Two => vec![(".zgroup", json!({"zarr_format": 2})), (".zattrs", attributes.clone())],
            Self::Three => {
                let group = json!({"zarr_format": 3, "node_type": "group", "attributes": attributes});
                vec![("zarr.json", group)]
            }
        }
    }

    /// Where the properties of an array are that the verifier cannot know in advance.
    pub const fn facts(self) -> Facts {
        match self {
            Self::Two => Facts {
                chunk: (".zarray", "/chunks"),
                dtype: (".zarray", "/dtype"),
                axes: (".zattrs", "/_ARRAY_DIMENSIONS"),
            },
            Self::Three => Facts {
                chunk: ("zarr.json", "/chunk_grid/configuration/chunk_shape"),
                dtype: ("zarr.json", "/data_type"),
                axes: ("zarr.json", "/dimension_names"),
            },
        }
    }

    /// The name of a type.
    pub const fn dtype(self, dtype: Dtype) -> &'static str {
        match self {
            Self::Two => descr(dtype),
            Self::Three => dtype.name(),
        }
    }

    /// The metadata of an array of numbers.
    pub fn numbers(self, dtype: Dtype, shape: &[u64], chunk: &[u64], axes: &[String]) -> Files {
        if self == Self::Two {
            let attributes = json!({"_ARRAY_DIMENSIONS": axes});
            return vec![(".zarray", two(descr(dtype), shape, chunk, &json!(null))), (".zattrs", attributes)];
        }
        let fill = match dtype {
            Dtype::Bool => json!(false),
            Dtype::Float16 | Dtype::Float32 | Dtype::Float64 => json!(0.0),
            _ => json!(0),
        };
        let codec = json!({"name": "bytes", "configuration": {"endian": "little"}});
        let mut array = three(dtype.name(), shape, chunk, &fill, &codec);
        array["dimension_names"] = json!(axes);
        vec![("zarr.json", array)]
    }

    /// The metadata of `count` names in one chunk. `axis` is the name of its axis, if it has one.
    pub fn text(self, count: u64, axis: Option<&str>) -> Files {
        let mut attributes = json!({"encoding-type": "string-array", "encoding-version": "0.2.0"});
        if self == Self::Two {
            if let Some(axis) = axis {
                attributes["_ARRAY_DIMENSIONS"] = json!([axis]);
            }
            let array = two("|O", &[count], &[count], &json!([{"id": "vlen-utf8"}]));
            return vec![(".zarray", array), (".zattrs", attributes)];
        }
        let codec = json!({"name": "vlen-utf8", "configuration": {}});
        let mut array = three("string", &[count], &[count], &json!(""), &codec);
        array["attributes"] = attributes;
        if let Some(axis) = axis {
            array["dimension_names"] = json!([axis]);
        }
        vec![("zarr.json", array)]
    }

    /// The path of chunk `i`. Chunks are numbered by rows only, because each has all columns.
    pub fn chunk(self, axes: usize, i: u64) -> String {
        match (self, axes) {
            (Self::Two, 2) => format!("{i}.0"),
            (Self::Two, _) => format!("{i}"),
            (Self::Three, 2) => format!("c/{i}/0"),
            (Self::Three, _) => format!("c/{i}"),
        }
    }
}

/// NumPy's names of types, which version 2 uses: byte order, kind and size.
const fn descr(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::Bool => "|b1",
        Dtype::Int8 => "|i1",
        Dtype::Uint8 => "|u1",
        Dtype::Int16 => "<i2",
        Dtype::Uint16 => "<u2",
        Dtype::Int32 => "<i4",
        Dtype::Uint32 => "<u4",
        Dtype::Int64 => "<i8",
        Dtype::Uint64 => "<u8",
        Dtype::Float16 => "<f2",
        Dtype::Float32 => "<f4",
        Dtype::Float64 => "<f8",
    }
}

fn two(dtype: &str, shape: &[u64], chunk: &[u64], filters: &Value) -> Value {
    json!({
        "zarr_format": 2,
        "shape": shape,
        "chunks": chunk,
        "dtype": dtype,
        "compressor": null,
        "fill_value": null,
        "order": "C",
        "filters": filters,
        "dimension_separator": ".",
    })
}

fn three(dtype: &str, shape: &[u64], chunk: &[u64], fill: &Value, codec: &Value) -> Value {
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill,
        "codecs": [codec],
        "attributes": {},
    })
}
