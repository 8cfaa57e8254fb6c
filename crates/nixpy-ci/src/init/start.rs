//! What an image starts: a command that the project installs, or a web application that is found in
//! its sources, with a server that is among its dependencies. Nothing is imported: texts are searched
//! for what people write.

use regex::Regex;

use super::detect::Kind;
use super::listing::Listing;

/// What the user has said, in place of what would be found.
#[derive(Debug, Default)]
pub struct Asked {
    /// Who manages the packages.
    pub kind: Option<Kind>,
    /// The words of a command.
    pub start: Option<Vec<String>>,
    /// The port.
    pub port: Option<u16>,
}

/// How the image's program comes to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// A command of `[project.scripts]`.
    Script(String),
    /// A command of the environment, which has the project in it.
    Installed(Vec<String>),
    /// A command of the environment, among the project's files; whether those are below `src`.
    Source {
        command: Vec<String>,
        below_src: bool,
    },
}

/// What is asked of an image before it is tagged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Smoke {
    /// A route answers.
    Route(&'static str),
    /// The port accepts connections.
    Port,
    /// Nothing is known.
    Nothing,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    pub start: Start,
    /// By which sign.
    pub why: String,
    pub port: u16,
    pub smoke: Smoke,
    pub notes: Vec<String>,
}

/// A web application in the sources.
#[derive(Debug)]
struct App {
    framework: &'static str,
    /// `app.main:app`
    target: String,
    file: String,
    is_async: bool,
    smoke: Smoke,
}

const DEFAULT_PORT: u16 = 8000;

/// Decides, or says what is missing.
pub fn started(
    listing: &Listing,
    asked: &Asked,
    name: &str,
    scripts: &[(String, String)],
    dependencies: &[String],
    is_installed: bool,
) -> Result<Started, String> {
    let apps = apps(listing);
    let has_server = |app: &&App| served(app, dependencies, DEFAULT_PORT).is_some();
    let app = apps.iter().find(has_server).or(apps.first());
    let mut notes = Vec::new();
    let others: Vec<&str> = apps
        .iter()
        .filter(|other| other.framework != "Django")
        .filter(|other| app.is_some_and(|app| app.target != other.target))
        .map(|other| other.target.as_str())
        .collect();
    if !others.is_empty() {
        notes.push(format!(
            "there are other applications: {}",
            others.join(", ")
        ));
    }
    let smoke = |is_served: bool| match app {
        Some(app) if is_served => app.smoke.clone(),
        _ => Smoke::Nothing,
    };
    let environment = |command: Vec<String>, file: Option<&str>| match is_installed {
        true => Start::Installed(command),
        false => Start::Source {
            command,
            below_src: match file {
                Some(file) => file.starts_with("src/"),
                None => listing.texts().any(|(name, _)| name.starts_with("src/")),
            },
        },
    };
    if let Some(words) = &asked.start {
        let start = match words.as_slice() {
            [] => return Err("--start has no words".to_owned()),
            [word] if scripts.iter().any(|(script, _)| script == word) => {
                Start::Script(word.clone())
            }
            words => environment(words.to_vec(), None),
        };
        return Ok(Started {
            start,
            why: "it was asked for".to_owned(),
            port: asked.port.unwrap_or(DEFAULT_PORT),
            // Another command may be a worker, which answers nobody.
            smoke: smoke(
                words
                    .iter()
                    .any(|word| app.is_some_and(|app| *word == app.target)),
            ),
            notes,
        });
    }
    if let Some((script, target)) = script(listing, scripts, name, app.is_some()) {
        let text = text_of(listing, target).unwrap_or_default();
        let port = asked.port.or_else(|| port_in(text)).unwrap_or(DEFAULT_PORT);
        return Ok(Started {
            start: Start::Script(script.clone()),
            why: format!("pyproject.toml has it among its scripts ({target})"),
            port,
            smoke: smoke(serves(text)),
            notes,
        });
    }
    let Some(app) = app else {
        return Err(
            "nothing to start is found: no script in pyproject.toml, no FastAPI, Starlette, Litestar, Flask or \
             Django application in the sources; say --start 'COMMAND', as in --start 'python -m worker'"
                .to_owned(),
        );
    };
    let port = asked.port.unwrap_or(DEFAULT_PORT);
    let Some(command) = served(app, dependencies, port) else {
        return Err(format!(
            "{} has a {} application, and no server for it is among the dependencies: add {}, or say --start 'COMMAND'",
            app.file,
            app.framework,
            if app.is_async { "uvicorn" } else { "gunicorn" },
        ));
    };
    Ok(Started {
        why: format!("{} has a {} application", app.file, app.framework),
        start: environment(command, Some(&app.file)),
        port,
        smoke: app.smoke.clone(),
        notes,
    })
}

/// The command that is the service: the one with the project's name, or the only one; but where there is
/// an application, not one that does not look as if it served it.
fn script<'a>(
    listing: &Listing,
    scripts: &'a [(String, String)],
    name: &str,
    has_app: bool,
) -> Option<&'a (String, String)> {
    let fits =
        |(_, target): &&(String, String)| !has_app || text_of(listing, target).is_none_or(serves);
    let fitting: Vec<_> = scripts.iter().filter(fits).collect();
    let own = fitting
        .iter()
        .find(|(script, _)| super::detect::normalized(script) == name);
    match (own, fitting.as_slice()) {
        (Some(own), _) => Some(own),
        (None, [first, ..]) => Some(first),
        (None, []) => None,
    }
}

/// The text of the module of `package.module:function`.
fn text_of<'a>(listing: &'a Listing, target: &str) -> Option<&'a str> {
    let module = target.split(':').next()?.trim().replace('.', "/");
    let places = ["", "src/"].into_iter().flat_map(|below| {
        [
            format!("{below}{module}.py"),
            format!("{below}{module}/__init__.py"),
        ]
    });
    let mut texts = places.filter_map(|place| listing.text(&place));
    texts.next()
}

fn serves(text: &str) -> bool {
    let signs = [
        "uvicorn",
        "hypercorn",
        "granian",
        "gunicorn",
        "waitress",
        ".run(",
        "serve",
    ];
    signs.iter().any(|sign| text.contains(sign))
}

/// A port that is written where a server is started.
fn port_in(text: &str) -> Option<u16> {
    let form = Regex::new(r#"(?:port\s*=\s*|["']PORT["']\s*,\s*["']?)(\d{2,5})"#).ok()?;
    form.captures(text)?.get(1)?.as_str().parse().ok()
}

/// All applications, the likeliest first.
fn apps(listing: &Listing) -> Vec<App> {
    let forms = [
        ("FastAPI", r"FastAPI", true),
        ("Starlette", r"Starlette", true),
        ("Litestar", r"Litestar", true),
        ("Flask", r"Flask", false),
    ];
    let mut apps = Vec::new();
    for (file, text) in listing.texts().filter(|(file, _)| is_module(file)) {
        for (framework, class, is_async) in forms {
            let form = format!(r"(?m)^([A-Za-z_]\w*)\s*(?::\s*[\w.]+\s*)?=\s*(?:\w+\.)?{class}\(");
            let found = Regex::new(&form).ok().and_then(|form| form.captures(text));
            if let Some(found) = found {
                apps.push(App {
                    framework,
                    target: format!("{}:{}", module(file), &found[1]),
                    file: file.to_owned(),
                    is_async,
                    smoke: match framework {
                        "FastAPI" if !text.contains("openapi_url") => Smoke::Route("/openapi.json"),
                        _ => Smoke::Port,
                    },
                });
            }
        }
        let gateway = [("asgi", true), ("wsgi", false)].into_iter();
        for (gateway, is_async) in gateway.filter(|_| listing.has("manage.py")) {
            if file.ends_with(&format!("/{gateway}.py"))
                && text.contains(&format!("get_{gateway}_application"))
            {
                apps.push(App {
                    framework: "Django",
                    target: format!("{}:application", module(file)),
                    file: file.to_owned(),
                    is_async,
                    smoke: Smoke::Port,
                });
            }
        }
    }
    // Of Django's two doors the older one, which more servers know, comes first.
    let usual = |file: &str| {
        [
            "main.py",
            "app.py",
            "wsgi.py",
            "asgi.py",
            "server.py",
            "api.py",
            "__init__.py",
        ]
        .iter()
        .position(|name| file.rsplit('/').next() == Some(name))
        .unwrap_or(usize::MAX)
    };
    apps.sort_by_key(|app| {
        (
            app.file.matches('/').count(),
            usual(&app.file),
            app.file.clone(),
        )
    });
    apps
}

fn is_module(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    file.ends_with(".py")
        && !name.starts_with("test_")
        && !name.ends_with("_test.py")
        && !["conftest.py", "setup.py"].contains(&name)
        && file.split('/').all(super::detect::is_plain)
}

/// `src/app/main.py` is imported as `app.main`.
fn module(file: &str) -> String {
    let below = file.strip_prefix("src/").unwrap_or(file);
    let below = below.strip_suffix(".py").unwrap_or(below);
    below
        .strip_suffix("/__init__")
        .unwrap_or(below)
        .replace('/', ".")
}

/// The words that serve an application by what is among its dependencies.
fn served(app: &App, dependencies: &[String], port: u16) -> Option<Vec<String>> {
    let has = |names: &[&str]| {
        dependencies
            .iter()
            .any(|name| names.contains(&name.as_str()))
    };
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let (target, port) = (app.target.as_str(), port.to_string());
    let address = format!("0.0.0.0:{port}");
    let uvicorn = [
        "uvicorn",
        "uvicorn[standard]",
        "fastapi[standard]",
        "fastapi[all]",
        "litestar[standard]",
    ];
    if app.is_async {
        if has(&uvicorn) {
            return words(&["uvicorn", target, "--host", "0.0.0.0", "--port", &port]);
        }
        if has(&["hypercorn"]) {
            return words(&["hypercorn", target, "--bind", &address]);
        }
        if has(&["granian"]) {
            return words(&[
                "granian",
                "--interface",
                "asgi",
                "--host",
                "0.0.0.0",
                "--port",
                &port,
                target,
            ]);
        }
        return None;
    }
    if has(&["gunicorn"]) {
        return words(&["gunicorn", target, "--bind", &address]);
    }
    if has(&["waitress"]) {
        return words(&["waitress-serve", &format!("--listen={address}"), target]);
    }
    None
}
