//! An executable called `nix` that replays recorded output, and keeps a list of
//! how it was called.
//!
//! The program under test starts it as it would start the real one. It is a
//! `/bin/sh` script: nothing has to be built for it, and it can be killed, piped
//! and awaited like any process. A call that no rule foresees ends with exit code
//! 99 and says so, because a test that expects less than what happens is wrong.

mod replay;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

pub use replay::Replay;
use replay::quoted;

/// The directory with the executable; gone when dropped.
pub struct FakeNix {
    home: TempDir,
}

/// Rules, the first of which that fits a call answers it.
#[derive(Clone, Debug, Default)]
pub struct FakeNixBuilder {
    rules: Vec<Replay>,
}

impl FakeNix {
    /// To be given rules.
    pub fn builder() -> FakeNixBuilder {
        FakeNixBuilder::default()
    }

    /// The executable.
    pub fn program(&self) -> PathBuf {
        self.path_dir().join("nix")
    }

    /// The directory to put at the front of `PATH`.
    pub fn path_dir(&self) -> PathBuf {
        self.home.path().join("bin")
    }

    /// The arguments of every call so far, in the order in which they began.
    pub fn calls(&self) -> Vec<Vec<String>> {
        (1..)
            .map_while(|call| self.kept(call, "argv"))
            .map(|argv| split(&argv))
            .collect()
    }

    /// How many calls had all of these words among their arguments.
    pub fn count(&self, words: &[&str]) -> usize {
        let fits = |argv: &Vec<String>| {
            words
                .iter()
                .all(|word| argv.iter().any(|given| given == word))
        };
        self.calls().iter().filter(|argv| fits(argv)).count()
    }

    /// What `NIX_CONFIG` was in a call; the first is 0.
    pub fn nix_config(&self, call: usize) -> Option<String> {
        self.kept(call + 1, "nix_config")
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What a call read from its standard input, if its rule says [`Replay::keep_stdin`].
    pub fn stdin(&self, call: usize) -> Option<Vec<u8>> {
        self.kept(call + 1, "stdin")
    }

    fn kept(&self, call: usize, what: &str) -> Option<Vec<u8>> {
        fs::read(
            self.home
                .path()
                .join("calls")
                .join(call.to_string())
                .join(what),
        )
        .ok()
    }
}

impl FakeNixBuilder {
    /// Adds a rule after the others.
    pub fn on(mut self, rule: Replay) -> Self {
        self.rules.push(rule);
        self
    }

    /// Makes the executable.
    pub fn build(self) -> FakeNix {
        let nix = FakeNix {
            home: TempDir::new().unwrap(),
        };
        for directory in ["bin", "calls", "rules", "used"] {
            fs::create_dir(nix.home.path().join(directory)).unwrap();
        }
        let mut script = PROLOGUE.replace("@home@", &quoted(nix.home.path().to_str().unwrap()));
        for (number, rule) in self.rules.iter().enumerate() {
            let recorded = nix.home.path().join("rules").join(number.to_string());
            fs::write(recorded.with_extension("out"), rule.recorded_stdout()).unwrap();
            fs::write(recorded.with_extension("err"), rule.recorded_stderr()).unwrap();
            script += &rule.to_shell(number);
        }
        script += EPILOGUE;
        write_executable(&nix.program(), &script);
        nix
    }
}

/// Each call takes the next free number by making a directory, which only one
/// process can; its arguments appear there whole or not at all.
const PROLOGUE: &str = r#"#!/bin/sh
home=@home@
PATH="${PATH-}:/usr/bin:/bin:/run/current-system/sw/bin"
number=1
until mkdir "$home/calls/$number" 2>/dev/null; do
  [ -d "$home/calls" ] || exit 98
  number=$((number + 1))
done
call="$home/calls/$number"
printf '%s' "${NIX_CONFIG-}" > "$call/nix_config"
: > "$call/argv.part"
for argument; do printf '%s\000' "$argument"; done > "$call/argv.part"
mv "$call/argv.part" "$call/argv"

has() {
  word=$1; shift
  for argument; do [ "$argument" = "$word" ] && return 0; done
  return 1
}
mentions() {
  word=$1; shift
  for argument; do case $argument in *"$word"*) return 0 ;; esac; done
  return 1
}
claim() {
  time=1
  while [ "$time" -le "$2" ]; do
    mkdir "$home/used/$1-$time" 2>/dev/null && return 0
    time=$((time + 1))
  done
  return 1
}
slowly() {
  while IFS= read -r line || [ -n "$line" ]; do
    sleep "$1"
    printf '%s\n' "$line"
  done
}
"#;

const EPILOGUE: &str = r#"
{ printf 'fake nix: no rule foresees this call: nix'; printf " '%s'" "$@"; echo; } >&2
exit 99
"#;

fn split(argv: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(argv);
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Written by another process: if this one had the file open for writing while
/// another test's thread forks, the child would keep it open, and starting the
/// script would fail with "text file busy".
fn write_executable(path: &Path, text: &str) {
    let mut writer = Command::new("/bin/sh")
        .args(["-c", r#"cat > "$1" && chmod 755 "$1""#, "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    assert!(
        writer.wait().unwrap().success(),
        "the script could not be written"
    );
}
