//! See `nixpy_pipeline::fuzzing::conf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    nixpy_pipeline::fuzzing::conf(data);
});
