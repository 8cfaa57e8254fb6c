//! A service's layers, and what becomes of them.

mod fresh;
mod kept;

use super::fixture::{HERMETIC, closure, path};
use super::*;

const FRESH: Wishes<'static> = Wishes {
    max_layers: 99,
    previous: None,
    lock: None,
};

fn hermetic() -> (StorePath, Closure, Partition) {
    let closure = closure(HERMETIC);
    let output = path("base-api-0.1.0");
    let partition = layers(&output, &closure, FRESH).expect("all paths are known");
    (output, closure, partition)
}
