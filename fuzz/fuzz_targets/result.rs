//! See `nixpy_pipeline::fuzzing::result`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    nixpy_pipeline::fuzzing::result(data);
});
