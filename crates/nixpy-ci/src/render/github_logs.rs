//! What derivations have written, until it is shown as a whole: the lines of builds that run at
//! once would stand between each other.
//!
//! Whether a build has failed is told after its end, by versions of Nix in different ways; so once any
//! has, all logs wait. All of it is bounded, whatever builders write.

use std::collections::{BTreeMap, VecDeque};

use nixpy_nix::StorePath;
use nixpy_nix::log::{Activity, LogEvent};

use super::names::Names;
use super::size;

/// Lines of one derivation that are kept; the first are dropped.
const MOST_LINES: usize = 5000;
/// Bytes of a line that are shown.
const LONGEST_LINE: usize = 4000;
/// Bytes of logs that wait because a build has failed.
const MOST_WAITING: usize = 32 << 20;

/// The logs that are not shown yet.
#[derive(Default)]
pub struct Logs {
    /// By Nix's number of the activity.
    running: BTreeMap<u64, Log>,
    ended: Vec<Log>,
    any_has_failed: bool,
}

/// One derivation's.
pub struct Log {
    pub derivation: StorePath,
    pub title: String,
    lines: VecDeque<String>,
    bytes: usize,
    dropped: usize,
}

impl Logs {
    /// Takes note of what is written; gives what is to be shown now.
    pub fn hear(&mut self, event: &LogEvent, names: &Names) -> Option<Log> {
        match event {
            LogEvent::Started {
                id,
                activity: Activity::Build { derivation, .. },
                ..
            } => {
                let log = Log {
                    derivation: derivation.clone(),
                    title: names.of(derivation),
                    lines: VecDeque::new(),
                    bytes: 0,
                    dropped: 0,
                };
                self.running.insert(*id, log);
            }
            LogEvent::Line { id, text } => {
                if let Some(log) = self.running.get_mut(id) {
                    log.add(text);
                }
            }
            LogEvent::Progress { failed, .. } => self.any_has_failed |= *failed > 0,
            LogEvent::Stopped { id } => {
                let log = self.running.remove(id)?;
                let waiting: usize = self.ended.iter().map(|log| log.bytes).sum();
                if !self.any_has_failed || waiting + log.bytes > MOST_WAITING {
                    return Some(log);
                }
                self.ended.push(log);
            }
            _ => {}
        }
        None
    }

    /// All of them, those that have ended first.
    pub fn take(&mut self) -> Vec<Log> {
        let mut all = std::mem::take(&mut self.ended);
        all.extend(std::mem::take(&mut self.running).into_values());
        all
    }
}

impl Log {
    /// The lines, and before them how many there were.
    pub fn into_lines(self) -> Vec<String> {
        let dropped = match self.dropped {
            0 => None,
            dropped => Some(format!("({dropped} lines before these are left out)")),
        };
        dropped.into_iter().chain(self.lines).collect()
    }

    fn add(&mut self, text: &str) {
        let text = shortened(text);
        self.bytes += text.len();
        self.lines.push_back(text);
        if self.lines.len() > MOST_LINES {
            let first = self.lines.pop_front().unwrap_or_default();
            self.bytes -= first.len();
            self.dropped += 1;
        }
    }
}

/// The beginning of a line that nobody could read, and how much of it is left out.
fn shortened(text: &str) -> String {
    let shown = &text[..text.floor_char_boundary(LONGEST_LINE)];
    match text.len() - shown.len() {
        0 => text.to_owned(),
        more => format!("{shown}… ({} more)", size(more as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_nobody_could_read_is_cut_and_says_so() {
        assert_eq!(shortened("short"), "short");
        let long = "ü".repeat(500_000);
        let cut = shortened(&long);
        assert!(cut.ends_with("ü… (996.0 kB more)"), "{}", &cut[3990..]);
    }
}
