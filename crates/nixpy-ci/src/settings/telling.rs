//! Who on GitHub is to hear of a run, and whose voice that is.

use nixpy_github::api::Token;
use nixpy_github::context::Context;

use super::part::part;
use super::resolve::{Problem, Reader, Surroundings};
use super::sources::RawInputs;

/// What is told on GitHub.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    /// What the job is run for; `None` outside of GitHub, where nobody is told.
    pub context: Option<Context>,
    /// Whose voice it is.
    pub token: Option<Token>,
    /// A comment at the pull request.
    pub comment: bool,
    /// A check run at the commit.
    pub check: bool,
    /// What tells this run from others of the same job, as in `.#api`; empty if it is usual.
    pub part: String,
    /// Another job will tell how it ended, if this one does not fail.
    pub by_digest: bool,
}

/// What posting another job's report needs: whose voice it is, and whether to tell it as JSON.
///
/// # Errors
/// Every problem there is, not the first.
pub fn to_post(
    raw: &RawInputs,
    around: &Surroundings<'_>,
) -> Result<(Telling, bool), Vec<Problem>> {
    let mut reader = Reader::of(raw);
    let told = (reader.telling(around), reader.switch("json"));
    reader.ended(told)
}

impl Reader<'_> {
    pub(super) fn telling(&mut self, around: &Surroundings<'_>) -> Telling {
        let mut wanted = |name: &str| self.choice(name).as_deref() != Some("never");
        let (comment, check) = (wanted("comment"), wanted("check"));
        let given = self.raw.get("github-token").map(|raw| raw.first());
        let given = given.filter(|text| !text.trim().is_empty());
        let token = given.or_else(|| around.text("GITHUB_TOKEN"));
        let token = token.and_then(|text| {
            let token = Token::new(text);
            if token.is_none() {
                let problem = "a token is one word: this one has blanks or line ends within it";
                self.fail("github-token", problem);
            }
            token
        });
        let by_digest = self.switch("by-digest");
        Telling {
            context: around.context().cloned(),
            token,
            comment,
            check,
            part: part(self.raw, around),
            by_digest,
        }
    }
}
