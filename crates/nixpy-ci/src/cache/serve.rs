//! `nixpy-ci cache serve`: caches served to the Nix of this machine, until it is interrupted.

use clap::ArgMatches;
use nixpy_cache::serve::{Server, Told};
use nixpy_cache::stores::open_to_read;
use nixpy_cache::{Place, Spec};
use nixpy_nix::signing::{PublicKey, SecretKey};
use serde::Serialize;

use super::reading::why;
use crate::audience::wrong;
use crate::exit::Code;
use crate::redact::{Secrets, Tell, clean};
use crate::render::{line, size};
use crate::report::json;
use crate::settings::{Environment, RawInputs, Surroundings, ToServe, to_serve};
use crate::{print, until_interrupted};

/// Where they are served, for a program to read. Version 1: fields may be added.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Serving {
    version: u32,
    url: String,
    caches: Vec<String>,
    public_keys: Vec<String>,
}

impl Tell for Serving {
    fn without(mut self, secrets: &Secrets) -> Self {
        secrets.clean(&mut self.caches);
        self
    }
}

/// Serves, and does not end by itself.
pub async fn serve(flags: &ArgMatches, environment: &Environment) -> Code {
    let to_serve = match settings(flags, environment).await {
        Ok(to_serve) => to_serve,
        Err(problems) => return wrong(&problems, environment),
    };
    let mut sources = Vec::new();
    let mut keys: Vec<PublicKey> = Vec::new();
    for spec in to_serve.caches.wanted.iter().filter(|spec| spec.read) {
        let trusted = trusted(spec, &to_serve);
        match open_to_read(&spec.place, trusted.clone(), &to_serve.caches) {
            Ok(source) => {
                sources.push(source);
                keys.extend(trusted);
            }
            Err(error) => {
                line(&format!("error: the cache {}: {}", spec.place, why(&error)));
                return Code::Inputs;
            }
        }
    }
    let caches = sources.iter().map(|source| source.name().to_owned());
    let caches: Vec<String> = caches.collect();
    let server = match Server::start(sources, to_serve.caches.port) {
        Ok(server) => server,
        Err(error) => {
            line(&format!("error: {error}"));
            return Code::Machine;
        }
    };
    keys.sort();
    keys.dedup();
    let serving = clean(Serving {
        version: 1,
        url: server.url(),
        caches,
        public_keys: keys.iter().map(ToString::to_string).collect(),
    });
    match to_serve.output.json {
        true => print(&json(&serving)),
        false => print(&serving.made(text)),
    }
    until_interrupted(std::future::pending()).await;
    tell(&server.stop());
    // To be interrupted is how it ends.
    Code::Success
}

fn tell(told: &Told) {
    line(&format!(
        "{} paths were asked for that are there, {} that are not; {} were sent",
        told.hits,
        told.misses,
        size(told.bytes)
    ));
    for trouble in &told.words {
        line(&format!("warning: {}: {}", trouble.cache, trouble.problem));
    }
}

async fn settings(flags: &ArgMatches, environment: &Environment) -> Result<ToServe, Vec<String>> {
    let raw = RawInputs::collect(flags, environment).map_err(|e| vec![e.to_string()])?;
    let around = Surroundings::here(environment).map_err(|e| vec![e])?;
    let to_serve = to_serve(&raw, &around).await;
    let to_serve = to_serve.map_err(|e| e.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let own = |spec: &&Spec| matches!(&spec.place, Place::Nix(url) if !url.starts_with("file://"));
    let others = |spec: &&Spec| matches!(spec.place, Place::Cachix { .. } | Place::Attic { .. });
    let wanted = to_serve.caches.wanted.iter();
    let read_by_nix = wanted.filter(|spec| own(spec) || others(spec));
    let problems = read_by_nix.map(|spec| {
        format!(
            "--cache: Nix reads {} itself: give it to Nix as a substituter, and serve caches of registries \
             (registry, oci://…) and folders (file://…)",
            spec.place
        )
    });
    let problems: Vec<String> = problems.collect();
    match problems.is_empty() {
        true => Ok(to_serve),
        false => Err(problems),
    }
}

fn trusted(spec: &Spec, to_serve: &ToServe) -> Vec<PublicKey> {
    let mut keys = spec.keys.clone();
    keys.extend(to_serve.caches.public_keys.iter().cloned());
    let own = to_serve.caches.signing_key.as_ref();
    keys.extend(own.map(SecretKey::public));
    keys
}

fn text(serving: &Serving) -> String {
    let (url, keys) = (&serving.url, serving.public_keys.join(" "));
    format!(
        "{} at {url}, until it is interrupted\n\n\
         In nix.conf:\n  extra-substituters = {url}\n  extra-trusted-public-keys = {keys}\n\n\
         For one command:\n  nix build --option extra-substituters {url} --option extra-trusted-public-keys '{keys}'\n",
        serving.caches.join(", ")
    )
}
