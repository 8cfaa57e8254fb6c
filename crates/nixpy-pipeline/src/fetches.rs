//! What Nix takes from caches while it builds, told so that people see which cache is meant,
//! and what could not be taken.
//!
//! A path that is damaged in a cache is built instead, and Nix says why in a line that names
//! neither path nor cache (`Zstd decompression failed`). The line comes right after the fetch has
//! ended, so it is told as a warning of that fetch. A cache that is served on this machine is told
//! by the name that the user gave it.

use std::collections::BTreeMap;

use nixpy_nix::StorePath;
use nixpy_nix::log::{Activity, Level, LogEvent, Message};

/// Listens to one build.
#[derive(Debug)]
pub(crate) struct Fetches<'a> {
    /// Of caches, by their addresses.
    names: &'a [(String, String)],
    running: BTreeMap<u64, (StorePath, String)>,
    /// The one that has ended last, if nothing else has begun since.
    ended: Option<(StorePath, String)>,
}

impl<'a> Fetches<'a> {
    pub(crate) fn new(names: &'a [(String, String)]) -> Self {
        Self {
            names,
            running: BTreeMap::new(),
            ended: None,
        }
    }

    /// The event as it is to be told.
    pub(crate) fn hear(&mut self, event: &LogEvent) -> LogEvent {
        match event {
            LogEvent::Started {
                id,
                parent,
                activity: Activity::Substitute { path, from },
            } => {
                let from = self.name_of(from);
                self.running.insert(*id, (path.clone(), from.clone()));
                let path = path.clone();
                LogEvent::Started {
                    id: *id,
                    parent: *parent,
                    activity: Activity::Substitute { path, from },
                }
            }
            LogEvent::Started {
                activity: Activity::Build { .. },
                ..
            } => {
                self.ended = None;
                event.clone()
            }
            LogEvent::Stopped { id } => {
                if let Some(fetch) = self.running.remove(id) {
                    self.ended = Some(fetch);
                }
                event.clone()
            }
            LogEvent::Message(message) if message.level == Level::Error => {
                let fetch = self.ended.take().filter(|_| !is_of_a_build(&message.text));
                match fetch {
                    Some((path, from)) => LogEvent::Message(Message {
                        level: Level::Warning,
                        text: format!("{path} could not be taken from {from}: {}", message.text),
                        ..message.clone()
                    }),
                    None => event.clone(),
                }
            }
            _ => event.clone(),
        }
    }

    fn name_of(&self, address: &str) -> String {
        let mut names = self.names.iter();
        // Nix leaves out what follows.
        let named = names.find(|(known, _)| known.split('?').next() == Some(address));
        named.map_or_else(|| address.to_owned(), |(_, name)| name.clone())
    }
}

fn is_of_a_build(text: &str) -> bool {
    ["builder for", "build of", "Cannot build", "dependencies of"]
        .iter()
        .any(|words| text.contains(words))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fetch(id: u64) -> LogEvent {
        let path = format!("/nix/store/{}-a", "a".repeat(32));
        LogEvent::Started {
            id,
            parent: None,
            activity: Activity::Substitute {
                path: path.parse().unwrap(),
                from: "http://127.0.0.1:1".to_owned(),
            },
        }
    }

    fn error(text: &str) -> LogEvent {
        LogEvent::Message(Message {
            level: Level::Error,
            text: text.to_owned(),
            bare: None,
            position: None,
        })
    }

    fn text(event: LogEvent) -> (Level, String) {
        match event {
            LogEvent::Message(message) => (message.level, message.text),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn why_a_path_was_not_taken_is_told_with_the_path_and_the_cache() {
        let names = [(
            "http://127.0.0.1:1?priority=10".to_owned(),
            "registry".to_owned(),
        )];
        let mut fetches = Fetches::new(&names);
        let told = fetches.hear(&fetch(1));
        assert!(format!("{told:?}").contains("registry"), "{told:?}");
        fetches.hear(&LogEvent::Stopped { id: 1 });
        let (level, words) = text(fetches.hear(&error("it is damaged")));
        assert_eq!(level, Level::Warning);
        assert!(
            words.ends_with("-a could not be taken from registry: it is damaged"),
            "{words}"
        );
        // Once, and not for what a build says.
        assert_eq!(text(fetches.hear(&error("more"))).0, Level::Error);
        fetches.hear(&fetch(2));
        fetches.hear(&LogEvent::Stopped { id: 2 });
        let failed = text(fetches.hear(&error("builder for 'x' failed")));
        assert_eq!(failed.0, Level::Error);
    }
}
