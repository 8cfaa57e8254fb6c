//! From what was built to an image: whatever form the flake has, it becomes a
//! config and an ordered list of layers, or an archive or a layout that holds them.
//!
//! The plan has guessed the form from names; the built path itself decides.

mod closure;
mod conf;
mod script;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::SystemTime;

use nixpy_nix::StorePath;
use nixpy_nix::path_info::PathInfo;
use nixpy_oci::archive::{Kind, kind};
use nixpy_oci::image::{Archive, Body, Image};
use nixpy_oci::layer::Identity;
use nixpy_oci::manifest::Annotations;
use nixpy_oci::stored;
use tokio::task::spawn_blocking;

use crate::inputs::Inputs;
use crate::plan::{Form, Job};

/// The closure of everything that was built, by path.
pub type Closure = BTreeMap<StorePath, PathInfo>;

/// A built path cannot become an image.
#[derive(Debug, thiserror::Error)]
#[error("cannot make an image of packages.{system}.{attribute} ({output}): {kind}")]
pub struct ImageError {
    system: String,
    attribute: String,
    output: StorePath,
    kind: Box<ImageErrorKind>,
    #[source]
    source: Option<io::Error>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageErrorKind {
    #[error("it cannot be read")]
    Unreadable,
    #[error(
        "it is a single file, but neither an image archive nor a script that makes one; \
         give a package with programs in bin/, or an image of dockerTools"
    )]
    NotAnImage,
    #[error("it is a symbolic link; offer what it points to")]
    Link,
    #[error("{0} is not what streamLayeredImage writes: {1}")]
    Conf(String, String),
    #[error(
        "it has no program to start: set `entrypoint`, or `meta.mainProgram` in the flake{found}",
        found = programs(.0)
    )]
    NoProgram(Vec<String>),
    #[error("`entrypoint` {0:?} is neither a path nor a program of the package{found}", found = programs(.1))]
    NoSuchProgram(String, Vec<String>),
    #[error("Nix did not tell about {0}, which it needs")]
    UnknownPath(StorePath),
}

fn programs(names: &[String]) -> String {
    match names {
        [] => " (there is nothing in its bin/)".to_owned(),
        names => format!(" (its bin/ has {})", names.join(", ")),
    }
}

impl ImageError {
    /// Whether what was built is damaged, rather than another thing than was wanted.
    pub fn is_damage(&self) -> bool {
        use ImageErrorKind as Kind;
        matches!(
            *self.kind,
            Kind::Unreadable | Kind::Conf(..) | Kind::UnknownPath(_)
        )
    }
}

/// An image, and the form it was read from.
pub struct Made {
    /// To be published.
    pub image: Image,
    /// What the built path is.
    pub form: Form,
}

/// Makes one platform's image.
///
/// # Errors
/// [`ImageError`] says what the built path is not.
pub async fn image(job: &Job, closure: &Closure, inputs: &Inputs) -> Result<Made, ImageError> {
    let error = |kind, source| ImageError {
        system: job.system.to_string(),
        attribute: job.attribute.clone(),
        output: job.output.clone(),
        kind: Box::new(kind),
        source,
    };
    let failed = |kind| error(kind, None);
    let output = job.output.as_path();
    let unreadable = |e| error(ImageErrorKind::Unreadable, Some(e));
    let path = output.to_owned();
    // The names in a compressed tar may take a while, in which a user may interrupt.
    let looked = spawn_blocking(move || look(&path)).await;
    let found = looked.map_err(io::Error::other).and_then(|found| found);
    let (form, body) = match found.map_err(unreadable)? {
        Found::Directory => {
            let body =
                closure::body(job, closure, &inputs.image, inputs.max_layers).map_err(failed)?;
            (Form::Closure, body)
        }
        // A script is run only where the flake says that it writes an image: any
        // package may be a script, and running one does what it says.
        Found::Script if job.form == Form::Stream => {
            let body = script_body(job, closure, inputs.now).map_err(failed)?;
            (Form::Stream, body)
        }
        Found::Archive => {
            let identity = identity_of(&job.output, "docker-archive", closure).map_err(failed)?;
            let archive = Archive::File(output.to_owned());
            (Form::Archive, Body::Archive { archive, identity })
        }
        Found::Layout => {
            let identity = identity_of(&job.output, "oci-layout", closure).map_err(failed)?;
            let layout = stored::Source {
                path: output.to_owned(),
                within: Path::new(job.output.store_dir()).to_owned(),
            };
            (Form::Layout, Body::Stored { layout, identity })
        }
        Found::Link => return Err(failed(ImageErrorKind::Link)),
        Found::Script => return Err(failed(ImageErrorKind::NotAnImage)),
        Found::Other => return Err(failed(ImageErrorKind::NotAnImage)),
    };
    Ok(Made {
        form,
        image: Image {
            platform: job.platform.clone(),
            body,
            annotations: Annotations::new(),
        },
    })
}

/// The image that a script of `streamLayeredImage` writes: from its description, or
/// by running it.
fn script_body(job: &Job, closure: &Closure, now: SystemTime) -> Result<Body, ImageErrorKind> {
    let output = job.output.as_path();
    let text = fs::read_to_string(output).map_err(|_| ImageErrorKind::Unreadable)?;
    let described = match script::conf_of(&text, job.output.store_dir()) {
        Some(path) => conf::body(&path, closure, now)?,
        None => conf::Described::not_understood(),
    };
    let date = match described {
        conf::Described::Body(body) => return Ok(body),
        conf::Described::ForTheScript { dated_now } => dated_now.then(|| conf::isoformat_of(now)),
    };
    let nar_hash = info(closure, &job.output)?.nar_hash.to_string();
    Ok(Body::Archive {
        archive: script::run(output),
        // What is dated now is another image in every run.
        identity: Identity::of("stream/2", &(nar_hash, date)),
    })
}

enum Found {
    Directory,
    Link,
    Script,
    Archive,
    Layout,
    Other,
}

/// Tells by content: names in a store are free.
fn look(output: &Path) -> io::Result<Found> {
    // The NAR hash of a link says nothing of what it points to.
    if fs::symlink_metadata(output)?.is_symlink() {
        return Ok(Found::Link);
    }
    if fs::metadata(output)?.is_dir() {
        return Ok(if output.join("oci-layout").is_file() {
            Found::Layout
        } else {
            Found::Directory
        });
    }
    let mut head = Vec::new();
    File::open(output)?.take(512).read_to_end(&mut head)?;
    let is_tar = head.get(257..262) == Some(b"ustar");
    Ok(match head.as_slice() {
        [b'#', b'!', ..] => Found::Script,
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            in_tar(output)?
        }
        _ if is_tar => in_tar(output)?,
        _ => Found::Other,
    })
}

fn in_tar(output: &Path) -> io::Result<Found> {
    Ok(match kind(output)? {
        Kind::DockerArchive => Found::Archive,
        Kind::Layout => Found::Layout,
    })
}

/// Names the content of a store path by its NAR hash: no file is read for it.
fn identity_of(
    path: &StorePath,
    form: &str,
    closure: &Closure,
) -> Result<Identity, ImageErrorKind> {
    let nar_hash = info(closure, path)?.nar_hash.to_string();
    Ok(Identity::of(&format!("{form}/1"), &nar_hash))
}

fn info<'a>(closure: &'a Closure, path: &StorePath) -> Result<&'a PathInfo, ImageErrorKind> {
    closure
        .get(path)
        .ok_or_else(|| ImageErrorKind::UnknownPath(path.clone()))
}
