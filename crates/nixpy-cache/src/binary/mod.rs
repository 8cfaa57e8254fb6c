//! The binary cache that Nix knows itself: `nix-cache-info`, `HASH.narinfo`, `nar/….nar.zst`,
//! as files of a folder, behind HTTP or in a bucket of S3. The format is described in Nix's manual, "Binary Cache".
//!
//! Written by us rather than by `nix copy`, which wants every reference in the same cache,
//! and so would copy what upstream holds. A path is there when its narinfo is; that comes last,
//! after the archive and after everything it refers to. Files appear whole, so a push that
//! is broken off leaves an archive that nobody points to, and no more.
//!
//! | module | subject |
//! |---|---|
//! | `folder` | `file://`: a folder of this machine |
//! | `http` | `http(s)://`: a server that takes PUT |
//! | `s3` | `s3://`: a bucket |
//! | `reading` | what it gives to readers |

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;
use nixpy_nix::signing::PublicKey;
use nixpy_oci::blob::Content;
use nixpy_oci::registry::Secret;
use tokio::sync::OnceCell;

use crate::error::{CacheError, CacheErrorKind};
use crate::ordered::{missing_of, put_in_order};
use crate::packed::{Packed, Packer};
use crate::settings::CacheSettings;
use crate::store::{Put, Store};
use folder::Folder;
use http::Http;
use s3::S3;

mod folder;
mod http;
mod reading;
mod s3;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

/// To send a smaller archive takes no longer than to ask whether it is there.
const WORTH_ASKING: u64 = 64 << 10;
const CACHE_INFO: &str = "nix-cache-info";
const NARINFO_TYPE: &str = "text/x-nix-narinfo";
const NAR_TYPE: &str = "application/x-nix-nar";

/// A binary cache as Nix knows it.
#[derive(Debug)]
pub struct BinaryCache {
    name: String,
    files: Files,
    uploads: usize,
    packer: Packer,
    trusted: Vec<PublicKey>,
    /// Whether `nix-cache-info` is known to be there.
    greeted: OnceCell<()>,
}

/// Where the files are.
#[derive(Debug)]
enum Files {
    Folder(Folder),
    Http(Http),
    S3(Box<S3>),
}

impl BinaryCache {
    /// The cache at this address, as Nix writes it: `file:///srv/cache`,
    /// `https://cache.example.org`, `s3://bucket`. Nothing is asked
    /// of it yet.
    ///
    /// # Errors
    /// The address is none of these.
    pub fn new(
        url: &str,
        token: Option<Secret>,
        settings: &CacheSettings,
    ) -> Result<Self, CacheError> {
        let files = Files::at(url, token).map_err(|kind| CacheError::new(url, "be used", kind))?;
        Ok(Self {
            name: url.to_owned(),
            files,
            uploads: settings.uploads,
            packer: Packer::new(&settings.place),
            trusted: settings.trusted_keys(),
            greeted: OnceCell::new(),
        })
    }

    /// The same, of which only what these keys have signed counts. Without any, nothing does
    /// for readers, and whatever is there for writers.
    #[must_use]
    pub fn trusting(mut self, keys: Vec<PublicKey>) -> Self {
        self.trusted = keys;
        self
    }

    /// Whether nothing is known that opens this bucket, so that Nix, which asks Amazon's
    /// machines as well, may know more; never of another address.
    pub fn lacks_credentials(url: &str, token: Option<&Secret>) -> bool {
        let bucket = url.strip_prefix("s3://");
        bucket.is_some_and(|rest| !s3::are_known(rest, token))
    }

    /// Writes `nix-cache-info` unless it is there: without it, Nix takes a folder for no
    /// cache.
    async fn greet(&self, store_dir: &str) -> Result<(), CacheErrorKind> {
        let greeting = self.greeted.get_or_try_init(|| async {
            if self.files.has(CACHE_INFO).await? {
                return Ok(());
            }
            let text = format!("StoreDir: {store_dir}\nWantMassQuery: 1\nPriority: 30\n");
            let put = self
                .files
                .put_text(CACHE_INFO, text, "text/x-nix-cache-info");
            put.await
        });
        greeting.await.map(|_| ())
    }

    /// Whether a path is there; where it is known whose signatures count, signed by one of them.
    async fn has(&self, info: &PathInfo) -> Result<bool, CacheErrorKind> {
        let hash_part = info.path.hash_part();
        match self.trusted.is_empty() {
            true => self.files.has(&narinfo_of(hash_part)).await,
            false => self.counts(hash_part).await,
        }
    }

    /// Whether somebody would take it, where it is known whose signatures count.
    fn is_worth_it(&self, info: &PathInfo) -> Result<(), CacheErrorKind> {
        if self.trusted.is_empty() || self.trusted.iter().any(|key| key.has_signed(info)) {
            return Ok(());
        }
        Err(CacheErrorKind::Refused {
            message: "no key that counts for this cache has signed it".to_owned(),
            cure: "give the secret half of such a key in NIXPY_CACHE_KEY (`nixpy-ci cache key` \
                   makes one), or say `read` behind the cache"
                .to_owned(),
        })
    }

    async fn send(&self, info: &PathInfo) -> Result<(String, u64), CacheErrorKind> {
        let Packed {
            narinfo, content, ..
        } = self.packer.pack(info).await?;
        let size = content.len();
        let text = narinfo.to_string();
        // Two paths may have one archive; and an interrupted push has sent some.
        if size > WORTH_ASKING && self.files.has_whole(&narinfo.url, Some(size)).await? {
            return Ok((text, 0));
        }
        self.files.put(&narinfo.url, content, NAR_TYPE).await?;
        Ok((text, size))
    }

    async fn publish(&self, info: &PathInfo, text: String) -> Result<u64, CacheErrorKind> {
        let size = text.len() as u64;
        let name = narinfo_of(info.path.hash_part());
        self.files.put_text(&name, text, NARINFO_TYPE).await?;
        Ok(size)
    }

    fn blame(&self, act: impl Into<String>) -> impl FnOnce(CacheErrorKind) -> CacheError {
        let (name, act) = (self.name.clone(), act.into());
        move |kind| CacheError::new(name, act, kind)
    }
}

impl Store for BinaryCache {
    fn name(&self) -> &str {
        &self.name
    }

    fn missing<'a>(
        &'a self,
        paths: &'a [PathInfo],
    ) -> BoxFuture<'a, Result<BTreeSet<StorePath>, CacheError>> {
        Box::pin(async move {
            // Asking is cheaper than sending, for either side.
            let at_once = self.uploads.saturating_mul(3);
            let has = |info: &'a PathInfo| self.has(info);
            let missing = match &self.files {
                Files::S3(s3) => match s3.listed_for(paths).await {
                    Ok(listed) => {
                        let listed = &listed;
                        let has = |info: &'a PathInfo| async move {
                            let told = listed.tells(&narinfo_of(info.path.hash_part()));
                            match told {
                                Some(false) => Ok(false),
                                Some(true) if self.trusted.is_empty() => Ok(true),
                                _ => self.has(info).await,
                            }
                        };
                        missing_of(paths, at_once, has).await
                    }
                    Err(kind) => Err(kind),
                },
                Files::Folder(_) | Files::Http(_) => missing_of(paths, at_once, has).await,
            };
            missing.map_err(self.blame("say what it has"))
        })
    }

    fn put<'a>(&'a self, paths: &'a [PathInfo]) -> BoxFuture<'a, Put> {
        Box::pin(async move {
            let send = |info: &'a PathInfo| async move {
                self.is_worth_it(info)?;
                self.greet(info.path.store_dir()).await?;
                self.send(info).await
            };
            let publish = |info, text| self.publish(info, text);
            put_in_order(&self.name, paths, self.uploads, send, publish).await
        })
    }
}

fn narinfo_of(hash_part: &str) -> String {
    format!("{hash_part}.narinfo")
}

impl Files {
    fn at(url: &str, token: Option<Secret>) -> Result<Self, CacheErrorKind> {
        match url.split_once("://") {
            Some(("file", rest)) => Folder::at(rest).map(Self::Folder),
            Some(("http" | "https", _)) => Http::at(url, token.as_ref()).map(Self::Http),
            Some(("s3", rest)) => S3::at(rest, token.as_ref()).map(|s3| Self::S3(Box::new(s3))),
            _ => Err(CacheErrorKind::Broken(format!(
                "{url:?} is no binary cache: write file:///srv/cache, s3://bucket or \
                 https://cache.example.org"
            ))),
        }
    }

    /// Whether a file is there.
    async fn has(&self, name: &str) -> Result<bool, CacheErrorKind> {
        self.has_whole(name, None).await
    }

    /// The same, of this size. In folders and on S3 files appear whole.
    async fn has_whole(&self, name: &str, size: Option<u64>) -> Result<bool, CacheErrorKind> {
        match self {
            Self::Folder(folder) => folder.has(name).await,
            Self::Http(http) => http.has(name, size).await,
            Self::S3(s3) => s3.has(name).await,
        }
    }

    async fn put_text(&self, name: &str, text: String, kind: &str) -> Result<(), CacheErrorKind> {
        let content = Content::Memory(Bytes::from(text));
        self.put(name, content, kind).await
    }

    /// Writes a file, whole or not at all.
    async fn put(&self, name: &str, content: Content, kind: &str) -> Result<(), CacheErrorKind> {
        let content = Arc::new(content);
        match self {
            Self::Folder(folder) => folder.put(name, content).await,
            Self::Http(http) => http.put(name, content, kind).await,
            Self::S3(s3) => s3.put(name, content, kind).await,
        }
    }
}
