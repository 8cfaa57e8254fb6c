//! Bringing up the loopback of a new network, by the one message to the kernel that it takes.
//! Format: <https://man7.org/linux/man-pages/man7/rtnetlink.7.html>.

use std::io;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, send, socket};

const RTM_NEWLINK: u16 = 16;
/// It is a request, and an answer is wanted.
const NLM_F_REQUEST_ACK: u16 = 0x1 | 0x4;
const NLMSG_ERROR: u16 = 2;
const IFF_UP: u32 = 1;
/// The loopback is the first interface of every network.
const FIRST: i32 = 1;

/// Brings it up: 127.0.0.1/8 and ::1 come with that.
pub fn up() -> io::Result<()> {
    let mut message = Vec::with_capacity(32);
    // struct nlmsghdr
    message.extend_from_slice(&32_u32.to_ne_bytes());
    message.extend_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message.extend_from_slice(&NLM_F_REQUEST_ACK.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    // struct ifinfomsg: family, type, index, flags, and which flags are meant
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&FIRST.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes());
    message.extend_from_slice(&IFF_UP.to_ne_bytes());

    let kernel = socket(
        AddressFamily::NETLINK,
        SocketType::RAW,
        // Routing, which is the first.
        None,
    )?;
    send(&kernel, &message, SendFlags::empty())?;
    let mut answer = [0; 1024];
    let (_, length) = recv(&kernel, &mut answer[..], RecvFlags::empty())?;
    let answer = answer.get(..length).unwrap_or_default();
    match (answer.get(4..6), answer.get(16..20)) {
        (Some(kind), Some(code)) if kind == NLMSG_ERROR.to_ne_bytes() => {
            match i32::from_ne_bytes(code.try_into().unwrap_or_default()) {
                0 => Ok(()),
                code => Err(io::Error::from_raw_os_error(-code)),
            }
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
