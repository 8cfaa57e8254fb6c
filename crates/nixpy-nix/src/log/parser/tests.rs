use super::*;

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap_or_default()
}

fn parse(bytes: &[u8], step: usize) -> Vec<LogEvent> {
    let mut events = Vec::new();
    let mut parser = LogParser::default();
    for part in bytes.chunks(step) {
        parser.feed(part, &mut |event| events.push(event));
    }
    parser.finish(&mut |event| events.push(event));
    events
}

fn message(line: &str) -> Option<Message> {
    match parse_line(line) {
        Some(LogEvent::Message(message)) => Some(message),
        _ => None,
    }
}

#[test]
fn a_failed_build_tells_the_same_story_in_every_version() {
    for version in ["2.8.0", "2.26.3", "2.34.8"] {
        let events = parse(
            &fixture(&format!("{version}/build-failure.internal-json.log")),
            4096,
        );
        let build = events.iter().find_map(|event| match event {
            LogEvent::Started {
                id,
                activity:
                    Activity::Build {
                        derivation,
                        machine,
                    },
                ..
            } => Some((*id, derivation.name().to_owned(), machine.clone())),
            _ => None,
        });
        let (build, name, machine) = build.expect(version);
        assert_eq!((name.as_str(), machine), ("broken.drv", None), "{version}");
        let line = LogEvent::Line {
            id: build,
            text: "about to fail".to_owned(),
        };
        assert!(events.contains(&line), "{version}");
        assert!(
            events.contains(&LogEvent::Stopped { id: build }),
            "{version}"
        );
        let Some(LogEvent::Message(error)) = events.last() else {
            panic!("{version}: no message at the end")
        };
        assert_eq!(error.level, Level::Error, "{version}");
        assert!(
            !error.text.contains('\u{1b}') && !error.text.starts_with("error"),
            "{version}: {}",
            error.text
        );
        assert!(
            error.text.contains("failed with exit code 3"),
            "{version}: {}",
            error.text
        );
    }
}

#[test]
fn a_remote_build_names_its_machine_and_what_is_copied_there() {
    let events = parse(&fixture("2.8.0/remote-failure.internal-json.log"), 1000);
    let on_machine = events.iter().any(|event| {
        let machine = "ssh-ng://builder@arm.example";
        matches!(event, LogEvent::Started { activity: Activity::Build { machine: Some(told), .. }, .. } if told == machine)
    });
    let copied = events.iter().any(|event| {
        matches!(event, LogEvent::Started { activity: Activity::Copy { path, to, .. }, .. }
            if path.name() == "broken.sh" && to.starts_with("ssh-ng:"))
    });
    assert!(on_machine && copied);
}

#[test]
fn where_the_bytes_are_cut_makes_no_difference() {
    let log = fixture("2.34.8/build-success.internal-json.log");
    let whole = parse(&log, usize::MAX);
    assert!(whole.len() > 20);
    for step in [1, 7, 4096] {
        assert_eq!(parse(&log, step), whole, "cut every {step}");
    }
}

#[test]
fn a_line_that_is_not_json_is_passed_on_as_text() {
    for (line, text) in [
        (
            "Warning: Permanently added 'host' to the list of known hosts.\r",
            "Warning: Permanently added 'host' to the list of known hosts.",
        ),
        ("@nix {\"action\":\"msg\",", "@nix {\"action\":\"msg\","),
        ("@nix ", "@nix"),
        ("\u{1b}[1mbold\u{1b}[0m", "bold"),
    ] {
        let message = message(line).expect(line);
        assert_eq!(
            (message.level, message.text.as_str()),
            (Level::Notice, text)
        );
    }
}

#[test]
fn json_of_an_unknown_shape_is_dropped() {
    for line in [
        "",
        "   ",
        "@nix {}",
        r#"@nix {"action":"future","id":1}"#,
        r#"@nix {"action":"stop"}"#,
        r#"@nix {"action":"stop","id":"seven"}"#,
        r#"@nix {"action":"stop","id":-1}"#,
        r#"@nix {"action":"result","id":1,"type":999,"fields":[1]}"#,
        r#"@nix {"action":"result","id":1,"type":105,"fields":[1,2]}"#,
        r#"@nix {"action":"result","id":1,"type":105,"fields":["a",{},null,[]]}"#,
        r#"@nix {"action":"msg","level":0}"#,
    ] {
        assert_eq!(parse_line(line), None, "{line}");
    }
}

#[test]
fn a_build_without_a_proper_derivation_is_some_other_activity() {
    for fields in [
        r#"["not a path","",1,1]"#,
        "[]",
        "[7]",
        r#"["/etc/passwd"]"#,
    ] {
        let line = format!(
            r#"@nix {{"action":"start","id":1,"type":105,"text":"building","fields":{fields}}}"#
        );
        let expected = Activity::Other {
            text: "building".to_owned(),
        };
        assert_eq!(
            parse_line(&line),
            Some(LogEvent::Started {
                id: 1,
                parent: None,
                activity: expected
            }),
            "{line}"
        );
    }
}

#[test]
fn an_odd_position_does_not_lose_the_message() {
    let line =
        r#"@nix {"action":"msg","level":0,"msg":"error: x","file":7,"line":"a","column":-3}"#;
    let message = message(line).expect(line);
    assert_eq!((message.text.as_str(), message.position), ("x", None));
}

#[test]
fn bytes_that_are_no_text_and_endless_lines_do_no_harm() {
    let mut log = vec![0xff, 0xfe, b'x', b'\n'];
    log.extend(std::iter::repeat_n(b'a', 3 * LONGEST_LINE));
    log.extend(b"\n@nix {\"action\":\"stop\",\"id\":1}\n");
    let events = parse(&log, 64 * 1024);
    assert_eq!(events.len(), 3);
    assert_eq!(events[2], LogEvent::Stopped { id: 1 });
    let LogEvent::Message(long) = &events[1] else {
        panic!("the long line is text")
    };
    assert!(long.text.len() <= LONGEST_PLAIN_TEXT);
}

#[test]
fn no_prefix_of_any_recorded_line_makes_the_parser_fail() {
    for version in ["2.8.0", "2.26.3", "2.34.8"] {
        let log = fixture(&format!("{version}/build-failure.internal-json.log"));
        for line in String::from_utf8_lossy(&log).lines() {
            for end in (0..line.len()).filter(|end| line.is_char_boundary(*end)) {
                let _ = parse_line(&line[..end]);
                let _ = parse_line(&line[end..]);
            }
        }
    }
}

#[test]
fn a_line_that_is_written_over_itself_is_what_is_seen_in_the_end() {
    let text = "10%\r 50%\r\u{1b}[2K100% done\r\r\n".replace('\u{1b}', "\\u001b");
    let text = text.replace('\r', "\\r").replace('\n', "\\n");
    let line = format!(r#"@nix {{"action":"result","id":7,"type":101,"fields":["{text}"]}}"#);
    let text = "100% done".to_owned();
    assert_eq!(parse_line(&line), Some(LogEvent::Line { id: 7, text }));
}
