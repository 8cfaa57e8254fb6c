use super::*;

/// What OpenSSH 9.2, Nix 2.8 and Nix 2.24 (where it says the same in one message) have said.
const SAID: &[(&str, TroubleKind, &str)] = &[
    (
        "Store URL: ssh-ng://root@arm\nssh: connect to host arm port 22: Connection refused\r\n\
         cannot open connection to remote store 'ssh-ng://root@arm': error: unexpected end-of-file",
        TroubleKind::Unreachable,
        "ssh: connect to host arm port 22: Connection refused",
    ),
    (
        "cannot build on 'ssh://builder@localhost': error: failed to start SSH connection to 'builder@localhost': \
         ssh: connect to host localhost port 22: Connection refused",
        TroubleKind::Unreachable,
        "cannot build on 'ssh://builder@localhost': error: failed to start SSH connection to 'builder@localhost': \
         ssh: connect to host localhost port 22: Connection refused",
    ),
    (
        "ssh: Could not resolve hostname nosuch.invalid: Name or service not known",
        TroubleKind::Unreachable,
        "ssh: Could not resolve hostname nosuch.invalid: Name or service not known",
    ),
    (
        "Connection timed out during banner exchange\nConnection to 10.213.99.2 port 22 timed out",
        TroubleKind::TimedOut,
        "Connection timed out during banner exchange",
    ),
    (
        "Timeout, server arm not responding.",
        TroubleKind::TimedOut,
        "Timeout, server arm not responding.",
    ),
    (
        "root@arm: Permission denied (publickey).\n\
         cannot open connection to remote store 'ssh-ng://root@arm': error: unexpected end-of-file",
        TroubleKind::KeyRefused,
        "root@arm: Permission denied (publickey).",
    ),
    (
        "No ED25519 host key is known for arm and you have requested strict checking.\nHost key verification failed.\n\
         cannot connect to 'root@arm'",
        TroubleKind::HostKeyUnknown,
        "No ED25519 host key is known for arm and you have requested strict checking.",
    ),
    (
        "@@@@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n\
         Host key for arm has changed and you have requested strict checking.\nHost key verification failed.",
        TroubleKind::HostKeyChanged,
        "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @",
    ),
    (
        "bash: line 1: nix-daemon: command not found\ncannot connect to 'root@arm'",
        TroubleKind::NoNix,
        "bash: line 1: nix-daemon: command not found",
    ),
    (
        "sh: 1: nix-store: not found",
        TroubleKind::NoNix,
        "sh: 1: nix-store: not found",
    ),
    (
        "cannot add path '/nix/store/yf2b56kfijfrjpn073hchmjs11klfk7a-a' because it lacks a signature by a trusted key",
        TroubleKind::NotTrusted,
        "cannot add path '/nix/store/yf2b56kfijfrjpn073hchmjs11klfk7a-a' because it lacks a signature by a trusted key",
    ),
    (
        "writing to file: No space left on device",
        TroubleKind::DiskFull,
        "writing to file: No space left on device",
    ),
    (
        "unexpected end-of-file",
        TroubleKind::Other,
        "unexpected end-of-file",
    ),
    ("", TroubleKind::Other, ""),
];

#[test]
fn what_ssh_and_nix_say_is_recognised_and_kept_in_their_words() {
    for (said, kind, words) in SAID {
        let trouble = Trouble::recognise([*said]);
        assert_eq!((trouble.kind, trouble.words.as_str()), (*kind, *words));
    }
}

#[test]
fn an_unknown_host_key_is_cured_by_the_line_to_add() {
    let mut trouble = Trouble::new(TroubleKind::HostKeyUnknown, "Host key verification failed.");
    let offered = Some("[arm]:2222 ssh-ed25519 AAAA".to_owned());
    trouble.host_key = Some(HostKey {
        offered,
        expected: None,
    });
    let cure = trouble.cure().unwrap_or_default();
    assert!(
        cure.ends_with("--builder-known-hosts: [arm]:2222 ssh-ed25519 AAAA"),
        "{cure}"
    );
    assert!(cure.contains("after checking"), "{cure}");
}

#[test]
fn a_changed_host_key_is_told_with_both() {
    let mut trouble = Trouble::new(TroubleKind::HostKeyChanged, "…");
    trouble.host_key = Some(HostKey {
        offered: Some("arm ssh-ed25519 NEW".to_owned()),
        expected: Some("arm ssh-ed25519 OLD".to_owned()),
    });
    let said = trouble.to_string();
    assert!(
        said.contains("shows `arm ssh-ed25519 NEW`, expected is `arm ssh-ed25519 OLD`"),
        "{said}"
    );
}
