//! See `nixpy_oci::fuzzing::records`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    nixpy_oci::fuzzing::records(data);
});
