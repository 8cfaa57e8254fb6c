use std::collections::HashMap;
use std::io::{Error, ErrorKind};

use super::*;
use crate::builders::address::{Scheme, SshAddress};

/// `ssh-ed25519 AAAAC3Nz root@arm`
const HOST_KEY: &str = "c3NoLWVkMjU1MTkgQUFBQUMzTnogcm9vdEBhcm0K";

fn parse(text: &str) -> Result<Vec<Builder>, Vec<LineError>> {
    with_files(text, &[])
}

fn with_files(text: &str, files: &[(&str, &str)]) -> Result<Vec<Builder>, Vec<LineError>> {
    let files: HashMap<&Path, &str> = files.iter().map(|(p, t)| (Path::new(*p), *t)).collect();
    Builder::parse_all(text, &|path| match files.get(path) {
        Some(text) => Ok((*text).to_owned()),
        None => Err(Error::from(ErrorKind::NotFound)),
    })
}

fn one(line: &str) -> Builder {
    let mut all = parse(line).unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[test]
fn every_field_is_read() {
    let line = format!(
        "ssh-ng://root@arm:2222?compress=true aarch64-linux,armv7l-linux /k 4 2.5 kvm,a b {HOST_KEY}"
    );
    let builder = one(&line);
    assert_eq!(
        builder.address,
        Address::Ssh(SshAddress {
            scheme: Scheme::SshNg,
            user: Some("root".to_owned()),
            host: "arm".to_owned(),
            port: Some(2222),
            parameters: Some("compress=true".to_owned()),
        })
    );
    assert_eq!(builder.name(), "ssh-ng://root@arm:2222");
    let systems: Vec<String> = builder.systems().iter().map(ToString::to_string).collect();
    assert_eq!(systems, ["aarch64-linux", "armv7l-linux"]);
    assert_eq!(builder.key_file.as_deref(), Some(Path::new("/k")));
    assert_eq!((builder.max_jobs, builder.speed), (4, 2.5));
    assert_eq!(builder.features, BTreeSet::from(["a".into(), "kvm".into()]));
    assert_eq!(builder.mandatory, BTreeSet::from(["b".into()]));
    assert_eq!(builder.host_key.as_deref(), Some("ssh-ed25519 AAAAC3Nz"));
}

#[test]
fn what_is_left_out_or_a_dash_has_nixs_defaults() {
    for line in ["arm", "arm -", "ssh://arm - - - - - - -"] {
        let builder = one(line);
        assert_eq!(builder.name(), "ssh://arm", "{line}");
        assert_eq!(builder.systems(), [System::host()]);
        assert!(builder.builds(&System::host()));
        assert_eq!((builder.max_jobs, builder.speed), (1, 1.0));
        assert_eq!(builder.to_string(), "ssh://arm - - 1 1 - - -");
    }
}

#[test]
fn a_builder_takes_what_requires_all_that_it_insists_on_and_nothing_that_it_lacks() {
    let builder = one("arm aarch64-linux - 1 1 big-parallel kvm");
    let system: System = "aarch64-linux".parse().unwrap();
    let takes = |features: &[&str]| {
        let features: Vec<String> = features.iter().map(|name| (*name).to_owned()).collect();
        builder.takes(&system, &features)
    };
    assert!(takes(&["kvm"]) && takes(&["big-parallel", "kvm"]));
    assert!(!takes(&["big-parallel"]) && !takes(&["kvm", "nixos-test"]));
    assert!(builder.is_for(&system) && !builder.builds(&system));
    assert!(one("arm aarch64-linux - 1 1 big-parallel").builds(&system));
}

#[test]
fn lines_end_at_the_end_or_a_semicolon_and_comments_are_passed_over() {
    let text = "# all of them\n\na x86_64-linux ; b aarch64-linux # quick\n;c\n";
    let names: Vec<_> = parse(text).unwrap().iter().map(Builder::name).collect();
    assert_eq!(names, ["ssh://a", "ssh://b", "ssh://c"]);
}

#[test]
fn files_stand_for_their_lines_and_may_be_missing() {
    let files = [("/etc/nix/machines", "a\n@/more\n"), ("/more", "b")];
    let all = with_files("@/etc/nix/machines\n@/missing\nc", &files).unwrap();
    let names: Vec<_> = all.iter().map(Builder::name).collect();
    assert_eq!(names, ["ssh://a", "ssh://b", "ssh://c"]);
    let circle = with_files("@/a", &[("/a", "@/b"), ("/b", "@/a")]).unwrap_err();
    assert!(circle[0].problem.contains("circle"), "{circle:?}");
}

#[test]
fn every_wrong_line_is_told_with_its_word() {
    let text = "fine\narm linux/arm64\narm - - many\narm - - 1 fast\narm - - 1 0\n\
                arm - - - - - - secret!\narm 2 3 4 5 6 7 8 9\nssh://arm:70000\nssh://\n-oProxyCommand=x\n";
    let told: Vec<(usize, String)> = parse(text)
        .unwrap_err()
        .into_iter()
        .map(|error| (error.line, error.word))
        .collect();
    let expected = [
        (2, "linux/arm64"),
        (3, "many"),
        (4, "fast"),
        (5, "0"),
        (6, "secret!"),
        (7, "9"),
        (8, "ssh://arm:70000"),
        (9, "ssh://"),
        (10, "-oProxyCommand=x"),
    ];
    assert_eq!(told, expected.map(|(line, word)| (line, word.to_owned())));
}

#[test]
fn of_nixs_own_lines_a_wrong_one_costs_itself_and_what_nix_takes_is_taken() {
    let text = "a aarch64-linux,builtin,wasm32 /k 4 2 - - - ninth\nb aarch64-linux - 1 0\n@/secret\n\
                c builtin\nd x86_64-linux - many\ne riscv64-linux";
    let refuse = |_: &Path| Err(Error::from(ErrorKind::PermissionDenied));
    let (builders, errors) = Builder::parse_configured(text, &refuse);
    let lines: Vec<_> = builders.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "ssh://a aarch64-linux /k 4 2 - - -",
            "ssh://e riscv64-linux - 1 1 - - -"
        ]
    );
    let lines: Vec<usize> = errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [2, 3, 4, 5]);
}

#[test]
fn what_is_printed_reads_the_same() {
    for line in [
        "ssh-ng://root@arm:2222?compress=true aarch64-linux /k 4 2.5 a,kvm b -",
        "ssh://[fe80::1]:22 - - 1 1 - - -",
        "ssh://[fe80::1] - - 1 1 - - -",
        "unix:///run/nix - - 1 1 - - -",
        "local x86_64-linux - 1 1 - - c3NoLWVkMjU1MTkgQUFBQUMzTno=",
    ] {
        assert_eq!(one(line).to_string(), line);
    }
}

#[test]
fn an_ipv6_address_needs_no_brackets_without_a_port() {
    assert_eq!(one("fe80::1").name(), "ssh://[fe80::1]");
    assert_eq!(one("root@[::1]:22").name(), "ssh://root@[::1]:22");
}

#[test]
fn nix_may_leave_out_the_port_when_it_names_a_builder() {
    let builder = one("ssh-ng://root@arm:2222");
    assert!(builder.address.is_called("ssh-ng://root@arm:2222"));
    assert!(builder.address.is_called("ssh-ng://root@arm?compress=true"));
    for other in ["ssh-ng://arm", "ssh://root@arm", "ssh-ng://root@arm:22", ""] {
        assert!(!builder.address.is_called(other), "{other}");
    }
}

mod properties {
    use proptest::collection::btree_set;
    use proptest::option::of;
    use proptest::prelude::*;

    use super::*;

    fn address() -> impl Strategy<Value = Address> {
        let scheme = prop_oneof![Just(Scheme::Ssh), Just(Scheme::SshNg)];
        let host = prop_oneof!["[a-z0-9][a-z0-9.-]{0,20}", "[0-9a-f]{1,4}::[0-9a-f]{1,4}"];
        let parts = (
            scheme,
            of("[a-z][a-z0-9_-]{0,8}"),
            host,
            of(1_u16..),
            of("[a-z=&]{1,12}"),
        );
        parts.prop_map(|(scheme, user, host, port, parameters)| {
            Address::Ssh(SshAddress {
                scheme,
                user,
                host,
                port,
                parameters,
            })
        })
    }

    fn builder() -> impl Strategy<Value = Builder> {
        let words = || btree_set("[a-z0-9]{1,8}", 0..3);
        let systems = btree_set("[a-z][a-z0-9_]{0,6}-[a-z]{1,6}", 0..3);
        let systems =
            systems.prop_map(|names| names.iter().map(|name| name.parse().unwrap()).collect());
        let key = of("ssh-[a-z0-9]{1,8} [A-Za-z0-9]{16}");
        let numbers = (
            any::<u32>(),
            (1_u16..).prop_map(|speed| f32::from(speed) / 8.0),
        );
        let parts = (
            address(),
            systems,
            of("/[a-z/]{1,12}"),
            numbers,
            words(),
            words(),
            key,
        );
        parts.prop_map(
            |(address, systems, key_file, (max_jobs, speed), features, mandatory, host_key)| {
                Builder {
                    address,
                    systems,
                    key_file: key_file.map(PathBuf::from),
                    max_jobs,
                    speed,
                    features,
                    mandatory,
                    host_key,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn every_builder_is_read_as_it_was_written(builder in builder()) {
            prop_assert_eq!(parse(&builder.to_string()), Ok(vec![builder]));
        }

        #[test]
        fn no_text_is_too_much(text in "[-@:/?\\[\\]a1 ;#\\n,\\PC]{0,60}") {
            let _ = parse(&text);
        }

        /// Else it would be one of its options.
        #[test]
        fn nothing_that_begins_with_a_dash_reaches_ssh(text in "(ssh://)?[a-]{0,3}@?\\[?-[a-z=]{1,9}") {
            if let Ok(Address::Ssh(ssh)) = text.parse() {
                prop_assert!(!ssh.host.starts_with('-'));
                prop_assert!(!ssh.user.is_some_and(|user| user.starts_with('-')));
            }
        }
    }
}
