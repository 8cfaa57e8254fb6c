//! A few paths that refer to one another, built here and now by real Nix, of which no
//! cache can know.

use std::path::Path;

use nixpy_nix::path_info::{PathInfo, path_info};
use nixpy_nix::{Nix, StorePath};
use tokio::runtime::Runtime;

use super::example::example;
use super::flake::{own_system, stamp};
use super::program::output_of;

/// A chain of paths of so many bytes each, which nothing compresses; every one refers to
/// the one before it. The first is the first.
pub fn chain(sizes: &[u64]) -> Vec<PathInfo> {
    let busybox = example().built(&own_system(), "busybox");
    let busybox = format!(
        "\"${{builtins.storePath {}}}/bin/busybox\"",
        busybox.display()
    );
    chain_by(&busybox, sizes)
}

/// The same, built by this static busybox: an expression of Nix's language.
pub fn chain_by(busybox: &str, sizes: &[u64]) -> Vec<PathInfo> {
    let links: String = sizes
        .iter()
        .enumerate()
        .map(|(n, size)| link(n, *size))
        .collect();
    let text = format!(
        r#"let
             make = name: script: derivation {{
               inherit name;
               system = "{}";
               builder = {busybox};
               args = [ "sh" "-euc" script ];
             }};
             p-0 = "";
             {links}
           in p-{}"#,
        own_system(),
        sizes.len()
    );
    let built = output_of(
        "nix",
        ["build", "--impure", "--no-link", "--json", "--expr", &text],
    );
    let built: serde_json::Value = serde_json::from_str(&built).unwrap();
    let last: StorePath = built[0]["outputs"]["out"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let mut paths = told_of(&[last]);
    assert_eq!(paths.len(), sizes.len());
    paths.sort_by_key(|info| info.path.name().to_owned());
    paths
}

/// What Nix says of these paths and of all that they refer to.
pub fn told_of(paths: &[StorePath]) -> Vec<PathInfo> {
    let nix = Nix::find(None).unwrap();
    let nix = nix.with_options(vec![("substituters".to_owned(), String::new())]);
    let asked = path_info(&nix, paths, true);
    Runtime::new().unwrap().block_on(asked).unwrap()
}

fn link(n: usize, size: u64) -> String {
    let stamp = stamp();
    format!(
        r#"p-{} = make "p-{n:03}-{stamp}" ''
             mkdir $out
             echo ${{p-{n}}} > $out/needs
             head -c {size} /dev/urandom > $out/noise
           '';
        "#,
        n + 1
    )
}

/// What is in a file of a path.
pub fn noise_of(info: &PathInfo) -> Vec<u8> {
    std::fs::read(Path::new(info.path.as_str()).join("noise")).unwrap()
}
