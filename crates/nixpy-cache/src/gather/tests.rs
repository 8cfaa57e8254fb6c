//! What is gathered from what a recorded Nix says.

use nixpy_testkit::fake_nix::{FakeNix, FakeNixBuilder, Replay};
use nixpy_testkit::store::{FakePath, FakeStore, Item, PathInfoShape};
use serde_json::{Value, json};

use super::*;

fn derivation(name: &str, env: &[&str]) -> Derivation {
    let env = env.iter().map(|name| ((*name).to_owned(), "x".to_owned()));
    Derivation {
        path: format!("/nix/store/{:0>32}-{name}.drv", 1).parse().unwrap(),
        name: name.to_owned(),
        system: "x86_64-linux".to_owned(),
        outputs: BTreeMap::new(),
        input_drvs: Vec::new(),
        input_srcs: Vec::new(),
        env: env.collect(),
    }
}

#[test]
fn an_archive_of_an_image_is_known_by_its_name_and_environment() {
    assert!(is_image(&derivation("api.tar.gz", &["imageName"])));
    assert!(is_image(&derivation(
        "docker-image-api.tar.gz",
        &["imageName"]
    )));
    assert!(!is_image(&derivation("sources.tar.gz", &["src"])));
    assert!(!is_image(&derivation("stream-api", &["imageName"])));
}

/// A library and an app that refers to it, of a store where nobody has built them.
struct Copied {
    store: FakeStore,
    lib: FakePath,
    app: FakePath,
}

impl Copied {
    fn new() -> Self {
        let mut store = FakeStore::in_place();
        let lib = store.add(Item::named("lib"));
        let app = store.add(Item::named("app").references([&lib]));
        Self { store, lib, app }
    }

    /// What Nix says of these paths.
    fn told(&self, paths: &[&FakePath]) -> String {
        let paths: Vec<FakePath> = paths.iter().map(|&path| path.clone()).collect();
        let mut told = self.store.path_info_json(PathInfoShape::Nix2_8, &paths);
        for info in told.as_array_mut().unwrap() {
            info["ultimate"] = false.into();
        }
        told.to_string()
    }

    /// A Nix that says which derivation makes the library, and what else it is told to.
    fn nix(&self, rules: impl IntoIterator<Item = Replay>) -> FakeNix {
        let mut shown = serde_json::Map::new();
        let derivation =
            json!({ "system": "x86_64-linux", "outputs": { "out": { "path": self.lib.text() } } });
        shown.insert(self.derivation().to_string(), derivation);
        let begun = FakeNix::builder()
            .on(Replay::of(["--version"]).stdout("nix (Nix) 2.8.0\n"))
            .on(Replay::of(["show-derivation"]).stdout(Value::from(shown).to_string()));
        let all = rules.into_iter().fold(begun, FakeNixBuilder::on);
        all.build()
    }

    fn derivation(&self) -> StorePath {
        format!("{}.drv", self.lib.text()).parse().unwrap()
    }
}

fn path(path: &FakePath) -> StorePath {
    path.text().parse().unwrap()
}

fn gathering(nix: &Nix) -> Gather<'_> {
    let upstream = Upstream::new(Vec::new(), Vec::new());
    Gather::new(nix, upstream, &[], BTreeSet::new(), Vec::new())
}

fn found(nix: &FakeNix) -> Nix {
    Nix::find(Some(&nix.program())).unwrap()
}

#[tokio::test]
async fn an_output_that_is_on_the_disk_before_it_is_valid_is_not_missed_in_the_end() {
    let copied = Copied::new();
    let invalid = json!([{ "path": copied.lib.text(), "valid": false }]);
    let fake = copied.nix([
        Replay::of(["path-info"]).stdout(invalid.to_string()).once(),
        Replay::of(["path-info"]).stdout(copied.told(&[&copied.lib])),
    ]);
    let nix = found(&fake);
    let mut gather = gathering(&nix);
    gather.expect(&[copied.derivation()]).await.unwrap();
    // Another is building it there, in its place.
    assert!(gather.appeared().await.unwrap().paths.is_empty());
    assert!(gather.appeared().await.unwrap().paths.is_empty());
    assert_eq!(fake.count(&["path-info"]), 1, "it is let alone for a while");
    let last = gather.appeared_in_the_end().await.unwrap();
    assert_eq!(last.paths, [path(&copied.lib)]);
}

#[tokio::test]
async fn what_nix_does_not_tell_is_asked_for_again() {
    let copied = Copied::new();
    let fake = copied.nix([
        Replay::of(["path-info", "--recursive"]).exit(1).once(),
        Replay::of(["path-info"]).stdout(copied.told(&[&copied.lib])),
    ]);
    let nix = found(&fake);
    let mut gather = gathering(&nix);
    gather.expect(&[copied.derivation()]).await.unwrap();
    gather.appeared().await.unwrap_err();
    let last = gather.appeared_in_the_end().await.unwrap();
    assert_eq!(last.paths, [path(&copied.lib)]);
}

#[tokio::test]
async fn what_was_copied_is_doubted_until_it_is_seen_being_built() {
    let copied = Copied::new();
    let both = copied.told(&[&copied.lib, &copied.app]);
    let fake = copied.nix([Replay::of(["path-info"]).stdout(both)]);
    let nix = found(&fake);
    let mut gather = gathering(&nix);
    let (lib, app) = (path(&copied.lib), path(&copied.app));
    for _ in 0..2 {
        let gathered = gather.closure(std::slice::from_ref(&app)).await.unwrap();
        assert!(gathered.paths.is_empty());
        assert_eq!(gather.doubtful().len(), 2);
    }
    gather.expect(&[copied.derivation()]).await.unwrap();
    let gathered = gather.appeared().await.unwrap();
    assert_eq!(gathered.paths, [lib]);
    assert_eq!(gather.doubtful().iter().collect::<Vec<_>>(), [&app]);
}
