//! Upstream's release over a loopback server: taken, refused, missing.

use std::sync::Once;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::machine::hand::Hand;
use crate::machine::{Arch, Privilege, Release, Root, SetupErrorKind, SystemRunner, upstream};

/// Serves `body` once, under any path; nothing (404) when it is empty.
async fn serve(body: Vec<u8>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("port");
    let url = format!(
        "http://{}/nix.tar.xz",
        listener.local_addr().expect("address")
    );
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("connection");
        let mut request = [0; 4096];
        let _read = stream.read(&mut request).await.expect("request");
        let status = if body.is_empty() {
            "404 Not Found"
        } else {
            "200 OK"
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("head");
        stream.write_all(&body).await.expect("body");
    });
    url
}

pub(super) fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _another_test_was_first = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder()
        .tls_certs_only([])
        .build()
        .expect("client")
}

/// An archive like upstream's, whose installer writes down how it was called.
fn archive(note: &std::path::Path) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("folder");
    let inner = folder.path().join("nix-9.9-x86_64-linux");
    std::fs::create_dir(&inner).expect("folder");
    std::fs::write(
        inner.join("install"),
        format!("echo \"$@\" > '{}'\n", note.display()),
    )
    .expect("script");
    let tar = std::process::Command::new("tar")
        .args(["-cJf", "-", "-C"])
        .arg(folder.path())
        .arg("nix-9.9-x86_64-linux")
        .output();
    tar.expect("tar").stdout
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

async fn install(release: &Release, daemon: bool) -> Result<(), SetupErrorKind> {
    let root = Root::system();
    let hand = Hand {
        root: &root,
        runner: &SystemRunner,
        privilege: Privilege::Root,
    };
    upstream::install(&hand, &http(), release, daemon).await
}

#[tokio::test]
async fn a_release_with_the_right_hash_is_unpacked_and_run() {
    let folder = tempfile::tempdir().expect("folder");
    let note = folder.path().join("note");
    let archive = archive(&note);
    for (daemon, called) in [
        (false, "--no-daemon --no-channel-add\n"),
        (true, "--daemon --yes --no-channel-add\n"),
    ] {
        let release = Release {
            url: serve(archive.clone()).await,
            sha256: sha256(&archive).to_uppercase(),
        };
        install(&release, daemon).await.expect("installed");
        assert_eq!(std::fs::read_to_string(&note).expect("note"), called);
    }
}

#[tokio::test]
async fn a_release_with_another_hash_is_never_run() {
    let folder = tempfile::tempdir().expect("folder");
    let note = folder.path().join("note");
    let archive = archive(&note);
    let release = Release {
        url: serve(archive.clone()).await,
        sha256: "00".repeat(32),
    };
    let error = install(&release, false).await.expect_err("refused");
    assert_eq!(
        error.to_string(),
        format!(
            "its SHA-256 is {}, and {} was expected",
            sha256(&archive),
            "00".repeat(32)
        )
    );
    assert!(!note.exists());
}

#[tokio::test]
async fn a_missing_release_is_a_failed_download() {
    let release = Release {
        url: serve(Vec::new()).await,
        sha256: "00".repeat(32),
    };
    let error = install(&release, false).await.expect_err("not there");
    assert!(matches!(error, SetupErrorKind::Download(_)), "{error}");
}

#[test]
fn the_pinned_releases_differ_and_are_whole() {
    let [arm, intel] = Arch::ALL.map(Release::pinned);
    assert!(
        arm.url.ends_with("-aarch64-linux.tar.xz") && intel.url.ends_with("-x86_64-linux.tar.xz")
    );
    assert_ne!(arm.sha256, intel.sha256);
    assert!(
        [arm, intel]
            .iter()
            .all(|release| release.sha256.len() == 64 && hex::decode(&release.sha256).is_ok())
    );
}
