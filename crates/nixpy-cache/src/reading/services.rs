//! What services say of a cache that is theirs: where Nix reads it, and by which keys its
//! paths are signed.
//!
//! Cachix: `GET SERVER/api/v1/cache/NAME`, of which `uri` and `publicSigningKeys` count
//! (<https://hackage.haskell.org/package/cachix-api>, `Cachix.Types.BinaryCache`). Attic: `GET
//! SERVER/_api/v1/cache-config/NAME`, of which `substituter_endpoint` and `public_key` count
//! (<https://github.com/zhaofengli/attic>, `attic/src/api/v1/cache_config.rs`). A private one
//! wants its token, as a bearer's.
//!
//! What a service says goes into what Nix is told, and is not more believed than that needs:
//! an address is nothing but one, since a parameter of it could turn Nix's check of
//! signatures off; it never leads from TLS to where anybody may read the token; and of keys
//! it is told whether somebody on the way could have changed them. Nobody is asked but who
//! was named.

use std::net::IpAddr;
use std::time::Duration;

use nixpy_nix::signing::PublicKey;
use nixpy_oci::registry::{Secret, http_client_that_stays, one_line};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longer than any answer that is one.
const LARGEST: usize = 1 << 20;
/// What it says is told, and told to Nix with every call.
const MOST_KEYS: usize = 16;
const LONGEST_KEY: usize = 300;
/// A run waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a service says of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where Nix reads it.
    pub url: String,
    /// By which its paths are signed.
    pub keys: Vec<PublicKey>,
    /// Whether nobody on the way can have said it instead: over TLS, or on this machine.
    pub is_authentic: bool,
}

/// Why a service did not say it.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// It does not let us.
    #[error("{0} does not let us see it: give its token in NIXPY_CACHE_TOKEN")]
    Refused(String),
    /// It has no such cache.
    #[error("{0} has no such cache: check the name, and for a private one NIXPY_CACHE_TOKEN")]
    Missing(String),
    /// It does not answer, or with what makes no sense.
    #[error("{server} cannot be asked about it: {problem}")]
    Unreachable {
        /// Who.
        server: String,
        /// Why.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cachix {
    uri: String,
    public_signing_keys: Vec<String>,
}

#[derive(Deserialize)]
struct Attic {
    substituter_endpoint: Option<String>,
    public_key: Option<String>,
}

/// Asks Cachix, or who speaks as it does.
///
/// # Errors
/// [`ServiceError`].
pub async fn ask_cachix(
    server: &str,
    cache: &str,
    token: Option<&Secret>,
) -> Result<Service, ServiceError> {
    let address = format!("{server}/api/v1/cache/{cache}");
    let told: Cachix = get(server, &address, token).await?;
    service(server, told.uri, &told.public_signing_keys)
}

/// Asks an Attic server.
///
/// # Errors
/// [`ServiceError`].
pub async fn ask_attic(
    server: &str,
    cache: &str,
    token: Option<&Secret>,
) -> Result<Service, ServiceError> {
    let address = format!("{server}/_api/v1/cache-config/{cache}");
    let told: Attic = get(server, &address, token).await?;
    let url = told
        .substituter_endpoint
        .unwrap_or_else(|| format!("{server}/{cache}"));
    let keys: Vec<String> = told.public_key.into_iter().collect();
    service(server, url, &keys)
}

fn service(server: &str, url: String, keys: &[String]) -> Result<Service, ServiceError> {
    let nonsense = |problem: String| ServiceError::Unreachable {
        server: server.to_owned(),
        problem,
    };
    if let Some(why) = no_address(server, &url) {
        return Err(nonsense(format!(
            "it says that its cache is at {:?}, {why}",
            one_line(&url)
        )));
    }
    if keys.len() > MOST_KEYS || keys.iter().any(|key| key.len() > LONGEST_KEY) {
        return Err(nonsense("it names more keys than a cache has".to_owned()));
    }
    let keys = keys.iter().map(|key| key.parse::<PublicKey>());
    let keys = keys.collect::<Result<Vec<_>, _>>();
    Ok(Service {
        url: url.trim_end_matches('/').to_owned(),
        keys: keys.map_err(|error| nonsense(one_line(&error.to_string())))?,
        is_authentic: is_secret(server) || is_here(server),
    })
}

/// What is wrong with an address that a service says. It becomes a word of an option, in
/// which parameters change what Nix checks.
fn no_address(server: &str, url: &str) -> Option<&'static str> {
    let is_address = ["https://", "http://"]
        .iter()
        .any(|scheme| url.starts_with(scheme) && url.len() > scheme.len());
    if !is_address || !url.chars().all(|c| c.is_ascii_graphic()) {
        return Some("which is no address");
    }
    if url.contains(['?', '#', '@']) {
        return Some("which has more in it than an address: Nix is not told of it");
    }
    (is_secret(server) && !is_secret(url))
        .then_some("where everybody on the way could read along: Nix is not told of it")
}

fn is_secret(url: &str) -> bool {
    url.starts_with("https://")
}

/// On this machine's loopback.
fn is_here(server: &str) -> bool {
    let url = reqwest::Url::parse(server).ok();
    let host = url.as_ref().and_then(reqwest::Url::host_str);
    let host = host.unwrap_or_default().trim_matches(['[', ']']);
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

async fn get<T: DeserializeOwned>(
    server: &str,
    address: &str,
    token: Option<&Secret>,
) -> Result<T, ServiceError> {
    let unreachable = |problem: String| ServiceError::Unreachable {
        server: server.to_owned(),
        problem,
    };
    let client = http_client_that_stays(PATIENCE);
    let client = client.map_err(|_| {
        unreachable("the root certificates of this machine cannot be used".to_owned())
    })?;
    let asked = tokio::time::timeout(PATIENCE, fetch(&client, address, token)).await;
    let silent = |_| unreachable(format!("no answer in {} s", PATIENCE.as_secs()));
    match asked.map_err(silent)? {
        Ok((200, body)) => {
            let read = serde_json::from_slice(&body);
            read.map_err(|error| {
                let error = one_line(&error.to_string());
                unreachable(format!("its answer makes no sense: {error}"))
            })
        }
        Ok((401 | 403, _)) => Err(ServiceError::Refused(server.to_owned())),
        Ok((404, _)) => Err(ServiceError::Missing(server.to_owned())),
        Ok((status @ 300..=399, _)) => Err(unreachable(format!(
            "it answers {status}, and is somewhere else: write the address where it is"
        ))),
        Ok((status, _)) => Err(unreachable(format!("it answers {status}"))),
        Err(error) => Err(unreachable(words(&error))),
    }
}

async fn fetch(
    client: &reqwest::Client,
    address: &str,
    token: Option<&Secret>,
) -> Result<(u16, Vec<u8>), reqwest::Error> {
    let mut request = client.get(address);
    if let Some(token) = token {
        request = request.bearer_auth(token.expose());
    }
    let mut response = request.send().await?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await? {
        if body.len() + piece.len() > LARGEST {
            break;
        }
        body.extend_from_slice(&piece);
    }
    Ok((response.status().as_u16(), body))
}

/// The innermost cause says most.
fn words(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const KEY: &str = "acme-1:KC7u7/re6tZ6HQ6Qm7EEpfzs5ulkUws5k4XCsgAST24=";

    fn said(server: &str, url: &str) -> Result<Service, ServiceError> {
        service(server, url.to_owned(), &[KEY.to_owned()])
    }

    #[test]
    fn what_a_service_says_is_an_address_and_nothing_more() {
        for url in [
            "https://a.org?trusted=true",
            "https://a.org/#?trusted=true",
            "https://me@a.org",
            "https://a.org https://b.org",
            "https://a.org\nx",
            "https://",
            "file:///tmp",
            "http://a.org",
        ] {
            let error = said("https://cachix.org", url).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
        }
        let good = said("https://cachix.org", "https://a.org/b/").unwrap();
        assert_eq!(good.url, "https://a.org/b");
        assert!(said("http://127.0.0.1:80", "http://127.0.0.1:80/a").is_ok());
    }

    #[test]
    fn keys_are_authentic_over_tls_and_on_this_machine() {
        let is_authentic = |server: &str| said(server, "https://a.org").unwrap().is_authentic;
        for server in [
            "https://cachix.org",
            "http://localhost:1",
            "http://127.0.0.2:1",
            "http://[::1]:1",
        ] {
            assert!(is_authentic(server), "{server}");
        }
        for server in [
            "http://cachix.org",
            "http://127.0.0.1.evil.org",
            "http://10.0.0.1",
        ] {
            assert!(!is_authentic(server), "{server}");
        }
    }
}
