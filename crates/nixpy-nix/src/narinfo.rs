//! `.narinfo`: what a binary cache says of one path, as text of lines `Name: value`.
//!
//! The format is described in Nix's manual, "Binary Cache", and by what
//! `nix copy --to file:///…` writes. Names that are not known are passed over.

use std::fmt;
use std::str::FromStr;

use crate::nar_hash::NarHash;
use crate::path_info::{PathInfo, in_store};
use crate::store_path::StorePath;

/// More than the references of any path seen need.
const LONGEST: usize = 1 << 20;
/// More of a value is not quoted.
const LONGEST_QUOTED: usize = 80;

/// What a binary cache says of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NarInfo {
    /// What the store says as well.
    pub info: PathInfo,
    /// Where the archive is, below the cache's address.
    pub url: String,
    /// `zstd`, `xz`, `none`: how it is compressed there.
    pub compression: String,
    /// The SHA-256 of the compressed archive.
    pub file_hash: Option<NarHash>,
    /// The size of the compressed archive in bytes.
    pub file_size: Option<u64>,
}

/// A text that is no narinfo.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a narinfo: {0}")]
pub struct NarInfoError(String);

impl FromStr for NarInfo {
    type Err = NarInfoError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |what: String| NarInfoError(what);
        if text.len() > LONGEST {
            return Err(wrong(format!("it is longer than {LONGEST} bytes")));
        }
        let mut fields = Fields::default();
        for line in text.lines() {
            let Some((name, value)) = line
                .split_once(": ")
                .or_else(|| line.strip_suffix(':').map(|name| (name, "")))
            else {
                return Err(wrong(format!("{} is not NAME: VALUE", quoted(line))));
            };
            // Whoever looks for a field by itself and whoever reads them all see the same.
            if !fields.take(name, value) {
                return Err(wrong(format!("{name} is there twice")));
            }
        }
        fields.read()
    }
}

/// As they are written.
#[derive(Default)]
struct Fields<'a> {
    path: Option<&'a str>,
    url: Option<&'a str>,
    compression: Option<&'a str>,
    file_hash: Option<&'a str>,
    file_size: Option<&'a str>,
    nar_hash: Option<&'a str>,
    nar_size: Option<&'a str>,
    references: Option<&'a str>,
    deriver: Option<&'a str>,
    ca: Option<&'a str>,
    signatures: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// `false` if it is there already, and may be there once.
    fn take(&mut self, name: &str, value: &'a str) -> bool {
        let field = match name {
            "StorePath" => &mut self.path,
            "URL" => &mut self.url,
            "Compression" => &mut self.compression,
            "FileHash" => &mut self.file_hash,
            "FileSize" => &mut self.file_size,
            "NarHash" => &mut self.nar_hash,
            "NarSize" => &mut self.nar_size,
            "References" => &mut self.references,
            "Deriver" => &mut self.deriver,
            "CA" => &mut self.ca,
            "Sig" => {
                self.signatures.push(value);
                return true;
            }
            _ => return true,
        };
        field.replace(value).is_none()
    }

    fn read(self) -> Result<NarInfo, NarInfoError> {
        let missing = |name: &str| NarInfoError(format!("{name} is missing"));
        let bad = |name: &str, value: &str| NarInfoError(format!("{name} is {}", quoted(value)));
        let path = self.path.ok_or_else(|| missing("StorePath"))?;
        let path: StorePath = path.parse().map_err(|_| bad("StorePath", path))?;
        let store_dir = path.store_dir();
        let here = |name: &'static str, value: &str| {
            let found = in_store(value, store_dir).filter(|it| it.store_dir() == store_dir);
            found.ok_or_else(|| bad(name, value))
        };
        let hash = |name: &str, value: &str| -> Result<NarHash, NarInfoError> {
            value.parse().map_err(|_| bad(name, value))
        };
        let size = |name: &str, value: &str| -> Result<u64, NarInfoError> {
            value.parse().map_err(|_| bad(name, value))
        };
        let names = self.references.unwrap_or_default().split_ascii_whitespace();
        let mut references = names
            .map(|name| here("References", name))
            .collect::<Result<Vec<_>, _>>()?;
        references.sort();
        references.dedup();
        let nar_hash = self.nar_hash.ok_or_else(|| missing("NarHash"))?;
        let nar_size = self.nar_size.ok_or_else(|| missing("NarSize"))?;
        Ok(NarInfo {
            url: self.url.ok_or_else(|| missing("URL"))?.to_owned(),
            // What the field was before there was one.
            compression: self.compression.unwrap_or("bzip2").to_owned(),
            file_hash: self.file_hash.map(|it| hash("FileHash", it)).transpose()?,
            file_size: self.file_size.map(|it| size("FileSize", it)).transpose()?,
            info: PathInfo {
                nar_hash: hash("NarHash", nar_hash)?,
                nar_size: size("NarSize", nar_size)?,
                references,
                // "unknown-deriver" is written where there is none.
                deriver: self.deriver.and_then(|it| in_store(it, path.store_dir())),
                is_own: false,
                ca: self.ca.filter(|it| !it.is_empty()).map(str::to_owned),
                signatures: self.signatures.iter().map(|it| (*it).to_owned()).collect(),
                path,
            },
        })
    }
}

/// The beginning of somebody else's text, on one line.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(LONGEST_QUOTED) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// As Nix writes it, lines in Nix's order.
impl fmt::Display for NarInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = &self.info;
        writeln!(f, "StorePath: {}", info.path)?;
        writeln!(f, "URL: {}", self.url)?;
        writeln!(f, "Compression: {}", self.compression)?;
        if let Some(hash) = self.file_hash {
            writeln!(f, "FileHash: {}", hash.to_nix_base32())?;
        }
        if let Some(size) = self.file_size {
            writeln!(f, "FileSize: {size}")?;
        }
        writeln!(f, "NarHash: {}", info.nar_hash.to_nix_base32())?;
        writeln!(f, "NarSize: {}", info.nar_size)?;
        let references: Vec<&str> = info.references.iter().map(StorePath::base_name).collect();
        writeln!(f, "References: {}", references.join(" "))?;
        if let Some(deriver) = &info.deriver {
            writeln!(f, "Deriver: {}", deriver.base_name())?;
        }
        for signature in &info.signatures {
            writeln!(f, "Sig: {signature}")?;
        }
        if let Some(ca) = &info.ca {
            writeln!(f, "CA: {ca}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = "\
StorePath: /nix/store/0c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz-hello-2.12
URL: nar/0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73.nar.zst
Compression: zstd
FileHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73
FileSize: 100
NarHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73
NarSize: 240
References: 0c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz-hello-2.12 1c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz-glibc-2.35
Deriver: 2c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz-hello-2.12.drv
Sig: a-1:AAAA
Sig: b-1:BBBB
";

    #[test]
    fn it_is_written_as_it_was_read() {
        let read: NarInfo = TEXT.parse().unwrap();
        assert_eq!(read.to_string(), TEXT);
        assert_eq!(read.info.references.len(), 2);
        assert_eq!(read.info.signatures, ["a-1:AAAA", "b-1:BBBB"]);
    }

    #[test]
    fn what_lacks_a_field_or_has_a_wrong_one_is_refused() {
        let without = |name: &str| -> String {
            let lines = TEXT.lines().filter(|line| !line.starts_with(name));
            lines.map(|line| format!("{line}\n")).collect()
        };
        for name in ["StorePath", "URL", "NarHash", "NarSize"] {
            let error = without(name).parse::<NarInfo>().unwrap_err().to_string();
            assert_eq!(error, format!("not a narinfo: {name} is missing"));
        }
        for (right, wrong) in [
            ("NarSize: 240", "NarSize: -1"),
            ("sha256:0m", "md5:0m"),
            ("References: 0c1", "References: ../0c1"),
            ("StorePath: /nix", "StorePath: nix"),
            ("Compression: zstd", "Compression zstd"),
        ] {
            assert!(
                TEXT.replacen(right, wrong, 1).parse::<NarInfo>().is_err(),
                "{wrong}"
            );
        }
        for name in ["StorePath", "URL", "References", "NarHash", "CA"] {
            let twice = format!("{name}: x\n{TEXT}{name}: y\n");
            let error = twice.parse::<NarInfo>().unwrap_err().to_string();
            assert_eq!(error, format!("not a narinfo: {name} is there twice"));
        }
        let long = TEXT.replace("NarSize: 240", &format!("NarSize: {}", "9\t".repeat(9_000)));
        let error = long.parse::<NarInfo>().unwrap_err().to_string();
        assert!(error.len() < 200 && !error.contains('\t'), "{error}");
        let none = TEXT.replace(
            "2c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz-hello-2.12.drv",
            "unknown-deriver",
        );
        assert_eq!(none.parse::<NarInfo>().unwrap().info.deriver, None);
        assert!(
            TEXT.replace("References: ", "References:\nX: ")
                .parse::<NarInfo>()
                .unwrap()
                .info
                .references
                .is_empty()
        );
    }
}
