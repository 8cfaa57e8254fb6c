//! The distribution's nginx, which takes files by PUT (WebDAV), on a free port of the
//! loopback interface.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use nixpy_testkit::ports::free_address;
use tempfile::TempDir;

use super::program::{listens, program};

/// A running server; dropping it ends it, and its files are gone.
pub struct Nginx {
    dir: TempDir,
    url: String,
    process: Child,
}

impl Nginx {
    /// That everybody may read, and who has this password write.
    pub fn that_wants(user: &str, password: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = free_address();
        let place = dir.path().display();
        for folder in ["files", "tmp"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        fs::write(
            dir.path().join("users"),
            format!("{user}:{{PLAIN}}{password}\n"),
        )
        .unwrap();
        let config = format!(
            "daemon off; master_process off; user root; pid {place}/pid; error_log {place}/log;\n\
             events {{ }}\n\
             http {{\n access_log off; client_body_temp_path {place}/tmp;\n server {{\n\
             listen {address}; root {place}/files; client_max_body_size 0;\n\
             location / {{ dav_methods PUT; create_full_put_path on;\n\
             limit_except GET {{ auth_basic cache; auth_basic_user_file {place}/users; }} }}\n\
             }} }}\n"
        );
        fs::write(dir.path().join("nginx.conf"), config).unwrap();
        let mut process = program("nginx")
            .args([
                "-p",
                dir.path().to_str().unwrap(),
                "-c",
                "nginx.conf",
                "-e",
                "log",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        listens(&mut process, address);
        Self {
            dir,
            url: format!("http://{address}"),
            process,
        }
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where its files are.
    pub fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
