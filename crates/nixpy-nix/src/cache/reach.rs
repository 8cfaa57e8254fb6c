//! Whether one cache answers, and what it holds of a few paths.

use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest as _, Sha256};

use super::verified;
use crate::error::{NixError, NixErrorKind};
use crate::path_info::{elsewhere, known_paths};
use crate::program::Nix;
use crate::run::run;
use crate::store_path::StorePath;

/// What a cache holds of the paths that it was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The paths.
    pub paths: Vec<StorePath>,
    /// The names of the keys by which they are signed; sorted.
    pub keys: Vec<String>,
    /// Whether Nix would take all of them, as far as keys go.
    pub is_trusted: bool,
}

/// Asks a cache about a path that nobody has, because what Nix was told before it
/// remembers for weeks, the cache's own greeting included; and waits as long as it takes.
///
/// # Errors
/// The cache does not answer; in Nix's words.
pub async fn reach(nix: &Nix, url: &str) -> Result<Duration, NixError> {
    let begun = Instant::now();
    let Some(nobodys) = nobodys() else {
        return Ok(Duration::ZERO);
    };
    let mut arguments = vec!["path-info".to_owned()];
    arguments.extend(elsewhere(url));
    arguments.push(nobodys.to_string());
    let ended = run(nix, &arguments, &mut |_| {}).await?;
    let complaint = ended.complaint();
    // To say that it does not have the path is an answer.
    let answered = ["is not valid", "does not exist", "don't know how to build"];
    if ended.success || answered.iter().any(|words| complaint.contains(words)) {
        return Ok(begun.elapsed());
    }
    let kind = NixErrorKind::Failed { message: complaint };
    Err(NixError::new("reach", "it", kind))
}

/// What a cache holds of these paths, and by whom it is signed.
///
/// # Errors
/// The cache does not answer; in Nix's words.
pub async fn held(nix: &Nix, url: &str, paths: &[StorePath]) -> Result<Held, NixError> {
    let infos = known_paths(nix, paths, Some(url)).await?;
    let signatures = infos.iter().flat_map(|info| &info.signatures);
    let mut keys: Vec<String> = signatures
        .filter_map(|signature| Some(signature.split_once(':')?.0.to_owned()))
        .collect();
    keys.sort();
    keys.dedup();
    let paths: Vec<&StorePath> = infos.iter().map(|info| &info.path).collect();
    let is_trusted = paths.is_empty() || verified(nix, url, &paths).await;
    Ok(Held {
        is_trusted,
        keys,
        paths: infos.iter().map(|info| info.path.clone()).collect(),
    })
}

/// A path whose hash is of this moment.
fn nobodys() -> Option<StorePath> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let moment = format!(
        "{} {}",
        now.unwrap_or_default().as_nanos(),
        std::process::id()
    );
    let alphabet = b"0123456789abcdfghijklmnpqrsvwxyz";
    let digest = Sha256::digest(moment);
    let digits = digest
        .iter()
        .map(|byte| char::from(alphabet[usize::from(byte % 32)]));
    let hash: String = digits.take(32).collect();
    StorePath::in_store("/nix/store", &format!("{hash}-nobody-has-this")).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::nobodys;

    #[test]
    fn nobody_has_been_asked_about_that_path_before() {
        assert_ne!(nobodys().unwrap(), nobodys().unwrap());
    }
}
