//! Which of the paths of a closure are pushed, and in which order: decided from what is
//! known of them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;

/// Those of these paths that are to be pushed, and have not been handed over yet; each
/// after what it refers to.
///
/// What upstream holds is not pushed, nor what that refers to: upstream holds that too.
/// What stays out is pushed nevertheless if something refers to it that is pushed: a
/// reader needs complete references.
pub(super) fn chosen(
    infos: &[PathInfo],
    handed: &HashSet<StorePath>,
    is_upstream: impl Fn(&PathInfo) -> bool,
    stays_out: impl Fn(&PathInfo) -> bool,
) -> Vec<StorePath> {
    let known: BTreeMap<&StorePath, &PathInfo> =
        infos.iter().map(|info| (&info.path, info)).collect();
    let mut visited: BTreeSet<&StorePath> = BTreeSet::new();
    let mut ordered = Vec::new();
    let wanted = infos.iter().filter(|info| !stays_out(info));
    // An explicit stack: a hostile closure may be a chain of any length.
    let mut open: Vec<(&PathInfo, bool)> = wanted.map(|info| (info, false)).collect();
    while let Some((info, is_left)) = open.pop() {
        if is_left {
            ordered.push(info.path.clone());
            continue;
        }
        if handed.contains(&info.path) || is_upstream(info) || !visited.insert(&info.path) {
            continue;
        }
        open.push((info, true));
        let references = info.references.iter().filter_map(|path| known.get(path));
        open.extend(references.map(|info| (*info, false)));
    }
    ordered
}

/// Takes apart what is pushed and what is not, because nobody vouches for it or for
/// something that it refers to. In the order of `chosen`, references before referrers.
pub(super) fn vouched(
    chosen: Vec<StorePath>,
    infos: &[PathInfo],
    vouches_for: impl Fn(&PathInfo) -> bool,
) -> (Vec<StorePath>, BTreeSet<StorePath>) {
    let known: BTreeMap<&StorePath, &PathInfo> =
        infos.iter().map(|info| (&info.path, info)).collect();
    let (mut kept, mut doubtful) = (Vec::new(), BTreeSet::new());
    for path in chosen {
        let is_good = known.get(&path).is_some_and(|info| {
            let mut references = info.references.iter();
            vouches_for(info) && !references.any(|it| doubtful.contains(it))
        });
        match is_good {
            true => kept.push(path),
            false => _ = doubtful.insert(path),
        }
    }
    (kept, doubtful)
}

/// Whether a name is of this pattern, in which `*` stands for anything.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut name) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else {
            return false;
        };
        name = &name[at + part.len()..];
    }
    name.ends_with(end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use nixpy_nix::NarHash;

    use super::*;

    fn path(name: &str) -> StorePath {
        format!("/nix/store/{:0>32}-{name}", name.len())
            .parse()
            .unwrap()
    }

    fn info(name: &str, references: &[&str]) -> PathInfo {
        PathInfo {
            path: path(name),
            nar_hash: NarHash::from_bytes([0; 32]),
            nar_size: 1,
            references: references.iter().map(|name| path(name)).collect(),
            deriver: None,
            ca: None,
            is_own: false,
            signatures: Vec::new(),
        }
    }

    /// Names in their order, of which `up…` is upstream and `src…` stays out.
    fn choose(infos: &[PathInfo], handed: &[&str]) -> Vec<String> {
        let handed = handed.iter().map(|name| path(name)).collect();
        let chosen = chosen(
            infos,
            &handed,
            |info| info.path.name().starts_with("up"),
            |info| info.path.name().starts_with("src"),
        );
        chosen.iter().map(|path| path.name().to_owned()).collect()
    }

    #[test]
    fn a_path_comes_after_what_it_refers_to_and_once() {
        let infos = [
            info("app", &["app", "lib", "python"]),
            info("lib", &["libc"]),
            info("python", &["lib", "libc"]),
            info("libc", &["libc"]),
        ];
        let order = choose(&infos, &[]);
        let at = |name: &str| order.iter().position(|it| it == name).unwrap();
        assert_eq!(order.len(), 4);
        assert!(at("libc") < at("lib") && at("lib") < at("python") && at("python") < at("app"));
        assert_eq!(choose(&infos, &["lib", "libc"]), ["python", "app"]);
        // Two that refer to each other are no reason to go round for ever.
        let round = [info("one", &["three"]), info("three", &["one"])];
        assert_eq!(choose(&round, &[]).len(), 2);
    }

    #[test]
    fn what_upstream_holds_is_not_pushed_nor_what_only_that_refers_to() {
        let infos = [
            info("app", &["up-python"]),
            info("up-python", &["up-libc"]),
            info("up-libc", &[]),
        ];
        assert_eq!(choose(&infos, &[]), ["app"]);
    }

    #[test]
    fn a_source_stays_out_unless_something_refers_to_it_that_is_pushed() {
        let infos = [
            info("app", &[]),
            info("src-a", &["src-ab"]),
            info("src-ab", &[]),
        ];
        assert_eq!(choose(&infos, &[]), ["app"]);
        let infos = [
            info("app", &["src-a"]),
            info("src-a", &["src-ab"]),
            info("src-ab", &[]),
        ];
        assert_eq!(choose(&infos, &[]), ["src-ab", "src-a", "app"]);
        let infos = [info("up-app", &["src-a"]), info("src-a", &[])];
        assert!(choose(&infos, &[]).is_empty());
    }

    #[test]
    fn what_nobody_vouches_for_stays_out_with_what_refers_to_it() {
        let infos = [
            info("app", &["lib"]),
            info("lib", &["copied"]),
            info("copied", &["python"]),
            info("python", &[]),
        ];
        let order = ["python", "copied", "lib", "app"].map(path).to_vec();
        let (kept, doubtful) = vouched(order, &infos, |info| info.path.name() != "copied");
        assert_eq!(kept, [path("python")]);
        assert_eq!(doubtful.len(), 3);
    }

    #[test]
    fn a_star_stands_for_anything_and_all_else_for_itself() {
        for (pattern, name) in [
            ("app", "app"),
            ("*", ""),
            ("*-weights-*", "model-weights-1"),
            ("*-weights-*", "a-weights-weights-"),
            ("a*b*c", "abc"),
            ("a*b*c", "a-b-b-c-c"),
            ("*.tar.gz", "image.tar.gz"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("app", "app-1"),
            ("app*", "my-app"),
            ("*-weights-*", "weights"),
            ("a*a", "a"),
            ("a*b*c", "acb"),
            ("", "a"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
