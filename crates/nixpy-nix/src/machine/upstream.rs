//! Upstream's release of Nix: fetched, compared with a hash that this program
//! carries, and only then unpacked and run.

use std::io::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::hand::Hand;
use super::{Arch, Invocation, Runner, SetupErrorKind};

/// A release's archive for one system, and what it must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Where it is.
    pub url: String,
    /// Its SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl Release {
    /// The release that this program knows.
    ///
    /// The hashes are those that upstream publishes in the release's own script,
    /// <https://releases.nixos.org/nix/nix-2.35.2/install> (`Linux.x86_64` and
    /// `Linux.aarch64`), and as `.sha256` beside each archive. Change both and
    /// the version together.
    #[must_use]
    pub fn pinned(arch: Arch) -> Self {
        let sha256 = match arch {
            Arch::X86_64 => "0c3960a9792331a22081c3c7a5d8465db9b17c50b3acdf18587fa4c6f2cb1158",
            Arch::Aarch64 => "4d0302a2910f5eec1c33b8deef634f04899a75737e7001ec49908d003ae5efda",
        };
        let system = arch.system();
        let url = format!("https://releases.nixos.org/nix/nix-2.35.2/nix-2.35.2-{system}.tar.xz");
        Self {
            url,
            sha256: sha256.to_owned(),
        }
    }
}

/// Fetches, checks, unpacks and runs. The folder it all happens in goes away.
pub(super) async fn install<R: Runner>(
    hand: &Hand<'_, R>,
    http: &reqwest::Client,
    release: &Release,
    daemon: bool,
) -> Result<(), SetupErrorKind> {
    let folder = tempfile::Builder::new().prefix("nix-release-").tempdir();
    let folder = folder.map_err(|source| SetupErrorKind::File {
        path: std::env::temp_dir(),
        source,
    })?;
    let archive = folder.path().join("nix.tar.xz");
    fetch(http, release, &archive).await?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let unpack = [
        "-xJf",
        &text(&archive),
        "-C",
        &text(folder.path()),
        "--strip-components=1",
    ];
    hand.run(Invocation::new("tar", unpack)).await?;
    let script = text(&folder.path().join("install"));
    let mode: &[&str] = if daemon {
        &["--daemon", "--yes"]
    } else {
        &["--no-daemon"]
    };
    // Channels are not needed by flakes, and adding one needs the network.
    let args = [&[script.as_str()], mode, &["--no-channel-add"]].concat();
    // As ourselves in every case: the script asks `sudo` for what it needs.
    hand.run(Invocation::new("sh", args)).await.map(drop)
}

/// Streams the archive to a file, and refuses it unless the hash is right.
pub(super) async fn fetch(
    http: &reqwest::Client,
    release: &Release,
    archive: &Path,
) -> Result<(), SetupErrorKind> {
    let failed = |source| SetupErrorKind::File {
        path: archive.to_owned(),
        source,
    };
    let response = http
        .get(&release.url)
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let mut response = response.map_err(SetupErrorKind::Download)?;
    let mut file = std::fs::File::create(archive).map_err(failed)?;
    let mut hash = Sha256::new();
    while let Some(chunk) = response.chunk().await.map_err(SetupErrorKind::Download)? {
        hash.update(&chunk);
        file.write_all(&chunk).map_err(failed)?;
    }
    let found = hex::encode(hash.finalize());
    let expected = release.sha256.trim().to_lowercase();
    if found == expected {
        Ok(())
    } else {
        Err(SetupErrorKind::Hash { expected, found })
    }
}
