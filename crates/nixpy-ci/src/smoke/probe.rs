//! Asking a service from inside of its container, until it answers or the time is over.
//!
//! The address is 127.0.0.2, which is this machine like all of 127/8: a service that binds
//! 0.0.0.0 answers there, and one that binds 127.0.0.1 does not. The latter would be deaf to
//! everybody outside of its container, and is told apart by asking it there too.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const EVERYWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;
const BETWEEN: Duration = Duration::from_millis(50);
/// A program may bind one address and then the other.
const SECOND_THOUGHT: Duration = Duration::from_secs(1);

/// What to ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Question {
    /// The service's.
    pub port: u16,
    /// The route, and the status that it has to answer with.
    pub http: Option<(String, u16)>,
    /// For everything.
    pub timeout: Duration,
}

/// What was seen.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seen {
    /// It is there, and answers as it has to.
    Ready,
    /// It answers otherwise.
    Other { status: u16, route: String },
    /// It listens where nobody outside can reach it.
    LoopbackOnly,
    /// Nothing listens.
    Nobody,
    /// It was there, and did not get well.
    Ill { last: String },
}

/// As a program of its own.
pub async fn main(orders: &str) -> Result<Seen, String> {
    let question: Question = serde_json::from_str(orders).map_err(|e| e.to_string())?;
    ask(&question).await
}

/// Asks until there is an answer.
///
/// # Errors
/// Nothing can be asked here.
pub async fn ask(question: &Question) -> Result<Seen, String> {
    let client = client()?;
    let until = Instant::now() + question.timeout;
    let (mut last, mut deaf_since) = (None, None);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(last.map_or(Seen::Nobody, |last| Seen::Ill { last }));
        }
        if listens(EVERYWHERE, question.port, left).await {
            deaf_since = None;
            let Some((route, expect)) = &question.http else {
                return Ok(Seen::Ready);
            };
            match status(&client, question.port, route, left).await {
                Ok(status) if status == *expect => return Ok(Seen::Ready),
                // It may be waiting for something, and says so.
                Ok(status @ 500..) => last = Some(format!("{status} from {route}")),
                Ok(status) => {
                    let route = route.clone();
                    return Ok(Seen::Other { status, route });
                }
                Err(why) => last = Some(format!("no answer from {route} ({why})")),
            }
        } else if listens(LOOPBACK, question.port, left).await {
            let since: &mut Instant = deaf_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= SECOND_THOUGHT.min(question.timeout / 2) {
                return Ok(Seen::LoopbackOnly);
            }
        }
        sleep(BETWEEN.min(left)).await;
    }
}

async fn listens(address: Ipv4Addr, port: u16, left: Duration) -> bool {
    let connected = TcpStream::connect(SocketAddr::from((address, port)));
    matches!(timeout(left, connected).await, Ok(Ok(_)))
}

/// For plain HTTP to an address, so without names, proxies and certificates.
fn client() -> Result<reqwest::Client, String> {
    // Taken already is as good: it is the only provider in this program.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .user_agent(concat!("nixpy-ci/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| e.to_string())
}

/// Asks as `localhost`, which frameworks that look at the name of the host let in.
async fn status(
    client: &reqwest::Client,
    port: u16,
    route: &str,
    left: Duration,
) -> Result<u16, String> {
    let request = client
        .get(format!("http://{EVERYWHERE}:{port}{route}"))
        .header("Host", format!("localhost:{port}"))
        .timeout(left);
    match request.send().await {
        Ok(response) => Ok(response.status().as_u16()),
        Err(e) if e.is_timeout() => Err("it took too long".to_owned()),
        Err(e) => Err(innermost(&e)),
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Answers each connection with the next of these, the last again and again.
    fn server(address: &str, answers: &'static [&'static str]) -> u16 {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let mut asked = 0;
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 1024];
                // A look whether anybody listens says nothing.
                let Ok(1..) = stream.read(&mut request) else {
                    continue;
                };
                assert!(String::from_utf8_lossy(&request).contains("ost: localhost:"));
                let status = answers[asked.min(answers.len() - 1)];
                asked += 1;
                let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            }
        });
        port
    }

    async fn asked(port: u16, route: Option<&str>) -> Seen {
        asked_for(Duration::from_secs(20), port, route).await
    }

    /// Where the time will be over.
    async fn asked_for(timeout: Duration, port: u16, route: Option<&str>) -> Seen {
        let question = Question {
            port,
            http: route.map(|route| (route.to_owned(), 200)),
            timeout,
        };
        ask(&question).await.unwrap()
    }

    #[tokio::test]
    async fn a_service_that_gets_well_is_ready() {
        let port = server("0.0.0.0", &["503 Not Yet", "500 Oh", "200 OK"]);
        assert_eq!(asked(port, Some("/")).await, Seen::Ready);
    }

    #[tokio::test]
    async fn a_port_alone_has_to_accept_connections() {
        assert_eq!(
            asked(server("0.0.0.0", &["404 No"]), None).await,
            Seen::Ready
        );
    }

    #[tokio::test]
    async fn another_status_is_an_answer_and_redirects_are_not_followed() {
        for (answer, status) in [("404 No", 404), ("307 Go\r\nLocation: /login", 307)] {
            let answers: &'static [&'static str] = Box::leak(Box::new([answer]));
            let route = "/".to_owned();
            let seen = asked(server("0.0.0.0", answers), Some("/")).await;
            assert_eq!(seen, Seen::Other { status, route });
        }
    }

    #[tokio::test]
    async fn a_service_on_the_loopback_alone_is_told_apart() {
        let port = server("127.0.0.1", &["200 OK"]);
        assert_eq!(asked(port, Some("/")).await, Seen::LoopbackOnly);
    }

    #[tokio::test]
    async fn a_service_that_stays_ill_and_one_that_is_not_there() {
        let port = server("0.0.0.0", &["503 Not Yet"]);
        let last = "503 from /".to_owned();
        let soon = Duration::from_secs(3);
        let seen = asked_for(soon, port, Some("/")).await;
        assert_eq!(seen, Seen::Ill { last });
        let port = nixpy_testkit::ports::free_address().port();
        let seen = asked_for(soon, port, Some("/")).await;
        assert_eq!(seen, Seen::Nobody);
    }
}
