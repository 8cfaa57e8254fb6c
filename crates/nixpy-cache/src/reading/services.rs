//! What services say of a cache that is theirs: where Nix reads it, and by which keys its
//! paths are signed.
//!
//! Cachix: `GET SERVER/api/v1/cache/NAME`, of which `uri` and `publicSigningKeys` count
//! (<https://hackage.haskell.org/package/cachix-api>, `Cachix.Types.BinaryCache`). Attic: `GET
//! SERVER/_api/v1/cache-config/NAME`, of which `substituter_endpoint` and `public_key` count
//! (<https://github.com/zhaofengli/attic>, `attic/src/api/v1/cache_config.rs`). A private one
//! wants its token, as a bearer's.

use std::time::Duration;

use nixpy_nix::signing::PublicKey;
use nixpy_oci::registry::Secret;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longer than any answer that is one.
const LARGEST: usize = 1 << 20;
/// A run waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a service says of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Where Nix reads it.
    pub url: String,
    /// By which its paths are signed.
    pub keys: Vec<PublicKey>,
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
    let is_address = ["https://", "http://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    // It becomes a word of an option.
    if !is_address || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(nonsense(format!("{url:?} is no address")));
    }
    let keys = keys.iter().map(|key| key.parse::<PublicKey>());
    let keys = keys.collect::<Result<Vec<_>, _>>();
    Ok(Service {
        url: url.trim_end_matches('/').to_owned(),
        keys: keys.map_err(|error| nonsense(error.to_string()))?,
    })
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
    let asked = tokio::time::timeout(PATIENCE, fetch(address, token)).await;
    let silent = |_| unreachable(format!("no answer in {} s", PATIENCE.as_secs()));
    match asked.map_err(silent)? {
        Ok((200, body)) => {
            let read = serde_json::from_slice(&body);
            read.map_err(|error| unreachable(format!("its answer makes no sense: {error}")))
        }
        Ok((401 | 403, _)) => Err(ServiceError::Refused(server.to_owned())),
        Ok((404, _)) => Err(ServiceError::Missing(server.to_owned())),
        Ok((status, _)) => Err(unreachable(format!("it answers {status}"))),
        Err(error) => Err(unreachable(words(&error))),
    }
}

async fn fetch(address: &str, token: Option<&Secret>) -> Result<(u16, Vec<u8>), reqwest::Error> {
    // Fails only if somebody else was first, which is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().build()?;
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
