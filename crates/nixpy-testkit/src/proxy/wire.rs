//! HTTP/1.1 requests, read along from a stream of bytes as far as it takes to
//! tell heads from bodies: <https://www.rfc-editor.org/rfc/rfc9112#section-6>.

use axum::http::Method;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Request { method: Method, target: String },
    Body(u64),
}

/// Where in the stream the reader is.
#[derive(Debug, Default)]
pub(super) struct RequestReader {
    state: State,
    line: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// In a head; what its lines have said so far of the body.
    Head {
        first: bool,
        framing: Framing,
    },
    Body {
        left: u64,
    },
    ChunkSize,
    Chunk {
        left: u64,
    },
    ChunkEnd,
    Trailer,
    /// Something that is not HTTP/1.1: passed on, and no longer looked at.
    Lost,
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(u64),
    Chunked,
}

impl Default for State {
    fn default() -> Self {
        Self::Head {
            first: true,
            framing: Framing::Length(0),
        }
    }
}

impl RequestReader {
    /// Reads on.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let left = match &mut self.state {
                State::Lost => return events,
                State::Body { left } | State::Chunk { left } => left,
                _ => {
                    self.line.push(bytes[0]);
                    bytes = &bytes[1..];
                    if self.line.ends_with(b"\n") {
                        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line))
                            .trim_end()
                            .to_owned();
                        events.extend(self.line(&line));
                    }
                    continue;
                }
            };
            let taken = usize::try_from(*left)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            *left -= taken as u64;
            let ended = *left == 0;
            bytes = &bytes[taken..];
            events.push(Event::Body(taken as u64));
            if ended {
                self.state = if matches!(self.state, State::Chunk { .. }) {
                    State::ChunkEnd
                } else {
                    State::default()
                };
            }
        }
        events
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        match &mut self.state {
            // Empty lines between requests are to be ignored.
            State::Head { first: true, .. } if line.is_empty() => {}
            State::Head { first, .. } if *first => {
                *first = false;
                let mut words = line.split(' ');
                let method = words.next().and_then(|word| word.parse::<Method>().ok());
                if let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0")) =
                    (method, words.next(), words.next())
                {
                    return Some(Event::Request {
                        method,
                        target: target.to_owned(),
                    });
                }
                self.state = State::Lost;
            }
            State::Head { framing, .. } if line.is_empty() => {
                self.state = match *framing {
                    Framing::Chunked => State::ChunkSize,
                    Framing::Length(0) => State::default(),
                    Framing::Length(left) => State::Body { left },
                };
            }
            State::Head { framing, .. } => {
                let (name, value) = line.split_once(':').unwrap_or_default();
                if name.eq_ignore_ascii_case("transfer-encoding")
                    && value.trim().eq_ignore_ascii_case("chunked")
                {
                    *framing = Framing::Chunked;
                } else if let (true, Framing::Length(_)) =
                    (name.eq_ignore_ascii_case("content-length"), *framing)
                {
                    *framing = Framing::Length(value.trim().parse().unwrap_or(0));
                }
            }
            State::ChunkSize => {
                let size = line.split(';').next().unwrap_or_default().trim();
                self.state = match u64::from_str_radix(size, 16) {
                    Ok(0) => State::Trailer,
                    Ok(left) => State::Chunk { left },
                    Err(_) => State::Lost,
                };
            }
            State::ChunkEnd => self.state = State::ChunkSize,
            State::Trailer if line.is_empty() => self.state = State::default(),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_told_from_heads_however_the_bytes_arrive() {
        let stream = b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloPATCH /d HTTP/1.1\r\n\
            Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\nGET /e HTTP/1.1\r\n\r\n";
        for step in [1, 2, 7, stream.len()] {
            let mut reader = RequestReader::default();
            let mut seen: Vec<(String, u64)> = Vec::new();
            for event in stream.chunks(step).flat_map(|piece| reader.read(piece)) {
                match event {
                    Event::Request { method, target } => {
                        seen.push((format!("{method} {target}"), 0))
                    }
                    Event::Body(bytes) => seen.last_mut().unwrap().1 += bytes,
                }
            }
            let expected = [("POST /a?b=c", 5), ("PATCH /d", 13), ("GET /e", 0)];
            assert_eq!(
                seen,
                expected.map(|(request, bytes)| (request.to_owned(), bytes)),
                "in steps of {step}"
            );
        }
    }
}
