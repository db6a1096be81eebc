//! One row as a line of text: its elements, commas between them, and a newline.
//!
//! Every number is the shortest decimal that reads back to the same bits; bool is 0 and 1. What is no
//! number reads `NaN`, `Inf` and `-Inf`, as NumPy, pandas and R all understand.

use std::fmt::Write;

use half::f16;

use super::View;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::part::{Part, Scope, Selection, Thing};
use crate::vfile::VirtualFile;

pub(super) struct Csv;

/// The widest row that is offered as text, in elements: the text is made whole, to know its size.
const WIDEST: u64 = 1 << 20;

impl View for Csv {
    fn format(&self) -> &'static str {
        "csv"
    }

    fn offers(&self, selection: &Selection, part: Part) -> bool {
        let row = matches!(part.of, Scope::Row(_)) && matches!(part.thing, Thing::Array | Thing::Dense);
        row && selection.shape().columns() <= WIDEST
    }

    fn about(&self) -> &'static str {
        "text with commas: spreadsheets, `cut`, `pandas.read_csv`, `data.table::fread` in R"
    }

    fn file(&self, selection: &Selection, part: Part) -> Result<VirtualFile> {
        if !self.offers(selection, part) {
            return Err(Error::not_found(&selection.array().path));
        }
        let block = selection.block(part)?;
        let mut bytes = vec![0; usize::try_from(block.bytes.len()).unwrap_or(usize::MAX)];
        block.bytes.read_at(0, &mut bytes)?;
        Ok(VirtualFile::literal(line(block.dtype, &bytes).into_bytes()))
    }
}

fn line(dtype: Dtype, bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    macro_rules! write_all {
        ($t:ty, $write:expr) => {
            for item in bytes.as_chunks().0 {
                $write(&mut text, <$t>::from_le_bytes(*item));
                text.push(',');
            }
        };
    }
    fn integer(text: &mut String, value: impl std::fmt::Display) {
        write!(text, "{value}").expect("a string takes whatever is written");
    }
    match dtype {
        Dtype::Bool => write_all!(u8, |text: &mut String, value| integer(text, u8::from(value != 0))),
        Dtype::Int8 => write_all!(i8, integer),
        Dtype::Int16 => write_all!(i16, integer),
        Dtype::Int32 => write_all!(i32, integer),
        Dtype::Int64 => write_all!(i64, integer),
        Dtype::Uint8 => write_all!(u8, integer),
        Dtype::Uint16 => write_all!(u16, integer),
        Dtype::Uint32 => write_all!(u32, integer),
        Dtype::Uint64 => write_all!(u64, integer),
        Dtype::Float16 => write_all!(f16, |text: &mut String, value| float(text, f16::to_f32(value))),
        Dtype::Float32 => write_all!(f32, float),
        Dtype::Float64 => write_all!(f64, float),
    }
    text.pop();
    text.push('\n');
    text
}

/// The shortest decimal that reads back the same; always with a point or an exponent, so that no
/// reader takes it for an integer and loses the sign of -0.0.
fn float<T: std::fmt::Debug + Into<f64> + Copy>(text: &mut String, value: T) {
    let wide: f64 = value.into();
    if wide.is_nan() {
        text.push_str("NaN");
    } else if wide.is_infinite() {
        text.push_str(if wide > 0.0 { "Inf" } else { "-Inf" });
    } else {
        write!(text, "{value:?}").expect("a string takes whatever is written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_exact() {
        let floats =
            [1.5f32, -0.0, 0.1, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN_POSITIVE, f32::MAX];
        let bytes = floats.map(f32::to_le_bytes).concat();
        assert_eq!(line(Dtype::Float32, &bytes), "1.5,-0.0,0.1,NaN,Inf,-Inf,1.1754944e-38,3.4028235e38\n");
        assert_eq!(line(Dtype::Int16, &[0xFF, 0xFF, 7, 0]), "-1,7\n");
        assert_eq!(line(Dtype::Uint64, &[0xFF; 8]), "18446744073709551615\n");
        assert_eq!(line(Dtype::Bool, &[0, 1, 2]), "0,1,1\n");
        assert_eq!(line(Dtype::Float16, &[0x66, 0x2E]), "0.099975586\n");
    }

    #[test]
    fn every_float16_reads_back_to_its_bits() {
        for bits in 0..=u16::MAX {
            let value = f16::from_bits(bits);
            let text = line(Dtype::Float16, &bits.to_le_bytes());
            let back = f16::from_f64(text.trim_end().parse::<f64>().unwrap());
            assert!(back.to_bits() == bits || value.is_nan() && back.is_nan(), "{bits:#x} {text}");
        }
    }
}
