//! Why a release cannot be made of what is there.

use nixpy_oci::destination::DestinationError;
use nixpy_oci::digest::Digest;
use nixpy_oci::name::Repository;
use nixpy_oci::platform::Platform;

use super::version::Version;

/// Something of an image that is not where it should be: a manifest or a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// A platform that needs it.
    pub platform: Platform,
    /// What is not there.
    pub digest: Digest,
}

/// A release is not possible, and nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseProblem {
    /// A directory has no list of tags, and nobody pulls from it.
    #[error(
        "{0} is no registry: a release is of an image that is published, so name its --repository"
    )]
    NoRegistry(String),
    /// It cannot be used at all.
    #[error(transparent)]
    Destination(#[from] DestinationError),
    /// There is no image anywhere; the one problem that a build can solve.
    #[error(
        "{repository} has no image of this commit, or does not show it to this user: looked for {}",
        looked_for.join(", ")
    )]
    NotThere {
        /// Where.
        repository: Repository,
        /// Under these references.
        looked_for: Vec<String>,
    },
    /// Another repository has one: a build would be another image beside it.
    #[error(
        "{repository} has no image of this commit, and {there} is one: a release is one image, so copy it there \
         (`skopeo copy --all docker://{there} docker://{to}`), or leave that repository out"
    )]
    NotEverywhere {
        /// Where there is none.
        repository: Repository,
        /// What it would be called there.
        to: String,
        /// The image that is there.
        there: String,
    },
    /// What is there is of one platform, or no image at all.
    #[error(
        "{reference} is no index over images of platforms: publish it with `nixpy-ci run`, or name another by --from"
    )]
    NoIndex {
        /// What.
        reference: String,
    },
    /// It says that it is of another commit.
    #[error(
        "{reference} says that it is of commit {says}, and not of {commit}: name the image to release by --from"
    )]
    OtherCommit {
        /// What.
        reference: String,
        /// What stands in it.
        says: String,
        /// What is released.
        commit: String,
    },
    /// Something of it was cleaned away.
    #[error(
        "{reference} is not whole: {} for {} is not there{}; publish it again with `nixpy-ci run --remake`",
        lacks[0].digest,
        lacks[0].platform,
        others(lacks.len() - 1)
    )]
    NotWhole {
        /// What.
        reference: String,
        /// At least one.
        lacks: Vec<Lack>,
    },
    /// A platform that was asked for.
    #[error("{reference} has no image for {platform}, which --system asks for")]
    NoPlatform {
        /// What.
        reference: String,
        /// For this.
        platform: Platform,
    },
    /// Two repositories have two images of the commit.
    #[error(
        "{one} is {}, and {other} is {}: a release is one image, so publish this commit to both with one `nixpy-ci run`",
        digests[0], digests[1]
    )]
    Differ {
        /// A reference.
        one: String,
        /// Another.
        other: String,
        /// In this order.
        digests: [Digest; 2],
    },
    /// The version's own tag is another image's.
    #[error(
        "{reference} is {has} already, and not {wanted}: a version that is released stays what it is, \
         so release {version} under another number"
    )]
    Taken {
        /// The tag.
        reference: String,
        /// Under the tag.
        has: Digest,
        /// To be released.
        wanted: Digest,
        /// As which.
        version: Box<Version>,
    },
}

fn others(count: usize) -> String {
    match count {
        0 => String::new(),
        count => format!(", nor are {count} other parts"),
    }
}
