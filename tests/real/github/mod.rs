//! GitHub's API: requests and answers are held against its own description, which
//! `make test-deps` brings.

mod client;
mod double;
mod releasing;
