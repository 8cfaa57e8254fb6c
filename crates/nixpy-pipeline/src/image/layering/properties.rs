//! What holds for every closure, and whatever the previous image was.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;

use super::fixture::{built, info, paths, rebuilt};
use super::*;

/// Names by kind; `#` is the place in the closure.
const KINDS: [&str; 8] = [
    "library#-1.2",
    "library#-1.2",
    "glibc-2.40-#",
    "python3-3.12.#",
    "python3.12-wheel#-0.3",
    "wheel#-0.3",
    "python3.12-shop-1.#",
    "shop#-env",
];

/// So many of the kinds are what Python is made of, and Python.
const BELOW_PYTHON: usize = 4;

/// Each path refers only to earlier ones, Python and what is below it to no packages;
/// the last is the output.
fn closures() -> impl Strategy<Value = (StorePath, Closure)> {
    let node = (
        0..KINDS.len(),
        0..22u32,
        any::<u64>(),
        vec(any::<u16>(), 0..5),
    );
    vec(node, 1..40).prop_map(|nodes| {
        let last = nodes.len() - 1;
        let (mut all, mut below_python): (Vec<StorePath>, Vec<StorePath>) = Default::default();
        let mut closure = Closure::new();
        for (at, (kind, magnitude, size, references)) in nodes.into_iter().enumerate() {
            let is_below = at != last && kind < BELOW_PYTHON;
            let others = if is_below { &below_python } else { &all };
            let other = |which: &u16| others.get(usize::from(*which) % others.len().max(1));
            let mut references: Vec<StorePath> =
                references.iter().filter_map(other).cloned().collect();
            if at == last {
                references.extend(all.iter().rev().step_by(2).cloned());
            }
            let name = match at == last {
                true => "shop-1.0".to_owned(),
                false => KINDS[kind].replace('#', &at.to_string()),
            };
            let path = built(&name, 0);
            all.push(path.clone());
            below_python.extend(is_below.then(|| path.clone()));
            closure.insert(
                path.clone(),
                info(path, size % (1 << magnitude), references),
            );
        }
        (built("shop-1.0", 0), closure)
    })
}

/// Layers of anything: paths that are there, that have gone, and both more than once.
fn nonsense() -> impl Strategy<Value = Vec<Vec<(u16, bool)>>> {
    vec(vec((any::<u16>(), any::<bool>()), 0..6), 0..140)
}

fn previous(nonsense: &[Vec<(u16, bool)>], closure: &Closure) -> Vec<Vec<StorePath>> {
    let known: Vec<&StorePath> = closure.keys().collect();
    let path = |(which, gone): &(u16, bool)| {
        let path = known[usize::from(*which) % known.len()];
        if *gone {
            built(path.name(), 7)
        } else {
            path.clone()
        }
    };
    nonsense
        .iter()
        .map(|layer| layer.iter().map(path).collect())
        .collect()
}

fn made(
    output: &StorePath,
    closure: &Closure,
    max_layers: usize,
    previous: Option<&[Vec<StorePath>]>,
) -> Partition {
    let wishes = Wishes {
        max_layers,
        previous,
        lock: None,
    };
    layers(output, closure, wishes).expect("all paths are known")
}

fn needed(output: &StorePath, closure: &Closure) -> BTreeSet<StorePath> {
    let mut found = BTreeSet::new();
    let mut todo = vec![output.clone()];
    while let Some(path) = todo.pop() {
        if found.insert(path.clone()) {
            todo.extend(closure[&path].references.iter().cloned());
        }
    }
    found
}

fn is_whole(partition: &Partition, output: &StorePath, closure: &Closure, max_layers: usize) {
    let each: Vec<StorePath> = paths(partition).concat();
    let once: BTreeSet<StorePath> = each.iter().cloned().collect();
    assert_eq!(each.len(), once.len(), "a path lies in two layers");
    assert_eq!(once, needed(output, closure));
    assert!(partition.layers.len() <= max_layers.clamp(1, MAX_LAYERS));
    assert!(partition.layers.iter().all(|layer| !layer.paths.is_empty()));
    let top = partition.layers.last().expect("there is a layer");
    assert_eq!(top.paths.last(), Some(output));
    assert!(
        max_layers < 2 || top.paths.len() == 1,
        "the app is not alone"
    );
    let size: u64 = once.iter().map(|path| closure[path].nar_size).sum();
    assert_eq!(
        partition
            .layers
            .iter()
            .map(|layer| layer.nar_size)
            .sum::<u64>(),
        size
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_path_lies_in_one_layer((output, closure) in closures(), max in 0..130usize) {
        is_whole(&made(&output, &closure, max, None), &output, &closure, max);
    }

    #[test]
    fn no_previous_image_breaks_that(
        (output, closure) in closures(), nonsense in nonsense(), max in 0..130usize,
    ) {
        let previous = previous(&nonsense, &closure);
        is_whole(&made(&output, &closure, max, Some(&previous)), &output, &closure, max);
    }

    #[test]
    fn the_order_in_which_things_are_told_does_not_matter((output, closure) in closures(), max in 0..40usize) {
        let backwards = closure.values().map(|info| {
            let references = info.references.iter().rev().cloned().collect();
            fixture::info(info.path.clone(), info.nar_size, references)
        });
        let backwards: Closure = backwards.map(|info| (info.path.clone(), info)).collect();
        prop_assert_eq!(made(&output, &closure, max, None), made(&output, &backwards, max, None));
    }

    #[test]
    fn nothing_moves_when_nothing_has_changed(
        (output, closure) in closures(), nonsense in nonsense(), max in 0..40usize,
    ) {
        for before in [None, Some(previous(&nonsense, &closure))] {
            let first = paths(&made(&output, &closure, max, before.as_deref()));
            let second = made(&output, &closure, max, Some(&first));
            prop_assert_eq!(&paths(&second), &first);
            prop_assert!(second.layers.iter().all(|layer| layer.kept));
        }
    }

    #[test]
    fn a_changed_app_sends_what_depends_on_it_alone((output, closure) in closures(), max in 3..40usize) {
        let before = paths(&made(&output, &closure, max, None));
        let own = closure.keys().find(|path| path.name().contains("-shop-")).unwrap_or(&output);
        let now = rebuilt(&closure, own, own.name(), 1);
        let output = now.keys().find(|path| path.name() == "shop-1.0").expect("the output is there");
        let partition = made(output, &now, max, Some(&before));
        let new: BTreeSet<&StorePath> = now.keys().filter(|path| !closure.contains_key(*path)).collect();
        for layer in partition.layers.iter().filter(|layer| !layer.kept) {
            let changes = |path: &StorePath| {
                needed(path, &now).iter().any(|path| new.contains(path) || path.name().contains("-shop-"))
            };
            prop_assert!(layer.paths.iter().all(changes), "{:?}", layer.paths);
        }
    }

    #[test]
    fn a_layer_that_is_still_whole_stays_as_it_is(
        (output, closure) in closures(), which in any::<u16>(), max in 2..40usize,
    ) {
        let before = paths(&made(&output, &closure, max, None));
        let changed = closure.keys().nth(usize::from(which) % closure.len()).expect("it is there");
        let now = rebuilt(&closure, changed, changed.name(), 1);
        let output = now.keys().find(|path| path.name() == "shop-1.0").expect("the output is there");
        let partition = made(output, &now, max, Some(&before));
        prop_assert_ne!(partition.decided, Decided::Renewed);
        let after = paths(&partition);
        for layer in before.iter().filter(|layer| layer.iter().all(|path| now.contains_key(path))) {
            prop_assert!(after.contains(layer));
        }
        prop_assert_eq!(after.len(), before.len());
    }
}
