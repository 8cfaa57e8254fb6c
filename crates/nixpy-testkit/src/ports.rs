//! Ports for servers that have to be told theirs before they are started.
//!
//! A port that the kernel gives for `bind(0)` is anybody's again as soon as it is given
//! back, and often the next caller's. So these are from below the range that it gives
//! from: who asks it for any port, or connects to somebody, never gets one of them. A port
//! is given once in a process, and another process begins elsewhere.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// What well-known services of a machine listen at is mostly below, or not on the loopback.
const FIRST: u32 = 10_000;
/// Where the kernel's range begins if nobody has set it.
const USUAL_END: u32 = 32_768;
/// So many ports are between those where two processes with neighbouring numbers begin.
const STRIDE: u32 = 509;
/// Less is no room for a test run.
const ENOUGH: u32 = 1_000;

/// An address of the loopback interface where nobody listens, and that is given to nobody else.
pub fn free_address() -> SocketAddr {
    listener().local_addr().unwrap()
}

/// Who listens there, and may leave and come back.
pub(crate) fn listener() -> TcpListener {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let ephemeral = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let room = beside(&ephemeral.unwrap_or_default());
    let begin = std::process::id().wrapping_mul(STRIDE);
    for _ in room.clone() {
        let at =
            begin.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)) % (room.end - room.start);
        let port = u16::try_from(room.start + at).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // Somebody may listen at all addresses; binding this one alone fails then as well.
        if let Ok(listener) = TcpListener::bind(address) {
            return listener;
        }
    }
    panic!("no port of {room:?} is free");
}

/// Ports that the kernel never gives by itself, by what it says of those that it gives. Where
/// it gives nearly all of them, the usual ones: the least likely to be met.
fn beside(ephemeral: &str) -> Range<u32> {
    let mut ends = ephemeral.split_whitespace().map(str::parse);
    let (Some(Ok(low)), Some(Ok(high))) = (ends.next(), ends.next()) else {
        return FIRST..USUAL_END;
    };
    let (below, above) = (FIRST..low, high + 1..65_536);
    let has_room = |room: &Range<u32>| room.end.saturating_sub(room.start) >= ENOUGH;
    match [below, above].into_iter().find(has_room) {
        Some(room) => room,
        None => FIRST..USUAL_END,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_gives_none_of_them() {
        assert_eq!(beside("32768\t60999\n"), 10_000..32_768);
        assert_eq!(beside("10500 50000"), 50_001..65_536);
        assert_eq!(beside("1024 65535"), 10_000..32_768);
        assert_eq!(beside(""), 10_000..32_768);
    }

    #[test]
    fn nobody_is_given_what_another_has_or_what_is_taken() {
        let first = free_address();
        let next = SocketAddr::from((Ipv4Addr::LOCALHOST, first.port().saturating_add(1)));
        let _taken = TcpListener::bind(next);
        let mut given = vec![first];
        for _ in 0..50 {
            let address = free_address();
            assert!(address != next && !given.contains(&address), "{address}");
            given.push(address);
        }
    }
}
