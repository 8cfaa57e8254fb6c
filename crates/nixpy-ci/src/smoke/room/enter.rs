//! Becoming a program of the image: its user, its directory, its variables, and the
//! capabilities that docker leaves to root.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::fs::{Gid, Uid};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, UnshareFlags, set_capabilities, set_no_new_privs,
    set_thread_gid, set_thread_groups, set_thread_uid,
};

use super::Start;
use crate::exit::Code;
use crate::render::line;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Does what the variable of this name says. Never comes back if it succeeds.
pub fn enter(variable: &str) -> Code {
    let orders = std::env::var(variable).unwrap_or_default();
    let started = serde_json::from_str(&orders).map_err(io::Error::other);
    let failed = started.and_then(|start: Start| become_it(&start));
    if let Err(e) = failed {
        line(&e.to_string());
    }
    Code::NotStarted
}

/// Whether this namespace has a user and a group.
fn are_here(user: &User) -> bool {
    let maps = [
        ("/proc/self/uid_map", user.uid),
        ("/proc/self/gid_map", user.gid),
    ];
    maps.iter().all(|(file, id)| {
        let map = fs::read_to_string(file).unwrap_or_default();
        is_mapped(&map, *id)
    })
}

/// Makes a namespace in which we, who are root here, are the user and the group: the files
/// of the image then belong to them. That is as near as a user who is not root can come.
#[expect(
    deprecated,
    reason = "it is unsound for shared files only, which this leaves alone"
)]
fn be_called(user: &User) -> io::Result<()> {
    rustix::thread::unshare(UnshareFlags::NEWUSER)?;
    for (file, id) in [
        ("/proc/self/uid_map", user.uid),
        ("/proc/self/gid_map", user.gid),
    ] {
        fs::write(file, format!("{id} 0 1"))?;
    }
    Ok(())
}

/// Each line: the first here, the first outside, and how many.
fn is_mapped(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u32> = line
            .split_whitespace()
            .filter_map(|n| n.parse().ok())
            .collect();
        let [first, _, count] = numbers[..] else {
            return false;
        };
        id.checked_sub(first).is_some_and(|n| n < count)
    })
}

fn become_it(start: &Start) -> io::Result<()> {
    let [program, arguments @ ..] = start.words.as_slice() else {
        return Err(io::Error::other(
            "the image says of no program that it is to be started",
        ));
    };
    let user = User::of_image(start).map_err(io::Error::other)?;
    let directory = match start.directory.as_str() {
        "" => "/",
        directory => directory,
    };
    std::env::set_current_dir(directory)?;
    user.become_it()?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    let given = [
        PATH.to_owned(),
        format!("HOME={}", user.home),
        "HOSTNAME=smoke".to_owned(),
    ];
    for variable in given.iter().chain(&start.env) {
        if let Some((name, value)) = variable.split_once('=') {
            command.env(name, value);
        }
    }
    let why = command.exec();
    Err(io::Error::new(
        why.kind(),
        format!("{program} cannot be started: {why}"),
    ))
}

/// Whom a program runs as.
#[derive(Debug, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
    /// Further groups, if the user is known by name.
    groups: Vec<u32>,
    home: String,
}

impl User {
    fn of_image(start: &Start) -> Result<Self, String> {
        let read = |file| fs::read_to_string(file).unwrap_or_default();
        Self::of(&start.user, &read("/etc/passwd"), &read("/etc/group"))
    }

    /// `name`, `name:group`, or numbers, by the image's own files.
    fn of(text: &str, passwd: &str, group: &str) -> Result<Self, String> {
        let (user, wanted_group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        let number: Option<u32> = user.parse().ok();
        let known = passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, ..] = fields[..] else {
                return None;
            };
            let uid: u32 = uid.parse().ok()?;
            (name == user || number == Some(uid)).then_some((name, uid, gid.parse().ok()?, home))
        });
        let uid = number.or(known.map(|(_, uid, ..)| uid));
        let uid = uid.ok_or_else(|| format!("the image has no user {user} in /etc/passwd"))?;
        let gid = match wanted_group {
            None => known.map_or(0, |(_, _, gid, _)| gid),
            Some(wanted) => match wanted.parse() {
                Ok(gid) => gid,
                Err(_) => group_of(wanted, group)
                    .ok_or_else(|| format!("the image has no group {wanted} in /etc/group"))?,
            },
        };
        let mut groups = vec![gid];
        if let Some((name, ..)) = known {
            groups.extend(groups_with(name, group));
        }
        let home = known.map_or("/", |(.., home)| home).to_owned();
        Ok(Self {
            uid,
            gid,
            groups,
            home,
        })
    }

    fn become_it(&self) -> io::Result<()> {
        let not_here = |e: io::Error| {
            let why = format!("user {}:{} is not to be had here: {e}", self.uid, self.gid);
            io::Error::new(e.kind(), why)
        };
        if !are_here(self) {
            be_called(self).map_err(not_here)?;
        }
        // Nobody in the image may reach into this process, which is still more than it.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        drop_capabilities()?;
        let groups: Vec<Gid> = self.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
        // In a user namespace there are no further groups to be had, nor any to be lost.
        let _ = set_thread_groups(&groups);
        set_thread_gid(Gid::from_raw(self.gid)).map_err(|e| not_here(e.into()))?;
        set_thread_uid(Uid::from_raw(self.uid)).map_err(|e| not_here(e.into()))?;
        let kept = match self.uid {
            0 => KEPT,
            _ => CapabilitySet::empty(),
        };
        let sets = CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        };
        set_capabilities(None, sets)?;
        Ok(set_no_new_privs(true)?)
    }
}

/// What docker leaves to root, without making devices and leaving the root.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SETFCAP);

/// From what any program started from here can ever have.
fn drop_capabilities() -> io::Result<()> {
    let dropped = CapabilitySet::all().difference(KEPT);
    for one in dropped.iter() {
        match rustix::thread::remove_capability_from_bounding_set(one) {
            // One that this kernel does not know.
            Err(rustix::io::Errno::INVAL) => {}
            removed => removed?,
        }
    }
    Ok(())
}

fn group_of(name: &str, groups: &str) -> Option<u32> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

fn groups_with<'a>(user: &'a str, groups: &'a str) -> impl Iterator<Item = u32> + 'a {
    groups.lines().filter_map(move |line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, gid, members, ..] = fields[..] else {
            return None;
        };
        let member = members.split(',').any(|member| member == user);
        member.then(|| gid.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/srv/app:/bin/sh\n";
    const GROUP: &str = "root:x:0:\napp:x:1001:\nmedia:x:44:other,app\n";

    fn user(uid: u32, gid: u32, groups: &[u32], home: &str) -> Result<User, String> {
        Ok(User {
            uid,
            gid,
            groups: groups.to_vec(),
            home: home.to_owned(),
        })
    }

    #[test]
    fn users_are_found_by_name_and_by_number() {
        let of = |text| User::of(text, PASSWD, GROUP);
        assert_eq!(of(""), user(0, 0, &[0], "/root"));
        assert_eq!(of("app"), user(1000, 1001, &[1001, 44], "/srv/app"));
        assert_eq!(of("1000"), of("app"));
        assert_eq!(of("1000:media"), user(1000, 44, &[44, 44], "/srv/app"));
        assert_eq!(of("7:8"), user(7, 8, &[8], "/"));
        assert_eq!(User::of("", "", ""), user(0, 0, &[0], "/"));
    }

    #[test]
    fn a_user_namespace_of_one_has_nobody_else() {
        assert!(is_mapped("         0       1000          1\n", 0));
        assert!(!is_mapped("         0       1000          1\n", 1000));
        assert!(is_mapped("0 0 4294967295\n", 1000));
    }

    #[test]
    fn a_name_that_the_image_does_not_know_is_told() {
        let error = User::of("web", PASSWD, GROUP);
        assert_eq!(
            error.unwrap_err(),
            "the image has no user web in /etc/passwd"
        );
    }
}
