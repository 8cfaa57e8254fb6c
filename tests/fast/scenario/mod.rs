//! What a test is given: a checkout with a flake, what Nix says of it, a store
//! that holds what it builds, and a home directory; and the program, started in it.
//!
//! Nothing of this machine gets in: the environment is empty but for these, and
//! the only program in `PATH` is the recorded `nix`.

mod closure;
mod ended;
mod image;
pub mod nix;
mod nix2container;
mod run;

use std::fs;
use std::path::{Path, PathBuf};

use nixpy_testkit::archive::DockerArchive;
use nixpy_testkit::fake_nix::{FakeNix, Replay};
use nixpy_testkit::store::{FakePath, FakeStore, Item};
use serde_json::{Value, json};
use tempfile::TempDir;

use closure::Closure;
pub use ended::Ended;
pub use image::{Image, Layout};
use nix::{Offer, Version};
pub use run::Run;

/// The systems that the flake offers.
pub const SYSTEMS: [&str; 2] = ["aarch64-linux", "x86_64-linux"];

/// A checkout and the world around it.
pub struct Scenario {
    place: TempDir,
    store: FakeStore,
    closures: Vec<Closure>,
    offers: Vec<Offer>,
    version: Version,
    built: bool,
    rules: Vec<Replay>,
}

impl Scenario {
    /// `packages.<system>.app`, a plain package.
    pub fn app() -> Self {
        let mut scenario = Self::new();
        scenario.release("0.1.0");
        scenario
    }

    /// Another version of the app in the same flake: one store path is another.
    pub fn release(&mut self, version: &str) {
        let store = &mut self.store;
        let closures = self.closures.iter();
        let apps = closures.map(|closure| {
            let offer = Offer::of(closure.system, "app", &closure.app(store, version));
            offer.main_program("base-api")
        });
        self.offers = apps.collect();
    }

    /// `packages.<system>.stream`, as `streamLayeredImage` makes it. The script
    /// itself fails: it is not to be run.
    pub fn stream() -> Self {
        Self::stream_of(|_| {}, |checksum| checksum, "exit 1")
    }

    /// A stream whose description, checksum file or script is another.
    pub fn stream_of(
        conf: impl Fn(&mut Value),
        checksum: impl Fn(String) -> String,
        script: &str,
    ) -> Self {
        let mut scenario = Self::new();
        let store = &mut scenario.store;
        let closures = scenario.closures.iter();
        let scripts = closures.map(|closure| {
            let script = closure.stream(store, &conf, &checksum, script);
            Offer::of(closure.system, "stream", &script).image_name("base-api")
        });
        scenario.offers = scripts.collect();
        scenario
    }

    /// `packages.<system>.image`, a docker-archive; `pack` gets one of two layers
    /// for each architecture, and makes it a file.
    pub fn image(pack: impl Fn(DockerArchive) -> Vec<u8>) -> Self {
        let mut scenario = Self::new();
        let store = &mut scenario.store;
        let closures = scenario.closures.iter();
        let archives = closures.map(|closure| {
            let archive = store.add(
                Item::named(&format!("docker-image-base-api-{}.tar.gz", closure.cpu()))
                    .file("", pack(closure.archive())),
            );
            Offer::of(closure.system, "image", &archive).image_name("base-api")
        });
        scenario.offers = archives.collect();
        scenario
    }

    /// `packages.<system>.image`, as `nix2container.buildImage` makes it, after a change
    /// of its description.
    pub fn nix2container(change: impl Fn(&mut Value)) -> Self {
        let mut scenario = Self::new();
        scenario.describe("base-api", change);
        scenario
    }

    /// Another description of the same service in the same flake.
    pub fn describe(&mut self, name: &str, change: impl Fn(&mut Value)) {
        let store = &mut self.store;
        let closures = self.closures.iter();
        let descriptions = closures.map(|closure| {
            let description = closure.description(store, name, &change);
            Offer::of(closure.system, "image", &description).image_name("base-api")
        });
        self.offers = descriptions.collect();
    }

    /// `packages.<system>.image`, an OCI layout; `pack` gets the files of one, and
    /// makes them a store path.
    pub fn stored(pack: impl Fn(&mut FakeStore, Item, Vec<(String, Vec<u8>)>) -> FakePath) -> Self {
        let mut scenario = Self::new();
        let store = &mut scenario.store;
        let closures = scenario.closures.iter();
        let layouts = closures.map(|closure| {
            let item = Item::named(&format!("oci-base-api-{}", closure.cpu()));
            let layout = pack(store, item, closure.archive().layout());
            Offer::of(closure.system, "image", &layout)
        });
        scenario.offers = layouts.collect();
        scenario
    }

    /// Where Nix refuses to say anything: this is on its standard error, and its exit code 1.
    pub fn where_nix_says(error: &str) -> Self {
        Self::app().on(Replay::of(["eval"]).stderr(nix::error(error)).exit(1))
    }

    /// With another version of Nix, which says things in another form.
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// With these offers and no others.
    pub fn offering(mut self, offers: Vec<Offer>) -> Self {
        self.offers = offers;
        self
    }

    /// With a flake that has none of the attributes that were asked for.
    pub fn without_the_attribute(mut self) -> Self {
        self.offers.iter_mut().for_each(Offer::is_not_there);
        self
    }

    /// With everything in the store already.
    pub fn built(mut self) -> Self {
        self.built = true;
        for offer in &self.offers {
            fs::write(&offer.derivation, "Derive(…)").unwrap();
        }
        self
    }

    /// Removes the derivations, as `nix-collect-garbage` does.
    pub fn collect_garbage(&self) {
        for offer in &self.offers {
            fs::remove_file(&offer.derivation).unwrap();
        }
    }

    /// With a call that Nix answers in another way.
    pub fn on(mut self, rule: Replay) -> Self {
        self.rules.push(rule);
        self
    }

    /// With a call that Nix answers in another way than said so far.
    pub fn asked_first(mut self, rule: Replay) -> Self {
        self.rules.insert(0, rule);
        self
    }

    /// With a file in the checkout.
    pub fn file(self, name: &str, content: &str) -> Self {
        self.write(&self.checkout().join(name), content);
        self
    }

    /// With a file in the home directory.
    pub fn home_file(self, name: &str, content: &str) -> Self {
        self.write(&self.home().join(name), content);
        self
    }

    /// With a program beside `nix`.
    pub fn program(self, name: &str, script: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.programs().join(name);
        self.write(&path, script);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Without a file in the checkout.
    pub fn without(self, name: &str) -> Self {
        fs::remove_file(self.checkout().join(name)).unwrap();
        self
    }

    /// `nixpy-ci run` with these arguments.
    pub fn run<'a>(&'a self, arguments: impl IntoIterator<Item = &'a str>) -> Run<'a> {
        self.nixpy(["run"].into_iter().chain(arguments))
    }

    /// `nixpy-ci` with these arguments.
    pub fn nixpy<'a>(&'a self, arguments: impl IntoIterator<Item = &'a str>) -> Run<'a> {
        Run::new(self, arguments)
    }

    /// The current directory of every run.
    pub fn checkout(&self) -> PathBuf {
        self.place.path().join("checkout")
    }

    /// `HOME`.
    pub fn home(&self) -> PathBuf {
        self.place.path().join("home")
    }

    /// `TMPDIR`.
    pub fn temporary(&self) -> PathBuf {
        self.place.path().join("tmp")
    }

    /// A file of the checkout.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.checkout().join(name)).unwrap()
    }

    /// Whether the checkout has this.
    pub fn has(&self, name: &str) -> bool {
        self.checkout().join(name).exists()
    }

    /// The layout at the default place.
    pub fn layout(&self) -> Layout {
        self.layout_at("oci-image")
    }

    /// A layout in the checkout.
    pub fn layout_at(&self, name: &str) -> Layout {
        Layout::at(&self.checkout().join(name))
    }

    /// What is offered for a system.
    pub fn output(&self, system: &str) -> String {
        let mut offers = self.offers.iter();
        let offer = offers.find(|offer| offer.system == system).unwrap();
        offer.output.clone()
    }

    fn new() -> Self {
        let mut store = FakeStore::in_place();
        let closures = Closure::of_every_system(&mut store);
        let scenario = Self {
            place: TempDir::new().unwrap(),
            store,
            closures,
            offers: Vec::new(),
            version: Version::Nix2_26,
            built: false,
            rules: Vec::new(),
        };
        for directory in ["checkout", "home", "tmp", "programs"] {
            fs::create_dir(scenario.place.path().join(directory)).unwrap();
        }
        scenario.file("flake.nix", "{ outputs = _: { }; }\n")
    }

    fn programs(&self) -> PathBuf {
        self.place.path().join("programs")
    }

    fn write(&self, path: &Path, content: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// What Nix says of every path of what is offered.
    pub fn described(&self) -> String {
        let outputs: Vec<&FakePath> = self.offers.iter().filter_map(Offer::path).collect();
        let closure = self.store.closure(&outputs);
        let shape = self.version.shape();
        self.store.path_info_json(shape, &closure).to_string()
    }

    /// A `nix` for one run, that has been called by nobody yet.
    fn nix(&self) -> FakeNix {
        let rules = self.rules.iter().cloned();
        let nix = rules.fold(FakeNix::builder(), |nix, rule| nix.on(rule));
        let closure = self.described();
        let store_dir = self.store.dir();
        let answer = nix::answer(self.version, &store_dir, &self.offers);
        let derivations = nix::derivations(&self.offers).to_string();
        let metadata = nix::metadata("a tree").to_string();
        let missing: Vec<(&str, Option<&[&str]>)> = self
            .offers
            .iter()
            .map(|offer| (offer.output.as_str(), None))
            .collect();
        let not_yet = Replay::of(["path-info", "--recursive"]).stdout(self.version.paths(&missing));
        let nix = match self.built {
            true => nix,
            false => nix.on(not_yet.once()),
        };
        nix.on(Replay::of(["flake", "metadata"]).stdout(metadata))
            .on(Replay::of(["show-derivation"]).stdout(derivations.clone()))
            .on(Replay::of(["derivation", "show"]).stdout(derivations))
            .on(Replay::of(["eval"]).stdout(answer.to_string()))
            .on(Replay::of(["build"]).stderr_file(self.version.log("build-success")))
            .on(Replay::of(["path-info", "--recursive"]).stdout(closure))
            .build()
    }
}

/// The description that `streamLayeredImage` writes, without its paths.
fn conf(architecture: &str, store_dir: &Path) -> Value {
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Cmd": ["serve"], "ExposedPorts": { "8000/tcp": {} } },
        "created": "1970-01-01T00:00:01+00:00",
        "mtime": "1970-01-01T00:00:01+00:00",
        "uid": "0",
        "gid": "0",
        "uname": "root",
        "gname": "root",
        "repo_tag": "base-api:v1",
        "store_dir": store_dir,
        "from_image": null,
    })
}
