//! The sentence for each kind of failure: what happened, and the cure. It follows
//! `cannot push … to …: `, and has to be enough without the cause below it.

use super::error::RemoteErrorKind;
use crate::name::Repository;

/// What happened, and the cure.
pub(super) fn explain(kind: &RemoteErrorKind, repository: &Repository) -> String {
    use RemoteErrorKind as Kind;
    let host = repository.registry();
    let login = match host {
        "docker.io" => "docker login".to_owned(),
        host => format!("docker login {host}"),
    };
    match kind {
        Kind::UnknownHost => format!(
            "the name of {host} has no address; check its spelling, and the name servers in /etc/resolv.conf"
        ),
        Kind::Unreachable => {
            format!(
                "nobody answers at {host}; check that it is up, and HTTPS_PROXY if there is a proxy"
            )
        }
        Kind::Untrusted => format!(
            "the certificate of {host} is not trusted; name a file with its authority's certificate, or set SSL_CERT_FILE"
        ),
        Kind::NotTls => format!("{host} does not speak TLS; ask for plain HTTP if that is meant"),
        Kind::Broken => "the connection broke off each time it was tried; try again".to_owned(),
        Kind::Timeout => "the registry stopped answering; try again".to_owned(),
        Kind::Unauthenticated { anonymous: false } => format!(
            "the registry refused the credentials (401); log in with `{login}`, or give --username and a password"
        ),
        Kind::Unauthenticated { anonymous: true } => format!(
            "the registry wants credentials (401), and none were found for {host}; log in with `{login}`, or give --username and a password"
        ),
        Kind::Denied(message) => denied(message, repository),
        Kind::NotFound(message) => format!(
            "the registry has no such repository (404{}); create it there first, or check its name",
            said(message)
        ),
        Kind::MissingBlob(message) => {
            format!(
                "the registry lacks a part of it{}; push it again",
                said(message)
            )
        }
        Kind::UploadLost => "the registry forgot the upload each time; try again".to_owned(),
        Kind::TokenService(message) => {
            format!(
                "its token service gave no token{}; try again",
                said(message)
            )
        }
        Kind::Refused {
            status: 429,
            message,
            ..
        } => {
            format!(
                "the registry has had too many requests (429{}); try again later",
                said(message)
            )
        }
        Kind::Refused {
            status,
            code,
            message,
        } => {
            let code = code
                .as_ref()
                .map(|code| format!(" {code}"))
                .unwrap_or_default();
            let cure = match *status {
                405 => {
                    "; it may be read-only for the time being: try again later, or ask who runs it"
                }
                500.. => "; try again later",
                _ => "",
            };
            format!(
                "the registry answered {status}{code}{}{cure}",
                said(message)
            )
        }
        Kind::Protocol(what) => {
            format!(
                "{what}, against the OCI distribution specification; check what answers at {host}"
            )
        }
        Kind::Unreadable => {
            "its bytes cannot be read back; check the disk that temporary files are on".to_owned()
        }
        Kind::Certificates(file) => format!(
            "{} has no certificates; give a file with the authority's certificate in PEM form",
            file.display()
        ),
    }
}

fn denied(message: &str, repository: &Repository) -> String {
    let what = format!("the registry does not allow it (403{})", said(message));
    if repository.registry() != "ghcr.io" {
        return format!("{what}; give the user the right to push to {repository}");
    }
    // The most asked question of its kind; the cure has to be complete.
    format!(
        "{what}; in a workflow give the job\n\npermissions:\n  packages: write\n\nand if the package is \
         older than that, give the repository write access under \"Manage Actions access\" in the package's \
         settings; elsewhere use a token with the scope write:packages"
    )
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}
