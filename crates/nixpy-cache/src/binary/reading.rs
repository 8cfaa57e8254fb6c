//! What a binary cache gives to readers: only what a trusted key has signed, and nothing
//! but archives by the names that archives have.

use std::ops::Range;

use futures_util::future::BoxFuture;
use nixpy_nix::narinfo::NarInfo;

use super::{BinaryCache, Files, narinfo_of};
use crate::error::{CacheError, CacheErrorKind};
use crate::source::{Nar, Source};

/// More than any narinfo seen.
const LONGEST_NARINFO: u64 = 1 << 20;

impl Source for BinaryCache {
    fn name(&self) -> &str {
        &self.name
    }

    fn narinfo<'a>(
        &'a self,
        hash_part: &'a str,
    ) -> BoxFuture<'a, Result<Option<NarInfo>, CacheError>> {
        Box::pin(async move {
            let known = self.known(hash_part).await;
            known.map_err(self.blame(format!("say what it has of {hash_part}")))
        })
    }

    fn nar<'a>(
        &'a self,
        url: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Option<Nar>, CacheError>> {
        Box::pin(async move {
            if !is_archive(url) {
                return Ok(None);
            }
            let nar = match &self.files {
                Files::Folder(folder) => folder.nar(&self.name, url, range).await,
                Files::Http(http) => http.nar(&self.name, url, range).await,
                Files::S3(s3) => s3.nar(&self.name, url, range).await,
            };
            nar.map_err(self.blame(format!("give {url}")))
        })
    }
}

impl BinaryCache {
    async fn known(&self, hash_part: &str) -> Result<Option<NarInfo>, CacheErrorKind> {
        if !hash_part.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        let name = narinfo_of(hash_part);
        let Some(text) = self.files.text(&name, LONGEST_NARINFO).await? else {
            return Ok(None);
        };
        let narinfo = read(&text, hash_part);
        let narinfo = narinfo.map_err(|why| CacheErrorKind::Broken(format!("{name}: {why}")))?;
        Ok(Some(narinfo).filter(|narinfo| self.trusts(narinfo)))
    }

    /// Whether a path is there and counts. What makes no sense, or is signed by nobody who is
    /// trusted, does not: nobody would take it, and it would be in the way of what is signed.
    pub(super) async fn counts(&self, hash_part: &str) -> Result<bool, CacheErrorKind> {
        let name = narinfo_of(hash_part);
        let text = self.files.text(&name, LONGEST_NARINFO).await?;
        let narinfo = text.and_then(|text| read(&text, hash_part).ok());
        Ok(narinfo.is_some_and(|narinfo| self.trusts(&narinfo)))
    }

    fn trusts(&self, narinfo: &NarInfo) -> bool {
        self.trusted.iter().any(|key| key.has_signed(&narinfo.info))
    }
}

/// The narinfo of the path with this hash part.
fn read(text: &[u8], hash_part: &str) -> Result<NarInfo, String> {
    let text = str::from_utf8(text).map_err(|error| error.to_string())?;
    let narinfo: NarInfo = text.parse().map_err(|error| format!("{error}"))?;
    let path = &narinfo.info.path;
    match path.hash_part() == hash_part {
        true => Ok(narinfo),
        false => Err(format!("it is about {path}")),
    }
}

impl Files {
    async fn text(&self, name: &str, limit: u64) -> Result<Option<bytes::Bytes>, CacheErrorKind> {
        match self {
            Self::Folder(folder) => folder.text(name, limit).await,
            Self::Http(http) => http.text(name, limit).await,
            Self::S3(s3) => s3.text(name, limit).await,
        }
    }
}

/// Whether an address that a narinfo gives leads to an archive of this cache: `nar/` and one name.
fn is_archive(url: &str) -> bool {
    let Some(name) = url.strip_prefix("nar/") else {
        return false;
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+=".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(good)
}
