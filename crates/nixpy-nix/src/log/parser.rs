//! Bytes of `--log-format internal-json` into events.
//!
//! A line is `@nix {"action": "start" | "stop" | "result" | "msg", …}`. The parser
//! never fails: a line that is not JSON is passed on as a message, JSON of a shape
//! not known here is dropped, bytes that are not UTF-8 are replaced, and a line
//! longer than [`LONGEST_LINE`] is cut (so its JSON becomes text).

use serde::Deserialize;
use serde_json::Value;

use super::ansi::strip_ansi;
use super::event::{Activity, Level, LogEvent, Message, MessagePosition};
use crate::store_path::StorePath;

/// Bytes of one line that are kept: a builder's line of 1 MiB is one of 6 if all of it has to be escaped.
pub const LONGEST_LINE: usize = 8 * 1024 * 1024;
const LONGEST_PLAIN_TEXT: usize = 4096;

/// Nix's numbers for activities and results, from its `logging.hh`.
mod numbers {
    pub(super) const COPY_PATH: u64 = 100;
    pub(super) const FILE_TRANSFER: u64 = 101;
    pub(super) const COPY_PATHS: u64 = 103;
    pub(super) const BUILDS: u64 = 104;
    pub(super) const BUILD: u64 = 105;
    pub(super) const SUBSTITUTE: u64 = 108;
    pub(super) const QUERY_PATH_INFO: u64 = 109;
    pub(super) const POST_BUILD_HOOK: u64 = 110;
    pub(super) const BUILD_WAITING: u64 = 111;
    pub(super) const FETCH_TREE: u64 = 112;

    pub(super) const BUILD_LOG_LINE: u64 = 101;
    pub(super) const SET_PHASE: u64 = 104;
    pub(super) const PROGRESS: u64 = 105;
    pub(super) const SET_EXPECTED: u64 = 106;
    pub(super) const POST_BUILD_LOG_LINE: u64 = 107;
}

/// Takes bytes as they come and gives events as lines end.
#[derive(Debug, Default)]
pub struct LogParser {
    line: Vec<u8>,
}

impl LogParser {
    /// Takes the next bytes, wherever they are cut.
    pub fn feed(&mut self, bytes: &[u8], on_event: &mut dyn FnMut(LogEvent)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (content, ended) = match part.split_last() {
                Some((b'\n', content)) => (content, true),
                _ => (part, false),
            };
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line
                .extend_from_slice(&content[..content.len().min(room)]);
            if ended {
                self.end_line(on_event);
            }
        }
    }

    /// Takes what is left when the stream has ended without a line end.
    pub fn finish(&mut self, on_event: &mut dyn FnMut(LogEvent)) {
        if !self.line.is_empty() {
            self.end_line(on_event);
        }
    }

    fn end_line(&mut self, on_event: &mut dyn FnMut(LogEvent)) {
        let text = String::from_utf8_lossy(&self.line);
        if let Some(event) = parse_line(&text) {
            on_event(event);
        }
        self.line.clear();
        // One very long line must not keep its memory for the rest of the build.
        self.line.shrink_to(64 * 1024);
    }
}

/// Reads one line, without its end. `None` for empty lines and unknown JSON.
pub(super) fn parse_line(line: &str) -> Option<LogEvent> {
    let Some(record) = line
        .strip_prefix("@nix ")
        .and_then(|json| serde_json::from_str::<Record>(json).ok())
    else {
        let text: String = strip_ansi(line).chars().take(LONGEST_PLAIN_TEXT).collect();
        let text = text.trim_end().to_owned();
        let known_json =
            line.starts_with("@nix {") && serde_json::from_str::<Value>(&line[5..]).is_ok();
        let plain = Message {
            level: Level::Notice,
            text,
            bare: None,
            position: None,
        };
        return (!known_json && !plain.text.is_empty()).then_some(LogEvent::Message(plain));
    };
    match record.action.as_str() {
        "start" => Some(LogEvent::Started {
            id: record.id?,
            parent: record.parent.filter(|parent| *parent != 0),
            activity: record.activity(),
        }),
        "stop" => Some(LogEvent::Stopped { id: record.id? }),
        "result" => record.result(),
        "msg" => record.message().map(LogEvent::Message),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Record {
    action: String,
    id: Option<u64>,
    parent: Option<u64>,
    #[serde(rename = "type")]
    kind: Option<u64>,
    #[serde(default)]
    fields: Vec<Value>,
    text: Option<String>,
    level: Option<u64>,
    msg: Option<String>,
    raw_msg: Option<String>,
    // Another version may write anything here: a position is not worth losing a message for.
    #[serde(default)]
    file: Value,
    #[serde(default)]
    line: Value,
    #[serde(default)]
    column: Value,
}

impl Record {
    fn string(&self, index: usize) -> String {
        self.fields
            .get(index)
            .and_then(Value::as_str)
            .map(strip_ansi)
            .unwrap_or_default()
    }

    /// What a terminal would show in the end, where a line is written over itself.
    fn line(&self) -> String {
        let raw = self.fields.first().and_then(Value::as_str);
        let mut written = raw.unwrap_or_default().trim_end().rsplit('\r');
        let last = written.next().unwrap_or_default();
        strip_ansi(last).trim_end().to_owned()
    }

    fn number(&self, index: usize) -> Option<u64> {
        self.fields.get(index).and_then(Value::as_u64)
    }

    fn path(&self) -> Option<StorePath> {
        self.fields
            .first()
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok())
    }

    fn activity(&self) -> Activity {
        let text = || self.text.as_deref().map(strip_ansi).unwrap_or_default();
        let known = match self.kind {
            Some(numbers::BUILD) => self.path().map(|derivation| Activity::Build {
                derivation,
                machine: Some(self.string(1)).filter(|machine| !machine.is_empty()),
            }),
            Some(numbers::COPY_PATH) => self.path().map(|path| Activity::Copy {
                path,
                from: self.string(1),
                to: self.string(2),
            }),
            Some(numbers::SUBSTITUTE) => self.path().map(|path| Activity::Substitute {
                path,
                from: self.string(1),
            }),
            Some(numbers::QUERY_PATH_INFO) => self.path().map(|path| Activity::Query {
                path,
                store: self.string(1),
            }),
            Some(numbers::POST_BUILD_HOOK) => self
                .path()
                .map(|derivation| Activity::PostBuildHook { derivation }),
            Some(numbers::FILE_TRANSFER) => Some(Activity::Transfer {
                uri: self.string(0),
            }),
            Some(numbers::FETCH_TREE) => Some(Activity::FetchTree { text: text() }),
            Some(numbers::BUILD_WAITING) => Some(Activity::BuildWaiting { text: text() }),
            Some(numbers::BUILDS) => Some(Activity::Builds),
            Some(numbers::COPY_PATHS) => Some(Activity::Copies),
            _ => None,
        };
        known.unwrap_or_else(|| Activity::Other { text: text() })
    }

    fn result(&self) -> Option<LogEvent> {
        let id = self.id?;
        match self.kind? {
            numbers::BUILD_LOG_LINE | numbers::POST_BUILD_LOG_LINE => Some(LogEvent::Line {
                id,
                text: self.line(),
            }),
            numbers::SET_PHASE => Some(LogEvent::Phase {
                id,
                phase: self.string(0),
            }),
            numbers::PROGRESS => Some(LogEvent::Progress {
                id,
                done: self.number(0)?,
                expected: self.number(1)?,
                running: self.number(2)?,
                failed: self.number(3)?,
            }),
            numbers::SET_EXPECTED => Some(LogEvent::Expected {
                id,
                of: self.number(0)?,
                amount: self.number(1)?,
            }),
            _ => None,
        }
    }

    fn message(&self) -> Option<Message> {
        let level = match self.level.unwrap_or(3) {
            0 => Level::Error,
            1 => Level::Warning,
            2 => Level::Notice,
            3 => Level::Info,
            _ => Level::Detail,
        };
        let text = strip_ansi(self.msg.as_deref()?);
        let prefix = if level == Level::Error {
            "error:"
        } else {
            "warning:"
        };
        let text = text
            .trim()
            .strip_prefix(prefix)
            .unwrap_or(text.trim())
            .trim()
            .to_owned();
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let position = match (self.file.as_str(), number(&self.line), number(&self.column)) {
            (Some(file), Some(line), Some(column)) => Some(MessagePosition {
                file: strip_ansi(file),
                line,
                column,
            }),
            _ => None,
        };
        let bare = self
            .raw_msg
            .as_deref()
            .map(|raw| strip_ansi(raw).trim().to_owned());
        Some(Message {
            level,
            text,
            bare,
            position,
        })
    }
}

#[cfg(test)]
mod tests;
