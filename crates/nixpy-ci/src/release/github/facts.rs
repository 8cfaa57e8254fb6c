//! What is at GitHub before a release.

use futures_util::future::try_join_all;
use nixpy_github::api::{ApiError, Client, Comparison, Release};
use nixpy_pipeline::release::{Line, Seen, Version, released};

use super::super::images::Images;
use super::notes;
use crate::redact::{Clean, clean};
use crate::settings::ToRelease;

/// What was seen there.
#[derive(Debug, Default)]
pub struct Facts {
    /// Of this version: the public one, else a draft.
    pub release: Option<Release>,
    /// The commit that the version's tag is, if there is such a tag.
    pub tag_commit: Option<String>,
    /// Other versions that are released, there or in a registry, without pre-releases.
    pub released: Vec<Version>,
    /// Tags such as `v1`.
    pub floating: Vec<Floating>,
    /// What was done since the release before.
    pub comparison: Option<Since>,
}

/// A git tag that moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Floating {
    /// As in `v1`.
    pub name: String,
    /// What it goes along with.
    pub line: Line,
    /// The commit that it is now.
    pub at: Option<String>,
}

/// What was done since another release.
#[derive(Clone, Debug, PartialEq)]
pub struct Since {
    /// Its tag.
    pub tag: String,
    /// Commits.
    pub comparison: Clean<Comparison>,
}

/// Looks at everything that decides.
pub async fn look(
    client: &Client,
    wanted: &ToRelease,
    images: &Images,
    seen: &[Seen],
) -> Result<Facts, ApiError> {
    let releases = client.releases().await?;
    let of_this = |draft: bool| {
        let mut releases = releases.iter();
        releases.find(|release| release.tag_name == wanted.tag && release.draft == draft)
    };
    let release = of_this(false).or_else(|| of_this(true)).cloned();
    let public: Vec<(Version, &Release)> = releases
        .iter()
        .filter(|release| !release.draft && release.tag_name != wanted.tag)
        .filter_map(|release| Some((release.tag_name.parse().ok()?, release)))
        .collect();
    let names = match wanted.floating {
        true => floating_names(wanted),
        false => Vec::new(),
    };
    let floating = try_join_all(names.into_iter().map(async |(name, line)| {
        let at = commit_of(client, &name).await?;
        Ok::<_, ApiError>(Floating { name, line, at })
    }));
    let (tag_commit, floating) = (commit_of(client, &wanted.tag).await?, floating.await?);
    let told = release
        .as_ref()
        .is_some_and(|release| !release.draft && notes::tells(release, images));
    let before = public
        .iter()
        .filter(|(version, _)| wanted.version.is_newer_than(version))
        .filter(|(version, _)| wanted.version.is_pre_release() || !version.is_pre_release())
        .max_by(|(one, _), (other, _)| one.precedence(other));
    let comparison = match (before, &images.commit) {
        (Some((_, before)), Some(commit)) if !told => {
            since(client, &before.tag_name, commit).await?
        }
        _ => None,
    };
    let known = public.into_iter().map(|(version, _)| version);
    let mut known: Vec<Version> = known.filter(|version| !version.is_pre_release()).collect();
    known.extend(
        seen.iter()
            .flat_map(|place| released(&place.tags, &wanted.version)),
    );
    Ok(Facts {
        release,
        tag_commit,
        released: known,
        floating,
        comparison,
    })
}

/// As the version's own tag is written: `v1` beside `v1.2.3`, `1` beside `1.2.3`.
fn floating_names(wanted: &ToRelease) -> Vec<(String, Line)> {
    let before = wanted.tag.len() - wanted.version.to_string().len();
    let prefix = wanted.tag.get(..before).unwrap_or_default();
    let moving = wanted.version.moving().into_iter();
    let moving = moving.filter(|(_, line)| *line != Line::All);
    moving
        .map(|(tag, line)| (format!("{prefix}{tag}"), line))
        .collect()
}

/// The commit that a tag leads to, by way of its own object if it has one.
async fn commit_of(client: &Client, tag: &str) -> Result<Option<String>, ApiError> {
    let Some(found) = client.git_ref(&format!("tags/{tag}")).await? else {
        return Ok(None);
    };
    Ok(Some(match found.object.kind.as_str() {
        "tag" => client.tag_target(&found.object.sha).await?.sha,
        _ => found.object.sha,
    }))
}

/// Without what the two have in common there is nothing to tell.
async fn since(client: &Client, tag: &str, commit: &str) -> Result<Option<Since>, ApiError> {
    match client.compare(tag, commit).await {
        Ok(comparison) => Ok(Some(Since {
            tag: tag.to_owned(),
            comparison: clean(comparison),
        })),
        Err(e) if e.is_not_found() => Ok(None),
        Err(e) => Err(e),
    }
}
