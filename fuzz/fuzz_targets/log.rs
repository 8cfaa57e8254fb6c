//! See `nixpy_nix::fuzzing::log`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    nixpy_nix::fuzzing::log(data);
});
