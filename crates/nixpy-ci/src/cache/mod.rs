//! `nixpy-ci cache …`, and the caches of a run.
//!
//! | module | subject |
//! |---|---|
//! | `key` | a key to sign with |
//! | `serve` | caches served to the Nix of this machine, until it is interrupted |
//! | `reading` | the caches of a run, made ready to be read |
//! | `sources` | from a place to what can be read there |

mod key;
mod reading;
mod serve;
mod sources;

use clap::ArgMatches;

pub use reading::{Opened, Wanted};

use crate::exit::Code;
use crate::settings::Environment;

/// Does what its subcommand says.
pub async fn cache(flags: &ArgMatches, environment: &Environment) -> Code {
    match flags.subcommand() {
        Some(("key", flags)) => key::key(flags),
        Some(("serve", flags)) => serve::serve(flags, environment).await,
        _ => Code::Inputs,
    }
}
