//! The report as a page, opened by a browser: what it shows, what it does not do, and a
//! picture of it in light and in dark.

use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::world::act::tool;
use crate::world::alone::kept;
use crate::world::chain::Chain;
use crate::world::example::example;
use crate::world::flake::Flake;
use crate::world::nixpy::Workplace;
use crate::world::program::{Ended, program, run};

/// A browser that has no home, asks nobody anything by itself, and sends whatever a page asks
/// for to this address.
fn browser(arguments: &[&str], page: &Path, proxy: &str) -> Ended {
    let home = tempfile::tempdir().unwrap();
    let mut chromium = program("chromium");
    chromium
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
        ])
        .arg(format!("--user-data-dir={}", home.path().display()))
        .arg(format!("--proxy-server=http://{proxy}"))
        .args(arguments)
        .arg(format!("file://{}", page.display()));
    run(chromium.env("HOME", home.path())).succeeded()
}

/// Listens, and counts what asks for one of these hosts.
fn listening(hosts: &'static [&'static str]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 2048];
            let read = stream.read(&mut bytes).unwrap_or_default();
            let request = String::from_utf8_lossy(&bytes[..read]).into_owned();
            if hosts.iter().any(|host| request.contains(host)) {
                counter.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (address, asked)
}

/// The elements and texts of a page once the browser has read it.
fn dom(page: &Path) -> String {
    let (proxy, asked) = listening(&["evil.example"]);
    let dom = browser(&["--dump-dom"], page, &proxy).stdout;
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the page asks for nothing");
    dom
}

/// A picture, kept for people; larger than an empty page's.
fn picture(page: &Path, name: &str, more: &[&str]) -> Vec<u8> {
    let made = tempfile::tempdir().unwrap();
    let file = made.path().join(name);
    let screenshot = format!("--screenshot={}", file.display());
    let arguments = [&[screenshot.as_str(), "--window-size=1240,2400"], more].concat();
    browser(&arguments, page, "127.0.0.1:9");
    let bytes = std::fs::read(&file).unwrap();
    assert!(
        bytes.starts_with(b"\x89PNG") && bytes.len() > 50_000,
        "{name}: {} bytes",
        bytes.len()
    );
    std::fs::write(kept("pages").join(name), &bytes).unwrap();
    bytes
}

/// The page of a run of the example, and its report.
fn published(here: &Workplace) -> (PathBuf, Value) {
    let flake = example().flake("app");
    let report = here
        .run([
            &flake,
            "--layout",
            "out",
            "--html",
            "page.html",
            "--budget=1GB",
            "--json",
        ])
        .succeeded()
        .json();
    (here.path("page.html"), report)
}

/// As the page writes sizes.
fn megabytes(bytes: &Value) -> String {
    format!("{:.1} MB", bytes.as_f64().unwrap() / 1e6)
}

#[test]
fn a_browser_shows_the_figures_of_the_report() {
    let here = Workplace::new();
    let (page, report) = published(&here);
    let dom = dom(&page);
    for image in report["platforms"].as_array().unwrap() {
        let architecture = image["platform"]["architecture"].as_str().unwrap();
        for words in [
            format!("What makes linux/{architecture}"),
            megabytes(&image["compressedSize"]),
            image["digest"].as_str().unwrap().to_owned(),
            "Budget: no larger than 1.0 GB, kept.".to_owned(),
        ] {
            assert!(dom.contains(&words), "{words} is not in\n{dom}");
        }
        // Every path has its area, and each area says which it is.
        for content in image["contents"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|layer| layer.as_array().unwrap())
        {
            let name = content["name"].as_str().unwrap().split_once('-').unwrap().1;
            let is_seen = content["size"].as_u64().unwrap() > 100_000;
            assert!(
                !is_seen || dom.contains(&format!("<title>{name}, ")),
                "{name} has no area"
            );
        }
    }
    assert!(
        dom.contains("Where the time went") || report["timings"]["total"].as_f64() == Some(0.0)
    );
    assert!(dom.contains("</html>"));
}

#[test]
fn it_is_light_or_dark_as_the_reader_likes_it() {
    let here = Workplace::new();
    let (page, _) = published(&here);
    let light = picture(
        &page,
        "light.png",
        &["--blink-settings=preferredColorScheme=1"],
    );
    let dark = picture(
        &page,
        "dark.png",
        &["--blink-settings=preferredColorScheme=0"],
    );
    assert_ne!(light, dark);
}

#[test]
fn what_others_have_written_runs_nothing_in_a_browser() {
    let here = Workplace::new();
    let hostile = "<script>document.title='owned'</script>\
                   <img src=http://evil.example/x onerror=\"document.title='owned'\">";
    let flake = Flake::built_by(&format!(
        "echo {}; echo still here; exit 1",
        quoted(hostile)
    ));
    let ended = here.run([&flake.image(), "--layout", "out", "--html", "page.html"]);
    assert_eq!(ended.code, 1, "{ended}");
    let dom = dom(&here.path("page.html"));
    assert!(dom.contains("still here"), "the log is shown:\n{dom}");
    assert!(
        dom.contains("&lt;script&gt;document.title"),
        "as text:\n{dom}"
    );
    assert!(
        !dom.contains("<title>owned") && !dom.contains("<img"),
        "{dom}"
    );
}

/// The Mermaid that GitHub draws charts with, and what it makes of a chart.
fn drawn(here: &Workplace, chart: &str) -> String {
    let mermaid = tool("npm/mermaid/dist/mermaid.min.js");
    let page = here.path("chart.html");
    let text = format!(
        "<meta charset=utf-8><pre class=chart>{}</pre><p id=told></p><script src='file://{}'></script><script>
         mermaid.initialize({{ startOnLoad: false, securityLevel: 'strict' }})
         mermaid.run({{ querySelector: '.chart' }}).then(() => told.append('it is', ' drawn'), (e) => told.append(e.message))
         </script>",
        chart.replace('&', "&amp;").replace('<', "&lt;"),
        mermaid.display()
    );
    std::fs::write(&page, text).unwrap();
    let arguments = ["--dump-dom", "--virtual-time-budget=20000"];
    browser(&arguments, &page, "127.0.0.1:9").stdout
}

#[test]
fn mermaid_draws_the_timeline_of_a_summary_whatever_derivations_are_called() {
    let (here, chain) = (Workplace::new(), Chain::quick());
    // Mermaid reads these as its own words.
    let place = chain.folder().join("flake.nix");
    let flake = std::fs::read_to_string(&place).unwrap();
    let named = flake
        .replace(
            r#"package "lib" ""#,
            r#"package "section" "busybox sleep 0.5; "#,
        )
        .replace(
            r#"package "tool" ""#,
            r#"package "click-end?=1" "busybox sleep 0.5; "#,
        )
        .replace("read -r _ < $tool", "read -r _ < $tool; busybox sleep 0.5");
    assert_eq!(named.matches("sleep").count(), 3, "{flake}");
    std::fs::write(place, named).unwrap();
    here.run([&chain.app(), "--layout=out", "--summary=summary.md"])
        .succeeded();
    let summary = std::fs::read_to_string(here.path("summary.md")).unwrap();
    let chart = summary.split_once("```mermaid\n").unwrap().1;
    let chart = chart.split_once("```").unwrap().0;

    let dom = drawn(&here, chart);
    assert!(dom.contains("it is drawn"), "{chart}\n{dom}");
    for words in ["section", "click-end__1", "app", "Stages", "Built"] {
        let is_shown = dom.contains(&format!(" {words} </text>"))
            || dom.contains(&format!(">{words}</tspan>"));
        assert!(is_shown, "{words} in\n{chart}\n{dom}");
    }
    let bars = chart.lines().filter(|line| line.contains(" :")).count();
    assert_eq!(dom.matches("class=\"task ").count(), bars, "{chart}\n{dom}");
    let broken = drawn(&here, "gantt\n    no date: nor bar\n");
    assert!(!broken.contains("it is drawn"), "{broken}");
}

#[test]
fn that_a_page_asks_for_something_would_be_seen() {
    let here = Workplace::new();
    let page = here.path("page.html");
    std::fs::write(&page, "<title>a</title><img src=http://evil.example/x>").unwrap();
    let (proxy, asked) = listening(&["evil.example"]);
    browser(&["--dump-dom"], &page, &proxy);
    assert!(asked.load(Ordering::SeqCst) > 0);
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
