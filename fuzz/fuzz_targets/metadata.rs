//! Any bytes as the metadata of an array: refused, or an array whose sizes are sound and which is written
//! as it was read.
#![no_main]

use arrayfs::daf::metadata::Metadata;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|yaml: &[u8]| {
    let Ok(metadata) = Metadata::parse(yaml) else { return };
    let shape = metadata.shape();
    assert!(shape.rows() > 0 && shape.columns() > 0);
    assert_eq!(shape.rows().checked_mul(shape.columns()), Some(shape.elements()));
    for (suffix, bytes) in metadata.files() {
        assert!(suffix.starts_with('.') && i64::try_from(bytes).is_ok());
    }
    let again = Metadata::parse(metadata.to_yaml().as_bytes()).expect("what was written can be read");
    assert_eq!((again.to_yaml(), again.files()), (metadata.to_yaml(), metadata.files()));
});
