//! See `nixpy_oci::fuzzing::stored`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    nixpy_oci::fuzzing::stored(data);
});
