//! See `nixpy_pipeline::fuzzing::nix2container`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    nixpy_pipeline::fuzzing::nix2container(data);
});
