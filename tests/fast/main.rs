//! Stub.
#[test] fn stub() {}
