//! `.npy`, its header read by `npyz`.

use std::io::Read;

use npyz::{NpyHeader, Order};

use super::raw::compare;
use super::reader::expect_end;
use super::truth::{Numbers, numbers};
use super::{Fault, Shown, Verified};
use crate::part::{Part, Thing};

pub(super) fn verify(shown: &Shown<'_>) -> Verified {
    let mut file = shown.file()?;
    match shown.part.thing {
        Thing::Transposed => {
            let stored = Part { thing: Thing::Array, ..shown.part };
            let mut numbers = numbers(shown.selection, stored)?;
            numbers.shape.reverse();
            verify_array(&mut file, numbers, Order::Fortran)
        }
        _ => verify_array(&mut file, numbers(shown.selection, shown.part)?, Order::C),
    }
}

/// An array of these numbers, and nothing after it.
pub(super) fn verify_array(file: &mut dyn Read, numbers: Numbers<'_>, order: Order) -> Verified {
    let header = NpyHeader::from_reader(&mut *file)?;
    expect("dtype", &header.dtype().descr(), &format!("'{}'", numbers.dtype.descr()))?;
    expect("shape", header.shape(), &numbers.shape[..])?;
    // Along one axis both orders are the same.
    if numbers.shape.len() > 1 {
        expect("order", &header.order(), &order)?;
    }
    compare(file, numbers)?;
    expect_end(file)
}

pub(super) fn expect<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    found: &T,
    expected: &T,
) -> Verified {
    match found == expected {
        true => Ok(()),
        false => Err(Fault(format!("{what}: expected {expected:?}, found {found:?}"))),
    }
}
