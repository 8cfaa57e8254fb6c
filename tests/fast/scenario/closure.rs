//! A small service in the store: interpreter, library, wheel and what starts it,
//! for one system; the forms in which a flake offers it. Paths have few bytes, and are
//! said to be as large as real ones, since sizes decide about layers.

use nixpy_testkit::archive::{DockerArchive, layer_tar};
use nixpy_testkit::digest;
use nixpy_testkit::store::{FakePath, FakeStore, Item};
use serde_json::{Value, json};

use super::nix2container::Layers;
use super::{SYSTEMS, conf};

/// What the service needs, apart from itself.
pub struct Closure {
    pub system: &'static str,
    /// The same for every system.
    zones: FakePath,
    libc: FakePath,
    python: FakePath,
    wheel: FakePath,
}

impl Closure {
    /// One for each system; they share one path.
    pub fn of_every_system(store: &mut FakeStore) -> Vec<Self> {
        let zones = Item::named("tzdata-2025b").said_to_have(2 << 20);
        let zones = store.add(zones.file("share/zoneinfo/UTC", "TZif2"));
        let each = SYSTEMS.map(|system| Self::new(store, system, &zones));
        each.into()
    }

    fn new(store: &mut FakeStore, system: &'static str, zones: &FakePath) -> Self {
        let cpu = cpu(system);
        let libc = Item::named(&format!("glibc-2.36-{cpu}")).refers_to_itself();
        let libc = store.add(
            libc.said_to_have(30 << 20)
                .file("lib/libc.so.6", noise(cpu, 64 << 10)),
        );
        let python = Item::named(&format!("python3-3.12.4-{cpu}")).references([&libc]);
        let python = store.add(
            python
                .said_to_have(60 << 20)
                .executable("bin/python3", noise(&format!("python {cpu}"), 16 << 10))
                .symlink("bin/python", "python3"),
        );
        let wheel = Item::named(&format!("fastapi-0.115.0-{cpu}")).references([&python]);
        let wheel = store.add(
            wheel
                .said_to_have(5 << 20)
                .file("fastapi/__init__.py", format!("# {cpu}\n")),
        );
        let zones = zones.clone();
        Self {
            system,
            zones,
            libc,
            python,
            wheel,
        }
    }

    /// `x86_64`.
    pub fn cpu(&self) -> &'static str {
        cpu(self.system)
    }

    /// `amd64`.
    pub fn architecture(&self) -> &'static str {
        match self.cpu() {
            "aarch64" => "arm64",
            _ => "amd64",
        }
    }

    /// The service as a package with one program.
    pub fn app(&self, store: &mut FakeStore, version: &str) -> FakePath {
        let app = Item::named(&format!("base-api-{version}-{}", self.cpu()));
        let start = format!("#!{}/bin/python3\n# {version}\n", self.python);
        store.add(app.executable("bin/base-api", start).references([
            &self.python,
            &self.wheel,
            &self.zones,
        ]))
    }

    /// The service as a script of `streamLayeredImage`.
    pub fn stream(
        &self,
        store: &mut FakeStore,
        change: &impl Fn(&mut Value),
        checksum: &impl Fn(String) -> String,
        script: &str,
    ) -> FakePath {
        let cpu = self.cpu();
        let tar = layer_tar(&[("etc/motd", b"hello\n")]);
        let hex = digest(&tar).replace("sha256:", "");
        let top = Item::named(&format!("base-api-customisation-layer-{cpu}"))
            .file("layer.tar", &tar)
            .file("checksum", checksum(hex));
        let top = store.add(top);
        let mut conf = conf(self.architecture(), &store.dir());
        conf["store_layers"] = json!([
            [self.libc.text()],
            [self.python.text()],
            [self.wheel.text(), self.zones.text()]
        ]);
        conf["customisation_layer"] = json!(top.text());
        change(&mut conf);
        let conf = Item::named(&format!("base-api-{cpu}-conf.json"))
            .file("", conf.to_string())
            .references([&self.libc, &self.python, &self.wheel, &self.zones, &top]);
        let conf = store.add(conf);
        let text = format!("#!/bin/sh\n# {conf}\n{script}\n");
        store.add(
            Item::named(&format!("stream-base-api-{cpu}"))
                .executable("", text)
                .references([&conf]),
        )
    }

    /// The service as a description of `nix2container`.
    pub fn description(
        &self,
        store: &mut FakeStore,
        name: &str,
        change: &impl Fn(&mut Value),
    ) -> FakePath {
        let app = self.app(store, "0.1.0");
        let layers = Layers {
            stores: [&[&self.python, &self.libc], &[&self.wheel, &self.zones]],
            root: &app,
        };
        let name = format!("{name}-{}", self.cpu());
        layers.describe(store, &name, self.architecture(), change)
    }

    /// The service as a docker-archive.
    pub fn archive(&self) -> DockerArchive {
        let python = noise(self.cpu(), 64 << 10);
        DockerArchive::of("base-api:v1")
            .config("architecture", json!(self.architecture()))
            .config("config", json!({ "Cmd": ["serve"] }))
            .layer(&[("opt/bin/python3", &python)])
            .layer(&[("opt/app.py", b"print('hello')\n")])
    }
}

fn cpu(system: &'static str) -> &'static str {
    system.split('-').next().unwrap()
}

/// Bytes that no compression makes smaller, the same in every run.
fn noise(seed: &str, length: usize) -> Vec<u8> {
    let mut state = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}
