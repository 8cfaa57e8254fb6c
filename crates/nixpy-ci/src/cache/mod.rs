//! `nixpy-ci cache …`, and the caches of a run.
//!
//! | module | subject |
//! |---|---|
//! | `key` | a key to sign with |
//! | `serve` | caches served to the Nix of this machine, until it is interrupted |
//! | `reading` | the caches of a run, made ready to be read |
//! | `gc` | removing what no recent run has reached |

mod gc;
mod key;
mod reading;
mod serve;

use clap::ArgMatches;

pub use reading::{Opened, Wanted};

use crate::exit::Code;
use crate::settings::Environment;

/// Does what its subcommand says.
pub async fn cache(flags: &ArgMatches, environment: &Environment) -> Code {
    match flags.subcommand() {
        Some(("key", flags)) => key::key(flags),
        Some(("gc", flags)) => gc::gc(flags, environment).await,
        Some(("serve", flags)) => serve::serve(flags, environment).await,
        _ => Code::Inputs,
    }
}
