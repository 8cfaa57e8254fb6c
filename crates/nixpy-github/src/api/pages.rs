//! A list that comes in pages (<https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api>).

use http::HeaderMap;
use reqwest::Url;
use serde::de::DeserializeOwned;

use super::client::{Answer, Ask, Client};
use super::error::{ApiError, ApiErrorKind};

/// More pages than these are not asked for.
const MOST: usize = 30;

impl Client {
    /// Everything on all pages, up to the first page that `enough` finds sufficient.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        items: impl Fn(&Answer) -> Result<Vec<T>, ApiErrorKind>,
        enough: impl Fn(&[T]) -> bool,
    ) -> Result<Vec<T>, ApiError> {
        let mut ask = ask.clone().query(&[("per_page", "100")]);
        let mut all = Vec::new();
        for _ in 0..MOST {
            let answer = self.send(&ask).await?;
            all.extend(items(&answer).map_err(|kind| ask.failed(kind))?);
            match next(&answer.headers) {
                Some(url) if !enough(&all) => ask.url = url,
                _ => break,
            }
        }
        Ok(all)
    }
}

/// The address of the page after this one.
fn next(headers: &HeaderMap) -> Option<Url> {
    let links = headers.get(http::header::LINK)?.to_str().ok()?;
    let links = links.split(',').filter_map(|link| link.split_once(';'));
    let mut next = links.filter(|(_, what)| what.contains("rel=\"next\""));
    let (url, _) = next.next()?;
    Url::parse(url.trim().trim_start_matches('<').trim_end_matches('>')).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_the_links() {
        let mut headers = HeaderMap::new();
        assert_eq!(next(&headers), None);
        let links = r#"<https://api.example/x?page=1>; rel="prev", <https://api.example/x?page=3>; rel="next""#;
        headers.insert("link", links.parse().unwrap());
        assert_eq!(
            next(&headers).unwrap().as_str(),
            "https://api.example/x?page=3"
        );
        headers.insert(
            "link",
            r#"<https://api.example/x?page=1>; rel="prev""#.parse().unwrap(),
        );
        assert_eq!(next(&headers), None);
    }
}
