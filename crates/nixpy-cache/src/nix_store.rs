//! A store that only Nix speaks to: `ssh-ng://`, `ssh://`, `unix://`. Nix copies; we say
//! what, add signatures, and bound the time.
//!
//! Such a store is whole: what upstream holds goes there as well, or is fetched by the other
//! side where it can. Nix copies the signatures that this machine's store knows of, so ours
//! are told to it first, and where this user may not do that, to the other store
//! afterwards. They are handed over as what a cache in a folder says (`nix store
//! copy-sigs`), so that the key itself leaves this process for nowhere.
//!
//! A bucket of S3 comes here where nothing is known that opens it: Nix, where it was made with
//! S3, asks Amazon's machines as well.
//!
//! ssh asks nobody for a password or a host's key here: nobody would see the question.

use std::collections::BTreeSet;
use std::{fs, io};

use futures_util::future::BoxFuture;
use nixpy_nix::builders::{Trouble, TroubleKind};
use nixpy_nix::copying::{copy_signatures, copy_to, held_by};
use nixpy_nix::narinfo::NarInfo;
use nixpy_nix::path_info::PathInfo;
use nixpy_nix::{Nix, NixError, NixErrorKind, StorePath};
use tempfile::TempDir;

use crate::error::{CacheError, CacheErrorKind};
use crate::store::{Put, Store};

/// After what the user's own `NIX_SSHOPTS` says, which counts first.
const SSH: &str = "-o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=20";
/// Paths of one call: what fails ends the call, and the rest of it.
const AT_ONCE: usize = 200;
/// How Nix says that nobody is there, or nobody any more.
const LOST: [&str; 5] = [
    "cannot connect to",
    "unexpected end-of-file",
    "failed to start SSH connection",
    "Broken pipe",
    "lost connection",
];

/// A store that only Nix speaks to.
#[derive(Debug)]
pub struct NixStore {
    url: String,
    nix: Nix,
}

impl NixStore {
    /// The store at this address, as Nix writes it. Nothing is asked of it yet.
    pub fn new(url: &str, nix: Nix) -> Self {
        let own = std::env::var("NIX_SSHOPTS").unwrap_or_default();
        Self {
            url: url.to_owned(),
            nix: nix.with_variable("NIX_SSHOPTS", format!("{own} {SSH}").trim().to_owned()),
        }
    }

    async fn copy(&self, infos: &[PathInfo]) -> Result<(), CacheErrorKind> {
        let paths: Vec<StorePath> = infos.iter().map(|info| info.path.clone()).collect();
        let signed = SignedBy::of(infos).map_err(|error| {
            CacheErrorKind::Here(format!("signatures cannot be written down: {error}"))
        })?;
        let signed_here = signed.tell(&self.nix, None).await;
        copy_to(&self.nix, &self.url, &paths)
            .await
            .map_err(explain)?;
        let Err(refusal) = signed_here else {
            return Ok(());
        };
        tracing::debug!(%refusal, "this machine's store takes no signatures");
        let told = signed.tell(&self.nix, Some(&self.url)).await;
        told.map_err(|error| CacheErrorKind::Refused {
            message: format!("what is there now is not signed: {error}"),
            cure: "let this user add signatures: have it in `trusted-users` of this machine's \
                   nix.conf, or of the other's; or leave the key away"
                .to_owned(),
        })
    }

    /// Copies some; what the others would be told as well, if that is known.
    async fn put_some(&self, infos: &[PathInfo], put: &mut Put) -> Option<CacheErrorKind> {
        let failure = self.copy(infos).await.err();
        let there = match &failure {
            None => infos.iter().map(|info| info.path.clone()).collect(),
            // What is there without its signature is not what was wanted.
            Some(CacheErrorKind::Refused { .. }) => BTreeSet::new(),
            Some(_) => self.there(infos).await,
        };
        for info in infos.iter().filter(|info| there.contains(&info.path)) {
            put.sent += info.nar_size;
            put.stored.insert(info.path.clone());
        }
        let kind = failure?;
        let others = infos.iter().filter(|info| !there.contains(&info.path));
        self.fail(others, &kind, put);
        kind.again()
    }

    fn fail<'a>(
        &self,
        infos: impl IntoIterator<Item = &'a PathInfo>,
        kind: &CacheErrorKind,
        put: &mut Put,
    ) {
        for info in infos {
            let kind = match kind {
                CacheErrorKind::Here(message) => CacheErrorKind::Here(message.clone()),
                kind => kind
                    .again()
                    .unwrap_or_else(|| CacheErrorKind::Broken(kind.to_string())),
            };
            let error = CacheError::new(&self.url, format!("store {}", info.path), kind);
            put.failed.push((info.path.clone(), error));
        }
    }

    /// What a copy that broke off has brought there; nothing, where that cannot be asked.
    async fn there(&self, infos: &[PathInfo]) -> BTreeSet<StorePath> {
        let paths: Vec<StorePath> = infos.iter().map(|info| info.path.clone()).collect();
        held_by(&self.nix, &self.url, &paths)
            .await
            .unwrap_or_default()
    }
}

impl Store for NixStore {
    fn name(&self) -> &str {
        &self.url
    }

    fn missing<'a>(
        &'a self,
        paths: &'a [PathInfo],
    ) -> BoxFuture<'a, Result<BTreeSet<StorePath>, CacheError>> {
        Box::pin(async move {
            let all: BTreeSet<StorePath> = paths.iter().map(|info| info.path.clone()).collect();
            let asked: Vec<StorePath> = all.iter().cloned().collect();
            let held = held_by(&self.nix, &self.url, &asked)
                .await
                .map_err(|error| CacheError::new(&self.url, "say what it has", explain(error)))?;
            Ok(&all - &held)
        })
    }

    fn put<'a>(&'a self, paths: &'a [PathInfo]) -> BoxFuture<'a, Put> {
        Box::pin(async move {
            let mut put = Put::default();
            let mut told: Option<CacheErrorKind> = None;
            for some in paths.chunks(AT_ONCE) {
                told = match told {
                    None => self.put_some(some, &mut put).await,
                    Some(kind) => {
                        self.fail(some, &kind, &mut put);
                        Some(kind)
                    }
                };
            }
            put
        })
    }
}

/// What a cache would say of paths that have signatures: a folder of narinfos, without any
/// archive.
struct SignedBy {
    folder: TempDir,
    paths: Vec<StorePath>,
}

impl SignedBy {
    fn of(infos: &[PathInfo]) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut paths = Vec::new();
        for info in infos.iter().filter(|info| !info.signatures.is_empty()) {
            let narinfo = NarInfo {
                info: info.clone(),
                url: "nar/none.nar".to_owned(),
                compression: "none".to_owned(),
                file_hash: None,
                file_size: None,
            };
            let file = folder
                .path()
                .join(format!("{}.narinfo", info.path.hash_part()));
            fs::write(file, narinfo.to_string())?;
            paths.push(info.path.clone());
        }
        if let Some(path) = paths.first() {
            let text = format!("StoreDir: {}\n", path.store_dir());
            fs::write(folder.path().join("nix-cache-info"), text)?;
        }
        Ok(Self { folder, paths })
    }

    async fn tell(&self, nix: &Nix, store: Option<&str>) -> Result<(), NixError> {
        if self.paths.is_empty() {
            return Ok(());
        }
        let from = format!("file://{}", self.folder.path().display());
        copy_signatures(nix, &from, store, &self.paths).await
    }
}

/// What the words of Nix and ssh mean.
fn explain(error: NixError) -> CacheErrorKind {
    let message = match *error.kind {
        NixErrorKind::InvalidPaths(paths) => {
            let paths: Vec<&str> = paths.iter().map(StorePath::as_str).collect();
            return CacheErrorKind::Here(format!("not in this store: {}", paths.join(", ")));
        }
        NixErrorKind::Failed { message } => message,
        NixErrorKind::Fetch {
            message,
            transient: true,
        } => return CacheErrorKind::Unreachable(message),
        other => other.to_string(),
    };
    if message.contains("don't know how to open Nix store 's3:") {
        return CacheErrorKind::Refused {
            message: "nothing opens it that is known here, and this Nix was made without S3"
                .to_owned(),
            cure: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or have a profile in \
                   ~/.aws/credentials and name it by `profile=`"
                .to_owned(),
        };
    }
    let trouble = Trouble::recognise([message.as_str()]);
    let refused = |cure: &str| CacheErrorKind::Refused {
        message: trouble.words.clone(),
        cure: cure.to_owned(),
    };
    match trouble.kind {
        TroubleKind::HostKeyUnknown => refused(
            "put its line of `ssh-keyscan` into known_hosts, after checking that it is the \
             machine's key",
        ),
        TroubleKind::HostKeyChanged => refused(
            "somebody may be listening in; only if the machine was given a new key, replace the \
             old one in known_hosts",
        ),
        TroubleKind::KeyRefused => refused(
            "check the user in its address, and give ssh a key that lets him in without a \
             question (an agent, `?ssh-key=`, NIX_SSHOPTS)",
        ),
        TroubleKind::NotTrusted => refused(
            "name the user that logs in there in `trusted-users` of its nix.conf, or the key in \
             its `trusted-public-keys`",
        ),
        TroubleKind::DiskFull => CacheErrorKind::Full(trouble.words),
        TroubleKind::Unreachable | TroubleKind::TimedOut | TroubleKind::Lost => {
            CacheErrorKind::Unreachable(trouble.words)
        }
        _ if LOST.iter().any(|words| message.contains(words)) => {
            CacheErrorKind::Unreachable(trouble.words)
        }
        _ => CacheErrorKind::Broken(trouble.words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nix_and_ssh_say_is_told_apart() {
        let kind = |message: &str| {
            let message = message.to_owned();
            explain(NixError {
                act: "copy paths to",
                subject: "ssh-ng://host".to_owned(),
                kind: Box::new(NixErrorKind::Failed { message }),
                cause: None,
            })
        };
        use CacheErrorKind::{Broken, Full, Refused, Unreachable};
        let eof =
            "cannot open connection to remote store 'ssh-ng://h': error: unexpected end-of-file";
        assert!(matches!(kind(eof), Unreachable(_)));
        let ssh = format!("Host key verification failed.\n{eof}");
        assert!(matches!(kind(&ssh), Refused { cure, .. } if cure.contains("ssh-keyscan")));
        let ssh = format!("root@h: Permission denied (publickey).\n{eof}");
        assert!(matches!(kind(&ssh), Refused { cure, .. } if cure.contains("ssh-key=")));
        let full = "error: writing to file: No space left on device";
        assert!(matches!(kind(full), Full(_)));
        let unsigned = "cannot add path '/nix/store/x' because it lacks a valid signature";
        assert!(matches!(kind(unsigned), Refused { cure, .. } if cure.contains("trusted-users")));
        assert!(matches!(
            kind("don't know how to open Nix store 'x'"),
            Broken(_)
        ));
    }
}
