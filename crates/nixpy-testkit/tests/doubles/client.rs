//! The smallest HTTP client that can see everything: one request, one connection,
//! and the bytes that came before it ended.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use nixpy_testkit::registry::Registry;
use serde_json::{Value, json};

/// A request that is being described.
pub(crate) struct Ask {
    address: SocketAddr,
    head: String,
    body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    headers: Vec<(String, String)>,
}

/// A request to a registry: `ask(&registry, "GET /v2/")`.
pub(crate) fn ask(registry: &Registry, line: &str) -> Ask {
    ask_at(registry.address(), line)
}

/// A request to an address; a target that is a URL is cut down to its path.
pub(crate) fn ask_at(address: SocketAddr, line: &str) -> Ask {
    let (method, target) = line.split_once(' ').unwrap();
    let target = target.replace(&format!("http://{address}"), "");
    let head = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    Ask {
        address,
        head,
        body: Vec::new(),
    }
}

impl Ask {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    pub(crate) fn body(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.body = bytes.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    /// In chunks, of no announced length.
    pub(crate) fn streamed(mut self, bytes: &[u8]) -> Self {
        for piece in bytes.chunks(10_000) {
            self.body
                .extend(format!("{:x}\r\n", piece.len()).into_bytes());
            self.body.extend([piece, b"\r\n"].concat());
        }
        self.body.extend(b"0\r\n\r\n");
        self.header("Transfer-Encoding", "chunked")
    }

    pub(crate) fn send(self) -> Answer {
        self.try_send().expect("an answer")
    }

    /// `None` if the connection ended before a whole head came.
    pub(crate) fn try_send(self) -> Option<Answer> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
            .write_all(format!("{}\r\n", self.head).as_bytes())
            .ok()?;
        stream.write_all(&self.body).ok()?;
        let mut bytes = Vec::new();
        // A reset after part of the answer still leaves that part.
        let _ = stream.read_to_end(&mut bytes);
        Answer::parse(&bytes)
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The code of the first error.
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().unwrap();
        let pair = |line: &str| {
            line.split_once(": ")
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        Some(Self {
            status,
            headers: lines.filter_map(pair).collect(),
            body: bytes[end + 4..].to_vec(),
        })
    }
}

/// Begins an upload; the answer is the location.
pub(crate) fn begin(registry: &Registry, name: &str) -> String {
    let begun = ask(registry, &format!("POST /v2/{name}/blobs/uploads/"))
        .body("")
        .send();
    assert_eq!(begun.status, 202);
    begun.header("Location").to_owned()
}

/// An image manifest of blobs that are put in the registry first.
pub(crate) fn image(registry: &Registry, name: &str, layer: &str) -> Value {
    let config = registry.put_blob(name, "{}");
    let digest = registry.put_blob(name, layer.to_owned());
    json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2 },
        "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": layer.len() }],
    })
}

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
