//! One request to GitHub, and the same again.
//!
//! Whatever is asked takes no longer, in all, than the time that the client was made with
//! ([`super::patience`]): what it waits for counts as well. A request that GitHub has not looked
//! at is sent again, as is one that changes nothing or sets something to what it is then. One
//! that makes something new may have worked although its answer was lost, so it is looked for
//! first ([`Client::make`]).

use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, header};
use octocrab::Octocrab;
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::again::{Again, pause};
use super::error::{ApiError, ApiErrorKind};
use super::patience::Patience;
use super::refusal::{Failed, deepest, refused, silence};
use super::token::Token;

/// What is usual to give GitHub in all.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// One answer that takes longer is not waited for, where there is something to repeat.
const ONE_ANSWER: Duration = Duration::from_secs(15);

/// Asks GitHub about one repository.
#[derive(Debug)]
pub struct Client {
    octocrab: Octocrab,
    api: Url,
    repository: String,
    patience: Patience,
}

/// A request that can be sent again.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Body,
    /// For messages, as in `comment on pull request #7`.
    pub(super) act: String,
    /// What the token needs for it.
    pub(super) permission: &'static str,
}

/// What a request brings.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Nothing,
    Json(String),
    File {
        bytes: std::sync::Arc<[u8]>,
        media_type: String,
    },
}

/// A whole answer that is yes.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Ask {
    pub(super) fn sending(mut self, body: &impl Serialize) -> Self {
        self.body = Body::Json(serde_json::to_string(body).unwrap_or_default());
        self
    }

    pub(super) fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        self.url.query_pairs_mut().extend_pairs(pairs);
        self
    }
}

impl Answer {
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiErrorKind> {
        serde_json::from_str(&self.text).map_err(|e| ApiErrorKind::Unreadable(e.to_string()))
    }
}

impl Client {
    /// Of a repository, `owner/name`, at an API such as `https://api.github.com`, within a
    /// runtime of tokio. Nothing is asked yet. It gives up when it has asked for as long as
    /// `patience`, by the clock, in all its requests together.
    ///
    /// # Errors
    /// There is no such address, or no such repository can be.
    pub fn new(
        http: reqwest::Client,
        api_url: &str,
        repository: &str,
        token: &Token,
        patience: Duration,
    ) -> Result<Self, ApiError> {
        let wrong = |what: String| ApiError {
            act: format!("ask GitHub about {repository:?}"),
            kind: ApiErrorKind::Address(what),
        };
        let api = Url::parse(api_url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let api = api.ok_or_else(|| wrong(format!("{api_url:?} is not the address of an API")))?;
        if !is_repository(repository) {
            return Err(wrong("this is not owner/name".to_owned()));
        }
        let octocrab = Octocrab::builder()
            .base_uri(api.as_str())
            .and_then(|builder| builder.upload_uri(uploads(&api).as_str()))
            .map(|builder| {
                builder
                    .user_access_token(token.expose())
                    .add_header(header::ACCEPT, "application/vnd.github+json".to_owned())
                    .add_header(
                        HeaderName::from_static("x-github-api-version"),
                        "2022-11-28".to_owned(),
                    )
            })
            .and_then(|builder| builder.build_with_reqwest(http));
        Ok(Self {
            octocrab: octocrab.map_err(|e| wrong(deepest(&e)))?,
            api,
            repository: repository.to_owned(),
            patience: Patience::of(patience),
        })
    }

    /// `owner/name`
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Of something in the repository, by the parts of its path.
    pub(super) fn ask(
        &self,
        method: Method,
        parts: &[&str],
        act: String,
        permission: &'static str,
    ) -> Ask {
        let mut url = self.api.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("repos");
            path.extend(self.repository.split('/')).extend(parts);
        }
        Ask {
            method,
            url,
            body: Body::Nothing,
            act: format!("{act} of {}", self.repository),
            permission,
        }
    }

    /// By GitHub's other API, for what this one does not tell.
    pub(super) fn ask_graphql(&self, act: &str, query: &str) -> Ask {
        let mut url = self.api.clone();
        // `https://ghe.example/api/v3` and `https://ghe.example/api/graphql`
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty();
            if self.api.path().trim_end_matches('/').ends_with("/v3") {
                path.pop();
            }
            path.push("graphql");
        }
        let ask = Ask {
            method: Method::POST,
            url,
            body: Body::Nothing,
            act: act.to_owned(),
            permission: "contents: read",
        };
        ask.sending(&serde_json::json!({ "query": query }))
    }

    /// Asks what may be asked twice.
    pub(super) async fn send(&self, ask: &Ask) -> Result<Answer, ApiError> {
        self.send_until(ask, |_| true).await
    }

    /// The same, and what is answered.
    pub(super) async fn get<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T, ApiError> {
        let answer = self.send(ask).await?;
        answer.parse().map_err(|kind| ask.failed(kind))
    }

    /// What may not be there.
    pub(super) async fn find<T: DeserializeOwned>(&self, ask: &Ask) -> Result<Option<T>, ApiError> {
        match self.get(ask).await {
            Ok(found) => Ok(Some(found)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Asks for what would be there twice if it were asked for twice: after an attempt of which
    /// nobody knows what came, it is looked for.
    pub(super) async fn make<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        look: impl AsyncFn() -> Result<Option<T>, ApiError>,
    ) -> Result<T, ApiError> {
        let _asking = self.patience.asking();
        let mut tries = 0;
        loop {
            match self.send_until(ask, |again| *again != Again::Soon).await {
                Ok(answer) => return answer.parse().map_err(|kind| ask.failed(kind)),
                Err(e)
                    if matches!(
                        e.kind,
                        ApiErrorKind::Silence(_) | ApiErrorKind::Trouble { .. }
                    ) =>
                {
                    self.wait(pause(tries), ask).await?;
                    if let Some(made) = look().await? {
                        return Ok(made);
                    }
                    tries += 1;
                }
                Err(e) => return Err(e),
            }
        }
    }

    async fn send_until(
        &self,
        ask: &Ask,
        repeat: impl Fn(&Again) -> bool,
    ) -> Result<Answer, ApiError> {
        let _asking = self.patience.asking();
        let mut tries = 0;
        loop {
            let failed = match self.once(ask).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let wait = match failed.again {
                _ if !repeat(&failed.again) => return Err(ask.failed(failed.kind)),
                Again::Never => return Err(ask.failed(failed.kind)),
                Again::After(wait) if wait > self.patience.left() => {
                    return Err(ask.failed(ApiErrorKind::RateLimited { after: wait }));
                }
                Again::After(wait) => wait.max(pause(0)),
                // The last thing that is known says more than that there was no time.
                Again::Soon | Again::Anew if pause(tries) > self.patience.left() => {
                    return Err(ask.failed(failed.kind));
                }
                Again::Soon | Again::Anew => pause(tries),
            };
            tracing::debug!(act = ask.act, ?wait, "asking GitHub again");
            self.wait(wait, ask).await?;
            tries += 1;
        }
    }

    async fn once(&self, ask: &Ask) -> Result<Answer, Failed> {
        let left = self.patience.left();
        if left.is_zero() {
            return Err(Failed::for_good(ApiErrorKind::OutOfTime(
                self.patience.whole(),
            )));
        }
        // A file takes as long as it takes.
        let most = match ask.body {
            Body::File { .. } => left,
            _ => left.min(ONE_ANSWER),
        };
        let answer = tokio::time::timeout(most, self.exchange(ask)).await;
        answer.unwrap_or_else(|_| {
            let seconds = most.as_secs_f32();
            Err(Failed {
                kind: ApiErrorKind::Silence(format!("none within {seconds:.1} s")),
                again: Again::Soon,
            })
        })
    }

    async fn exchange(&self, ask: &Ask) -> Result<Answer, Failed> {
        let request = http::Request::builder()
            .method(ask.method.clone())
            .uri(ask.url.as_str());
        let request = match &ask.body {
            Body::Nothing if ask.method == Method::GET => request.body(Vec::new()),
            Body::Nothing => request.header(header::CONTENT_LENGTH, 0).body(Vec::new()),
            Body::Json(text) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(text.clone().into_bytes()),
            Body::File { bytes, media_type } => request
                .header(header::CONTENT_TYPE, media_type)
                .body(bytes.to_vec()),
        };
        let request =
            request.map_err(|e| Failed::for_good(ApiErrorKind::Address(e.to_string())))?;
        let response = self.octocrab.execute(request).await.map_err(silence)?;
        let response = octocrab::map_github_error(response).await;
        let response = response.map_err(|error| refused(error, ask.permission))?;
        let headers = response.headers().clone();
        let text = self
            .octocrab
            .body_to_string(response)
            .await
            .map_err(silence)?;
        Ok(Answer { headers, text })
    }

    async fn wait(&self, time: Duration, ask: &Ask) -> Result<(), ApiError> {
        if time > self.patience.left() {
            return Err(ask.failed(ApiErrorKind::OutOfTime(self.patience.whole())));
        }
        tokio::time::sleep(time).await;
        Ok(())
    }
}

impl Ask {
    pub(super) fn failed(&self, kind: ApiErrorKind) -> ApiError {
        ApiError {
            act: self.act.clone(),
            kind,
        }
    }
}

/// Where files are sent: on github.com, and where a company's data lives apart, a host of its
/// own; else the API's. The token goes nowhere else.
fn uploads(api: &Url) -> Url {
    let mut uploads = api.clone();
    if let Some(rest) = api.host_str().and_then(|host| host.strip_prefix("api.")) {
        // A host that was one stays one.
        let _ = uploads.set_host(Some(&format!("uploads.{rest}")));
    }
    uploads
}

fn is_repository(text: &str) -> bool {
    let is_name = |part: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        !matches!(part, "" | "." | "..") && part.chars().all(known)
    };
    text.split_once('/')
        .is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn files_go_where_github_takes_them() {
        let of = |api: &str| uploads(&Url::parse(api).unwrap()).to_string();
        assert_eq!(of("https://api.github.com"), "https://uploads.github.com/");
        assert_eq!(
            of("https://api.acme.ghe.com"),
            "https://uploads.acme.ghe.com/"
        );
        assert_eq!(
            of("https://ghe.example/api/v3"),
            "https://ghe.example/api/v3"
        );
    }

    #[test]
    fn what_is_no_repository_is_not_asked_for() {
        assert!(is_repository("acme/api.rs"));
        for text in [
            "acme",
            "acme/",
            "/api",
            "acme/../x",
            "acme/a b",
            "a/b/c",
            "acme/..",
        ] {
            assert!(!is_repository(text), "{text}");
        }
    }
}
