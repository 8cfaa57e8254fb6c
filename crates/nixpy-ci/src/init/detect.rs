//! What kind of Python project a folder holds, told by its files. Pure: a listing in, a project
//! or all reasons against it out.

use regex::Regex;
use toml::{Table, Value};

use super::listing::Listing;
use super::python::{Python, interpreter};
use super::start::{Asked, Started, started};

/// Who manages the project's packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `uv.lock`, by uv2nix.
    Uv,
    /// Poetry's `pyproject.toml`, with nixpkgs' packages.
    Poetry,
    /// PDM's, likewise.
    Pdm,
    /// A list of requirements, likewise.
    Requirements,
}

impl Kind {
    /// All, in the order in which they are believed.
    pub const ALL: [Self; 4] = [Self::Uv, Self::Poetry, Self::Pdm, Self::Requirements];

    /// As it is called on the command line, and as a template.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uv => "uv",
            Self::Poetry => "poetry",
            Self::Pdm => "pdm",
            Self::Requirements => "requirements",
        }
    }

    /// One of [`Kind::name`].
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What is known of a project.
#[derive(Debug, PartialEq, Eq)]
pub struct Project {
    /// Who manages its packages,
    pub kind: Kind,
    /// by which sign.
    pub why: String,
    /// As indexes write it: `base-api`.
    pub name: String,
    /// What it says of itself.
    pub description: Option<String>,
    /// The list that is read, of requirements.
    pub requirements: String,
    /// Whether `pyproject.toml` has `[project]`, which Poetry's need not.
    pub has_project: bool,
    /// What the image starts.
    pub started: Started,
    /// The interpreter.
    pub python: Python,
    /// What the reader has to know.
    pub notes: Vec<String>,
}

/// Decides, or says everything that stands against it.
pub fn detect(listing: &Listing, folder: &str, asked: &Asked) -> Result<Project, Vec<String>> {
    let pyproject = match listing.text("pyproject.toml").map(str::parse::<Table>) {
        None if listing.has("pyproject.toml") => {
            return Err(vec!["pyproject.toml cannot be read as text".to_owned()]);
        }
        None => None,
        Some(Ok(table)) => Some(table),
        Some(Err(error)) => {
            return Err(vec![format!("pyproject.toml: {}", error.message())]);
        }
    };
    let seen = Seen {
        listing,
        pyproject: pyproject.as_ref(),
    };
    let (kind, why) = match asked.kind {
        Some(kind) => (kind, "it was asked for".to_owned()),
        None => seen.kind().ok_or_else(|| vec![seen.nothing()])?,
    };
    let mut problems = Vec::new();
    if kind != Kind::Requirements && pyproject.is_none() {
        problems.push(format!("{} needs a pyproject.toml", kind.name()));
    }
    // Poetry's may stand in a table of its own.
    if [Kind::Uv, Kind::Pdm].contains(&kind)
        && pyproject.is_some()
        && seen.table("project").is_none()
    {
        problems.push(match seen.tool("uv").is_some_and(|uv| uv.contains_key("workspace")) {
            true => "pyproject.toml has no [project]: it only joins the members of a workspace, and a flake is \
                     written for a project at the top"
                .to_owned(),
            false => format!("pyproject.toml has no [project], which {} needs", kind.name()),
        });
    }
    let requirements = seen.requirements();
    if kind == Kind::Requirements && requirements.is_none() {
        problems.push("there is no requirements.txt".to_owned());
    }
    let name = normalized(seen.named().unwrap_or(folder));
    if name.is_empty() {
        problems.push("the project has no name: give it one in pyproject.toml".to_owned());
    }
    let mut notes = seen.notes(kind);
    let dependencies = seen.dependencies(kind, requirements.as_deref());
    let is_installed = kind != Kind::Requirements && seen.is_installed(kind);
    let scripts = match is_installed {
        true => seen.scripts(),
        false => Vec::new(),
    };
    let started = started(listing, asked, &name, &scripts, &dependencies, is_installed);
    match started {
        Ok(started) if problems.is_empty() => {
            notes.extend(started.notes.iter().cloned());
            Ok(Project {
                kind,
                why,
                name,
                description: seen.text("description").map(str::to_owned),
                requirements: requirements.unwrap_or_else(|| "requirements.txt".to_owned()),
                has_project: seen.table("project").is_some(),
                started,
                python: interpreter(listing.text(".python-version"), seen.requires_python()),
                notes,
            })
        }
        Ok(_) => Err(problems),
        Err(problem) => {
            problems.push(problem);
            Err(problems)
        }
    }
}

/// The files, and what `pyproject.toml` says.
struct Seen<'a> {
    listing: &'a Listing,
    pyproject: Option<&'a Table>,
}

impl<'a> Seen<'a> {
    fn kind(&self) -> Option<(Kind, String)> {
        let signs = [
            (Kind::Uv, "uv.lock", "uv"),
            (Kind::Poetry, "poetry.lock", "poetry"),
            (Kind::Pdm, "pdm.lock", "pdm"),
        ];
        let lock = signs.iter().find(|(_, lock, _)| self.listing.has(lock));
        if let Some((kind, lock, _)) = lock.filter(|_| self.pyproject.is_some()) {
            return Some((*kind, format!("there is a {lock}")));
        }
        let tool = signs.iter().find(|(_, _, tool)| self.tool(tool).is_some());
        if let Some((kind, _, tool)) = tool {
            return Some((*kind, format!("pyproject.toml has [tool.{tool}]")));
        }
        if self.table("project").is_some() {
            let why = "pyproject.toml has [project] and nobody's lock is there; uv makes one of it";
            return Some((Kind::Uv, why.to_owned()));
        }
        let list = self.requirements()?;
        Some((Kind::Requirements, format!("there is a {list}")))
    }

    /// Why there is no kind, and what to do.
    fn nothing(&self) -> String {
        let cure = if self.listing.has("Pipfile") {
            "a Pipfile becomes a project of uv by `uvx migrate-to-uv`"
        } else if self.listing.has("setup.py") || self.listing.has("setup.cfg") {
            "of what setup.py says, uv wants a [project] in pyproject.toml: `uv init --bare`, then `uv add` what it needs"
        } else if self.listing.has("environment.yml") || self.listing.has("environment.yaml") {
            "packages of conda are not those of PyPI: `uv init --bare`, then `uv add` what it needs"
        } else {
            "`uv init` begins one"
        };
        format!(
            "no Python project is here (pyproject.toml of uv, Poetry or PDM, or requirements.txt): {cure}"
        )
    }

    fn table(&self, name: &str) -> Option<&'a Table> {
        self.pyproject?.get(name)?.as_table()
    }

    fn tool(&self, name: &str) -> Option<&'a Table> {
        self.table("tool")?.get(name)?.as_table()
    }

    /// A word that `[project]` says, or Poetry's table.
    fn text(&self, key: &str) -> Option<&'a str> {
        let of = |table: Option<&'a Table>| table?.get(key)?.as_str();
        of(self.table("project")).or_else(|| of(self.tool("poetry")))
    }

    fn named(&self) -> Option<&'a str> {
        self.text("name")
    }

    fn requires_python(&self) -> Option<&'a str> {
        let poetry = || {
            self.tool("poetry")?
                .get("dependencies")?
                .get("python")?
                .as_str()
        };
        self.text("requires-python").or_else(poetry)
    }

    /// The list for production, where there are several.
    fn requirements(&self) -> Option<String> {
        let wanted = [
            "requirements.txt",
            "requirements/production.txt",
            "requirements/prod.txt",
            "requirements/base.txt",
            "requirements-prod.txt",
        ];
        let found = wanted.into_iter().find(|name| self.listing.has(name));
        found.map(str::to_owned)
    }

    fn scripts(&self) -> Vec<(String, String)> {
        let of = |table: Option<&'a Table>| table?.get("scripts")?.as_table();
        let tables = [of(self.table("project")), of(self.tool("poetry"))];
        let scripts = tables.into_iter().flatten().flatten();
        scripts
            .filter_map(|(name, target)| Some((name.clone(), target.as_str()?.to_owned())))
            .filter(|(name, _)| is_plain(name))
            .collect()
    }

    /// Whether building the project makes a package that has its code.
    fn is_installed(&self, kind: Kind) -> bool {
        let says = |tool: &str, key: &str| self.tool(tool)?.get(key)?.as_bool();
        let is_built = self
            .pyproject
            .is_some_and(|table| table.contains_key("build-system"));
        match kind {
            Kind::Uv => says("uv", "package").unwrap_or(is_built),
            Kind::Poetry => says("poetry", "package-mode").unwrap_or(true),
            Kind::Pdm => says("pdm", "distribution").unwrap_or(is_built),
            Kind::Requirements => false,
        }
    }

    /// Names of what is needed at run time, and of their extras: `fastapi`, `fastapi[standard]`.
    fn dependencies(&self, kind: Kind, requirements: Option<&str>) -> Vec<String> {
        let listed = self
            .table("project")
            .and_then(|table| table.get("dependencies"));
        let listed = listed.and_then(Value::as_array).into_iter().flatten();
        let mut found: Vec<String> = listed.filter_map(Value::as_str).flat_map(needs).collect();
        if kind == Kind::Requirements {
            let text = requirements.and_then(|name| self.listing.text(name));
            found.extend(text.unwrap_or_default().lines().flat_map(needs));
        }
        let table = self
            .tool("poetry")
            .and_then(|table| table.get("dependencies"));
        for (name, value) in table.and_then(Value::as_table).into_iter().flatten() {
            let name = normalized(name);
            let extras = value.get("extras").and_then(Value::as_array);
            let extras = extras.into_iter().flatten().filter_map(Value::as_str);
            found.extend(extras.map(|extra| format!("{name}[{extra}]")));
            found.push(name);
        }
        found
    }

    fn notes(&self, kind: Kind) -> Vec<String> {
        let mut notes = Vec::new();
        let locks = ["uv.lock", "poetry.lock", "pdm.lock"];
        let locks: Vec<&str> = locks
            .into_iter()
            .filter(|lock| self.listing.has(lock))
            .collect();
        if locks.len() > 1 {
            notes.push(format!(
                "{} are there: {} was taken",
                locks.join(" and "),
                kind.name()
            ));
        }
        match kind {
            Kind::Uv => {}
            Kind::Poetry => notes.push(
                "packages come in nixpkgs' versions, not in those of poetry.lock: \
                 `uvx migrate-to-uv` makes a uv.lock with the same versions, and `nixpy-ci init --force` a flake that keeps to it"
                    .to_owned(),
            ),
            Kind::Pdm => notes.push(
                "packages come in nixpkgs' versions, not in those of pdm.lock: \
                 `uv lock` reads the same [project], and `nixpy-ci init --kind uv --force` makes a flake that keeps to uv.lock"
                    .to_owned(),
            ),
            Kind::Requirements => {
                notes.push(
                    "packages come in nixpkgs' versions, whatever the list says: `uvx migrate-to-uv` makes a \
                     pyproject.toml and uv.lock of it, and `nixpy-ci init --force` a flake that keeps to them"
                        .to_owned(),
                );
                let list = self.requirements().unwrap_or_default();
                let text = self.listing.text(&list).unwrap_or_default();
                let options = text.lines().map(str::trim).filter(|line| {
                    line.starts_with('-') && !line.starts_with("-r ") && !line.starts_with("--hash")
                });
                let options: Vec<&str> = options.collect();
                if !options.is_empty() {
                    notes.push(format!(
                        "pyproject.nix reads no options in {list}: take out `{}`",
                        options.join("`, `")
                    ));
                }
            }
        }
        notes
    }
}

/// A requirement's name, and one more for each extra.
fn needs(line: &str) -> Vec<String> {
    let (Ok(form), line) = (
        Regex::new(r"^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?"),
        line.trim(),
    ) else {
        return Vec::new();
    };
    let Some(found) = form.captures(line) else {
        return Vec::new();
    };
    let name = normalized(&found[1]);
    let extras = found.get(2).map_or("", |extras| extras.as_str());
    let extras = extras
        .split(',')
        .map(str::trim)
        .filter(|extra| !extra.is_empty());
    let mut needs: Vec<String> = extras.map(|extra| format!("{name}[{extra}]")).collect();
    needs.push(name);
    needs
}

/// As indexes compare names ([PEP 503](https://peps.python.org/pep-0503/#normalized-names)), and with
/// nothing else in it.
pub fn normalized(name: &str) -> String {
    let mut normal = String::new();
    for letter in name.to_ascii_lowercase().chars() {
        match letter {
            'a'..='z' | '0'..='9' => normal.push(letter),
            '-' | '_' | '.' if !normal.ends_with('-') => normal.push('-'),
            _ => {}
        }
    }
    normal.trim_matches('-').to_owned()
}

/// What may stand in a flake as it is.
pub fn is_plain(word: &str) -> bool {
    !word.is_empty()
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}
