//! The settings of an image that is made from a plain package.

use std::collections::BTreeMap;
use std::time::Duration;

use nixpy_pipeline::inputs::{HealthCheck, ImageSettings};

use super::resolve::Reader;

impl Reader<'_> {
    pub(super) fn image(
        &mut self,
        labels: BTreeMap<String, String>,
        told_labels: BTreeMap<String, String>,
    ) -> ImageSettings {
        let text = |text: &str| Ok(text.to_owned());
        ImageSettings {
            entrypoint: self.many("entrypoint", text),
            cmd: self.many("cmd", text),
            env: self.pairs("env"),
            ports: self.many("port", port),
            user: self.one("user", user),
            workdir: self.one("workdir", directory),
            labels,
            told_labels,
            volumes: self.many("volume", directory),
            stop_signal: self.one("stop-signal", signal),
            health: self.health(),
            contents: self.many("contents", contents),
        }
    }

    fn health(&mut self) -> Option<HealthCheck> {
        let health = HealthCheck {
            command: self.many("health-cmd", |text| Ok(text.to_owned())),
            interval: self.one("health-interval", time),
            timeout: self.one("health-timeout", time),
            start_period: self.one("health-start-period", time),
            retries: self
                .number("health-retries", 1..=100)
                .and_then(|retries| u32::try_from(retries).ok()),
        };
        if !health.command.is_empty() {
            return Some(health);
        }
        let details = [
            "health-interval",
            "health-timeout",
            "health-start-period",
            "health-retries",
        ];
        for name in details {
            if let Some(raw) = self.raw.get(name) {
                let problem = "there is no program to be started: set health-cmd as well";
                self.fail(&raw.origin.clone(), problem);
            }
        }
        None
    }
}

fn directory(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not an absolute path of the container")),
    }
}

/// Relative, and within the package.
fn contents(text: &str) -> Result<String, String> {
    let path = text.trim_matches('/');
    let inside = !path.split('/').any(|part| part == ".." || part.is_empty());
    match inside && !text.starts_with('/') {
        true => Ok(path.to_owned()),
        false => Err(format!(
            "{text:?} is not a path within the package: write bin, etc/ssl, or . for all of it"
        )),
    }
}

/// `SIGTERM`, `SIGRTMIN+3`, or a number.
fn signal(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("SIG");
    let named = name.is_some_and(|name| {
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "+-".contains(c);
        !name.is_empty() && name.chars().all(plain)
    });
    match named || matches!(text.parse::<u8>(), Ok(1..=64)) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is not a signal: write SIGINT, or a number"
        )),
    }
}

/// As [`time`], and `14d`.
pub fn days(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('d').and_then(|days| days.parse().ok());
    match number {
        Some(days) => Duration::from_secs(86_400)
            .checked_mul(days)
            .ok_or_else(|| format!("{text:?} is too long")),
        None => time(text).map_err(|_| format!("{text:?} is no time: write 14d or 36h")),
    }
}

/// `30s`, `500ms`, `1m30s`, `2h`, as docker has it.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time: write 30s, 500ms or 1m30s");
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(digits);
        let end = unit
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(unit.len());
        let milliseconds = match &unit[..end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let number: u32 = number.parse().map_err(|_| wrong())?;
        sum += Duration::from_millis(milliseconds) * number;
        rest = &unit[end..];
    }
    // Docker takes nothing shorter than this, and 0 for its own default.
    match sum >= Duration::from_millis(1) {
        true => Ok(sum),
        false => Err(wrong()),
    }
}

/// The image's /etc/passwd has root and whom it is told by number.
fn user(text: &str) -> Result<String, String> {
    let (user, group) = text.split_once(':').unwrap_or((text, "0"));
    let known = |id: &str| id == "root" || id.parse::<u32>().is_ok();
    match known(user) && known(group) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is not known in the image, which has root and no other names: write numbers, as in 1000:1000"
        )),
    }
}

/// `8000` is `8000/tcp`, as docker has it.
fn port(text: &str) -> Result<String, String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let known = matches!(protocol, "tcp" | "udp" | "sctp");
    match number.parse::<u16>() {
        Ok(1..) if known => Ok(format!("{number}/{protocol}")),
        _ => Err(format!(
            "{text:?} is not a port: write 8000, 8000/tcp or 53/udp"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_that_docker_takes() {
        let millis = |text| time(text).map(|time| time.as_millis());
        assert_eq!(millis("30s"), Ok(30_000));
        assert_eq!(millis("1m30s"), Ok(90_000));
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("2h"), Ok(7_200_000));
        for text in ["", "30", "s", "1x", "-1s", "0s", "99999999999s", "1s s"] {
            assert!(millis(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn contents_stay_within_the_package() {
        assert_eq!(contents("etc/ssl/").as_deref(), Ok("etc/ssl"));
        assert_eq!(contents(".").as_deref(), Ok("."));
        for text in ["", "/", "/etc", "../x", "a/../../x", "a//b"] {
            assert!(contents(text).is_err(), "{text:?}");
        }
    }
}
