//! Images of outputs that are not on this machine, from what binary caches tell.
//!
//! A machine that is born empty would fetch the whole closure only to find that every
//! layer of it was published before. What decides is known without the paths: NAR hashes
//! and references from the caches, and for a streamed image the two or three small
//! files that describe it. If all layers turn out to be known, the image is published
//! from that, and not a path is fetched; if not, the outputs are fetched or built.
//!
//! What is published is what is read here: so nothing is that Nix would not take from the
//! cache it comes from ([`nixpy_nix::cache`] sees to that), and anything that cannot be
//! read, for whatever reason, makes the outputs be fetched.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nixpy_nix::cache::{Caches, KnownClosure};
use nixpy_nix::{Nix, StorePath};

use crate::image::{Closure, Fetched, Files, conf_of, customisation_layer_of, programs_of};
use crate::plan::{Form, Job, Plan};

/// For all questions to all caches together: what is asked here is to save time.
const DEADLINE: Duration = Duration::from_secs(20);

/// What is known of the outputs without having them.
#[derive(Debug)]
pub struct Described {
    /// Everything they refer to.
    pub closure: Closure,
    /// The files that say what the images are.
    pub files: Files,
}

/// Asks the caches; `None` if they do not know it all, are not to be believed, or are
/// slow.
pub async fn describe(nix: &Nix, caches: &Caches, plan: &Plan) -> Option<Described> {
    let described = tokio::time::timeout(DEADLINE, inquire(nix, caches, plan));
    described.await.ok().flatten()
}

async fn inquire(nix: &Nix, caches: &Caches, plan: &Plan) -> Option<Described> {
    if caches.is_empty() {
        return None;
    }
    let outputs: Vec<StorePath> = plan.jobs.iter().map(|job| job.output.clone()).collect();
    let mut known = caches.closure(nix, &outputs).await?;
    let mut files = BTreeMap::new();
    for job in &plan.jobs {
        files.extend(files_of(nix, job, &mut known).await?);
    }
    Some(Described {
        closure: known.paths,
        files: Files::Fetched(files),
    })
}

type FetchedFiles = Vec<(PathBuf, Fetched)>;

/// What the form of an image is read from.
async fn files_of(nix: &Nix, job: &Job, known: &mut KnownClosure) -> Option<FetchedFiles> {
    let output = job.output.as_path();
    match job.form {
        Form::Closure => {
            let bin = output.join("bin");
            let names = known.names(nix, &job.output, &bin).await?;
            Some(vec![(bin, Fetched::Directory(names))])
        }
        Form::Stream => {
            let script = known.read(nix, &job.output, output).await?;
            let conf = conf_of(&script, job.output.store_dir())?;
            let conf: StorePath = conf.to_str()?.parse().ok()?;
            let description = known.read(nix, &conf, conf.as_path()).await?;
            let layer = customisation_layer_of(&description)?;
            let checksum = layer.as_path().join("checksum");
            let stated = known.read(nix, &layer, &checksum).await?;
            let mut files = vec![
                (conf.as_path().to_owned(), Fetched::Text(description)),
                (checksum, Fetched::Text(stated)),
            ];
            for program in programs_of(&script, job.output.store_dir()) {
                // A name in a text need not be that of a path.
                let path = program.to_str()?.parse::<StorePath>().ok();
                let Some(path) = path.filter(|path| known.paths.contains_key(path)) else {
                    continue;
                };
                // What is not said by one that a cache fails to give would be taken for
                // something else: an image must not depend on whether it answers today.
                let text = known.read(nix, &path, &program).await?;
                files.push((program, Fetched::Text(text)));
            }
            files.push((output.to_owned(), Fetched::Text(script)));
            Some(files)
        }
        Form::Nix2container => {
            let description = known.read(nix, &job.output, output).await?;
            Some(vec![(output.to_owned(), Fetched::Text(description))])
        }
        // Known, if at all, as a whole, by its NAR hash.
        Form::Archive | Form::Layout => Some(Vec::new()),
    }
}
