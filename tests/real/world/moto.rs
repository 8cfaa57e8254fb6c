//! moto's S3 server, on a free port of the loopback interface, with one bucket in it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;

use nixpy_testkit::ports::free_address;
use tempfile::TempDir;

use super::nixpy::binary;
use super::program::{listens, output_of, program_at};

/// A running server; dropping it ends it, and what it held is gone.
pub struct Moto {
    _dir: TempDir,
    address: SocketAddr,
    process: Child,
}

/// Everybody may read.
const PUBLIC: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
    "Principal": "*", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::cache/*"]}]}"#;

impl Moto {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = free_address();
        let log = File::create(dir.path().join("log")).unwrap();
        let server = place();
        assert!(
            server.is_file(),
            "{} is not here: run `make test-deps`",
            server.display()
        );
        let mut process = program_at(&server)
            .args(["--host", "127.0.0.1", "--port", &address.port().to_string()])
            .env("AWS_ACCESS_KEY_ID", "of-moto")
            .env("AWS_SECRET_ACCESS_KEY", "of-moto")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        listens(&mut process, address);
        let server = Self {
            _dir: dir,
            address,
            process,
        };
        let put = |url: &str, body: &str| {
            let no_form = ["--header", "Content-Type:", "--data", body, url];
            output_of(
                "curl",
                ["--fail", "--silent", "-X", "PUT"].iter().chain(&no_form),
            );
        };
        put(&server.url(), "");
        put(&format!("{}?policy", server.url()), PUBLIC);
        server
    }

    /// Its bucket, as Nix writes it.
    pub fn bucket(&self) -> String {
        format!(
            "s3://cache?endpoint={}&scheme=http&region=us-east-1",
            self.address
        )
    }

    /// Fetches a file of its bucket. The server shows it to everybody, but answers no HEAD to
    /// those who do not sign, so that Nix cannot take the bucket for a cache behind HTTP.
    pub fn fetch(&self, name: &str, into: &Path) {
        let file = into.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let url = format!("{}/{name}", self.url());
        output_of(
            "curl",
            [
                "--fail",
                "--silent",
                "--output",
                file.to_str().unwrap(),
                &url,
            ],
        );
    }

    fn url(&self) -> String {
        format!("http://{}/cache", self.address)
    }
}

/// Beside what cargo builds: `make test-deps` puts it there.
fn place() -> PathBuf {
    let target = binary().ancestors().nth(3).unwrap();
    target.join("moto/bin/moto_server")
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
