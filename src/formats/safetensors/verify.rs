//! Verifies `.safetensors`. The reference crate `safetensors` parses the header.

use std::io::Read;

use safetensors::tensor::{Metadata, TensorInfo};

use crate::array::selection::{Component, Part};
use crate::oracle::compare;
use crate::oracle::expect;
use crate::oracle::expect_end;
use crate::oracle::{Mismatch, Shown, Verified};
use crate::oracle::{Numbers, numbers};

/// The longest header that the format allows, in bytes.
const LONGEST: u64 = 100_000_000;

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let mut file = shown.file()?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST.min(file.len()) {
        return Err(Mismatch(format!("a header of {length} bytes")));
    }
    let mut header = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact(&mut header)?;
    // Deserialization also checks that the tensors are contiguous.
    let header: Metadata = serde_json::from_slice(&header)?;
    let components: &[Component] = match shown.part.component {
        Component::Matrix => &[Component::Data, Component::Indices, Component::Indptr],
        Component::Array => &[Component::Array],
        _ => &[Component::Dense],
    };
    expect("tensors", &header.offset_keys().len(), &components.len())?;
    for name in header.offset_keys() {
        let component = components.iter().find(|component| component.name() == name);
        let component = *component.ok_or_else(|| Mismatch(format!("a tensor {name}")))?;
        let numbers = numbers(shown.selection, Part { component, ..shown.part })?;
        if let Some(info) = header.info(&name) {
            expect_info(info, &numbers)?;
        }
        compare(&mut file, numbers)?;
    }
    if shown.part.component == Component::Matrix {
        let about = header.metadata().as_ref();
        let shape = about.and_then(|about| serde_json::from_str::<Vec<u64>>(about.get("shape")?).ok());
        expect("shape", &shape, &Some(shown.selection.shape().axes()))?;
    }
    expect_end(&mut file)
}

fn expect_info(info: &TensorInfo, numbers: &Numbers<'_>) -> Verified {
    let shape: Vec<u64> = info.shape.iter().map(|axis| *axis as u64).collect();
    expect("shape", &shape, &numbers.shape)?;
    // The crate's names: BOOL, I8, U16, F32, and so on.
    let name = numbers.dtype.name();
    let expected = match name {
        "bool" => "BOOL".to_owned(),
        _ => name.replace("uint", "U").replace("int", "I").replace("float", "F"),
    };
    expect("dtype", &format!("{:?}", info.dtype), &expected)
}
