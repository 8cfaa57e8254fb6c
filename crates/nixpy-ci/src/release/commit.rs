//! Which commit is released, and of which repository: what git says of the checkout here.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use nixpy_nix::Revision;
use tokio::process::Command;

use crate::settings::{Surroundings, ToRelease};

/// The repository at GitHub, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// `owner/name`
    pub repository: String,
    /// `https://api.github.com`
    pub api_url: String,
}

/// The commit that is released, and how it was found.
pub struct Found {
    /// Which.
    pub commit: Revision,
    /// For people.
    pub by: String,
}

/// A checkout, as far as there is one.
pub struct Checkout {
    folder: PathBuf,
}

impl Checkout {
    /// The current directory's.
    pub fn here(around: &Surroundings<'_>) -> Self {
        Self {
            folder: around.cwd.clone(),
        }
    }

    /// The version's tag as git has it here: as it was written, else with a `v` more or less,
    /// by which others call the same version.
    pub async fn tag(&self, written: &str) -> String {
        let other = match written.strip_prefix('v') {
            Some(bare) => bare.to_owned(),
            None => format!("v{written}"),
        };
        let there = async |tag: &str| self.revision(&format!("refs/tags/{tag}")).await.is_some();
        match !there(written).await && there(&other).await {
            true => other,
            false => written.to_owned(),
        }
    }

    /// The commit that is released: the one that was named, the version's tag, the job's, and
    /// last the one that is checked out.
    pub async fn commit(&self, wanted: &ToRelease) -> Option<Found> {
        let found = |commit, by| Some(Found { commit, by });
        if let Some(commit) = &wanted.commit {
            return found(commit.clone(), "named by --commit".to_owned());
        }
        if let Some(commit) = self.revision(&format!("refs/tags/{}", wanted.tag)).await {
            return found(commit, format!("the tag {} here", wanted.tag));
        }
        match &wanted.context {
            Some(context) => {
                // The tag of a job may be an object of its own.
                let commit = match self.revision(&context.sha).await {
                    Some(commit) => commit,
                    None => context.sha.parse().ok()?,
                };
                found(commit, "what the job runs for".to_owned())
            }
            None => {
                let commit = self.head().await?;
                let by = format!("what is checked out: there is no tag {} here", wanted.tag);
                found(commit, by)
            }
        }
    }

    /// What is checked out.
    pub async fn head(&self) -> Option<Revision> {
        self.revision("HEAD").await
    }

    async fn revision(&self, name: &str) -> Option<Revision> {
        let name = format!("{name}^{{commit}}");
        let said = git(&self.folder, &["rev-parse", "--verify", "--quiet", &name]).await?;
        said.parse().ok()
    }

    /// The repository at GitHub: what a job is told, or where the checkout is from.
    pub async fn home(&self, variable: &dyn Fn(&str) -> Option<String>) -> Option<Home> {
        let repository = match variable("GITHUB_REPOSITORY") {
            Some(repository) => repository,
            None => on_github(&git(&self.folder, &["remote", "get-url", "origin"]).await?)?,
        };
        let api_url = variable("GITHUB_API_URL");
        Some(Home {
            repository,
            api_url: api_url.unwrap_or_else(|| "https://api.github.com".to_owned()),
        })
    }
}

/// What it prints; `None` if it fails, or is not there.
async fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(arguments);
    // Nothing that is asked here needs a secret.
    for secret in crate::settings::table::withheld_variables() {
        git.env_remove(secret);
    }
    git.env_remove("GITHUB_TOKEN");
    let output = git
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}

/// `owner/name` of a remote at github.com.
fn on_github(url: &str) -> Option<String> {
    let (_, path) = url.split_once("github.com")?;
    let before = url.strip_suffix(path)?.strip_suffix("github.com")?;
    let is_host = ["", "git@", "https://", "ssh://git@", "git://"].contains(&before)
        || before.starts_with("https://") && before.ends_with('@') && !before[8..].contains('/');
    let path = path.strip_prefix([':', '/'])?.trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (is_host && path.split('/').count() == 2).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_at_github_is_recognised_however_it_is_written() {
        for url in [
            "https://github.com/acme/api",
            "https://github.com/acme/api.git",
            "https://x-access-token:secret@github.com/acme/api/",
            "git@github.com:acme/api.git",
            "ssh://git@github.com/acme/api.git",
        ] {
            assert_eq!(on_github(url).as_deref(), Some("acme/api"), "{url}");
        }
        for url in [
            "https://gitlab.com/acme/api",
            "https://example.org/github.com/acme/api",
            "https://mygithub.com/acme/api",
            "git@github.com:acme",
            "/srv/git/github.com/acme/api",
        ] {
            assert_eq!(on_github(url), None, "{url}");
        }
    }
}
