//! See `nixpy_nix::fuzzing::path_info`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    nixpy_nix::fuzzing::path_info(data);
});
