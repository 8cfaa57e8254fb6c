//! The caches of a run, made ready to be read: those that Nix cannot read itself are served
//! to it on the loopback, services are asked where theirs are, logins are written down; and
//! Nix is told. Whatever cannot be had is a note, and the run goes on without it.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;
use nixpy_cache::reading::{
    Login, Netrc, Service, Substituter, ask_attic, ask_cachix, decide, keys_of_nix,
};
use nixpy_cache::serve::{Server, Told};
use nixpy_cache::settings::Ready;
use nixpy_cache::stores::{is_served, open_to_read};
use nixpy_cache::{CacheError, CacheErrorKind, CacheSettings, Place, Source, Spec};
use nixpy_nix::machine::Environment as Machine;
use nixpy_nix::signing::{PublicKey, SecretKey};
use nixpy_nix::{Abilities, Nix};

/// What caches are made ready of.
pub struct Wanted<'a> {
    /// Which, and what opens them.
    pub caches: &'a CacheSettings,
    /// What the user tells Nix.
    pub options: &'a [(String, String)],
}

/// Caches that Nix reads as long as this is there.
pub struct Opened {
    /// Told of the caches.
    pub nix: Nix,
    /// What came of it.
    pub ready: Ready,
    server: Option<Server>,
    _netrc: Option<Netrc>,
}

impl Opened {
    /// Makes them ready. Where none is to be read, nothing is asked of anybody.
    pub async fn of(nix: Nix, wanted: &Wanted<'_>, machine: &Machine) -> Self {
        let caches = wanted.caches;
        let mut opened = Self {
            nix,
            ready: Ready::default(),
            server: None,
            _netrc: None,
        };
        let specs: Vec<&Spec> = caches.wanted.iter().filter(|spec| spec.read).collect();
        if specs.is_empty() {
            return opened;
        }
        let asked = Abilities::ask(&opened.nix, machine);
        let found = specs.iter().map(|spec| found(spec, caches));
        let (abilities, found) = tokio::join!(asked, join_all(found));
        // What is wrong with Nix, it says itself when something is asked of it.
        let abilities = abilities.ok();
        let mut sources = Vec::new();
        let mut substituters = Vec::new();
        let mut keys: Vec<PublicKey> = Vec::new();
        for (spec, found) in specs.into_iter().zip(found) {
            let opened_source = |mut trusted: Vec<PublicKey>| {
                trusted.extend(abilities.iter().flat_map(keys_of_nix));
                open_to_read(&spec.place, trusted, caches)
            };
            match found {
                Ok(Found::Nix(substituter, note)) => {
                    substituters.push(substituter);
                    opened.ready.notes.extend(note);
                }
                Ok(Found::Served(own)) => match opened_source(own.clone()) {
                    Ok(source) => {
                        sources.push(source);
                        keys.extend(own);
                    }
                    Err(error) => opened.ready.notes.push(not_read(&spec.place, &why(&error))),
                },
                Err(why) => opened.ready.notes.push(not_read(&spec.place, &why)),
            }
        }
        substituters.extend(opened.serve(sources, keys, caches.port));
        let port = caches.port.is_some();
        let mut reading = decide(substituters, abilities.as_ref(), wanted.options, port);
        let own = wanted
            .options
            .iter()
            .rfind(|(name, _)| name == "netrc-file");
        let own = own.map(|(_, file)| file.clone());
        let own = own.or_else(|| Some(abilities?.settings.netrc_file));
        opened.ready.notes.append(&mut reading.notes);
        opened.ready.addresses = reading.addresses;
        opened.log_in(&reading.logins, caches, own, &mut reading.options);
        opened.nix = opened.nix.with_options(reading.options);
        opened
    }

    /// What came of what was served, if anything was.
    pub fn told(&self) -> Option<Told> {
        self.server.as_ref().map(Server::told)
    }

    /// What people have to know of what was served.
    pub fn troubles(&self) -> Vec<String> {
        let Some(told) = self.told().filter(|told| told.troubles > 0) else {
            return Vec::new();
        };
        let each = told.words.iter().map(|trouble| {
            let cure = trouble.cure.as_ref();
            let cure = cure.map(|cure| format!("; {cure}")).unwrap_or_default();
            format!(
                "the cache {} could not always be read: {}{cure}",
                trouble.cache, trouble.problem
            )
        });
        each.collect()
    }

    fn serve(
        &mut self,
        sources: Vec<Arc<dyn Source>>,
        keys: Vec<PublicKey>,
        port: Option<u16>,
    ) -> Option<Substituter> {
        if sources.is_empty() {
            return None;
        }
        let names = sources.iter().map(|source| source.name().to_owned());
        let cache = names.collect::<Vec<_>>().join(", ");
        match Server::start(sources, port) {
            Ok(server) => {
                let url = server.url();
                self.server = Some(server);
                Some(Substituter {
                    cache,
                    url,
                    keys,
                    told: Vec::new(),
                    login: None,
                    is_served: true,
                })
            }
            Err(error) => {
                let note = format!("the cache {cache} is not read: {error}");
                self.ready.notes.push(note);
                None
            }
        }
    }

    fn log_in(
        &mut self,
        logins: &[Login],
        caches: &CacheSettings,
        own: Option<String>,
        options: &mut Vec<(String, String)>,
    ) {
        if logins.is_empty() {
            return;
        }
        let own = own.filter(|own| !own.is_empty());
        match Netrc::write(&caches.place, logins, own.as_deref().map(Path::new)) {
            Ok(netrc) => {
                let file = netrc.file().display().to_string();
                options.push(("netrc-file".to_owned(), file));
                self._netrc = Some(netrc);
            }
            Err(error) => self.ready.notes.push(format!(
                "caches that want a login are not read: its file cannot be written in {}: {error}",
                caches.place.display()
            )),
        }
    }
}

/// Why a cache cannot be opened, with the cure where one is known.
pub(super) fn why(error: &CacheError) -> String {
    match &error.kind {
        CacheErrorKind::Refused { message, cure } => format!("{message}: {cure}"),
        kind => kind.to_string(),
    }
}

fn not_read(place: &Place, why: &str) -> String {
    format!("the cache {place} is not read: {why}")
}

/// Who reads it.
enum Found {
    /// Nix itself; with what people have to know of it.
    Nix(Substituter, Option<String>),
    /// We, for Nix; trusted are these keys, and Nix's.
    Served(Vec<PublicKey>),
}

/// Where Nix finds a cache, and by which keys it is signed.
async fn found(spec: &Spec, caches: &CacheSettings) -> Result<Found, String> {
    let cache = spec.place.to_string();
    // The first of a name counts.
    let mut keys: Vec<PublicKey> = Vec::new();
    keys.extend(caches.signing_key.as_ref().map(SecretKey::public));
    keys.extend(spec.keys.iter().cloned());
    keys.extend(caches.public_keys.iter().cloned());
    let token = caches.tokens.of(&cache);
    if is_served(&spec.place, caches) {
        return Ok(Found::Served(keys));
    }
    let service = match &spec.place {
        Place::Cachix { server, cache } => Some(ask_cachix(server, cache, token).await),
        Place::Attic { server, cache } => Some(ask_attic(server, cache, token).await),
        _ => None,
    };
    let service = service.transpose().map_err(|error| error.to_string())?;
    let is_pinned = !spec.keys.is_empty() || !caches.public_keys.is_empty();
    let (told, note) = match &service {
        Some(service) if !is_pinned => by_word(&cache, service),
        _ => (Vec::new(), None),
    };
    let has_user = service.is_none();
    let url = service.map_or_else(|| cache.clone(), |service| service.url);
    let wants_login = url.starts_with("http://") || url.starts_with("https://");
    let login = match token.filter(|_| wants_login) {
        Some(token) => Some(Login::of(&url, token, has_user).ok_or(
            "its token has blanks or quotes in it, and cannot be given to Nix: give another one",
        )?),
        None => None,
    };
    let substituter = Substituter {
        cache,
        url,
        keys,
        told,
        login,
        is_served: false,
    };
    Ok(Found::Nix(substituter, note))
}

/// The keys that a cache has by no other word than its service's, and what people should
/// know of that.
fn by_word(cache: &str, service: &Service) -> (Vec<PublicKey>, Option<String>) {
    let pins: Vec<String> = service
        .keys
        .iter()
        .map(|key| format!("key={key}"))
        .collect();
    let pins = pins.join(" ");
    if pins.is_empty() {
        return (Vec::new(), None);
    }
    if !service.is_authentic {
        let note = format!(
            "the keys of the cache {cache} are not trusted: its server is asked over plain HTTP, where anybody on the way \
             could name his own. If they are its own, add {pins} to it"
        );
        return (Vec::new(), Some(note));
    }
    let note = format!(
        "the cache {cache} is trusted by what its server says of its keys; to pin them, add {pins} to it"
    );
    (service.keys.clone(), Some(note))
}
