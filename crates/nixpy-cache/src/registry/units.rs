//! What goes into which blob, and which blob into which pack.

use std::cmp::Reverse;
use std::collections::HashMap;

use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;

/// Larger archives are blobs of their own.
const SMALL: u64 = 1 << 20;
/// Archives of small paths are gathered up to this many bytes, uncompressed.
const GATHERED: u64 = 8 << 20;
/// A pack is closed when it has so much, uncompressed, or so many paths: what an interruption
/// costs, and how long others wait, against requests.
const PACK_BYTES: u64 = 256 << 20;
const PACK_PATHS: usize = 1_000;
/// It is closed as well when its document has so many bytes, as estimated by what its paths
/// refer to: readers take none of more than 8 MiB.
const PACK_TEXT: usize = 2 << 20;
const NARINFO_ALONE: usize = 600;
const REFERENCE: usize = 64;
/// What one blob is made of.
pub(super) struct Unit {
    pub(super) pack: usize,
    pub(super) paths: Vec<PathInfo>,
    bytes: u64,
}

/// What goes into one blob, and into which pack; the largest of a pack first. Also the number
/// of packs.
pub(super) fn units(paths: Vec<PathInfo>) -> (Vec<Unit>, usize) {
    let mut units: Vec<Unit> = Vec::new();
    let (mut pack, mut bytes, mut count, mut text) = (0, 0, 0, 0);
    let mut gathered: Option<Unit> = None;
    for info in paths {
        if count == PACK_PATHS || bytes >= PACK_BYTES || text >= PACK_TEXT {
            units.extend(gathered.take());
            (pack, bytes, count, text) = (pack + 1, 0, 0, 0);
        }
        let size = info.nar_size;
        bytes += size;
        count += 1;
        text += NARINFO_ALONE + REFERENCE * info.references.len();
        if size > SMALL {
            units.push(Unit {
                pack,
                paths: vec![info],
                bytes: size,
            });
            continue;
        }
        let unit = gathered.get_or_insert_with(|| Unit {
            pack,
            paths: Vec::new(),
            bytes: 0,
        });
        unit.paths.push(info);
        unit.bytes += size;
        if unit.bytes >= GATHERED {
            units.extend(gathered.take());
        }
    }
    units.extend(gathered);
    units.sort_by_key(|unit| (unit.pack, Reverse(unit.bytes)));
    (units, pack + 1)
}

/// References before referrers, whatever the order was.
pub(super) fn in_order(paths: Vec<PathInfo>) -> Vec<PathInfo> {
    let mut left: HashMap<StorePath, PathInfo> = HashMap::new();
    let names: Vec<StorePath> = paths.iter().map(|info| info.path.clone()).collect();
    left.extend(paths.into_iter().map(|info| (info.path.clone(), info)));
    let mut ordered = Vec::new();
    for name in names {
        let mut stack: Vec<(PathInfo, usize)> =
            left.remove(&name).map(|it| (it, 0)).into_iter().collect();
        while let Some((info, looked)) = stack.last_mut() {
            match info.references.get(*looked) {
                Some(reference) => {
                    *looked += 1;
                    let reference = left.remove(reference);
                    stack.extend(reference.map(|info| (info, 0)));
                }
                None => ordered.extend(stack.pop().map(|(info, _)| info)),
            }
        }
    }
    ordered
}
