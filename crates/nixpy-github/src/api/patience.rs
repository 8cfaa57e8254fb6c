//! How much time there is for GitHub.
//!
//! It runs by the clock as long as anything is under way, waiting included: two requests at the
//! same time use it up once. What happens between requests, such as a build, costs nothing of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time that runs while somebody asks.
#[derive(Debug)]
pub(super) struct Patience {
    whole: Duration,
    clock: Mutex<Clock>,
}

#[derive(Debug)]
struct Clock {
    left: Duration,
    asking: usize,
    since: Instant,
}

/// Somebody is asking until it is dropped.
#[derive(Debug)]
pub(super) struct Asking<'a>(&'a Patience);

impl Patience {
    pub(super) fn of(whole: Duration) -> Self {
        Self {
            whole,
            clock: Mutex::new(Clock {
                left: whole,
                asking: 0,
                since: Instant::now(),
            }),
        }
    }

    /// All that there was.
    pub(super) fn whole(&self) -> Duration {
        self.whole
    }

    pub(super) fn left(&self) -> Duration {
        self.clock().left()
    }

    pub(super) fn asking(&self) -> Asking<'_> {
        let mut clock = self.clock();
        if clock.asking == 0 {
            clock.since = Instant::now();
        }
        clock.asking += 1;
        Asking(self)
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock {
    fn left(&self) -> Duration {
        match self.asking {
            0 => self.left,
            _ => self.left.saturating_sub(self.since.elapsed()),
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut clock = self.0.clock();
        if clock.asking == 1 {
            clock.left = clock.left();
        }
        clock.asking = clock.asking.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_WHILE: Duration = Duration::from_millis(40);

    #[test]
    fn two_who_ask_at_once_use_the_time_up_once() {
        let patience = Patience::of(Duration::from_secs(60));
        let begun = Instant::now();
        let (one, two) = (patience.asking(), patience.asking());
        std::thread::sleep(A_WHILE);
        drop(one);
        std::thread::sleep(A_WHILE);
        drop(two);
        let used = patience.whole() - patience.left();
        assert!(
            used >= 2 * A_WHILE && used <= begun.elapsed(),
            "{used:?} of {:?}",
            begun.elapsed()
        );
    }

    #[test]
    fn what_happens_between_requests_costs_nothing() {
        let patience = Patience::of(Duration::from_secs(60));
        drop(patience.asking());
        let left = patience.left();
        std::thread::sleep(A_WHILE);
        assert_eq!(patience.left(), left);
        let asking = patience.asking();
        assert!(patience.left() <= left);
        drop(asking);
    }

    #[test]
    fn it_has_an_end() {
        let patience = Patience::of(A_WHILE);
        let _asking = patience.asking();
        std::thread::sleep(2 * A_WHILE);
        assert_eq!(patience.left(), Duration::ZERO);
    }
}
