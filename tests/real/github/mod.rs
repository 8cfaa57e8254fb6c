//! GitHub's API: requests and answers are held against its own description, which
//! `make test-deps` brings. Nix is a recorded one here, as in the fast tier, whose scenarios
//! these are.

mod client;
mod double;
mod events;
mod posting;
mod releasing;
mod reports;
mod runs;
#[path = "../../fast/scenario/mod.rs"]
#[allow(dead_code, unused_imports)]
mod scenario;

use std::time::Duration;

use nixpy_github::api::{Client, PATIENCE, Token};
use nixpy_testkit::github::{Github, Pull, TOKEN};

/// The newest commit of pull request #7.
const HEAD: &str = "1111111111111111111111111111111111111111";
const NEXT: &str = "2222222222222222222222222222222222222222";
const OTHER: &str = "3333333333333333333333333333333333333333";

/// With pull request #7, from a branch of the same repository.
fn github() -> Github {
    let github = Github::start();
    github.add_pull(pull("acme/api", HEAD));
    github
}

fn pull(from: &str, head: &str) -> Pull {
    Pull {
        number: 7,
        head_repository: from.to_owned(),
        head_ref: "feature".to_owned(),
        head_sha: head.to_owned(),
        open: true,
    }
}

fn client_with(github: &Github, patience: Duration) -> Client {
    let http = nixpy_oci::registry::http_client(Duration::from_secs(5)).unwrap();
    let token = Token::new(TOKEN).unwrap();
    Client::new(http, &github.api_url(), "acme/api", &token, patience).unwrap()
}

fn client(github: &Github) -> Client {
    client_with(github, PATIENCE)
}
