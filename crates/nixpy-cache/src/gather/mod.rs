//! Which paths of this machine's store go into caches, and when they are there.
//!
//! Nix tells nobody without rights that a derivation is finished: a post-build hook is for
//! trusted users, and up to 2.26 or so the log lets a build end only with the whole call.
//! But the log tells at once that a build begins. So the outputs of what has begun are
//! looked for on the disk; one that has appeared is asked for, and is taken when Nix calls
//! it valid. That works for every user, every version, and for builds that a daemon or
//! another machine does.
//!
//! What was built before goes too: the closures of what a run has made, and the outputs, as
//! far as they are here, of all derivations that were needed for it, so that the next
//! change finds what it builds with.
//!
//! Not pushed is what upstream holds ([`Upstream`]); and what nobody gains from: sources,
//! which are fetched as quickly, archives of images, which are in the registry, and what
//! the settings exclude. These stay out unless something refers to them that is pushed.
//!
//! And only what this machine has built, or what is signed by a key that the run trusts:
//! whatever else lies in the store was copied there, and whoever could do that could else have
//! a run of the main branch sign it.

mod choice;
mod upstream;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use nixpy_nix::derivation::{Derivation, show_derivations};
use nixpy_nix::path_info::{PathInfo, derivation_closure, known, path_info};
use nixpy_nix::signing::PublicKey;
use nixpy_nix::{Nix, NixError, NixErrorKind, StorePath};
use tokio::time::Instant;

use crate::error::CacheError;
pub use upstream::{Upstream, keys_of};

/// As many paths as one call of Nix is given.
const PATHS_PER_CALL: usize = 500;
/// As many derivations: each has some kilobytes of JSON.
const DERIVATIONS_PER_CALL: usize = 200;
/// How long an output that is on the disk and not valid is let alone, at most: it is being
/// built in its place, or is being copied there.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Gathers what is to be pushed.
#[derive(Debug)]
pub struct Gather<'a> {
    nix: &'a Nix,
    upstream: Upstream,
    exclude: &'a [String],
    /// Archives of images, which stay out.
    images: BTreeSet<StorePath>,
    /// What derivations make; what nobody is known to have made is a source.
    made: HashSet<StorePath>,
    /// What this run has seen being built.
    built: HashSet<StorePath>,
    /// Whoever has signed a path is believed what it consists of.
    trusted: Vec<PublicKey>,
    /// Whether one of these keys has signed a path: to verify that takes time.
    signed: HashMap<StorePath, bool>,
    handed: HashSet<StorePath>,
    doubtful: BTreeSet<StorePath>,
    awaited: BTreeMap<StorePath, Look>,
}

/// When an output is looked for again.
#[derive(Debug, Clone, Copy)]
struct Look {
    next: Instant,
    wait: Duration,
}

/// What has been gathered.
#[derive(Debug, Default)]
pub struct Gathered {
    /// To be pushed: each after what it refers to, and none that was gathered before.
    pub paths: Vec<StorePath>,
    /// Whether some of what was asked for is not in the store.
    pub absent: bool,
    /// Caches upstream that did not answer; told once.
    pub silent: Vec<CacheError>,
}

impl<'a> Gather<'a> {
    /// From this store; these outputs are archives of images, and what is signed by these
    /// keys is believed.
    pub fn new(
        nix: &'a Nix,
        upstream: Upstream,
        exclude: &'a [String],
        images: BTreeSet<StorePath>,
        trusted: Vec<PublicKey>,
    ) -> Self {
        Self {
            nix,
            upstream,
            exclude,
            images,
            made: HashSet::new(),
            built: HashSet::new(),
            trusted,
            signed: HashMap::new(),
            handed: HashSet::new(),
            doubtful: BTreeSet::new(),
            awaited: BTreeMap::new(),
        }
    }

    /// Takes note of derivations that are being built.
    ///
    /// # Errors
    /// Nix does not say what their outputs are.
    pub async fn expect(&mut self, derivations: &[StorePath]) -> Result<(), NixError> {
        for outputs in self.outputs(derivations).await? {
            let now = Look {
                next: Instant::now(),
                wait: Duration::ZERO,
            };
            self.built.insert(outputs.clone());
            self.awaited.insert(outputs, now);
        }
        Ok(())
    }

    /// What has been built of what is expected, with everything that it refers to. What was
    /// on the disk and not valid a moment ago is not asked for again yet.
    ///
    /// # Errors
    /// Nix does not tell. What is expected is expected still.
    pub async fn appeared(&mut self) -> Result<Gathered, NixError> {
        let now = Instant::now();
        self.appeared_by(|look| look.next <= now).await
    }

    /// The same when nothing more will be built: all of it is asked for.
    ///
    /// # Errors
    /// Nix does not tell. What is expected is expected still.
    pub async fn appeared_in_the_end(&mut self) -> Result<Gathered, NixError> {
        self.appeared_by(|_| true).await
    }

    async fn appeared_by(&mut self, is_due: impl Fn(&Look) -> bool) -> Result<Gathered, NixError> {
        let due = self.awaited.iter().filter(|(_, look)| is_due(look));
        let there: Vec<StorePath> = due
            .filter(|(path, _)| path.as_path().symlink_metadata().is_ok())
            .map(|(path, _)| path.clone())
            .collect();
        let valid = self.valid(&there).await?;
        let now = Instant::now();
        for path in there {
            if let Some(look) = self.awaited.get_mut(&path) {
                look.wait = (look.wait * 2).clamp(Duration::from_millis(250), LONGEST_WAIT);
                look.next = now + look.wait;
            }
        }
        let gathered = self.closure(&valid).await?;
        for path in &valid {
            self.awaited.remove(path);
        }
        Ok(gathered)
    }

    /// These paths, with everything that they refer to, as far as they are in the store.
    ///
    /// # Errors
    /// Nix does not tell; none of them has been gathered then.
    pub async fn closure(&mut self, roots: &[StorePath]) -> Result<Gathered, NixError> {
        let mut gathered = Gathered::default();
        // All of it before any counts as handed over.
        let mut told = Vec::new();
        for roots in roots.chunks(PATHS_PER_CALL) {
            let infos = match path_info(self.nix, roots, true).await {
                Err(error) if matches!(*error.kind, NixErrorKind::InvalidPaths(_)) => {
                    let valid = self.valid(roots).await?;
                    gathered.absent |= valid.len() < roots.len();
                    path_info(self.nix, &valid, true).await?
                }
                told => told?,
            };
            told.push(infos);
        }
        for infos in told {
            self.choose(&infos, &mut gathered).await;
        }
        Ok(gathered)
    }

    /// What is left out so far because nobody who is trusted vouches for it; with it whatever
    /// refers to it. What is seen being built later is vouched for then.
    pub fn doubtful(&self) -> &BTreeSet<StorePath> {
        &self.doubtful
    }

    /// The derivations that these need to be built, themselves included.
    ///
    /// # Errors
    /// They are not in the store.
    pub async fn needed(&self, derivations: &[StorePath]) -> Result<Vec<StorePath>, NixError> {
        let all = derivation_closure(self.nix, derivations).await?;
        let paths = all.into_iter().map(|info| info.path);
        Ok(paths.filter(StorePath::is_derivation).collect())
    }

    /// Those outputs of these derivations that are in the store, with everything that they
    /// refer to.
    ///
    /// # Errors
    /// Nix does not tell.
    pub async fn outputs_of(&mut self, derivations: &[StorePath]) -> Result<Gathered, NixError> {
        let outputs = self.outputs(derivations).await?;
        let new = outputs
            .into_iter()
            .filter(|path| !self.handed.contains(path));
        let there = new.filter(|path| path.as_path().symlink_metadata().is_ok());
        let there: Vec<StorePath> = there.collect();
        self.closure(&there).await
    }

    async fn outputs(&mut self, derivations: &[StorePath]) -> Result<Vec<StorePath>, NixError> {
        let mut outputs = Vec::new();
        for some in derivations.chunks(DERIVATIONS_PER_CALL) {
            for derivation in show_derivations(self.nix, some).await? {
                let is_image = is_image(&derivation);
                for output in derivation.outputs.into_values().flatten() {
                    if is_image {
                        self.images.insert(output.clone());
                    }
                    self.made.insert(output.clone());
                    outputs.push(output);
                }
            }
        }
        Ok(outputs)
    }

    async fn valid(&self, paths: &[StorePath]) -> Result<Vec<StorePath>, NixError> {
        let infos = known(self.nix, paths).await?;
        Ok(infos.into_iter().map(|info| info.path).collect())
    }

    async fn choose(&mut self, infos: &[PathInfo], gathered: &mut Gathered) {
        let left = infos
            .iter()
            .filter(|info| !self.handed.contains(&info.path));
        self.upstream.verify(left);
        let chosen = self.chosen(infos);
        let asked: BTreeSet<&StorePath> = chosen.iter().collect();
        let asked = infos.iter().filter(|info| asked.contains(&info.path));
        let asked: Vec<PathInfo> = asked.cloned().collect();
        gathered.silent.extend(self.upstream.ask(&asked).await);
        let chosen = self.chosen(infos);
        self.verify(&asked);
        let (chosen, doubtful) = choice::vouched(chosen, infos, |info| self.vouches_for(info));
        for info in infos {
            // They are looked at again with whatever refers to them.
            match doubtful.contains(&info.path) && !self.vouches_for(info) {
                true => _ = self.doubtful.insert(info.path.clone()),
                false => _ = self.doubtful.remove(&info.path),
            }
        }
        self.handed.extend(chosen.iter().cloned());
        gathered.paths.extend(chosen);
    }

    fn verify(&mut self, infos: &[PathInfo]) {
        for info in infos {
            if !self.is_made_here(info) && !self.signed.contains_key(&info.path) {
                let is_signed = self.trusted.iter().any(|key| key.has_signed(info));
                self.signed.insert(info.path.clone(), is_signed);
            }
        }
    }

    fn chosen(&self, infos: &[PathInfo]) -> Vec<StorePath> {
        let is_upstream = |info: &PathInfo| self.upstream.holds(info);
        choice::chosen(infos, &self.handed, is_upstream, |info| {
            self.stays_out(info)
        })
    }

    /// Whether it is what it is called: to push it is to vouch for it, by our key or by that
    /// of the cache's server. What was copied into this store from somewhere may be anything.
    fn vouches_for(&self, info: &PathInfo) -> bool {
        self.is_made_here(info) || self.signed.get(&info.path) == Some(&true)
    }

    /// By this machine, by this run on another, or so that its name tells what it is.
    fn is_made_here(&self, info: &PathInfo) -> bool {
        info.is_own || info.ca.is_some() || self.built.contains(&info.path)
    }

    fn stays_out(&self, info: &PathInfo) -> bool {
        let is_source = info.ca.is_some()
            || (info.deriver.is_none() && !self.made.contains(&info.path))
            || info.path.is_derivation();
        let mut patterns = self.exclude.iter();
        is_source
            || self.images.contains(&info.path)
            || patterns.any(|pattern| choice::matches(pattern, info.path.name()))
    }
}

/// Whether it makes an archive of an image, as nixpkgs' dockerTools do.
fn is_image(derivation: &Derivation) -> bool {
    let endings = [".tar", ".tar.gz", ".tar.zst"];
    let is_archive = endings
        .iter()
        .any(|ending| derivation.name.ends_with(ending));
    is_archive && derivation.env.contains_key("imageName")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
