//! What has to hold of the readers of logs.

use super::clue::{Clue, Kind};
use super::log::Log;
use crate::fuzzing::MOST;

/// Whatever a builder prints, little is kept of it, and what is kept has a name and a place.
pub fn builder_log(input: &[u8]) -> bool {
    if input.len() > MOST {
        return false;
    }
    let text = String::from_utf8_lossy(input);
    let read = || {
        let mut log = Log::default();
        text.lines().for_each(|line| {
            log.line(line);
        });
        log.end().to_vec()
    };
    let clues: Vec<Clue> = read();
    assert_eq!(clues, read());
    assert!(clues.len() <= 100);
    for clue in &clues {
        let is_backend = matches!(clue.kind, Kind::Backend(_));
        assert_eq!(is_backend, clue.spots.is_empty(), "{clue:?}");
        assert_eq!(is_backend, clue.title.is_empty(), "{clue:?}");
        assert!(clue.message.len() < 30_000);
        for spot in &clue.spots {
            assert!(spot.path.len() <= 500 && spot.line != Some(0) && spot.column != Some(0));
        }
    }
    !clues.is_empty()
}
