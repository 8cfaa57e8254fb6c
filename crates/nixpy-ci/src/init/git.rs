//! What git's own files tell of the repository that a project is in: where it begins, which branch
//! publishes, what its image would be called. git itself is not needed, and what is not understood is
//! left at its default.

use std::fs;
use std::path::Path;

use super::detect::is_plain;
use super::render::Repository;

/// Looks for it; and whether there is one.
///
/// # Errors
/// The project is where no workflow can name it.
pub fn repository(folder: &Path) -> Result<(Repository, bool), String> {
    let mut repository = Repository::default();
    let found = folder
        .ancestors()
        .enumerate()
        .find(|(_, place)| place.join(".git").exists());
    let Some((depth, top)) = found else {
        return Ok((repository, false));
    };
    if depth > 0 {
        let below = folder.strip_prefix(top).unwrap_or(folder);
        let named = below.to_str();
        // Workflows anywhere else than at the top are read by nobody.
        let Some(below) = named.filter(|below| below.split('/').all(is_plain)) else {
            return Err(format!(
                "{} is below the top of a repository, where workflows are, and they cannot name it: rename its \
                 folders to letters, digits, `.`, `_` and `-`",
                below.display()
            ));
        };
        repository.up = "../".repeat(depth);
        repository.down = below.to_owned();
    }
    let git = top.join(".git");
    if let Some(branch) = branch(&git) {
        repository.branch = branch;
    }
    repository.image = fs::read_to_string(git.join("config"))
        .ok()
        .and_then(|text| image(&text));
    if let (Some(image), Some(name)) = (&mut repository.image, repository.down.rsplit('/').next())
        && !name.is_empty()
    {
        image.push('/');
        image.push_str(&name.to_lowercase());
    }
    Ok((repository, true))
}

/// The one that origin calls its own, or the first of those that are usual.
fn branch(git: &Path) -> Option<String> {
    let head = fs::read_to_string(git.join("refs/remotes/origin/HEAD")).ok();
    let of_origin = head
        .as_deref()
        .and_then(|text| text.trim().strip_prefix("ref: refs/remotes/origin/"));
    if let Some(branch) = of_origin.filter(|branch| branch.split('/').all(is_plain)) {
        return Some(branch.to_owned());
    }
    let current = fs::read_to_string(git.join("HEAD")).unwrap_or_default();
    let packed = fs::read_to_string(git.join("packed-refs")).unwrap_or_default();
    let usual = ["main", "master"].into_iter().find(|branch| {
        let name = format!("refs/heads/{branch}");
        git.join(&name).exists()
            || current.trim() == format!("ref: {name}")
            || packed
                .lines()
                .any(|line| line.ends_with(&format!(" {name}")))
    });
    usual.map(str::to_owned)
}

/// `git@github.com:Acme/Base-API.git` is published as `ghcr.io/acme/base-api`.
fn image(config: &str) -> Option<String> {
    let lines = config.lines().map(str::trim);
    let mut origin = lines
        .skip_while(|line| *line != "[remote \"origin\"]")
        .skip(1);
    let url = origin
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .find_map(|line| {
            line.strip_prefix("url")?
                .trim_start()
                .strip_prefix('=')
                .map(str::trim)
        })?;
    let (_, path) = url.split_once("github.com")?;
    let path = path.trim_start_matches([':', '/']).trim_end_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).to_lowercase();
    let parts: Vec<&str> = path.split('/').collect();
    let is_name = parts.len() == 2 && parts.iter().all(|part| is_plain(part));
    is_name.then(|| format!("ghcr.io/{path}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_image_is_called_as_the_repository_at_github() {
        let config = |url: &str| {
            format!("[core]\n\tbare = false\n[remote \"origin\"]\n\turl = {url}\n[branch \"x\"]\n")
        };
        for url in [
            "git@github.com:Acme/Base-API.git",
            "https://github.com/acme/base-api",
            "ssh://git@github.com/acme/base-api.git/",
        ] {
            assert_eq!(
                image(&config(url)).as_deref(),
                Some("ghcr.io/acme/base-api"),
                "{url}"
            );
        }
        for url in [
            "git@gitlab.com:acme/api.git",
            "https://github.com/a/b/c",
            "https://github.com/a b/c",
            "/srv/git",
        ] {
            assert_eq!(image(&config(url)), None, "{url}");
        }
    }

    #[test]
    fn a_project_below_the_top_has_its_workflow_at_the_top() {
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("services/api");
        fs::create_dir_all(&project).unwrap();
        fs::create_dir_all(dir.path().join(".git/refs/remotes/origin")).unwrap();
        fs::write(
            dir.path().join(".git/refs/remotes/origin/HEAD"),
            "ref: refs/remotes/origin/trunk\n",
        )
        .unwrap();
        let (repository, is_there) = repository(&project).unwrap();
        assert!(is_there);
        assert_eq!(
            (repository.up.as_str(), repository.down.as_str()),
            ("../../", "services/api")
        );
        assert_eq!(repository.branch, "trunk");
    }
}
