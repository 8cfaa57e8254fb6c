//! Against the loopback registry of `nixpy-testkit`, which speaks the real
//! protocol: given a registry and what goes wrong with it, run, expect.
#![allow(clippy::unwrap_used)]

mod credentials;
mod found;
mod login;
mod messages;
mod push;
mod read;
mod retry;

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use nixpy_testkit::registry::Registry as Double;

use super::{Credentials, Registry, RegistryOptions, Secret};
use crate::blob::Content;
use crate::digest::Digest;
use crate::manifest::{Annotations, Descriptor, Manifest, media_type, to_bytes};

const NAME: &str = "acme/api";

/// As in production, but not as patient.
fn options() -> RegistryOptions {
    RegistryOptions {
        first_wait: Duration::from_millis(5),
        connect_timeout: Duration::from_secs(1),
        stall_timeout: Duration::from_millis(500),
        ..RegistryOptions::default()
    }
}

fn client(double: &Double, credentials: Credentials) -> Registry {
    let repository = format!("{}/{NAME}", double.host()).parse().unwrap();
    Registry::new(repository, credentials, options()).unwrap()
}

fn anonymous(double: &Double) -> Registry {
    client(double, Credentials::Anonymous)
}

fn user(password: &str) -> Credentials {
    Credentials::Basic {
        user: "me".to_owned(),
        password: Secret::new(password),
    }
}

/// A blob of this size on disk; no two pieces of it are alike.
fn blob(size: usize) -> (Descriptor, Content) {
    let bytes = (0..size)
        .map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8)
        .collect::<Vec<_>>();
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    (
        Descriptor::of(media_type::LAYER_ZSTD, &bytes),
        Content::File(file, size as u64),
    )
}

/// A manifest that names this config, with no layers.
fn manifest(config: &Descriptor) -> Vec<u8> {
    let config = Descriptor {
        media_type: media_type::CONFIG.to_owned(),
        ..config.clone()
    };
    to_bytes(&Manifest::new(config, Vec::new(), Annotations::new()))
}

/// Method and first word after the repository's name of each request.
fn story(double: &Double) -> Vec<String> {
    let kind = |path: &str| match path.strip_prefix("/v2/acme/api/") {
        Some(rest) if rest.starts_with("blobs/uploads/") => "upload".to_owned(),
        Some(rest) => rest.split('/').next().unwrap_or_default().to_owned(),
        None => path.trim_matches('/').to_owned(),
    };
    let requests = double.requests();
    requests
        .iter()
        .map(|request| format!("{} {}", request.method, kind(&request.path)))
        .collect()
}

fn digest_of(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}
