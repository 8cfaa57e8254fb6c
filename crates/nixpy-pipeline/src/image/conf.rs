//! The description that `dockerTools.streamLayeredImage` gives to its script:
//! a JSON file that says everything about the image, so that the script need
//! not run and no archive need exist.
//!
//! Layers and config come out as the script would write them: the same diff
//! IDs, byte for byte, and an equal config. A description with something in it
//! that is not known here is left to the script ([`super::script::run`]).

use std::path::Path;
use std::time::SystemTime;

use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use jiff::{Timestamp, Zoned};
use nixpy_nix::StorePath;
use nixpy_oci::image::{Archive, Base, Body, Config, ConfigTemplate};
use nixpy_oci::layer::{Identity, Layer, Source};
use nixpy_oci::platform::Platform;
use nixpy_oci::tarball::Stamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::store_layer::{comment, contents, quoted, store_directories, store_layer};
use super::{Closure, Files, ImageErrorKind, info};

/// More cannot be started anyway, by any client.
const MAX_LAYERS: usize = 1024;

/// Unknown fields are refused: one of them may change the image.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conf {
    architecture: String,
    config: Map<String, Value>,
    os: Option<String>,
    created: String,
    /// nixpkgs before 24.11 dates files like the image.
    mtime: Option<String>,
    #[serde(rename = "repo_tag")]
    _repo_tag: Value,
    #[serde(default)]
    uid: Number,
    #[serde(default)]
    gid: Number,
    #[serde(default = "root")]
    uname: String,
    #[serde(default = "root")]
    gname: String,
    #[serde(rename = "store_dir")]
    _store_dir: String,
    from_image: Option<StorePath>,
    store_layers: Vec<Vec<StorePath>>,
    customisation_layer: StorePath,
}

/// nixpkgs writes owners as numbers or as text, by version.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Number {
    #[default]
    Unset,
    Plain(u64),
    Text(String),
}

impl Number {
    fn value(&self) -> Option<u64> {
        match self {
            Self::Unset => Some(0),
            Self::Plain(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

fn root() -> String {
    "root".to_owned()
}

/// What a description leaves to whoever makes the image.
pub(super) struct Making {
    /// The time of the run.
    pub now: SystemTime,
    /// Of `/nix` and `/nix/store`.
    pub store_mode: u32,
}

/// What a description came to.
pub(super) enum Described {
    /// The image.
    Body(Box<Body>),
    /// The script has to be run for it.
    ForTheScript {
        /// Whether the image has another date in every run.
        dated_now: bool,
    },
}

impl Described {
    /// There is no description, or nothing in it is known.
    pub(super) fn not_understood() -> Self {
        Self::ForTheScript { dated_now: false }
    }
}

/// The image of a description.
pub(super) fn body(
    path: &Path,
    closure: &Closure,
    files: &Files,
    making: &Making,
) -> Result<Described, ImageErrorKind> {
    let wrong = |why: String| ImageErrorKind::Conf(path.display().to_string(), why);
    let text = files.read(path).map_err(|e| wrong(e.to_string()))?;
    // JSON that is none is an error; JSON of another kind is the script's affair.
    let value: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let dated_now = ["created", "mtime"].iter().any(|key| value[*key] == NOW);
    let understood = || understood(value, closure, files, making);
    Ok(match understood()? {
        Some(body) => Described::Body(Box::new(body)),
        None => Described::ForTheScript { dated_now },
    })
}

/// The layer that a description puts on top, if it says so.
pub(crate) fn customisation_layer(description: &str) -> Option<StorePath> {
    let value: Value = serde_json::from_str(description).ok()?;
    value.get("customisation_layer")?.as_str()?.parse().ok()
}

/// What nixpkgs takes for the time of the run.
const NOW: &str = "now";

fn understood(
    value: Value,
    closure: &Closure,
    files: &Files,
    making: &Making,
) -> Result<Option<Body>, ImageErrorKind> {
    let Ok(mut conf) = serde_json::from_value::<Conf>(value) else {
        return Ok(None);
    };
    let (Some(uid), Some(gid)) = (conf.uid.value(), conf.gid.value()) else {
        return Ok(None);
    };
    for time in [Some(&mut conf.created), conf.mtime.as_mut()]
        .into_iter()
        .flatten()
    {
        if time == NOW {
            *time = isoformat_of(making.now);
        }
    }
    let mtime = conf.mtime.as_ref().unwrap_or(&conf.created);
    let (Some(created), Some(mtime)) = (isoformat(&conf.created), seconds(mtime)) else {
        return Ok(None);
    };
    if conf.store_layers.len() >= MAX_LAYERS {
        return Err(ImageErrorKind::TooManyLayers(MAX_LAYERS));
    }
    let base = conf.from_image.as_ref().map(|path| base(path, closure));

    let stamp = Stamp {
        mtime,
        uid,
        gid,
        uname: conf.uname,
        gname: conf.gname,
    };
    let directories = store_directories(making.store_mode);
    let mut layers = Vec::new();
    for paths in &conf.store_layers {
        layers.push(store_layer(paths, &directories, &stamp, closure)?);
    }
    layers.push(top_layer(&conf.customisation_layer, closure, files)?);
    let config = Config::Template(ConfigTemplate {
        created,
        platform: Platform {
            architecture: conf.architecture,
            os: conf.os.unwrap_or_else(|| "linux".to_owned()),
            variant: None,
        },
        config: Value::Object(conf.config),
    });
    Ok(Some(Body::Layers {
        base: base.transpose()?,
        layers,
        config,
    }))
}

fn top_layer(path: &StorePath, closure: &Closure, files: &Files) -> Result<Layer, ImageErrorKind> {
    let info = info(closure, path)?;
    let checksum = path.as_path().join("checksum");
    let wrong = |why: String| ImageErrorKind::Conf(checksum.display().to_string(), why);
    let text = files.read(&checksum).map_err(|e| wrong(e.to_string()))?;
    let stated =
        nixpy_oci::digest::Digest::from_hex(text.trim()).map_err(|e| wrong(e.to_string()))?;
    Ok(Layer {
        identity: Identity::of("layer.tar/1", &info.nar_hash.to_string()),
        source: Source::Tar(path.as_path().join("layer.tar")),
        size_hint: info.nar_size,
        stated_diff_id: Some(stated),
        comment: comment(std::slice::from_ref(path)),
        contents: contents(std::slice::from_ref(path), closure)?,
    })
}

/// The image that the layers lie on. The script copies its layers as they are, and
/// names them in the history as it names store paths.
fn base(path: &StorePath, closure: &Closure) -> Result<Base, ImageErrorKind> {
    Ok(Base {
        archive: Archive::File(path.as_path().to_owned()),
        identity: super::identity_of(path, "docker-archive", closure)?,
        comment: |name| quoted([name]),
    })
}

/// Python's `isoformat()` of a time in UTC.
pub(super) fn isoformat_of(time: SystemTime) -> String {
    let timestamp = Timestamp::try_from(time).unwrap_or_default();
    timestamp
        .strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00")
        .to_string()
}

/// Python's `isoformat()` of what its `fromisoformat()` reads; `None` for
/// "now" and for what only Python reads.
fn isoformat(text: &str) -> Option<String> {
    let pieces = Pieces::parse(text).ok()?;
    let time = pieces.time().unwrap_or(jiff::civil::Time::midnight());
    let time_of_day = match time.subsec_nanosecond() {
        0 => time.strftime("%H:%M:%S").to_string(),
        _ => time.strftime("%H:%M:%S.%6f").to_string(),
    };
    let offset = match pieces.to_numeric_offset() {
        Some(offset) => python_offset(offset),
        None => String::new(),
    };
    Some(format!("{}T{time_of_day}{offset}", pieces.date()))
}

fn python_offset(offset: Offset) -> String {
    let seconds = offset.seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let minutes = seconds.abs() / 60;
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Seconds since the epoch. Without an offset Python takes the local time zone
/// of whoever runs the script; that is left to the script.
fn seconds(text: &str) -> Option<i64> {
    let pieces = Pieces::parse(text).ok()?;
    let offset = pieces.to_numeric_offset()?;
    let time = pieces.time().unwrap_or(jiff::civil::Time::midnight());
    let zoned: Zoned = pieces
        .date()
        .to_datetime(time)
        .to_zoned(offset.to_time_zone())
        .ok()?;
    let timestamp: Timestamp = zoned.timestamp();
    Some(timestamp.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_python_writes_them() {
        for (text, iso, unix) in [
            (
                "1970-01-01T00:00:01+00:00",
                "1970-01-01T00:00:01+00:00",
                Some(1),
            ),
            ("1970-01-01T00:00:01Z", "1970-01-01T00:00:01+00:00", Some(1)),
            (
                "2026-11-22T10:00:00+05:30",
                "2026-11-22T10:00:00+05:30",
                Some(1_795_321_800),
            ),
            (
                "2026-11-22T10:00:00.5-03:00",
                "2026-11-22T10:00:00.500000-03:00",
                Some(1_795_352_400),
            ),
            ("2026-11-22T10:00:00", "2026-11-22T10:00:00", None),
        ] {
            assert_eq!(isoformat(text).as_deref(), Some(iso), "{text}");
            assert_eq!(seconds(text), unix, "{text}");
        }
        assert_eq!(isoformat("now"), None);
    }
}
