//! What Nix says while it works, as values.
//!
//! [`LogParser`] turns the bytes of `--log-format internal-json` into [`LogEvent`]s;
//! [`failures`] recognises what a message of failure means in each version;
//! [`BuildWatch`] keeps, per derivation, the last lines and the times.
//! The format has no specification: it is the `JSONLogger` in Nix's
//! [logging.cc](https://github.com/NixOS/nix/blob/master/src/libutil/logging.cc).

mod ansi;
mod event;
pub mod failures;
mod parser;
mod watch;

pub use ansi::strip_ansi;
pub use event::{Activity, Level, LogEvent, Message, MessagePosition};
pub use parser::{LONGEST_LINE, LogParser};
pub use watch::{BuildWatch, DEFAULT_TAIL, WatchedBuild};
