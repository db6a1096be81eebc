//! Compact storage for the recipes of very many inode ranges.

/// A value that usually fits in a few bytes.
pub trait Packable: Sized {
    /// Appends its encoding. Returns false if it has none.
    fn pack(&self, bytes: &mut Vec<u8>) -> bool;

    /// Decodes these bytes.
    fn unpack(bytes: &[u8]) -> Option<Self>;
}

/// Bytes that are kept without memory of their own.
const FEW: usize = 14;

/// Something in few bytes, or as it is where these are too few.
#[derive(Debug)]
pub enum Packed<T> {
    /// The first so many of these bytes.
    Few(u8, [u8; FEW]),
    /// As it is.
    Whole(Box<T>),
}

impl<T: Packable + Clone> Packed<T> {
    /// Packs it.
    pub fn new(what: T) -> Self {
        let (mut packed, mut few) = (Vec::with_capacity(FEW), [0; FEW]);
        let is_packed = what.pack(&mut packed);
        match (few.get_mut(..packed.len()), u8::try_from(packed.len())) {
            (Some(bytes), Ok(length)) if is_packed => {
                bytes.copy_from_slice(&packed);
                Self::Few(length, few)
            }
            _ => Self::Whole(Box::new(what)),
        }
    }

    /// The packed value.
    pub fn get(&self) -> T {
        match self {
            Self::Few(length, bytes) => bytes
                .get(..usize::from(*length))
                .and_then(T::unpack)
                .expect("what was packed can be unpacked"),
            Self::Whole(what) => T::clone(what),
        }
    }
}

/// Appends a number: seven bits in each byte, the lowest first, the last byte without the highest bit.
pub fn pack_number(mut number: u64, bytes: &mut Vec<u8>) {
    loop {
        let low = (number & 0x7F) as u8;
        number >>= 7;
        if number == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

/// Takes a number off the front.
pub fn unpack_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7F).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        let numbers = [0, 1, 127, 128, 300, 1 << 53, u64::MAX];
        let mut bytes = Vec::new();
        numbers.iter().for_each(|number| pack_number(*number, &mut bytes));
        let mut rest = &bytes[..];
        assert_eq!(numbers.map(|_| unpack_number(&mut rest).unwrap()), numbers);
        assert_eq!(unpack_number(&mut rest), None);
        assert_eq!(unpack_number(&mut &[0x80; 20][..]), None);
    }

    impl Packable for String {
        fn pack(&self, bytes: &mut Vec<u8>) -> bool {
            bytes.extend_from_slice(self.as_bytes());
            !self.starts_with('!')
        }

        fn unpack(bytes: &[u8]) -> Option<Self> {
            Self::from_utf8(bytes.to_vec()).ok()
        }
    }

    #[test]
    fn what_was_packed_reads_back_whether_it_fits_or_not() {
        let texts = ["", "a", "fourteen bytes", "fifteen bytes..", "!", &"long".repeat(1000)];
        for text in texts {
            let packed = Packed::new(text.to_owned());
            assert_eq!(packed.get(), text);
            let is_few = text.len() <= FEW && text != "!";
            assert_eq!(matches!(packed, Packed::Few(..)), is_few, "{text}");
        }
        assert_eq!(std::mem::size_of::<Packed<String>>(), 16);
    }
}
