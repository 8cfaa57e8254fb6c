//! A GitHub of one repository on a loopback port, in memory, that can fail on cue.
//!
//! Everything that is asked of it, and everything that it answers, is held against GitHub's own
//! description of its API (`make test-deps` brings it). What does not fit is a complaint, and
//! dropping a double that has one ends the test. What it answers is GitHub's own example of
//! the answer, with what was sent to it in its place.
//!
//! Left out: who may do what (a [`Fault`] says no), and all that no test needs.

mod answer;
mod description;
mod git;
mod immutable;
mod releases;
mod serve;
mod state;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::{SignedDuration, Timestamp};
pub use state::{Check, Comment, Pull, Release};

use crate::background::{Background, listen};
pub use crate::registry::{Fault, Method, Recorded};
use serve::Shared;
use state::{Commit, State};

/// The token that it knows; others get 401.
pub const TOKEN: &str = "ghs_the0token0of0the0tests";

/// A running GitHub; dropping it stops it.
pub struct Github {
    shared: Arc<Shared>,
    server: Mutex<Option<Background>>,
}

impl Github {
    /// One with nothing in it.
    pub fn start() -> Self {
        let listener = listen();
        let shared = Arc::new(Shared::at(listener.local_addr().unwrap()));
        let serving = Arc::clone(&shared);
        let server = Background::serve(listener, move |listener| serve::serve(listener, serving));
        Self {
            shared,
            server: Mutex::new(Some(server)),
        }
    }

    /// For `GITHUB_API_URL`.
    pub fn api_url(&self) -> String {
        self.shared.url()
    }

    /// There is a commit, after another.
    pub fn add_commit(&self, sha: &str, parent: Option<&str>, message: &str) {
        let commit = Commit {
            parent: parent.map(str::to_owned),
            message: message.to_owned(),
        };
        self.state().commits.insert(sha.to_owned(), commit);
    }

    /// There is a pull request, and the commit that it comes with.
    pub fn add_pull(&self, pull: Pull) {
        self.add_commit(&pull.head_sha, None, "of a pull request");
        let mut state = self.state();
        state.pulls.retain(|known| known.number != pull.number);
        state.pulls.push(pull);
    }

    /// Somebody has written a comment, a day ago; the answer is what it is known by.
    pub fn add_comment(&self, number: u64, author: &str, body: &str) -> u64 {
        let mut state = self.state();
        let id = state.next_id();
        let then = Timestamp::now() - SignedDuration::from_hours(24);
        state.comments.push(Comment {
            id,
            number,
            author: author.to_owned(),
            body: body.to_owned(),
            created_at: then,
            updated_at: then,
        });
        id
    }

    /// A branch or a tag points there, as in `tags/v1`.
    pub fn set_ref(&self, name: &str, sha: &str) {
        self.state().refs.insert(name.to_owned(), sha.to_owned());
    }

    /// A tag with an object of its own points to a commit.
    pub fn set_annotated_tag(&self, name: &str, object: &str, sha: &str) {
        let mut state = self.state();
        state.tags.insert(object.to_owned(), sha.to_owned());
        state.refs.insert(format!("tags/{name}"), object.to_owned());
    }

    /// What a branch or a tag points to.
    pub fn git_ref(&self, name: &str) -> Option<String> {
        self.state().refs.get(name).cloned()
    }

    /// The comments on a pull request, the oldest first.
    pub fn comments(&self, number: u64) -> Vec<Comment> {
        let state = self.state();
        let all = state.comments.iter();
        all.filter(|comment| comment.number == number)
            .cloned()
            .collect()
    }

    /// All check runs, the oldest first.
    pub fn checks(&self) -> Vec<Check> {
        self.state().checks.clone()
    }

    /// All releases, the oldest first.
    pub fn releases(&self) -> Vec<Release> {
        self.state().releases.clone()
    }

    /// There is a release, as if these fields had been sent; the answer is what it is known by.
    pub fn add_release(&self, body: serde_json::Value) -> u64 {
        let mut state = self.state();
        let id = state.next_id();
        state.releases.push(Release {
            id,
            body,
            assets: Vec::new(),
        });
        id
    }

    /// From now on public releases can be changed no more.
    pub fn makes_releases_immutable(&self) {
        self.state().freezes = true;
    }

    /// Whose token it is; else `github-actions[bot]`'s.
    pub fn token_is_of(&self, login: &str) {
        login.clone_into(&mut self.shared.author.lock().unwrap());
    }

    /// No page holds more than this, whatever was asked for.
    pub fn pages_of(&self, items: usize) {
        self.shared.page.store(items, Ordering::SeqCst);
    }

    /// Refusals say from now on that they accept tokens with these permissions.
    pub fn accepts(&self, permissions: &str) {
        *self.shared.accepted.lock().unwrap() = Some(permissions.to_owned());
    }

    /// Adds a rule; its count of matches begins now. What a [`Fault::code`] says is GitHub's
    /// message.
    pub fn fail(&self, fault: Fault) {
        self.shared.faults.add(fault);
    }

    /// Ends all rules.
    pub fn heal(&self) {
        self.shared.faults.clear();
    }

    /// Every request that arrived, in order.
    pub fn requests(&self) -> Vec<Recorded> {
        self.shared.journal.all()
    }

    /// How many requests of this method had this text in their path.
    pub fn count(&self, method: Method, path: &str) -> usize {
        let fits = |it: &&Recorded| it.method == method && it.path.contains(path);
        self.requests().iter().filter(fits).count()
    }

    /// Forgets the requests so far.
    pub fn reset_counts(&self) {
        self.shared.journal.clear();
    }

    /// What did not fit the description so far, and forgets it.
    pub fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.shared.complaints.lock().unwrap())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

impl Drop for Github {
    fn drop(&mut self) {
        drop(self.server.lock().unwrap().take());
        let complaints = self.take_complaints();
        if !std::thread::panicking() {
            assert!(
                complaints.is_empty(),
                "GitHub's description is not kept to:\n{}",
                complaints.join("\n")
            );
        }
    }
}

/// A refusal for want of a permission, to every request whose path has this text.
pub fn not_permitted(path: &str) -> Fault {
    let fault = Fault::status(403).code("Resource not accessible by integration");
    fault.on_path(path).always()
}

/// A refusal because there were too many requests, once.
pub fn too_many_requests(seconds: u64) -> Fault {
    let fault = Fault::status(403)
        .code("You have exceeded a secondary rate limit. Please wait a few minutes.");
    fault.retry_after(seconds)
}
