//! The settings of the smoke test.

use std::time::Duration;

use nixpy_pipeline::smoke::{Http, Service, Smoke};

use super::image::time;
use super::resolve::Reader;

const PATIENCE: Duration = Duration::from_secs(60);

impl Reader<'_> {
    /// `None` if nothing is wanted of the images.
    pub(super) fn smoke(&mut self) -> Option<Smoke> {
        let route = self.one("smoke-http", route);
        let port = self.number("smoke-port", 1..=65535);
        let expect = self.number("smoke-expect", 100..=599);
        let command = self.many("smoke-cmd", |text| Ok(text.to_owned()));
        let timeout = self.one("smoke-timeout", time);
        let network = self.one("smoke-network", network);
        let env = self.pairs("smoke-env");
        let required = self.switch("smoke-required");

        let http = route.map(|route| Http {
            route,
            expect: small(expect).unwrap_or(200),
        });
        if http.is_none() && self.raw.get("smoke-http").is_none() {
            self.needs("smoke-expect", "there is no route: set smoke-http as well");
        }
        let service = (http.is_some() || port.is_some()).then(|| Service {
            port: small(port),
            http,
        });
        if service.is_some() || !command.is_empty() {
            return Some(Smoke {
                service,
                command,
                timeout: timeout.unwrap_or(PATIENCE),
                network: network.unwrap_or_else(|| "none".to_owned()),
                env,
                required,
            });
        }
        for name in [
            "smoke-timeout",
            "smoke-network",
            "smoke-env",
            "smoke-required",
        ] {
            self.needs(
                name,
                "nothing is to be tried out: set smoke-http, smoke-port or smoke-cmd as well",
            );
        }
        None
    }

    /// A detail of something that was not asked for.
    fn needs(&mut self, name: &str, problem: &str) {
        if let Some(raw) = self.raw.get(name) {
            self.fail(&raw.origin.clone(), problem);
        }
    }
}

/// Whose range was checked.
fn small(number: Option<usize>) -> Option<u16> {
    number.and_then(|number| u16::try_from(number).ok())
}

fn route(text: &str) -> Result<String, String> {
    let plain = text.chars().all(|c| c.is_ascii_graphic());
    match text.starts_with('/') && plain {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is not a route: write / or /openapi.json, without host and port"
        )),
    }
}

fn network(text: &str) -> Result<String, String> {
    // It becomes a part of a command line.
    match text.starts_with('-') {
        false => Ok(text.to_owned()),
        true => Err(format!("{text:?} is not a network: write none or bridge")),
    }
}
