//! Each cache that is to be written: whether this run may, as far as that can be told
//! without anything being written.

use std::path::Path;

use futures_util::future::join_all;
use nixpy_cache::{CacheError, CacheSettings, Place, Spec, stores};
use nixpy_nix::path_info::PathInfo;
use nixpy_nix::{NarHash, StorePath};
use rustix::fs::{Access, access};

use super::check::{About, Check, Concern, State, about};
use super::disk::nearest;
use super::{Patient, aside};
use crate::caching::{Problem, why_not};
use crate::report::told;

pub(super) async fn check(patient: &Patient<'_>) -> Vec<Check> {
    let caches = &patient.inputs.caches;
    let written = caches.wanted.iter().filter(|spec| spec.write);
    // Who only reads has nothing to be told of here.
    let written = written.filter(|_| !caches.read_only && !caches.from_fork);
    join_all(written.map(|spec| one(patient, spec, caches))).await
}

async fn one(patient: &Patient<'_>, spec: &Spec, caches: &CacheSettings) -> Check {
    let lacking = Lacking {
        about: about("push", &spec.place, Concern::Remote),
        state: match caches.required {
            true => State::Trouble,
            false => State::Warning,
        },
    };
    if let Some((_, Some(problem))) = why_not(spec, caches) {
        return lacking.of(Concern::Inputs, problem);
    }
    match &spec.place {
        Place::Nix(url) if url.starts_with("file://") => {
            let folder = url.trim_start_matches("file://");
            let folder = folder.split('?').next().unwrap_or_default().to_owned();
            let asked = lacking.clone();
            let found = aside(patient.patience(), move || asked.folder(Path::new(&folder))).await;
            found.unwrap_or_else(|late| lacking.about.not_checked(late))
        }
        Place::BesideImage | Place::Registry(_) => {
            let cache = match caches.in_registry(&spec.place, &[]) {
                Ok(cache) => cache,
                Err(kind) => {
                    let error = CacheError::new(spec.place.to_string(), "be used", kind);
                    return lacking.of(Concern::Inputs, Problem::from(&error));
                }
            };
            match patient.within(cache.registry().may_push()).await {
                Ok(Ok(())) => lacking.about.fine("this user may push"),
                // Errors of registries bring their cure along.
                Ok(Err(error)) => lacking.about.is(lacking.state, told(&error), None),
                Err(late) => lacking.silent(late),
            }
        }
        _ => match patient.within(ask(spec, caches, patient)).await {
            Ok(Ok(())) => lacking
                .about
                .fine("answers; whether it lets this user write is seen when something is pushed"),
            Ok(Err(error)) => lacking.of(Concern::Remote, Problem::from(&error)),
            Err(late) => lacking.silent(late),
        },
    }
}

/// Whether it says of a path that nobody has that it lacks it.
async fn ask(spec: &Spec, caches: &CacheSettings, patient: &Patient<'_>) -> Result<(), CacheError> {
    let store = stores::open(spec, caches, patient.nix)?;
    let path = StorePath::in_store("/nix/store", &format!("{}-nobodys", "0".repeat(32)));
    let nobodys = path.map(|path| PathInfo {
        path,
        nar_hash: NarHash::from_bytes([0; 32]),
        nar_size: 1,
        references: Vec::new(),
        deriver: None,
        ca: None,
        is_own: false,
        signatures: Vec::new(),
    });
    let asked: Vec<PathInfo> = nobodys.into_iter().collect();
    store.missing(&asked).await.map(|_| ())
}

/// How a cache is told that cannot be written.
#[derive(Clone)]
struct Lacking {
    about: About,
    state: State,
}

impl Lacking {
    fn of(&self, concern: Concern, problem: Problem) -> Check {
        let about = self.about.concerning(concern);
        about.is(self.state, problem.what, problem.cure)
    }

    fn silent(&self, late: String) -> Check {
        let cure =
            "Check the cache's name and the network: it accepts connections and says nothing";
        self.about.is(self.state, late, Some(cure.to_owned()))
    }

    fn folder(&self, folder: &Path) -> Check {
        let there = nearest(folder);
        match access(there, Access::WRITE_OK) {
            Ok(()) if !there.is_dir() => {
                let cure = Some("name a folder, as in file:///srv/cache".to_owned());
                let what = format!("{} is a file", there.display());
                self.of(Concern::Inputs, Problem { what, cure })
            }
            Ok(()) => self.about.fine("can be written"),
            Err(error) => {
                let what = format!("{} cannot be written: {error}", there.display());
                let cure = "let this user write there, or say `read` behind the cache";
                let cure = Some(cure.to_owned());
                self.of(Concern::Machine, Problem { what, cure })
            }
        }
    }
}
