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

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::RegistryOptions;
use super::error::{Failure, RemoteErrorKind};
use super::transport::explain_transport;

const USER_AGENT: &str = concat!("nixpy-ci/", env!("CARGO_PKG_VERSION"));

/// The client for all requests.
pub(super) fn client(options: &RegistryOptions) -> Result<reqwest::Client, Failure> {
    // Fails only if somebody else was first, which is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let mut roots = match &options.ca_file {
        Some(file) => read_certificates(file)?,
        None => Vec::new(),
    };
    // Without a single root the system's verifier cannot be made. To find that out costs as
    // much as the client itself, which it is where nothing is added.
    let bare = client_with(options, &[]);
    match bare {
        Ok(client) if roots.is_empty() => return Ok(client),
        Ok(_) => {}
        Err(_) => {
            tracing::debug!("this machine has no root certificates; using Mozilla's");
            roots.extend_from_slice(webpki_root_certs::TLS_SERVER_ROOT_CERTS);
        }
    }
    client_with(options, &roots)
}

fn client_with(
    options: &RegistryOptions,
    roots: &[CertificateDer<'static>],
) -> Result<reqwest::Client, Failure> {
    let certificates = roots
        .iter()
        .map(|root| reqwest::Certificate::from_der(root));
    let certificates = certificates
        .collect::<Result<Vec<_>, _>>()
        .map_err(explain_transport)?;
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(options.connect_timeout)
        .tls_certs_merge(certificates)
        .redirect(reqwest::redirect::Policy::custom(follow))
        .build()
        .map_err(explain_transport)
}

/// A registry sends whoever asks for a blob to where it is stored, by an address
/// that is signed for GET: that it does so is the answer, and HEAD would fail there.
fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
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
