//! What is found in projects, by their files alone.
#![allow(clippy::unwrap_used)]

use super::detect::{Kind, Project, detect};
use super::listing::Listing;
use super::start::{Asked, Smoke, Start};

/// Names and texts.
type Files<'a> = &'a [(&'a str, &'a str)];

fn found(files: Files<'_>) -> Project {
    detect(&Listing::with(files), "folder", &Asked::default()).unwrap()
}

fn refused(files: Files<'_>) -> String {
    let problems = detect(&Listing::with(files), "folder", &Asked::default()).unwrap_err();
    problems.join("\n")
}

fn words(start: &Start) -> String {
    match start {
        Start::Script(script) => script.clone(),
        Start::Installed(command) => format!("installed: {}", command.join(" ")),
        Start::Source { command, below_src } => {
            format!(
                "source{}: {}",
                if *below_src { "/src" } else { "" },
                command.join(" ")
            )
        }
    }
}

const BUILT: &str = "[build-system]\nrequires = ['hatchling']\n";
const FASTAPI: &str = "from fastapi import FastAPI\n\napp = FastAPI(title='x')\n";

#[test]
fn the_example_of_this_repository_is_understood() {
    let project = found(&[
        (
            "pyproject.toml",
            include_str!("../../../../examples/base_api/pyproject.toml"),
        ),
        ("src/base_api/__init__.py", ""),
        (
            "src/base_api/main.py",
            include_str!("../../../../examples/base_api/src/base_api/main.py"),
        ),
    ]);
    assert_eq!(
        (project.kind, project.name.as_str()),
        (Kind::Uv, "base-api")
    );
    assert_eq!(words(&project.started.start), "base-api");
    assert_eq!(project.started.smoke, Smoke::Route("/openapi.json"));
    assert_eq!(project.started.port, 8000);
}

#[test]
fn the_manager_is_told_by_its_lock_then_by_its_table() {
    let script = "[project]\nname = 'a'\n[project.scripts]\na = 'a:main'\n";
    let project = |more: &str| format!("{script}{BUILT}{more}");
    let cases = [
        (project(""), "uv.lock", Kind::Uv, "there is a uv.lock"),
        (
            project(""),
            "poetry.lock",
            Kind::Poetry,
            "there is a poetry.lock",
        ),
        (project(""), "pdm.lock", Kind::Pdm, "there is a pdm.lock"),
        (
            project("[tool.uv]\n"),
            "x",
            Kind::Uv,
            "pyproject.toml has [tool.uv]",
        ),
        (
            project("[tool.poetry]\n"),
            "x",
            Kind::Poetry,
            "pyproject.toml has [tool.poetry]",
        ),
        (
            project("[tool.pdm]\n"),
            "x",
            Kind::Pdm,
            "pyproject.toml has [tool.pdm]",
        ),
        (
            project("[tool.poetry]\n"),
            "uv.lock",
            Kind::Uv,
            "there is a uv.lock",
        ),
        (
            project(""),
            "requirements.txt",
            Kind::Uv,
            "[project] and nobody's lock",
        ),
    ];
    for (pyproject, other, kind, why) in cases {
        let project = found(&[("pyproject.toml", &pyproject), (other, "")]);
        assert_eq!(project.kind, kind, "{pyproject} {other}");
        assert!(project.why.contains(why), "{}", project.why);
    }
    let two = found(&[
        ("pyproject.toml", &project("")),
        ("uv.lock", ""),
        ("poetry.lock", ""),
    ]);
    assert_eq!(
        two.notes,
        ["uv.lock and poetry.lock are there: uv was taken"]
    );
}

#[test]
fn the_users_word_goes_before_what_is_found() {
    let asked = Asked {
        kind: Some(Kind::Uv),
        start: Some(vec!["worker".to_owned(), "--all".to_owned()]),
        port: Some(9000),
    };
    let files = [
        ("pyproject.toml", "[project]\nname = 'a'\n"),
        ("pdm.lock", ""),
        ("main.py", FASTAPI),
    ];
    let project = detect(&Listing::with(&files), "folder", &asked).unwrap();
    assert_eq!(project.kind, Kind::Uv);
    assert_eq!(words(&project.started.start), "source: worker --all");
    assert_eq!(project.started.port, 9000);
    assert_eq!(project.started.smoke, Smoke::Nothing);
}

#[test]
fn an_application_is_served_by_what_is_among_the_dependencies() {
    let flask = "import flask\napp = flask.Flask(__name__)\n";
    let wsgi =
        "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n";
    let asgi =
        "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n";
    let cases: [(&str, Files<'_>, &str); 8] = [
        (
            "fastapi\nuvicorn[standard]>=0.29 ; python_version > '3'\n",
            &[("app/main.py", FASTAPI)],
            "source: uvicorn app.main:app --host 0.0.0.0 --port 8000",
        ),
        (
            "fastapi[standard]\n",
            &[("main.py", FASTAPI)],
            "source: uvicorn main:app --host 0.0.0.0 --port 8000",
        ),
        (
            "FastAPI\nHypercorn\n",
            &[("main.py", FASTAPI)],
            "source: hypercorn main:app --bind 0.0.0.0:8000",
        ),
        (
            "fastapi\nuvicorn\n",
            &[("src/shop/api.py", "api: FastAPI = fastapi.FastAPI()\n")],
            "source/src: uvicorn shop.api:api --host 0.0.0.0 --port 8000",
        ),
        (
            "flask\ngunicorn==22.0\n",
            &[("app.py", flask)],
            "source: gunicorn app:app --bind 0.0.0.0:8000",
        ),
        (
            "flask\nwaitress\n",
            &[("wsgi.py", flask)],
            "source: waitress-serve --listen=0.0.0.0:8000 wsgi:app",
        ),
        (
            "django\ngunicorn\nuvicorn\n",
            &[
                ("manage.py", ""),
                ("shop/wsgi.py", wsgi),
                ("shop/asgi.py", asgi),
            ],
            "source: gunicorn shop.wsgi:application --bind 0.0.0.0:8000",
        ),
        (
            "django\nuvicorn\n",
            &[
                ("manage.py", ""),
                ("shop/wsgi.py", wsgi),
                ("shop/asgi.py", asgi),
            ],
            "source: uvicorn shop.asgi:application --host 0.0.0.0 --port 8000",
        ),
    ];
    for (requirements, files, wanted) in cases {
        let mut all = vec![("requirements.txt", requirements)];
        all.extend(files);
        let project = found(&all);
        assert_eq!(words(&project.started.start), wanted);
        assert_eq!(project.name, "folder");
    }
}

#[test]
fn a_project_that_is_built_is_started_out_of_its_environment() {
    let pyproject =
        format!("[project]\nname = 'Shop.API'\ndependencies = ['fastapi', 'uvicorn']\n{BUILT}");
    let project = found(&[
        ("pyproject.toml", &pyproject),
        ("src/shop/main.py", FASTAPI),
    ]);
    assert_eq!(project.name, "shop-api");
    assert_eq!(
        words(&project.started.start),
        "installed: uvicorn shop.main:app --host 0.0.0.0 --port 8000"
    );
    let virtual_ = format!("{pyproject}[tool.uv]\npackage = false\n");
    let project = found(&[("pyproject.toml", &virtual_), ("shop/main.py", FASTAPI)]);
    assert_eq!(
        words(&project.started.start),
        "source: uvicorn shop.main:app --host 0.0.0.0 --port 8000"
    );
}

#[test]
fn poetrys_own_tables_are_read() {
    let pyproject = "[tool.poetry]\nname = 'shop'\n[tool.poetry.dependencies]\npython = '~3.11'\n\
                     fastapi = { version = '^0.110', extras = ['standard'] }\n";
    let project = found(&[("pyproject.toml", pyproject), ("shop/main.py", FASTAPI)]);
    assert_eq!(project.kind, Kind::Poetry);
    assert_eq!(project.python.attribute, "python311");
    assert!(!project.has_project);
    assert_eq!(
        words(&project.started.start),
        "installed: uvicorn shop.main:app --host 0.0.0.0 --port 8000"
    );
    assert!(project.notes[0].contains("uvx migrate-to-uv"));
}

#[test]
fn a_script_that_does_not_serve_is_not_taken_for_the_service() {
    let pyproject = format!(
        "[project]\nname = 'shop'\ndependencies = ['fastapi', 'uvicorn']\n[project.scripts]\nmigrate = 'shop.tool:run'\n{BUILT}"
    );
    let tool = ("shop/tool.py", "def run():\n    print('x')\n");
    let project = found(&[
        ("pyproject.toml", &pyproject),
        ("shop/main.py", FASTAPI),
        tool,
    ]);
    assert_eq!(
        words(&project.started.start),
        "installed: uvicorn shop.main:app --host 0.0.0.0 --port 8000"
    );
    // Without an application it is what there is.
    let project = found(&[("pyproject.toml", &pyproject), tool]);
    assert_eq!(words(&project.started.start), "migrate");
    assert_eq!(project.started.smoke, Smoke::Nothing);
}

#[test]
fn a_port_that_is_written_where_the_server_is_started_is_found() {
    let pyproject =
        format!("[project]\nname = 'shop'\n[project.scripts]\nshop = 'shop.main:run'\n{BUILT}");
    for (text, port) in [
        ("uvicorn.run(app, port=8123)", 8123),
        (
            "uvicorn.run(app, port=int(os.environ.get('PORT', '9001')))",
            9001,
        ),
        ("uvicorn.run(app)", 8000),
    ] {
        let project = found(&[("pyproject.toml", &pyproject), ("shop/main.py", text)]);
        assert_eq!(project.started.port, port, "{text}");
    }
}

#[test]
fn options_that_pyproject_nix_does_not_read_are_told() {
    let list = "--index-url https://example.org\n-r base.txt\nfastapi==0.110 \\\n    --hash=sha256:00\nuvicorn\n-e .\n";
    let project = found(&[("requirements.txt", list), ("main.py", FASTAPI)]);
    assert!(
        project.notes[1].ends_with("take out `--index-url https://example.org`, `-e .`"),
        "{:?}",
        project.notes
    );
}

#[test]
fn what_is_missing_is_said_with_its_cure() {
    let cases: [(Files<'_>, &str); 9] = [
        (
            &[
                ("pyproject.toml", "[tool.uv.workspace]\nmembers = ['a']\n"),
                ("uv.lock", ""),
                ("a/main.py", FASTAPI),
            ],
            "it only joins the members of a workspace",
        ),
        (&[], "`uv init` begins one"),
        (&[("Pipfile", "")], "uvx migrate-to-uv"),
        (&[("setup.py", "")], "uv init --bare"),
        (&[("environment.yml", "")], "conda"),
        (
            &[("requirements.txt", "requests\n"), ("work.py", "")],
            "--start 'COMMAND'",
        ),
        (
            &[("requirements.txt", "fastapi\n"), ("main.py", FASTAPI)],
            "main.py has a FastAPI application, and no server",
        ),
        (&[("pyproject.toml", "[project\n")], "pyproject.toml: "),
        (
            &[("pyproject.toml", "[tool.ruff]\n")],
            "no Python project is here",
        ),
    ];
    for (files, word) in cases {
        let problem = refused(files);
        assert!(problem.contains(word), "{problem}");
    }
}
