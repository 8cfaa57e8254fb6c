//! The smoke test: every platform's image is started and has to work before a tag moves.
//!
//! What is wanted, who is asked and what comes of it is decided here. The images are
//! started by a [`Gate`] that the caller brings: this crate starts no process. A platform
//! that cannot be run is untested, and told to be; it never counts as passed.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nixpy_nix::System;
use nixpy_oci::config::Runtime;
use nixpy_oci::platform::Platform;
use serde::{Deserialize, Serialize};

use crate::plan::Host;
use crate::publish::Loadable;

/// What every image has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smoke {
    /// To be waited for.
    pub service: Option<Service>,
    /// A program and its arguments that have to end well: in the running container once the
    /// service is there; in the place of the image's own program where no service is wanted.
    pub command: Vec<String>,
    /// For everything, on a processor of this machine.
    pub timeout: Duration,
    /// The container's network, as docker and podman call it.
    pub network: String,
    /// Variables of the container beside the image's own.
    pub env: BTreeMap<String, String>,
    /// Whether an image that cannot be run here counts as failed, and one that the tags point
    /// to already is started again.
    pub required: bool,
}

/// A service to be waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The image's only port if `None`.
    pub port: Option<u16>,
    /// What it has to answer; that it accepts connections is enough if `None`.
    pub http: Option<Http>,
}

/// A question to a service, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// `/openapi.json`.
    pub route: String,
    /// The status.
    pub expect: u16,
}

/// Under qemu, Python needs seven times as long to its first answer (6.0 s where 0.8 s
/// are native). Only a service that hangs is waited for to the end.
const EMULATED: u32 = 4;

/// One image to be tried out.
pub struct Trial<'a> {
    /// Its bytes.
    pub image: &'a Loadable,
    /// What it runs on.
    pub platform: &'a Platform,
    /// How it is started.
    pub runtime: &'a Runtime,
    /// What is wanted.
    pub smoke: &'a Smoke,
    /// The service's port, if there is to be a service.
    pub port: Option<u16>,
    /// What it is given.
    pub timeout: Duration,
}

/// Whoever starts images and looks.
pub trait Gate: Sync {
    /// Starts one image, and judges it. Several are asked for at once. What it has started
    /// is gone when it answers, or is dropped.
    fn try_out<'a>(&'a self, trial: Trial<'a>) -> BoxFuture<'a, Tested>;
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It did what was wanted.
    Passed,
    /// It did not.
    Failed,
    /// It could not be run here.
    Untested,
    /// All tags point to this very image already: it was not started again.
    Unchanged,
}

/// The facts of one image's smoke test.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Tested {
    /// What came of it.
    pub verdict: Verdict,
    /// What was wanted, for people.
    pub wanted: String,
    /// What was seen, or why nothing could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cure: Option<String>,
    /// What has run it: `podman`, `docker`, `namespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What had to be done otherwise than usual to run it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// From its start to the verdict.
    #[serde(default)]
    pub seconds: f64,
    /// The container's last lines, if it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

impl Smoke {
    /// What an image has to do, for people.
    pub fn wanted(&self, port: Option<u16>) -> String {
        let at =
            |port: Option<u16>| port.map_or_else(String::new, |port| format!(" at port {port}"));
        let service = self.service.as_ref().map(|service| match &service.http {
            Some(http) => format!("{} from {}{}", http.expect, http.route, at(port)),
            None => format!("connections{}", at(port)),
        });
        let command = (!self.command.is_empty())
            .then(|| format!("exit code 0 of {}", in_short(&self.command)));
        let parts: Vec<String> = service.into_iter().chain(command).collect();
        parts.join(", and ")
    }

    /// The port to be asked: the one that was named, or the image's only one; 8000 where it
    /// says none or several.
    pub fn port(&self, runtime: &Runtime) -> Option<u16> {
        let service = self.service.as_ref()?;
        let of_the_image = || match runtime.tcp_ports()[..] {
            [only] => only,
            _ => 8000,
        };
        Some(service.port.unwrap_or_else(of_the_image))
    }
}

impl Tested {
    /// Nothing was seen yet.
    pub fn of(verdict: Verdict, wanted: String) -> Self {
        Self {
            verdict,
            wanted,
            seen: None,
            cure: None,
            by: None,
            notes: Vec::new(),
            seconds: 0.0,
            log: Vec::new(),
        }
    }

    /// Could not be run.
    pub fn untested(wanted: String, why: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            seen: Some(why.into()),
            cure: Some(cure.into()),
            ..Self::of(Verdict::Untested, wanted)
        }
    }

    /// Does not do what is wanted.
    pub fn failed(wanted: String, why: impl Into<String>, cure: impl Into<String>) -> Self {
        Self {
            seen: Some(why.into()),
            cure: Some(cure.into()),
            ..Self::of(Verdict::Failed, wanted)
        }
    }

    /// Whether this keeps the tags where they are.
    pub fn stops(&self, smoke: &Smoke) -> bool {
        match self.verdict {
            Verdict::Passed | Verdict::Unchanged => false,
            Verdict::Failed => true,
            Verdict::Untested => smoke.required,
        }
    }
}

/// A command as a line of a log has it.
pub fn in_short(words: &[String]) -> String {
    let text = words.join(" ").replace(char::is_control, " ");
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

/// How much time a system's programs are given here; `None` if they do not run here.
pub(crate) fn patience(smoke: &Smoke, system: &System, host: &Host) -> Option<Duration> {
    if *system == host.system || is_subset(system, &host.system) {
        Some(smoke.timeout)
    } else if host.kernel_emulates.contains(system) {
        Some(smoke.timeout.saturating_mul(EMULATED))
    } else {
        None
    }
}

/// A processor of 64 bits runs what its forerunner of 32 did.
fn is_subset(system: &System, of: &System) -> bool {
    (system.cpu(), of.cpu()) == ("i686", "x86_64") && system.os() == of.os()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn smoke(port: Option<u16>, route: Option<&str>, command: &[&str]) -> Smoke {
        let http = route.map(|route| Http {
            route: route.to_owned(),
            expect: 200,
        });
        Smoke {
            service: (port.is_some() || http.is_some()).then_some(Service { port, http }),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            timeout: Duration::from_secs(60),
            network: "none".to_owned(),
            env: BTreeMap::new(),
            required: false,
        }
    }

    fn runtime(ports: &str) -> Runtime {
        serde_json::from_str(&format!("{{\"ExposedPorts\":{{{ports}}}}}")).unwrap()
    }

    #[test]
    fn the_port_is_the_named_one_or_the_images_only_one() {
        let asked = |named, ports| smoke(named, Some("/"), &[]).port(&runtime(ports));
        assert_eq!(asked(Some(1), r#""2/tcp":{}"#), Some(1));
        assert_eq!(asked(None, r#""2/tcp":{},"3/udp":{}"#), Some(2));
        assert_eq!(asked(None, r#""2/tcp":{},"3/tcp":{}"#), Some(8000));
        assert_eq!(asked(None, ""), Some(8000));
        assert_eq!(smoke(None, None, &["x"]).port(&runtime("")), None);
    }

    #[test]
    fn what_is_wanted_is_said_in_one_line() {
        let said = |smoke: &Smoke| smoke.wanted(smoke.port(&runtime("")));
        assert_eq!(
            said(&smoke(None, Some("/"), &[])),
            "200 from / at port 8000"
        );
        assert_eq!(said(&smoke(Some(80), None, &[])), "connections at port 80");
        assert_eq!(
            said(&smoke(Some(80), None, &["check", "it"])),
            "connections at port 80, and exit code 0 of `check it`"
        );
        assert_eq!(
            said(&smoke(None, None, &["check"])),
            "exit code 0 of `check`"
        );
    }

    #[test]
    fn emulated_images_have_more_time_and_others_are_not_run() {
        let system = |name: &str| name.parse::<System>().unwrap();
        let host = Host {
            kernel_emulates: vec![system("aarch64-linux")],
            ..Host::of(system("x86_64-linux"))
        };
        let given = |name| patience(&smoke(None, Some("/"), &[]), &system(name), &host);
        assert_eq!(given("x86_64-linux"), Some(Duration::from_secs(60)));
        assert_eq!(given("i686-linux"), Some(Duration::from_secs(60)));
        assert_eq!(given("aarch64-linux"), Some(Duration::from_secs(240)));
        assert_eq!(given("riscv64-linux"), None);
    }

    #[test]
    fn a_long_command_is_told_in_short() {
        let script = ["sh".to_owned(), format!("x\n{}", "é".repeat(100))];
        assert_eq!(in_short(&script), format!("`sh x {}…`", "é".repeat(55)));
    }

    #[test]
    fn an_untested_platform_stops_a_run_only_where_a_test_is_required() {
        let untested = Tested::untested(String::new(), "", "");
        let mut wanted = smoke(None, Some("/"), &[]);
        assert!(!untested.stops(&wanted));
        wanted.required = true;
        assert!(untested.stops(&wanted));
        assert!(!Tested::of(Verdict::Unchanged, String::new()).stops(&wanted));
    }
}
