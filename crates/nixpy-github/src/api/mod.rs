//! GitHub's REST API, as far as a run has anything to say there.
//!
//! | module | subject |
//! |---|---|
//! | `token` | a secret that cannot be printed |
//! | `client`, `again`, `patience`, `pages` | one request; the same again, and when; for how long; one list |
//! | `refusal`, `error` | an attempt that failed; what did not work, and the cure |
//! | `pulls`, `comments`, `checks` | a pull request, what is written below it, and at its commits |
//! | `releases`, `git` | what is published under a tag, and what tags point to |
//!
//! Octocrab underneath knows GitHub's addresses, headers and errors; how its requests get
//! there (roots, names, proxies) is the caller's affair, who brings the HTTP client. Of what
//! is answered only the fields are read that are used here.

mod again;
mod checks;
mod client;
mod comments;
mod error;
mod git;
mod pages;
mod patience;
mod pulls;
mod refusal;
mod releases;
mod token;

pub use checks::{Annotation, AnnotationLevel, CheckRun, Conclusion, NewCheckRun};
pub use client::{Client, PATIENCE};
pub use comments::Comment;
pub use error::{ApiError, ApiErrorKind, WORKFLOWS_TOO};
pub use git::{Commit, Comparison, GitRef, Target};
pub use pulls::{Branch, PullRequest, User};
pub use releases::{Asset, NewRelease, Release};
pub use token::Token;
