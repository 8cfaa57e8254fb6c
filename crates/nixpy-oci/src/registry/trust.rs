//! Whose certificates are believed, and the HTTP client that believes them.
//!
//! The roots are the system's, found where OpenSSL would find them: `SSL_CERT_FILE`
//! and `SSL_CERT_DIR` count. A file given by the user is added to them. Only where
//! the system has none at all, as in most minimal containers, do the Mozilla roots
//! that are part of this program take their place: adding them everywhere would
//! bring back authorities that an administrator has removed.
//!
//! Names are resolved in this process (`/etc/hosts`, then the name servers of
//! `/etc/resolv.conf`): the C library would load shared objects for it, which a
//! static program cannot. Sources that only `nsswitch.conf` knows are not asked.
//!
//! Proxies are taken from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` by `reqwest`.

use std::path::Path;
use std::time::Duration;

use reqwest::ClientBuilder;
use reqwest::redirect::{Action, Attempt, Policy};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::RegistryOptions;
use super::error::{Failure, RemoteErrorKind};
use super::transport::explain_transport;

const USER_AGENT: &str = concat!("nixpy-ci/", env!("CARGO_PKG_VERSION"));

/// A client for other servers than registries: the same roots, names and proxies. Where a
/// request is sent elsewhere it follows, but not where it would become another (303).
///
/// # Errors
/// The roots of this machine cannot be used.
pub fn http_client(connect_timeout: Duration) -> Result<reqwest::Client, RemoteErrorKind> {
    let made = client_with(Vec::new(), |builder| {
        builder
            .connect_timeout(connect_timeout)
            .redirect(Policy::custom(follow_others))
    });
    made.map_err(|failure| failure.kind)
}

/// The same, which is sent nowhere else: that it should be is the answer.
///
/// # Errors
/// The roots of this machine cannot be used.
pub fn http_client_that_stays(
    connect_timeout: Duration,
) -> Result<reqwest::Client, RemoteErrorKind> {
    let made = client_with(Vec::new(), |builder| {
        builder
            .connect_timeout(connect_timeout)
            .redirect(Policy::none())
    });
    made.map_err(|failure| failure.kind)
}

/// The client for all requests.
pub(super) fn client(options: &RegistryOptions) -> Result<reqwest::Client, Failure> {
    let roots = match &options.ca_file {
        Some(file) => read_certificates(file)?,
        None => Vec::new(),
    };
    client_with(roots, |builder| {
        builder
            .connect_timeout(options.connect_timeout)
            .redirect(Policy::custom(follow))
    })
}

fn client_with(
    mut further: Vec<CertificateDer<'static>>,
    prepared: impl Fn(ClientBuilder) -> ClientBuilder,
) -> Result<reqwest::Client, Failure> {
    // Fails only if somebody else was first, which is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let made = |certificates| {
        let builder = reqwest::Client::builder().user_agent(USER_AGENT);
        prepared(builder).tls_certs_merge(certificates).build()
    };
    // Without a single root the system's verifier cannot be made. To find that out costs as
    // much as the client itself, which it is where nothing is added.
    match made(Vec::new()) {
        Ok(client) if further.is_empty() => return Ok(client),
        Ok(_) => {}
        Err(_) => {
            tracing::debug!("this machine has no root certificates; using Mozilla's");
            further.extend_from_slice(webpki_root_certs::TLS_SERVER_ROOT_CERTS);
        }
    }
    let certificates = further
        .iter()
        .map(|root| reqwest::Certificate::from_der(root));
    let certificates = certificates.collect::<Result<Vec<_>, _>>();
    made(certificates.map_err(explain_transport)?).map_err(explain_transport)
}

fn follow_others(attempt: Attempt<'_>) -> Action {
    let becomes_another = attempt.status() == reqwest::StatusCode::SEE_OTHER;
    match becomes_another || attempt.previous().len() > 10 {
        true => attempt.stop(),
        false => attempt.follow(),
    }
}

/// A registry sends whoever asks for a blob to where it is stored, by an address
/// that is signed for GET: that it does so is the answer, and HEAD would fail there.
fn follow(attempt: Attempt<'_>) -> Action {
    let blob = attempt
        .previous()
        .first()
        .is_some_and(|url| url.path().contains("/blobs/"));
    if blob || attempt.previous().len() > 10 {
        attempt.stop()
    } else {
        attempt.follow()
    }
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let failure = || Failure::new(RemoteErrorKind::Certificates(file.to_owned()));
    let pem = std::fs::read(file).map_err(|error| failure().caused_by(error))?;
    let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| failure().caused_by(error))?;
    if certificates.is_empty() {
        Err(failure())
    } else {
        Ok(certificates)
    }
}
