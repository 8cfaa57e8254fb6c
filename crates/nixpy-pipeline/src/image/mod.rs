//! From what was built to an image: whatever form the flake has, it becomes a
//! config and an ordered list of layers, or an archive or a layout that holds them.
//!
//! The plan has guessed the form from names; the built path itself decides.

mod closure;
mod conf;
mod config;
mod files;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod identities;
pub mod layering;
mod nix2container;
mod root;
mod script;
mod store_layer;

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
use nixpy_oci::stored;
use tokio::task::spawn_blocking;

use crate::inputs::Inputs;
use crate::lockfile::LockFile;
use crate::plan::{Form, Job};

pub(crate) use conf::customisation_layer as customisation_layer_of;
pub use files::{Fetched, Files};
pub(crate) use script::{conf_of, programs_of};
pub(crate) use store_layer::paths_of;

/// The closure of everything that was built, by path.
pub type Closure = BTreeMap<StorePath, PathInfo>;

/// What is known of the outputs that images are made from.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What they refer to, themselves included.
    pub closure: &'a Closure,
    /// Where the files are that say what the images are.
    pub files: &'a Files,
    /// The store layers of the image that was published before for this platform,
    /// from the bottom up.
    pub previous: Option<&'a [Vec<StorePath>]>,
    /// That of the Python project.
    pub lock: Option<&'a LockFile>,
}

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
         give a package with programs in bin/, or an image of dockerTools or nix2container"
    )]
    NotAnImage,
    #[error("it is a symbolic link; offer what it points to")]
    Link,
    #[error("{0} is not what streamLayeredImage writes: {1}")]
    Conf(String, String),
    #[error(transparent)]
    Nix2container(#[from] nix2container::DescriptionError),
    #[error(
        "it has no program to start: set `entrypoint`, or `meta.mainProgram` in the flake{found}",
        found = programs(.0)
    )]
    NoProgram(Vec<String>),
    #[error("`{setting}` {program:?} is neither a path nor a program of the package{found}", found = programs(.there))]
    NoSuchProgram {
        setting: &'static str,
        program: String,
        there: Vec<String>,
    },
    #[error("`contents` names {wanted:?}, which it does not have ({why})")]
    NoContents { wanted: String, why: String },
    #[error(
        "`contents` would put {wanted} at /{name}, where the image has {there}: \
         name less of the package"
    )]
    Conflict {
        name: String,
        wanted: String,
        there: String,
    },
    #[error("`contents` would be more than {0} links: name less of the package")]
    TooManyLinks(usize),
    #[error("it is described with more than {0} layers: that is no image")]
    TooManyLayers(usize),
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
        match &*self.kind {
            Kind::Unreadable | Kind::Conf(..) | Kind::UnknownPath(_) => true,
            Kind::Nix2container(error) => error.is_damage(),
            _ => false,
        }
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
pub async fn image(job: &Job, known: &Known<'_>, inputs: &Inputs) -> Result<Made, ImageError> {
    let Known { closure, files, .. } = *known;
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
    let found = match files {
        Files::OnDisk => look_at(output).await.map_err(unreadable)?,
        Files::Fetched(_) => Found::expected(job.form),
    };
    let (form, body) = match found {
        Found::Directory => {
            let body =
                closure::body(job, known, &inputs.image, inputs.max_layers).map_err(failed)?;
            (Form::Closure, body)
        }
        // A script is run only where the flake says that it writes an image: any
        // package may be a script, and running one does what it says.
        Found::Script if job.form == Form::Stream => {
            let body = script_body(job, closure, files, inputs.now).map_err(failed)?;
            (Form::Stream, body)
        }
        Found::Archive => {
            let identity = identity_of(&job.output, "docker-archive", closure).map_err(failed)?;
            let archive = Archive::File(output.to_owned());
            (Form::Archive, Body::Archive { archive, identity })
        }
        Found::Object => match description_body(job, closure, files).map_err(failed)? {
            Some(body) => (Form::Nix2container, body),
            None => return Err(failed(ImageErrorKind::NotAnImage)),
        },
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
            annotations: inputs.annotations.manifest.clone(),
        },
    })
}

/// The image that a script of `streamLayeredImage` writes: from its description, or
/// by running it.
fn script_body(
    job: &Job,
    closure: &Closure,
    files: &Files,
    now: SystemTime,
) -> Result<Body, ImageErrorKind> {
    let output = job.output.as_path();
    let text = files.read(output).map_err(|_| ImageErrorKind::Unreadable)?;
    let store_dir = job.output.store_dir();
    let making = conf::Making {
        now,
        store_mode: script::store_mode(&text, store_dir, files),
    };
    let described = match script::conf_of(&text, store_dir) {
        Some(path) => conf::body(&path, closure, files, &making)?,
        None => conf::Described::not_understood(),
    };
    let date = match described {
        conf::Described::Body(body) => return Ok(*body),
        conf::Described::ForTheScript { dated_now } => dated_now.then(|| conf::isoformat_of(now)),
    };
    let nar_hash = info(closure, &job.output)?.nar_hash.to_string();
    Ok(Body::Archive {
        archive: script::run(output),
        // What is dated now is another image in every run.
        identity: Identity::of("stream/2", &(nar_hash, date)),
    })
}

/// The image that a JSON file describes, if one does. What begins like JSON and is
/// none may be anything, unless the flake calls it a description.
fn description_body(
    job: &Job,
    closure: &Closure,
    files: &Files,
) -> Result<Option<Body>, ImageErrorKind> {
    use ImageErrorKind::Nix2container;
    match nix2container::body(job.output.as_path(), closure, files) {
        Err(Nix2container(nix2container::DescriptionError::Json(error)))
            if error.is_syntax() && job.form != Form::Nix2container =>
        {
            Ok(None)
        }
        result => result,
    }
}

enum Found {
    Directory,
    Link,
    Script,
    Archive,
    /// Of JSON, by its first letter.
    Object,
    Layout,
    Other,
}

impl Found {
    /// What an output that is not here will be, by what the flake says of it. If that
    /// is wrong, the image is not one that was published before.
    fn expected(form: Form) -> Self {
        match form {
            Form::Stream => Self::Script,
            Form::Archive => Self::Archive,
            Form::Closure => Self::Directory,
            Form::Nix2container => Self::Object,
            Form::Layout => Self::Layout,
        }
    }
}

/// The names in a compressed tar may take a while, in which a user may interrupt.
async fn look_at(output: &Path) -> io::Result<Found> {
    let path = output.to_owned();
    let looked = spawn_blocking(move || look(&path)).await;
    looked.map_err(io::Error::other)?
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
        [b'{', ..] => Found::Object,
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
