//! Verifies the raw bytes of a part.

use crate::oracle::{Shown, Verified, compare, expect_end, numbers};

pub(crate) fn verify(shown: &Shown<'_>) -> Verified {
    let mut file = shown.file()?;
    compare(&mut file, numbers(shown.selection, shown.part)?)?;
    expect_end(&mut file)
}
