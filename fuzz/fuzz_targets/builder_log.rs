//! See `nixpy_pipeline::fuzzing::builder_log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    nixpy_pipeline::fuzzing::builder_log(data);
});
