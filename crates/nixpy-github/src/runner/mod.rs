//! The runner's files and commands
//! (<https://docs.github.com/actions/reference/workflow-commands-for-github-actions>).

pub mod annotation;
pub mod command;
