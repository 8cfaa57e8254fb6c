//! Builders as Nix writes them, one a line:
//!
//! ```text
//! ssh-ng://root@arm.example.org  aarch64-linux,armv7l-linux  /root/.ssh/id  4  1  kvm  big-parallel  <host key>
//! ```
//!
//! Address, systems, key file, jobs at a time, speed, features, mandatory features, and
//! the host's public key in base64; `-` or nothing leaves a field to its default. Lines
//! end with the line or at a `;`, and `#` begins a comment. A line `@FILE` stands for the
//! lines of that file. See "Remote Builds" in the
//! [manual](https://nix.dev/manual/nix/latest/command-ref/conf-file#conf-builders).

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::address::Address;
use crate::system::System;

/// Files that name files; a circle ends here.
const MOST_FILES: usize = 8;

/// A machine that builds for this one.
#[derive(Clone, Debug, PartialEq)]
pub struct Builder {
    /// Where it is.
    pub address: Address,
    /// What it builds for; this machine's own system if empty.
    pub systems: BTreeSet<System>,
    /// The file with the key that opens it, where the line names one.
    pub key_file: Option<PathBuf>,
    /// How many derivations at a time.
    pub max_jobs: u32,
    /// Which of several is asked first: twice as quick counts as half as busy.
    pub speed: f32,
    /// What it has (`kvm`, `big-parallel`).
    pub features: BTreeSet<String>,
    /// What a derivation has to require so that it is built there at all.
    pub mandatory: BTreeSet<String>,
    /// Its public key as in a known_hosts file, without the name: `ssh-ed25519 AAAA…`.
    pub host_key: Option<String>,
}

/// A line that describes no builder.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}, `{word}`: {problem}")]
pub struct LineError {
    /// Counted from 1; of the file, if it is in one.
    pub line: usize,
    /// What cannot be read.
    pub word: String,
    /// Why, with what is wanted.
    pub problem: String,
}

impl Builder {
    /// What it builds for.
    pub fn systems(&self) -> Vec<System> {
        match self.systems.is_empty() {
            true => vec![System::host()],
            false => self.systems.iter().cloned().collect(),
        }
    }

    /// Whether it is of this system, whatever it wants to build.
    pub fn is_for(&self, system: &System) -> bool {
        match self.systems.is_empty() {
            true => *system == System::host(),
            false => self.systems.contains(system),
        }
    }

    /// Whether it builds what is for this system and requires nothing else.
    pub fn builds(&self, system: &System) -> bool {
        self.takes(system, &[])
    }

    /// Whether it builds what is for this system and requires these features.
    pub fn takes(&self, system: &System, features: &[String]) -> bool {
        let has =
            |feature: &String| self.features.contains(feature) || self.mandatory.contains(feature);
        let is_required = |feature: &String| features.contains(feature);
        self.is_for(system) && features.iter().all(has) && self.mandatory.iter().all(is_required)
    }

    /// What people call it: `ssh-ng://root@arm.example.org:2222`.
    pub fn name(&self) -> String {
        self.address.name()
    }

    /// Reads every line, with the files that are named.
    ///
    /// # Errors
    /// Every line that describes no builder.
    pub fn parse_all(
        text: &str,
        read: &dyn Fn(&Path) -> std::io::Result<String>,
    ) -> Result<Vec<Self>, Vec<LineError>> {
        let reader = Reader::of(text, read, Rigour::Ours);
        match reader.problems.is_empty() {
            true => Ok(reader.builders),
            false => Err(reader.problems),
        }
    }

    /// Reads what Nix is configured to use, as Nix does: systems that are none of ours and
    /// fields beyond the last are passed over. What is wrong with a line costs that line.
    pub(super) fn parse_configured(
        text: &str,
        read: &dyn Fn(&Path) -> std::io::Result<String>,
    ) -> (Vec<Self>, Vec<LineError>) {
        let reader = Reader::of(text, read, Rigour::Nixs);
        (reader.builders, reader.problems)
    }
}

/// Whose lines are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rigour {
    /// Of our settings: what makes no sense is told.
    Ours,
    /// Of Nix's: what Nix takes is taken.
    Nixs,
}

struct Reader<'a> {
    read: &'a dyn Fn(&Path) -> std::io::Result<String>,
    rigour: Rigour,
    builders: Vec<Builder>,
    problems: Vec<LineError>,
}

impl<'a> Reader<'a> {
    fn of(text: &str, read: &'a dyn Fn(&Path) -> std::io::Result<String>, rigour: Rigour) -> Self {
        let mut reader = Self {
            read,
            rigour,
            builders: Vec::new(),
            problems: Vec::new(),
        };
        reader.lines(text, 0);
        reader
    }

    fn lines(&mut self, text: &str, depth: usize) {
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            for part in line.split(';').map(str::trim) {
                if let Err((word, problem)) = self.part(part, depth) {
                    self.problems.push(LineError {
                        line: index + 1,
                        word,
                        problem,
                    });
                }
            }
        }
    }

    fn part(&mut self, part: &str, depth: usize) -> Result<(), Wrong> {
        if let Some(file) = part.strip_prefix('@') {
            if depth == MOST_FILES {
                return Err(wrong(part, "files name each other in a circle"));
            }
            // As Nix does: a file that is not there holds no builders.
            match (self.read)(Path::new(file.trim())) {
                Ok(text) => self.lines(&text, depth + 1),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(wrong(part, &format!("cannot be read: {error}"))),
            }
        } else if !part.is_empty() {
            self.builders.push(builder(part, self.rigour)?);
        }
        Ok(())
    }
}

/// A word, and what is wrong with it.
type Wrong = (String, String);

fn wrong(word: &str, problem: &str) -> Wrong {
    (word.to_owned(), problem.to_owned())
}

fn builder(line: &str, rigour: Rigour) -> Result<Builder, Wrong> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if let (Some(word), Rigour::Ours) = (words.get(8), rigour) {
        let problem = "a builder has eight fields at most: address, systems, key file, jobs, speed, \
                       features, mandatory features, host key";
        return Err(wrong(word, problem));
    }
    let field = |index: usize| {
        let word = words.get(index).copied();
        word.filter(|word| *word != "-")
    };
    let address = field(0).unwrap_or("-");
    let address: Address = address
        .parse()
        .map_err(|problem: String| wrong(address, &problem))?;
    let mut systems = BTreeSet::new();
    for word in list(field(1)) {
        match (System::from_str(word), rigour) {
            (Ok(system), _) => {
                systems.insert(system);
            }
            (Err(error), Rigour::Ours) => return Err(wrong(word, &error.to_string())),
            // `builtin`, and what only Nix has heard of.
            (Err(_), Rigour::Nixs) => {}
        }
    }
    if let (true, Some(word)) = (systems.is_empty(), list(field(1)).next()) {
        return Err(wrong(word, "none of its systems is known"));
    }
    Ok(Builder {
        address,
        systems,
        key_file: field(2).map(PathBuf::from),
        max_jobs: match field(3) {
            None => 1,
            Some(word) => word
                .parse()
                .map_err(|_| wrong(word, "the fourth field is a number of jobs, as in 4"))?,
        },
        speed: match field(4) {
            None => 1.0,
            Some(word) => speed(word)
                .ok_or_else(|| wrong(word, "the fifth field is a speed, as in 2 or 0.5"))?,
        },
        features: list(field(5)).map(str::to_owned).collect(),
        mandatory: list(field(6)).map(str::to_owned).collect(),
        host_key: match field(7) {
            None => None,
            Some(word) => Some(host_key(word).ok_or_else(|| {
                let problem = "the eighth field is the host's public key in base64: \
                               `base64 -w0 /etc/ssh/ssh_host_ed25519_key.pub` there";
                wrong(word, problem)
            })?),
        },
    })
}

fn list(field: Option<&str>) -> impl Iterator<Item = &str> {
    let words = field.unwrap_or_default().split(',');
    words.filter(|word| !word.is_empty())
}

fn speed(word: &str) -> Option<f32> {
    let speed: f32 = word.parse().ok()?;
    (speed.is_finite() && speed > 0.0).then_some(speed)
}

/// The comment that a `.pub` file ends with is nobody's concern.
fn host_key(word: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(word).ok()?).ok()?;
    let mut words = text.split_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    STANDARD.decode(key).ok()?;
    Some(format!("{kind} {key}"))
}

/// The host's public key as Nix wants it.
pub(super) fn in_base64(builder: &Builder) -> Option<String> {
    builder.host_key.as_ref().map(|key| STANDARD.encode(key))
}

/// The line, as Nix reads it.
impl fmt::Display for Builder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_dash = |text: String| match text.is_empty() {
            true => "-".to_owned(),
            false => text,
        };
        let joined =
            |words: &BTreeSet<String>| or_dash(words.iter().cloned().collect::<Vec<_>>().join(","));
        let systems: BTreeSet<String> = self.systems.iter().map(ToString::to_string).collect();
        let key_file = self
            .key_file
            .as_ref()
            .map(|file| file.display().to_string());
        let host_key = in_base64(self);
        write!(
            formatter,
            "{} {} {} {} {} {} {} {}",
            self.address,
            joined(&systems),
            or_dash(key_file.unwrap_or_default()),
            self.max_jobs,
            self.speed,
            joined(&self.features),
            joined(&self.mandatory),
            or_dash(host_key.unwrap_or_default()),
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
