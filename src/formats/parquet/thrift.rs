//! Writing Thrift's compact protocol, as far as Parquet's metadata needs it.
//!
//! Specification: Apache Thrift, "Thrift Compact protocol encoding".

/// Types of fields and of list elements.
#[derive(Clone, Copy)]
pub(super) enum Type {
    True = 1,
    False = 2,
    Byte = 3,
    I32 = 5,
    I64 = 6,
    Binary = 8,
    List = 9,
    Struct = 12,
}

/// Writes structs to a buffer.
#[derive(Default)]
pub(super) struct Writer {
    pub bytes: Vec<u8>,
    /// For each open struct, the number of the last field.
    fields: Vec<u8>,
}

impl Writer {
    /// Begins a struct: the outermost one, or an element of a list.
    pub fn begin(&mut self) {
        self.fields.push(0);
    }

    /// Ends the innermost struct.
    pub fn end(&mut self) {
        self.bytes.push(0);
        self.fields.pop();
    }

    /// Writes the header of a field. Numbers must ascend by at most 15, because only the difference is
    /// encoded.
    fn field(&mut self, number: u8, kind: Type) {
        if let Some(before) = self.fields.last_mut() {
            self.bytes.push((number - *before) << 4 | kind as u8);
            *before = number;
        }
    }

    pub fn bool(&mut self, number: u8, value: bool) {
        self.field(number, if value { Type::True } else { Type::False });
    }

    pub fn byte(&mut self, number: u8, value: u8) {
        self.field(number, Type::Byte);
        self.bytes.push(value);
    }

    pub fn i32(&mut self, number: u8, value: u64) {
        self.field(number, Type::I32);
        self.integer(value);
    }

    pub fn i64(&mut self, number: u8, value: u64) {
        self.field(number, Type::I64);
        self.integer(value);
    }

    pub fn binary(&mut self, number: u8, bytes: &[u8]) {
        self.field(number, Type::Binary);
        self.text(bytes);
    }

    pub fn begin_struct(&mut self, number: u8) {
        self.field(number, Type::Struct);
        self.begin();
    }

    /// Writes a struct without fields.
    pub fn empty_struct(&mut self, number: u8) {
        self.begin_struct(number);
        self.end();
    }

    /// Writes the header of a list, whose elements follow.
    pub fn list(&mut self, number: u8, count: u64, kind: Type) {
        self.field(number, Type::List);
        match u8::try_from(count) {
            Ok(count) if count < 15 => self.bytes.push(count << 4 | kind as u8),
            _ => {
                self.bytes.push(0xF0 | kind as u8);
                self.varint(count);
            }
        }
    }

    /// Writes an integer in zigzag encoding, which doubles non-negative numbers. There are no negative ones
    /// here.
    pub fn integer(&mut self, value: u64) {
        self.varint(value << 1);
    }

    /// Writes a string with its length.
    pub fn text(&mut self, bytes: &[u8]) {
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push((value & 0x7F) as u8);
    }
}

/// Total encoded length in bytes of the `count` integers `first`, `first + step`, and so on.
pub(super) fn integers_length(first: u64, step: u64, count: u64) -> u64 {
    // Each takes one byte, and one more for each power of 128 that its zigzag encoding (its double) reaches.
    let beyond = |bits: u32| {
        let limit = 1u64 << (bits - 1);
        let below = limit.saturating_sub(first).div_ceil(step.max(1)).min(count);
        count - if limit > first { below } else { 0 }
    };
    count + (1..=9).map(|i| beyond(7 * i)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn structs_are_as_in_the_specification() {
        let mut writer = Writer::default();
        writer.begin();
        writer.i32(1, 300);
        writer.bool(3, true);
        writer.begin_struct(4);
        writer.binary(15, b"ab");
        writer.end();
        writer.list(5, 2, Type::I64);
        writer.integer(0);
        writer.integer(1);
        writer.list(6, 15, Type::Byte);
        writer.end();
        let expected =
            [0x15, 0xD8, 4, 0x21, 0x1C, 0xF8, 2, b'a', b'b', 0, 0x19, 0x26, 0, 2, 0x19, 0xF3, 15, 0];
        assert_eq!(writer.bytes, expected);
    }

    proptest! {
        #[test]
        fn lengths_are_those_that_are_written(first in 0u64..1 << 40, low in 0u64..200, step in 1u64..1 << 30, count in 0u64..100) {
            for first in [first, low] {
                let mut writer = Writer::default();
                (0..count).for_each(|i| writer.integer(first + i * step));
                prop_assert_eq!(integers_length(first, step, count), writer.bytes.len() as u64);
            }
        }
    }
}
