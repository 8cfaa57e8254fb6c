use nixpy_nix::signing::SecretKey;
use nixpy_testkit::store::{FakePath, FakeStore, Item};

use super::*;
use crate::stored::info_of;

mod folder;
mod http;

/// A program, what it needs, and a key that signs both.
pub(super) struct Given {
    _store: FakeStore,
    pub(super) app: FakePath,
    pub(super) paths: Vec<PathInfo>,
    pub(super) key: SecretKey,
    pub(super) settings: CacheSettings,
}

pub(super) fn given() -> Given {
    let mut store = FakeStore::in_place();
    let libc = store.add(
        Item::named("libc")
            .file("lib/libc.so", "libc")
            .refers_to_itself(),
    );
    // Which no compressor makes smaller, as what is worth asking for.
    let mut state = 7_u32;
    let noise = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let large: Vec<u8> = (0..3 << 20).map(noise).collect();
    let app = Item::named("app")
        .executable("bin/app", large)
        .references([&libc]);
    let app = store.add(app);
    let key = SecretKey::generate("test-1").unwrap();
    let mut paths = vec![info_of(&libc), info_of(&app)];
    for info in &mut paths {
        info.signatures.push(key.sign(info));
    }
    let settings = CacheSettings {
        public_keys: vec![key.public()],
        ..CacheSettings::default()
    };
    Given {
        _store: store,
        app,
        paths,
        key,
        settings,
    }
}
