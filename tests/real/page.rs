//! The report as a page, opened by a browser: what it shows, what it does not do, and a
//! picture of it in light and in dark.

use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

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
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join(name);
    let _ = std::fs::remove_file(&file);
    let screenshot = format!("--screenshot={}", file.display());
    let arguments = [&[screenshot.as_str(), "--window-size=1240,2400"], more].concat();
    browser(&arguments, page, "127.0.0.1:9");
    let bytes = std::fs::read(&file).unwrap();
    assert!(
        bytes.starts_with(b"\x89PNG") && bytes.len() > 50_000,
        "{name}: {} bytes",
        bytes.len()
    );
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
