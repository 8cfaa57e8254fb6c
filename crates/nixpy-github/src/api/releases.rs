//! Releases and their files.

use std::sync::Arc;

use http::Method;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::client::{Answer, Ask, Body, Client};
use super::error::{ApiError, ApiErrorKind};

const WRITE: &str = "contents: write";
const READ: &str = "contents: read";

/// A release that is there.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Release {
    /// Stays while the tag may change.
    pub id: u64,
    /// As in `v1.2.3`.
    pub tag_name: String,
    /// What people see.
    pub name: Option<String>,
    /// Markdown.
    pub body: Option<String>,
    /// Seen by those who may write only.
    pub draft: bool,
    /// Not for everybody yet.
    pub prerelease: bool,
    /// Whether nothing in it can be changed any more.
    #[serde(default)]
    pub immutable: Option<bool>,
    /// The commit or branch that its tag is made of.
    pub target_commitish: String,
    /// Where files are sent, as a template.
    pub upload_url: String,
    /// For people.
    pub html_url: String,
    /// Its files.
    #[serde(default)]
    pub assets: Vec<Asset>,
}

/// A file of a release.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Asset {
    /// By which it is taken away.
    pub id: u64,
    /// As it is downloaded.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// `uploaded`, or `open` if it is not whole.
    pub state: String,
    /// `sha256:…`, where GitHub tells it.
    #[serde(default)]
    pub digest: Option<String>,
    /// For everybody.
    pub browser_download_url: String,
}

/// A release as it is to be.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct NewRelease {
    /// As in `v1.2.3`.
    pub tag_name: String,
    /// The commit for the tag, if there is none yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_commitish: Option<String>,
    /// What people see.
    pub name: String,
    /// Markdown.
    pub body: String,
    /// Seen by those who may write only.
    pub draft: bool,
    /// Not for everybody yet.
    pub prerelease: bool,
    /// `true`, `false` or `legacy`: whether it is what "latest" leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub make_latest: Option<String>,
}

impl Client {
    /// The published release of a tag; `None` if there is none, or only a draft.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub async fn release_by_tag(&self, tag: &str) -> Result<Option<Release>, ApiError> {
        let act = format!("read the release {tag}");
        self.find(&self.ask(Method::GET, &["releases", "tags", tag], act, READ))
            .await
    }

    /// All releases, the newest first; drafts among them only for who may write.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub async fn releases(&self) -> Result<Vec<Release>, ApiError> {
        let act = "read the releases".to_owned();
        let ask = self.ask(Method::GET, &["releases"], act, READ);
        self.pages(&ask, Answer::parse, |_| false).await
    }

    /// A new release.
    ///
    /// # Errors
    /// The token may not, there is one of this tag (422), or GitHub does not answer.
    pub async fn create_release(&self, new: &NewRelease) -> Result<Release, ApiError> {
        let act = format!("make the release {}", new.tag_name);
        let ask = self
            .ask(Method::POST, &["releases"], act, WRITE)
            .sending(new);
        // Only the list has drafts.
        self.make(&ask, async || {
            let releases = self.releases().await?;
            let is_it =
                |release: &Release| release.tag_name == new.tag_name && release.draft == new.draft;
            Ok(releases.into_iter().find(is_it))
        })
        .await
    }

    /// A release says something else now; a draft may become public.
    ///
    /// # Errors
    /// The token may not, it can be changed no more, or GitHub does not answer.
    pub async fn update_release(&self, id: u64, new: &NewRelease) -> Result<Release, ApiError> {
        let act = format!("update the release {}", new.tag_name);
        let parts = ["releases", &id.to_string()];
        self.get(&self.ask(Method::PATCH, &parts, act, WRITE).sending(new))
            .await
    }

    /// Another file for a release; what is half there under its name goes first.
    ///
    /// # Errors
    /// The token may not, there is one of this name (422), or GitHub does not answer.
    pub async fn upload_asset(
        &self,
        release: &Release,
        name: &str,
        media_type: &str,
        bytes: impl Into<Arc<[u8]>>,
    ) -> Result<Asset, ApiError> {
        let mut ask = Ask {
            body: Body::File {
                bytes: bytes.into(),
                media_type: media_type.to_owned(),
            },
            ..self.ask(
                Method::POST,
                &[],
                format!("attach {name} to the release"),
                WRITE,
            )
        };
        // `https://uploads.github.com/repos/…/assets{?name,label}`
        let address = release.upload_url.split('{').next().unwrap_or_default();
        ask.url = Url::parse(address).map_err(|_| {
            let what = format!("{address:?} is no address for files");
            ask.failed(ApiErrorKind::Unreadable(what))
        })?;
        let ask = ask.query(&[("name", name)]);
        self.make(&ask, async || {
            let assets = self.assets(release.id).await?;
            let found = assets.into_iter().find(|asset| asset.name == name);
            match found {
                Some(whole) if whole.state == "uploaded" => Ok(Some(whole)),
                Some(half) => self.delete_asset(half.id).await.map(|()| None),
                None => Ok(None),
            }
        })
        .await
    }

    /// The files of a release.
    ///
    /// # Errors
    /// There is no such release, or GitHub does not answer.
    pub async fn assets(&self, release: u64) -> Result<Vec<Asset>, ApiError> {
        let act = "read the release's files".to_owned();
        let parts = ["releases", &release.to_string(), "assets"];
        let ask = self.ask(Method::GET, &parts, act, READ);
        self.pages(&ask, Answer::parse, |_| false).await
    }

    /// Takes a file away. One that is gone already is as well.
    ///
    /// # Errors
    /// The token may not, or GitHub does not answer.
    pub async fn delete_asset(&self, id: u64) -> Result<(), ApiError> {
        let act = "take a file of the release away".to_owned();
        let parts = ["releases", "assets", &id.to_string()];
        match self
            .send(&self.ask(Method::DELETE, &parts, act, WRITE))
            .await
        {
            Err(e) if !e.is_not_found() => Err(e),
            _ => Ok(()),
        }
    }
}
