//! The closed set of things Nix can say that anybody here listens to.

use crate::store_path::StorePath;

/// One thing Nix said. Identifiers are unique within one call of Nix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// Something has begun.
    Started {
        /// Names the activity in later events.
        id: u64,
        /// The activity it is part of, where Nix tells (not before 2.20 or so).
        parent: Option<u64>,
        /// What has begun.
        activity: Activity,
    },
    /// A build has entered a phase (`buildPhase`).
    Phase {
        /// The build's activity.
        id: u64,
        /// The phase's name.
        phase: String,
    },
    /// A line that a builder or a post-build hook wrote, without colours.
    Line {
        /// The build's activity.
        id: u64,
        /// The line.
        text: String,
    },
    /// How far an activity is, in its own unit (builds, paths, bytes).
    Progress {
        /// The activity.
        id: u64,
        /// What is done.
        done: u64,
        /// What is expected in all, so far; may shrink.
        expected: u64,
        /// What is under way.
        running: u64,
        /// What has failed.
        failed: u64,
    },
    /// How much of another kind of activity is still to come.
    Expected {
        /// The activity that announces it.
        id: u64,
        /// Whether copies of paths or transfers of files are meant, by Nix's number
        /// (100 copy, 101 transfer).
        of: u64,
        /// How much: bytes.
        amount: u64,
    },
    /// An activity has ended, well or not. On old versions a build at the top ends
    /// only when the whole call does.
    Stopped {
        /// The activity.
        id: u64,
    },
    /// A message to the user.
    Message(Message),
}

/// What Nix is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activity {
    /// A derivation is being built.
    Build {
        /// The derivation.
        derivation: StorePath,
        /// The remote machine, where it is not this one (`ssh-ng://builder`).
        machine: Option<String>,
    },
    /// A build waits for a lock or a free machine.
    BuildWaiting {
        /// Nix's own words.
        text: String,
    },
    /// All builds of this call; its progress counts derivations.
    Builds,
    /// All copies of this call; its progress counts paths.
    Copies,
    /// One store path is copied from store to store; its progress counts bytes.
    Copy {
        /// The path.
        path: StorePath,
        /// Where from.
        from: String,
        /// Where to.
        to: String,
    },
    /// One store path is taken from a binary cache.
    Substitute {
        /// The path.
        path: StorePath,
        /// The cache.
        from: String,
    },
    /// A file is transferred; its progress counts bytes.
    Transfer {
        /// The address.
        uri: String,
    },
    /// A cache is asked whether it has a path.
    Query {
        /// The path.
        path: StorePath,
        /// The cache.
        store: String,
    },
    /// A source tree is fetched.
    FetchTree {
        /// Nix's own words.
        text: String,
    },
    /// The post-build hook runs for a derivation.
    PostBuildHook {
        /// The derivation.
        derivation: StorePath,
    },
    /// Anything else, also what future versions add.
    Other {
        /// Nix's own words; may be empty.
        text: String,
    },
}

/// A message to the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// How urgent.
    pub level: Level,
    /// Without colours and without a leading `error:`.
    pub text: String,
    /// The text without its trace and source excerpt, where Nix gives it.
    pub bare: Option<String>,
    /// The place in a Nix file that Nix attached to it.
    pub position: Option<MessagePosition>,
}

/// A place as Nix wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessagePosition {
    /// A path, often in the store, or a description such as `«string»`.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1.
    pub column: u32,
}

/// The urgency of a message, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may be wrong.
    Warning,
    /// Shown by default. Text that was not JSON (ssh writes such) counts as this.
    Notice,
    /// Shown by default by old versions.
    Info,
    /// Only of interest with `-v` and more.
    Detail,
}
