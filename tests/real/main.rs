//! Stub.
#[test]
fn stub() {}
