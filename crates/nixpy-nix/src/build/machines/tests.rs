use super::*;
use crate::log::LogParser;

const DRV: &str = "/nix/store/9fkkarnxx0vx8bkrd3k1x97fc8msda45-lost.drv";

fn machines(now: Instant) -> Machines {
    let builders = Builder::parse_all(
        "ssh-ng://root@10.213.11.2 aarch64-linux\nssh-ng://root@10.213.12.2 aarch64-linux",
        &|_| unreachable!(),
    );
    Machines::new(&builders.unwrap(), now)
}

fn events(log: &str) -> Vec<LogEvent> {
    let mut events = Vec::new();
    let mut parser = LogParser::default();
    parser.feed(log.as_bytes(), &mut |event| events.push(event));
    events
}

fn troubles(log: &str) -> (Machines, Vec<BuilderTrouble>) {
    let now = Instant::now();
    let mut machines = machines(now);
    let heard = events(log);
    let troubles = heard
        .iter()
        .filter_map(|event| machines.observe(event, now))
        .collect();
    (machines, troubles)
}

/// Said by Nix 2.8.0: a build that has begun at the first of the two machines.
fn begun() -> String {
    format!(
        r#"@nix {{"action":"start","id":4,"level":4,"text":"connecting to 'ssh-ng://root@10.213.11.2'","type":0}}
@nix {{"action":"stop","id":4}}
@nix {{"action":"start","fields":["{DRV}","ssh-ng://root@10.213.11.2",1,1],"id":5,"level":3,"text":"building '{DRV}' on 'ssh-ng://root@10.213.11.2'","type":105}}
@nix {{"action":"start","fields":["{DRV}","",1,1],"id":9,"level":3,"text":"building '{DRV}'","type":105}}
@nix {{"action":"result","fields":["tick 1"],"id":9,"type":101}}
"#
    )
}

fn error(text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!("@nix {{\"action\":\"msg\",\"level\":0,\"msg\":{text}}}\n")
}

#[test]
fn a_link_that_is_cut_is_the_machines_fault() {
    let log = begun()
        + "Timeout, server 10.213.11.2 not responding.\r\n"
        + &error("error: unexpected end-of-file")
        + &error(&format!(
            "error: builder for '{DRV}' failed with exit code 1"
        ));
    let (machines, troubles) = troubles(&log);
    assert_eq!(troubles.len(), 1, "{troubles:?}");
    assert_eq!(troubles[0].builder, "ssh-ng://root@10.213.11.2");
    assert_eq!(
        troubles[0].trouble,
        Trouble::new(
            TroubleKind::Lost,
            "Timeout, server 10.213.11.2 not responding."
        )
    );
    assert_eq!(machines.faults().len(), 1);
    assert_eq!(machines.fallen(), ["ssh-ng://root@10.213.11.2"]);
}

/// Of a machine whose cable was pulled, over `ssh` and over `ssh-ng`.
#[test]
fn what_three_versions_have_said_of_it_is_recognised() {
    let disconnected = "Nix daemon disconnected unexpectedly (maybe it crashed?)";
    for (version, words) in [
        ("2.8.0", "Timeout, server 10.213.11.2 not responding."),
        ("2.26.3", disconnected),
        ("2.34.8", disconnected),
    ] {
        let file = format!(
            "{}/tests/fixtures/{version}/builder-lost.internal-json.log",
            env!("CARGO_MANIFEST_DIR")
        );
        let now = Instant::now();
        let builders = Builder::parse_all(
            "ssh://root@10.213.11.2\nssh-ng://root@10.213.11.2",
            &|_| unreachable!(),
        );
        let mut machines = Machines::new(&builders.unwrap(), now);
        let heard = events(&std::fs::read_to_string(file).unwrap());
        let troubles: Vec<_> = heard
            .iter()
            .filter_map(|event| machines.observe(event, now))
            .collect();
        assert_eq!(troubles.len(), 1, "{version}: {troubles:?}");
        assert_eq!(
            troubles[0].trouble,
            Trouble::new(TroubleKind::Lost, words),
            "{version}"
        );
        assert_eq!(machines.faults().len(), 1);
    }
}

/// As Nix 2.34.8 words it.
#[test]
fn newer_versions_word_it_differently() {
    let words = "Nix daemon disconnected unexpectedly (maybe it crashed?)";
    let log = begun()
        + &error(&format!("error: {words}"))
        + &error(&format!(
            "error: Cannot build '{DRV}'.\n       Reason: builder failed with exit code 1.\n       Output paths:\n         \
             /nix/store/gq5wrnw3c65p35437h98vxi0z33hmiqr-lost"
        ));
    let (machines, troubles) = troubles(&log);
    assert_eq!(troubles[0].trouble, Trouble::new(TroubleKind::Lost, words));
    assert_eq!(machines.faults().len(), 1);
}

#[test]
fn a_build_that_fails_by_itself_is_not() {
    let log = begun()
        + &error(&format!(
            "error: build of '{DRV}' on 'ssh-ng://root@10.213.11.2' failed: builder for '{DRV}' failed with exit code 3;\n\
             last 1 log lines:\n> ssh: connect to host test port 22: Connection refused"
        ))
        + &error(&format!(
            "error: builder for '{DRV}' failed with exit code 1"
        ));
    let (machines, troubles) = troubles(&log);
    assert!(
        troubles.is_empty() && machines.faults().is_empty(),
        "{troubles:?}"
    );
}

#[test]
fn what_the_machine_lacks_is_its_fault() {
    for (said, kind) in [
        (
            "builder for 'X' failed with exit code 1;\nlast 1 log lines:\n> write error: No space left on device",
            TroubleKind::DiskFull,
        ),
        (
            "a 'aarch64-linux' with features {} is required to build 'X', but I am a 'x86_64-linux' with features {}",
            TroubleKind::Other,
        ),
        (
            "cannot add path 'X' because it lacks a signature by a trusted key",
            TroubleKind::NotTrusted,
        ),
    ] {
        let said = said.replace('X', DRV);
        let text = format!("error: build of '{DRV}' on 'ssh-ng://root@10.213.11.2' failed: {said}");
        let (machines, troubles) = troubles(&(begun() + &error(&text)));
        assert_eq!(troubles[0].trouble.kind, kind, "{troubles:?}");
        assert_eq!(machines.faults().len(), 1);
    }
}

#[test]
fn one_that_cannot_be_reached_is_told_by_what_ssh_said() {
    let uri = "ssh-ng://root@10.213.11.2";
    let log = "root@10.213.11.2: Permission denied (publickey).\r\n".to_owned()
        + &error(&format!(
            "cannot build on '{uri}': error: cannot open connection to remote store '{uri}': error: unexpected end-of-file"
        ));
    let (_, troubles) = troubles(&(log.clone() + &log));
    assert_eq!(troubles.len(), 1, "each is told once: {troubles:?}");
    assert_eq!(
        troubles[0].trouble,
        Trouble::new(
            TroubleKind::KeyRefused,
            "root@10.213.11.2: Permission denied (publickey)."
        )
    );
}

#[test]
fn a_daemon_that_takes_no_builders_is_told() {
    let text = "warning: ignoring the user-specified setting 'builders', because it is a restricted setting \
                and you are not a trusted user";
    let log = format!("@nix {{\"action\":\"msg\",\"level\":1,\"msg\":\"{text}\"}}\n");
    let (machines, troubles) = troubles(&log);
    assert_eq!(troubles[0].trouble.kind, TroubleKind::NotAllowed);
    assert_eq!(machines.fallen().len(), 2);
}

#[test]
fn one_that_nix_has_not_even_asked_is_one_it_has_not_heard_of() {
    let now = Instant::now();
    let mut machines = machines(now);
    assert_eq!(machines.overlooked("riscv64-linux", &[]), None);
    let told = machines.overlooked("aarch64-linux", &[]).unwrap();
    assert_eq!(told.trouble.kind, TroubleKind::NotAllowed);
    assert_eq!(machines.fallen().len(), 2);
    let (mut machines, _) = troubles(&begun());
    assert_eq!(machines.overlooked("aarch64-linux", &[]), None);
}

#[test]
fn a_machine_is_silent_when_nothing_of_its_builds_is_heard_for_long() {
    let second = |n| Duration::from_secs(n);
    let begin = Instant::now();
    let mut machines = machines(begin);
    let log = events(&begun());
    let (line, before) = log.split_last().unwrap();
    for event in before {
        machines.observe(event, begin);
    }
    machines.observe(line, begin + second(60));
    assert!(machines.silent(begin + second(110), second(60)).is_empty());
    let silent = machines.silent(begin + second(130), second(60));
    assert_eq!(silent.len(), 1, "the other one has nothing to do");
    assert!(
        machines
            .fell(&silent[0], Trouble::new(TroubleKind::Silent, ""))
            .is_some()
    );
    assert!(
        machines.silent(begin + second(130), second(60)).is_empty(),
        "once is enough"
    );
}

/// Nix 2.8 ends the activity of a build only when the whole call ends.
#[test]
fn a_machine_that_has_given_back_what_it_built_is_not_waited_for() {
    let begin = Instant::now();
    let mut machines = machines(begin);
    let copied = r#"@nix {"action":"start","id":15,"level":4,"text":"copying outputs from 'ssh-ng://root@10.213.11.2'","type":0}
@nix {"action":"stop","id":15}
"#;
    for event in events(&(begun() + copied)) {
        machines.observe(&event, begin);
    }
    let later = begin + Duration::from_secs(1000);
    assert!(machines.silent(later, Duration::from_secs(60)).is_empty());
}
