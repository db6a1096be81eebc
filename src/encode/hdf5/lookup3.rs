//! The checksum of HDF5 metadata: Bob Jenkins' `hashlittle` from `lookup3.c`, with the initial value 0
//! ("Appendix C. Computing Checksums" of the HDF5 file format specification).

/// The checksum of `bytes`.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    #[allow(clippy::cast_possible_truncation)] // The algorithm takes the length modulo 2^32.
    let start = 0xDEAD_BEEF_u32.wrapping_add(bytes.len() as u32);
    let mut state = [start; 3];
    let mut rest = bytes;
    // The last block, complete or not, is mixed by `finish`.
    while rest.len() > 12 {
        let (block, after) = rest.split_at(12);
        add(&mut state, block);
        mix(&mut state);
        rest = after;
    }
    if rest.is_empty() {
        return state[2];
    }
    add(&mut state, rest);
    finish(&mut state);
    state[2]
}

/// Adds up to 12 bytes as three little-endian words. Missing bytes count as zeros.
fn add(state: &mut [u32; 3], bytes: &[u8]) {
    for (word, piece) in state.iter_mut().zip(bytes.chunks(4)) {
        let mut whole = [0; 4];
        whole[..piece.len()].copy_from_slice(piece);
        *word = word.wrapping_add(u32::from_le_bytes(whole));
    }
}

fn mix([a, b, c]: &mut [u32; 3]) {
    fn step(x: &mut u32, y: &mut u32, z: u32, bits: u32) {
        *x = x.wrapping_sub(*y) ^ y.rotate_left(bits);
        *y = y.wrapping_add(z);
    }
    step(a, c, *b, 4);
    step(b, a, *c, 6);
    step(c, b, *a, 8);
    step(a, c, *b, 16);
    step(b, a, *c, 19);
    step(c, b, *a, 4);
}

fn finish([a, b, c]: &mut [u32; 3]) {
    fn step(x: &mut u32, y: u32, bits: u32) {
        *x = (*x ^ y).wrapping_sub(y.rotate_left(bits));
    }
    step(c, *b, 14);
    step(a, *c, 11);
    step(b, *a, 25);
    step(c, *b, 16);
    step(a, *c, 4);
    step(b, *a, 14);
    step(c, *b, 24);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_lookup3() {
        // From the self-test of lookup3.c (`driver5`), with the initial value 0.
        assert_eq!(checksum(b""), 0xDEAD_BEEF);
        assert_eq!(checksum(b"Four score and seven years ago"), 0x1777_0551);
    }

    #[test]
    fn checksums_are_those_that_hdf5_writes() {
        // Superblock and group header of a file written by the HDF5 library.
        let superblock = *b"\x89HDF\r\n\x1a\n\x02\x08\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\
            \xff\xff\xff\xff\xff\xff\xff\xff\xa2\x22\x00\x00\x00\x00\x00\x00\x30\x00\x00\x00\x00\x00\x00\x00";
        assert_eq!(checksum(&superblock), 0xE57D_6105);
        let continuation =
            *b"OCHK\x10\x10\x00\x00\x4b\x04\x00\x00\x00\x00\x00\x00\x2e\x00\x00\x00\x00\x00\x00\x00\
            \x06\x0c\x00\x00\x01\x00\x01\x62\xcb\x00\x00\x00\x00\x00\x00\x00\x00\x00";
        assert_eq!(checksum(&continuation), 0x0AA1_E6F0);
    }

    #[test]
    fn every_length_of_the_last_block_counts() {
        let bytes: Vec<u8> = (1..=40).collect();
        let mut found: Vec<u32> = (0..=40).map(|length| checksum(&bytes[..length])).collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 41);
    }
}
