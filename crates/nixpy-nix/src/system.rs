//! `System`: what Nix calls the kind of machine a derivation is built on,
//! `<cpu>-<os>`, such as `x86_64-linux`.

use std::fmt;
use std::str::FromStr;

use crate::as_text::as_text;

/// A kind of machine in Nix's spelling.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct System(String);

/// A text that does not name a system.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not a system: write <cpu>-<os>, for example x86_64-linux or aarch64-linux")]
pub struct SystemError(pub String);

impl System {
    /// The machine this program was compiled for.
    pub fn host() -> Self {
        let cpu = match std::env::consts::ARCH {
            "x86" => "i686",
            "arm" => "armv7l",
            other => other,
        };
        let os = match std::env::consts::OS {
            "macos" => "darwin",
            other => other,
        };
        Self(format!("{cpu}-{os}"))
    }

    /// The processor: `x86_64`, `aarch64`.
    pub fn cpu(&self) -> &str {
        self.0.split_once('-').map_or("", |(cpu, _)| cpu)
    }

    /// The operating system: `linux`, `darwin`.
    pub fn os(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, os)| os)
    }

    /// The text Nix knows it by.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for System {
    type Err = SystemError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |part: &str| {
            part.starts_with(|first: char| first.is_ascii_lowercase())
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        match text.split_once('-') {
            Some((cpu, os)) if word(cpu) && word(os) => Ok(Self(text.to_owned())),
            _ => Err(SystemError(text.to_owned())),
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for System {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

as_text!(System);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_system_has_a_processor_and_an_operating_system() {
        let system: System = "aarch64-linux".parse().unwrap();
        assert_eq!((system.cpu(), system.os()), ("aarch64", "linux"));
        assert!(System::host().as_str().parse::<System>().is_ok());
    }

    #[test]
    fn what_docker_calls_a_platform_is_not_a_system() {
        for text in [
            "linux/amd64",
            "x86_64",
            "-linux",
            "x86_64-",
            "x86-64-linux",
            "a b-linux",
            "",
        ] {
            assert!(
                text.parse::<System>()
                    .unwrap_err()
                    .to_string()
                    .contains("x86_64-linux"),
                "{text}"
            );
        }
    }
}
