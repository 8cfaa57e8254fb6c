//! Machines made of a folder and a script, each plan's text in full, and the
//! edits of nix.conf as a table.

mod applying;
mod conf;
mod fake;
mod parts;
mod plans;
mod release;
