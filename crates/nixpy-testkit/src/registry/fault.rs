//! What goes wrong, and when: rules that are given to a registry before or while
//! it runs.

use std::sync::Mutex;
use std::time::Duration;

use axum::http::{Method, StatusCode};

/// A rule: the nth request that matches fails in this way.
///
/// Requests that the registry turns away for want of credentials are not
/// counted, so that "the second PATCH" means the same with and without login.
/// A new rule matches every method and path, and acts once, on the first match.
#[derive(Clone, Debug)]
pub struct Fault {
    act: Act,
    method: Option<Method>,
    path: String,
    first: u64,
    times: u64,
    percent: u64,
    /// Spreads the share otherwise than evenly.
    seed: Option<u64>,
    seen: u64,
}

/// What the registry does in place of, or on the way to, its answer.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Refuse {
        status: StatusCode,
        code: String,
        retry_after: Option<String>,
    },
    Cut {
        after: u64,
    },
    Hang(Duration),
    Slow(Duration),
    Stall {
        after: u64,
    },
}

impl Fault {
    /// Answers with this status. The request's body is read and thrown away.
    ///
    /// A 401 from here has no challenge. For a token that runs out in mid-push see
    /// [`Bearer::token_uses`](super::Bearer::token_uses) and
    /// [`Registry::revoke_tokens`](super::Registry::revoke_tokens).
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap();
        let code = match status.as_u16() {
            401 => "UNAUTHORIZED",
            403 => "DENIED",
            404 => "BLOB_UPLOAD_UNKNOWN",
            413 => "SIZE_INVALID",
            429 => "TOOMANYREQUESTS",
            _ => "UNKNOWN",
        };
        Self::of(Act::Refuse {
            status,
            code: code.to_owned(),
            retry_after: None,
        })
    }

    /// Cuts the connection once so many bytes of the request's body were read; of
    /// a GET, once so many bytes of the answer's body were sent. A body that is
    /// shorter is taken in full, acted upon, and its answer lost. With 0 nothing is
    /// done at all.
    pub fn cut_after(bytes: u64) -> Self {
        Self::of(Act::Cut { after: bytes })
    }

    /// Does what was asked, and cuts the connection in place of the answer.
    pub fn lose_answer() -> Self {
        Self::cut_after(u64::MAX)
    }

    /// Says nothing for this long, then goes on as if nothing had been.
    pub fn hang(time: Duration) -> Self {
        Self::of(Act::Hang(time))
    }

    /// Answers at once, but lets the answer's body trickle over this time.
    pub fn slow(over: Duration) -> Self {
        Self::of(Act::Slow(over))
    }

    /// Answers at once, and says no more once so many bytes of the answer's body were sent;
    /// the connection stays.
    pub fn stall_after(bytes: u64) -> Self {
        Self::of(Act::Stall { after: bytes })
    }

    /// Takes this many new uploads, and refuses every one after them with 403.
    pub fn refuse_uploads_after(uploads: u64) -> Self {
        Self::status(403)
            .on(Method::POST, "/blobs/uploads/")
            .nth(uploads + 1)
            .always()
    }

    /// Only requests of this method whose path contains this text.
    pub fn on(self, method: Method, path: &str) -> Self {
        Self {
            method: Some(method),
            ..self.on_path(path)
        }
    }

    /// Only requests whose path contains this text.
    pub fn on_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// From the nth match on; the first is 1.
    pub fn nth(mut self, n: u64) -> Self {
        self.first = n;
        self
    }

    /// So many matches in a row.
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// Every match from the nth on.
    pub fn always(self) -> Self {
        self.times(u64::MAX)
    }

    /// Every match from the first on, but only so many in a hundred, evenly spread.
    pub fn share(mut self, percent: u64) -> Self {
        self.percent = percent;
        self.always()
    }

    /// So many in a hundred, as if at random; another seed hits others.
    pub fn random_share(self, percent: u64, seed: u64) -> Self {
        Self {
            seed: Some(seed),
            ..self.share(percent)
        }
    }

    /// With this `Retry-After`: seconds, or a date. Only for [`Fault::status`].
    pub fn retry_after(mut self, value: impl ToString) -> Self {
        if let Act::Refuse { retry_after, .. } = &mut self.act {
            *retry_after = Some(value.to_string());
        }
        self
    }

    /// With this error code in the body. Only for [`Fault::status`].
    pub fn code(mut self, value: &str) -> Self {
        if let Act::Refuse { code, .. } = &mut self.act {
            value.clone_into(code);
        }
        self
    }

    fn of(act: Act) -> Self {
        Self {
            act,
            method: None,
            path: String::new(),
            first: 1,
            times: 1,
            percent: 100,
            seed: None,
            seen: 0,
        }
    }

    /// Of a hundred; the rule acts below its share.
    fn chance(&self) -> u64 {
        match self.seed {
            None => (self.seen * self.percent) % 100,
            Some(seed) => {
                // SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>), of a number of its own.
                let mut state = (seed << 32 | self.seen).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (state ^ (state >> 31)) % 100
            }
        }
    }

    fn matches(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method) && path.contains(&self.path)
    }
}

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.0.lock().unwrap().push(fault);
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// Counts the request with every rule that it matches; the first that is due acts.
    pub(crate) fn strike(&self, method: &Method, path: &str) -> Option<Act> {
        let mut due = None;
        for rule in self
            .0
            .lock()
            .unwrap()
            .iter_mut()
            .filter(|rule| rule.matches(method, path))
        {
            rule.seen += 1;
            let in_time = rule.seen >= rule.first && rule.seen - rule.first < rule.times;
            let acts = in_time && rule.chance() < rule.percent;
            if acts && due.is_none() {
                due = Some(rule.act.clone());
            }
        }
        due
    }
}
