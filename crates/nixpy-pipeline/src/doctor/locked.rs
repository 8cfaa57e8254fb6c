//! Whether the lock file beside a flake is of its pyproject.toml: everything that the one
//! requires is in the other.
//!
//! Times are not looked at: git does not keep them, and a new description of the project
//! needs no new lock. A requirement under a condition may be left out of a lock for good.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use toml::{Table, Value};

use super::aside;
use super::check::{Check, Concern, about};
use crate::inputs::Inputs;
use crate::lockfile::{self, LockFile, MAX_SIZE, ProjectName};

/// Lock files, and what renews them.
const LOCKS: [(&str, &str); 4] = [
    ("uv.lock", "uv lock"),
    ("poetry.lock", "poetry lock"),
    ("pdm.lock", "pdm lock"),
    ("pylock.toml", "Lock the project again"),
];

pub(super) async fn check(inputs: &Inputs, patience: Duration) -> Option<Check> {
    let folder = inputs.flake.local_dir()?.to_owned();
    match aside(patience, move || look(&folder)).await {
        Ok(check) => check,
        Err(late) => Some(about("lock", "", Concern::Inputs).not_checked(late)),
    }
}

fn look(folder: &Path) -> Option<Check> {
    let project = read(&folder.join("pyproject.toml"))?;
    let mut locks = LOCKS.iter();
    let (name, text, cure) =
        locks.find_map(|(name, cure)| Some((*name, read(&folder.join(name))?, *cure)))?;
    let about = about("lock", name, Concern::Inputs);
    let project: Table = match toml::from_str(&project) {
        Ok(project) => project,
        Err(error) => {
            let found = format!("pyproject.toml is no TOML: {}", error.message());
            return Some(about.trouble(found, "Mend pyproject.toml"));
        }
    };
    let lock = match LockFile::parse(&text) {
        Ok(lock) => lock,
        Err(error) => return Some(about.warning(error.to_string(), cure)),
    };
    let required = Required::of(&project, name != "pylock.toml");
    let missing: Vec<&str> = required
        .0
        .iter()
        .filter(|(key, _)| !lock.contains(key))
        .map(|(_, requirement)| requirement.name.as_str())
        .collect();
    if !missing.is_empty() {
        let found = format!("lacks what pyproject.toml requires: {}", missing.join(", "));
        return Some(about.trouble(found, cure));
    }
    let stale = changed(&required, &text);
    if !stale.is_empty() {
        let found = format!("was made for another pyproject.toml: {}", stale.join(", "));
        return Some(about.warning(found, cure));
    }
    let count = required.0.len();
    Some(about.fine(format!("has all {count} that pyproject.toml requires")))
}

fn read(file: &Path) -> Option<String> {
    let text = lockfile::read(file).ok()?;
    (text.len() <= MAX_SIZE).then_some(text)
}

/// What a project requires under all circumstances.
struct Required(BTreeMap<ProjectName, Requirement>);

struct Requirement {
    name: String,
    /// `>=1,<2`, parts sorted; `None` where it is said in another way.
    versions: Option<String>,
}

impl Required {
    fn of(project: &Table, with_groups: bool) -> Self {
        let at = |path: &[&str]| {
            let (first, rest) = path.split_first()?;
            rest.iter()
                .try_fold(project.get(*first)?, |value, key| value.get(*key))
        };
        let mut lines: Vec<&str> = Vec::new();
        lines.extend(texts(at(&["project", "dependencies"])));
        let mut tables = vec![at(&["tool", "poetry", "dependencies"])];
        if with_groups {
            lines.extend(texts(at(&["tool", "uv", "dev-dependencies"])));
            for groups in [
                at(&["dependency-groups"]),
                at(&["project", "optional-dependencies"]),
            ] {
                let groups = groups.and_then(Value::as_table).into_iter().flatten();
                lines.extend(groups.flat_map(|(_, group)| texts(Some(group))));
            }
            let groups = at(&["tool", "poetry", "group"]).and_then(Value::as_table);
            tables.extend(
                groups
                    .into_iter()
                    .flatten()
                    .map(|(_, group)| group.get("dependencies")),
            );
        }
        let mut required = BTreeMap::new();
        for requirement in lines.into_iter().filter_map(Requirement::parse) {
            required.insert(ProjectName::of(&requirement.name), requirement);
        }
        for (name, value) in tables
            .into_iter()
            .flatten()
            .filter_map(Value::as_table)
            .flatten()
        {
            let conditional = ["markers", "python", "optional"];
            let is_conditional =
                value.is_array() || conditional.iter().any(|key| value.get(key).is_some());
            if name != "python" && !is_conditional {
                let (name, versions) = (name.clone(), None);
                required.insert(ProjectName::of(&name), Requirement { name, versions });
            }
        }
        // Its own extras, which some projects gather under another.
        let names = [at(&["project", "name"]), at(&["tool", "poetry", "name"])];
        for own in names.into_iter().flatten().filter_map(Value::as_str) {
            required.remove(&ProjectName::of(own));
        }
        Self(required)
    }
}

impl Requirement {
    /// `name[extra] >=1, <2`, by [PEP 508]; `None` for one under a condition.
    ///
    /// [PEP 508]: https://peps.python.org/pep-0508/
    fn parse(line: &str) -> Option<Self> {
        if line.contains(';') {
            return None;
        }
        let line = line.trim();
        let end = line.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c));
        let (name, rest) = line.split_at(end.unwrap_or(line.len()));
        let rest = rest.trim_start();
        let rest = match rest.strip_prefix('[') {
            Some(extras) => extras
                .split_once(']')
                .map_or("", |(_, rest)| rest)
                .trim_start(),
            None => rest,
        };
        let versions = (!rest.starts_with('@')).then(|| sorted(rest));
        let name = name.to_owned();
        (!name.is_empty()).then_some(Self { name, versions })
    }
}

fn sorted(versions: &str) -> String {
    let bare: String = versions
        .chars()
        .filter(|c| !c.is_whitespace() && !"()".contains(*c))
        .collect();
    let mut parts: Vec<&str> = bare.split(',').filter(|part| !part.is_empty()).collect();
    parts.sort_unstable();
    parts.join(",")
}

fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str)
}

/// What uv has written down of the project itself, where it differs.
fn changed(required: &Required, lock: &str) -> Vec<String> {
    let Ok(lock) = toml::from_str::<Table>(lock) else {
        return Vec::new();
    };
    let packages = lock.get("package").and_then(Value::as_array);
    let is_here = |package: &&Value| {
        let place = |kind| package.get("source")?.get(kind)?.as_str();
        place("editable").or(place("virtual")) == Some(".")
    };
    let here = packages.into_iter().flatten().find(is_here);
    let written = here
        .and_then(|package| package.get("metadata")?.get("requires-dist")?.as_array())
        .into_iter()
        .flatten();
    let mut changed = Vec::new();
    for entry in written.filter(|entry| entry.get("marker").is_none()) {
        let Some(name) = entry.get("name").and_then(Value::as_str) else {
            continue;
        };
        let locked = entry.get("specifier").and_then(Value::as_str);
        let now = required.0.get(&ProjectName::of(name));
        match now.map(|requirement| &requirement.versions) {
            None => changed.push(format!("{name} is not required any more")),
            Some(Some(versions)) if *versions != sorted(locked.unwrap_or_default()) => {
                let or_any = |text: &str| match text {
                    "" => "any".to_owned(),
                    text => text.to_owned(),
                };
                changed.push(format!(
                    "{name} was {} and is {}",
                    or_any(locked.unwrap_or_default()),
                    or_any(versions)
                ));
            }
            Some(_) => {}
        }
    }
    changed
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PROJECT: &str = r#"
        [project]
        name = "base-api"
        dependencies = ["FastAPI[standard] >=0.115, <1", "uvicorn", "tomli; python_version < '3.11'"]
        [project.optional-dependencies]
        all = ["base-api[db]"]
        [dependency-groups]
        dev = ["pytest>=8", { include-group = "lint" }]
        [tool.poetry.dependencies]
        python = "^3.11"
        anyio = "^4"
        colorama = { version = "*", markers = "sys_platform == 'win32'" }
    "#;

    fn required(with_groups: bool) -> Vec<String> {
        let required = Required::of(&toml::from_str(PROJECT).unwrap(), with_groups);
        required.0.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn only_what_is_required_under_all_circumstances_has_to_be_locked() {
        assert_eq!(required(true), ["anyio", "fastapi", "pytest", "uvicorn"]);
        assert_eq!(required(false), ["anyio", "fastapi", "uvicorn"]);
    }

    #[test]
    fn a_lock_of_uv_tells_for_which_versions_it_was_made() {
        let lock = |requires: &str| {
            format!(
                "[[package]]\nname = 'base-api'\nsource = {{ editable = '.' }}\n\
                 [package.metadata]\nrequires-dist = [{requires}]\n"
            )
        };
        let project = r#"[project]
            dependencies = ["fastapi >=0.115, <1", "uvicorn"]"#;
        let required = Required::of(&toml::from_str(project).unwrap(), true);
        let of = |requires: &str| changed(&required, &lock(requires));
        let same = "{ name = 'fastapi', specifier = '<1,>=0.115' }, { name = 'uvicorn' }";
        assert_eq!(of(same), [""; 0]);
        assert_eq!(
            of("{ name = 'fastapi', specifier = '>=0.110' }"),
            ["fastapi was >=0.110 and is <1,>=0.115"]
        );
        assert_eq!(of("{ name = 'flask' }"), ["flask is not required any more"]);
        let extra = "{ name = 'rich', marker = \"extra == 'dev'\" }";
        assert_eq!(of(extra), [""; 0]);
    }
}
