//! Check runs: a verdict at a commit, with annotations at its lines.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::error::{ApiError, ApiErrorKind};

const PERMISSION: &str = "checks: write";
/// GitHub takes no more of them in one request; what further requests bring is added.
const ANNOTATIONS: usize = 50;

/// A check run that is there.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct CheckRun {
    /// Grows with time.
    pub id: u64,
    /// What people see.
    pub name: String,
    /// What who made it calls it.
    pub external_id: Option<String>,
    /// For people.
    pub html_url: Option<String>,
    /// What is told there.
    #[serde(default)]
    pub output: CheckOutput,
}

/// What a check run tells.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct CheckOutput {
    /// How many lines are annotated already.
    #[serde(default)]
    pub annotations_count: u64,
}

/// A check run as it is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCheckRun {
    /// What people see.
    pub name: String,
    /// The commit.
    pub head_sha: String,
    /// By which it is found again.
    pub external_id: String,
    /// Where the name leads to, if not to itself.
    pub details_url: Option<String>,
    /// The verdict.
    pub conclusion: Conclusion,
    /// Beside the verdict.
    pub title: String,
    /// Markdown, at most 65,535 characters.
    pub summary: String,
    /// At lines; any number.
    pub annotations: Vec<Annotation>,
}

/// A verdict.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Green.
    Success,
    /// Red.
    Failure,
    /// Grey, and in nobody's way.
    Neutral,
}

/// Something about some lines of a file.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Annotation {
    /// From the top of the repository.
    pub path: String,
    /// From 1.
    pub start_line: u32,
    /// Not before it.
    pub end_line: u32,
    /// How bad it is.
    pub annotation_level: AnnotationLevel,
    /// At most 255 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// At most 64 KB.
    pub message: String,
}

/// How bad an annotation is.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum AnnotationLevel {
    /// Worth knowing.
    Notice,
    /// To be looked at.
    Warning,
    /// Made it fail.
    Failure,
}

impl NewCheckRun {
    fn output(&self, annotations: &[Annotation]) -> Value {
        json!({ "title": self.title, "summary": self.summary, "annotations": annotations })
    }

    fn body(&self) -> Value {
        let first = self.annotations.len().min(ANNOTATIONS);
        let mut body = json!({
            "name": self.name,
            "external_id": self.external_id,
            "status": "completed",
            "conclusion": self.conclusion,
            "output": self.output(&self.annotations[..first]),
        });
        if let Some(url) = &self.details_url {
            body["details_url"] = json!(url);
        }
        body
    }
}

impl Client {
    /// The check runs of this name at a commit, branch or tag.
    ///
    /// # Errors
    /// GitHub does not answer.
    pub async fn check_runs(&self, reference: &str, name: &str) -> Result<Vec<CheckRun>, ApiError> {
        #[derive(Deserialize)]
        struct Page {
            check_runs: Vec<CheckRun>,
        }
        let act = "read the check runs".to_owned();
        let parts = ["commits", reference, "check-runs"];
        let ask = self
            .ask(Method::GET, &parts, act, PERMISSION)
            .query(&[("check_name", name), ("filter", "all")]);
        let items = |answer: &Answer| -> Result<Vec<CheckRun>, ApiErrorKind> {
            answer.parse::<Page>().map(|page| page.check_runs)
        };
        self.pages(&ask, items, |_| false).await
    }

    /// A new check run, with all its annotations.
    ///
    /// # Errors
    /// The token may not, there is no such commit, or GitHub does not answer.
    pub async fn create_check_run(&self, new: &NewCheckRun) -> Result<CheckRun, ApiError> {
        let act = format!("leave the check run {:?}", new.name);
        let mut body = new.body();
        body["head_sha"] = json!(new.head_sha);
        let ask = self
            .ask(Method::POST, &["check-runs"], act, PERMISSION)
            .sending(&body);
        let made: CheckRun = self
            .make(&ask, async || {
                let runs = self.check_runs(&new.head_sha, &new.name).await?;
                let is_it = |run: &CheckRun| run.external_id.as_ref() == Some(&new.external_id);
                Ok(runs.into_iter().find(is_it))
            })
            .await?;
        self.add_annotations(made, new, ANNOTATIONS).await
    }

    /// A check run says something else now. Annotations that it has stay, since GitHub takes none
    /// away; so those that it is to have are only added to one that has none.
    ///
    /// # Errors
    /// The token may not, or GitHub does not answer.
    pub async fn update_check_run(&self, id: u64, new: &NewCheckRun) -> Result<CheckRun, ApiError> {
        let act = format!("update the check run {:?}", new.name);
        let ask = self.ask(
            Method::PATCH,
            &["check-runs", &id.to_string()],
            act,
            PERMISSION,
        );
        let updated = self.get(&ask.sending(&new.body())).await?;
        self.add_annotations(updated, new, ANNOTATIONS).await
    }

    async fn add_annotations(
        &self,
        mut run: CheckRun,
        new: &NewCheckRun,
        from: usize,
    ) -> Result<CheckRun, ApiError> {
        let rest = new.annotations.get(from..).unwrap_or_default();
        for some in rest.chunks(ANNOTATIONS) {
            let act = format!("annotate the check run {:?}", new.name);
            let parts = ["check-runs", &run.id.to_string()];
            let ask = self.ask(Method::PATCH, &parts, act, PERMISSION);
            run = self
                .get(&ask.sending(&json!({ "output": new.output(some) })))
                .await?;
        }
        Ok(run)
    }
}
