//! What a user types to say what should be built: `FLAKE#ATTRIBUTE`, either part optional.
//!
//! Attributes are those below `packages.<system>`; who writes the whole
//! `packages.x86_64-linux.image` is understood too.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::NixError;
use crate::flake_ref::FlakeRef;
use crate::system::System;

/// A flake and, if it was named, an attribute in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installable {
    /// The flake.
    pub flake: FlakeRef,
    /// The attribute below `packages.<system>`.
    pub attribute: Option<AttrPath>,
    /// The system, if the user wrote the whole path.
    pub system: Option<System>,
}

/// The path of an attribute: `image`, `services.api`, `"python3.12".image`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttrPath(Vec<String>);

/// A text that is not the path of an attribute.
#[derive(Debug, thiserror::Error)]
#[error(
    "'{0}' is not the name of an attribute: names are separated by dots, and quoted if they contain one"
)]
pub struct AttrPathError(pub String);

impl Installable {
    /// Reads what a user typed; a relative directory is taken from `cwd`.
    ///
    /// # Errors
    /// As [`FlakeRef::parse`], and [`crate::error::NixErrorKind::BadReference`] for a bad attribute.
    pub fn parse(text: &str, cwd: &Path) -> Result<Self, NixError> {
        let (flake, fragment) = text.split_once('#').unwrap_or((text, ""));
        let flake = FlakeRef::parse(flake, cwd)?;
        if fragment.is_empty() {
            return Ok(Self {
                flake,
                attribute: None,
                system: None,
            });
        }
        let path: AttrPath = fragment.parse().map_err(|error: AttrPathError| {
            let kind = crate::error::NixErrorKind::BadReference(error.to_string());
            NixError::new("use", format!("'{text}'"), kind)
        })?;
        if let [first, system, rest @ ..] = path.0.as_slice()
            && first == "packages"
            && let Ok(system) = system.parse()
        {
            let attribute = (!rest.is_empty()).then(|| AttrPath(rest.to_vec()));
            return Ok(Self {
                flake,
                attribute,
                system: Some(system),
            });
        }
        Ok(Self {
            flake,
            attribute: Some(path),
            system: None,
        })
    }
}

impl AttrPath {
    /// The names, outermost first; at least one.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The attribute that these names lead to; the flake's own root if there are none.
    pub fn of(names: Vec<String>) -> Self {
        Self(names)
    }

    /// The same attribute with something put after its last name.
    #[must_use]
    pub fn with_suffix(&self, suffix: &str) -> Self {
        let mut names = self.0.clone();
        if let Some(last) = names.last_mut() {
            last.push_str(suffix);
        }
        Self(names)
    }

    /// An attribute at the top, whatever characters its name has.
    pub fn name(name: impl Into<String>) -> Self {
        Self(vec![name.into()])
    }
}

impl FromStr for AttrPath {
    type Err = AttrPathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut names = vec![String::new()];
        let mut quoted = false;
        for character in text.chars() {
            match (character, quoted) {
                ('"', _) => quoted = !quoted,
                ('.', false) => names.push(String::new()),
                _ => {
                    if let Some(last) = names.last_mut() {
                        last.push(character);
                    }
                }
            }
        }
        let odd = |name: &String| name.is_empty() || name.chars().any(char::is_control);
        if quoted || names.iter().any(odd) {
            return Err(AttrPathError(text.to_owned()));
        }
        Ok(Self(names))
    }
}

impl fmt::Display for AttrPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            let plain = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-'+".contains(&byte));
            let quote = if plain { "" } else { "\"" };
            write!(formatter, "{dot}{quote}{name}{quote}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Installable {
        Installable::parse(text, Path::new("/nonexistent")).unwrap()
    }

    #[test]
    fn the_attribute_follows_the_hash_sign() {
        let wanted = parse("github:o/r?ref=x#image");
        assert_eq!(wanted.flake.as_str(), "github:o/r?ref=x");
        assert_eq!(wanted.attribute, Some(AttrPath::name("image")));
        assert_eq!(parse("github:o/r").attribute, None);
        assert_eq!(parse("github:o/r#").attribute, None);
        assert_eq!(
            parse("github:o/r#services.api").attribute.unwrap().names(),
            ["services", "api"]
        );
    }

    #[test]
    fn a_whole_path_gives_the_system_too() {
        let wanted = parse("github:o/r#packages.aarch64-linux.image");
        assert_eq!(wanted.system, Some("aarch64-linux".parse().unwrap()));
        assert_eq!(wanted.attribute, Some(AttrPath::name("image")));
        assert_eq!(parse("github:o/r#packages.api").system, None);
    }

    #[test]
    fn a_name_with_a_dot_is_quoted_and_shown_so() {
        let path: AttrPath = "\"python3.12\".image".parse().unwrap();
        assert_eq!(path.names(), ["python3.12", "image"]);
        assert_eq!(path.to_string(), "\"python3.12\".image");
        for text in ["", ".", "a..b", "a.", "\"a", "a\nb"] {
            assert!(text.parse::<AttrPath>().is_err(), "{text:?}");
        }
    }
}
