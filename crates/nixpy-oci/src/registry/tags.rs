//! The list of a repository's tags, page by page
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md#content-discovery>),
//! and taking manifests away.

use std::collections::BTreeSet;

use reqwest::header::LINK;
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;

use super::error::Failure;
use super::line::Ask;
use super::wire::Wire;
use crate::digest::Digest;
use crate::name::Tag;

/// What is asked for at once: registries that have a limit have this one.
const PAGE: &str = "1000";
/// Room for all tags of a registry that knows no pages, and more than a page's.
const LONGEST_PAGE: usize = 4 << 20;
/// A list that does not end is none; and this many take some ten MB.
const MOST_TAGS: usize = 100_000;

#[derive(Deserialize)]
struct Listed {
    /// Some registries write `null` for none.
    tags: Option<Vec<String>>,
}

impl Wire {
    /// All tags, sorted; none where there is no repository.
    pub(super) async fn tags(&self) -> Result<BTreeSet<Tag>, Failure> {
        let mut next = self.url("tags/list")?;
        next.query_pairs_mut().append_pair("n", PAGE);
        let mut tags = BTreeSet::new();
        loop {
            let Some((page, link)) = self.retrying(|_| self.page(&next)).await? else {
                return Ok(tags);
            };
            let known = tags.len();
            // What is no tag cannot be asked for either.
            tags.extend(page.iter().filter_map(|tag| tag.parse::<Tag>().ok()));
            if tags.len() > MOST_TAGS {
                let why = format!("it lists more than {MOST_TAGS} tags");
                return Err(Failure::protocol(why));
            }
            match link {
                Some(link) if tags.len() > known => next = link,
                _ => return Ok(tags),
            }
        }
    }

    async fn page(&self, url: &Url) -> Result<Option<(Vec<String>, Option<Url>)>, Failure> {
        let ask = Ask::get(url.clone());
        let response = self.ask(&ask).await?;
        if !response.status().is_success() {
            return self.absent(response).await.map(|()| None);
        }
        let link = next_page(&response, url);
        let bytes = self.line.read(response, LONGEST_PAGE).await?;
        let bytes = bytes.ok_or_else(|| Failure::protocol("its list of tags is too long"))?;
        let listed: Listed = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::protocol("its list of tags is none").caused_by(error))?;
        Ok(Some((listed.tags.unwrap_or_default(), link)))
    }

    /// Takes a manifest away, with all tags that lead to it; `false` if it was not there.
    pub(super) async fn delete_manifest(&self, digest: Digest) -> Result<bool, Failure> {
        let url = self.url(&format!("manifests/{digest}"))?;
        let ask = Ask::bare(Method::DELETE, url);
        self.login.allow_deleting().await;
        self.retrying(|_| async {
            let response = self.ask(&ask).await?;
            match response.status() {
                status if status.is_success() => Ok(true),
                StatusCode::NOT_FOUND => Ok(false),
                _ => Err(self.refusal(response).await.into_failure()),
            }
        })
        .await
    }
}

/// `Link: </v2/…>; rel="next"`, on the registry's own host.
fn next_page(response: &Response, at: &Url) -> Option<Url> {
    let links = response.headers().get_all(LINK).iter();
    let mut links = links.filter_map(|link| link.to_str().ok());
    let next = links.find_map(|link| {
        let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = rest.replace('"', "").contains("rel=next");
        is_next.then_some(target)
    })?;
    let next = at.join(next).ok()?;
    (next.origin() == at.origin()).then_some(next)
}
