//! The files of the project, and which of them a path in a log means.
//!
//! A builder works on a copy: what it calls `/build/source/app/x.py` was `app/x.py` in the
//! repository, or `services/api/app/x.py` where a part of it was the source. Nothing in a log tells
//! which. So the files that are there decide, and a path that could be several of them is
//! none. Links are not followed, and no path leads out of the project.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};

use nixpy_nix::{FlakeRef, StorePath};

use crate::lockfile::read;

/// More files than this are not looked at.
const MOST_FILES: usize = 50_000;
/// Nor deeper folders.
const DEEPEST: usize = 16;
/// Folders of tools, which may be larger than the project.
const NOT_OURS: [&str; 4] = ["node_modules", "target", "venv", "__pycache__"];

/// The repository of a flake that is on this machine's disk.
pub struct Project {
    top: PathBuf,
    /// Where the flake is, from the top; empty if it is there.
    flake: String,
    /// What Nix takes as the flake's source tree, from the top.
    source: String,
    files: OnceCell<Vec<String>>,
}

impl Project {
    /// The project of a flake; none if the flake is elsewhere.
    pub fn of(flake: &FlakeRef) -> Option<Self> {
        let dir = flake.local_dir()?;
        let mut above = dir.ancestors();
        let top = above.find(|root| root.join(".git").exists());
        let top = top.unwrap_or(dir).to_owned();
        let source = flake.repository().unwrap_or(dir);
        let within = |dir: &Path| {
            let path = dir.strip_prefix(&top).ok()?;
            path.to_str().map(str::to_owned)
        };
        Some(Self {
            flake: within(dir)?,
            source: within(source).unwrap_or_default(),
            top,
            files: OnceCell::new(),
        })
    }

    /// The file of the project that a place in a Nix file means, which is told from the top of the
    /// flake's source tree.
    pub(super) fn in_source(&self, file: &str) -> Option<String> {
        let file = joined(&self.source, file);
        self.files().contains(&file).then_some(file)
    }

    /// The file that a builder means by a path; `package` is what it builds.
    pub(super) fn file(&self, path: &str, package: &str) -> Option<String> {
        if is_installed(path) {
            return None;
        }
        let path = path.strip_prefix("./").unwrap_or(path);
        let own = Path::new(path).strip_prefix(&self.top).ok();
        if let Some(own) = own.and_then(Path::to_str) {
            return self.best(own, package);
        }
        candidates(path).find_map(|candidate| self.best(candidate, package))
    }

    /// The only line of the project's files of these kinds that has this in it.
    pub(super) fn line_with(&self, text: &str, kinds: &[&str]) -> Option<(String, u32)> {
        let of_kind = |file: &&String| kinds.iter().any(|kind| file.ends_with(kind));
        let mut found = None;
        for file in self.files().iter().filter(of_kind) {
            if let Some(line) = self.line_in(file, |line| line.contains(text)) {
                if found.is_some() {
                    return None;
                }
                found = Some((file.clone(), line));
            }
        }
        found
    }

    /// The first line of a file that is like that, from 1.
    pub(super) fn line_in(&self, file: &str, is_it: impl Fn(&str) -> bool) -> Option<u32> {
        let text = self.text(file)?;
        let place = text.lines().position(is_it)?;
        u32::try_from(place + 1).ok()
    }

    /// The text of a file beside the flake.
    pub(super) fn beside_flake(&self, name: &str) -> Option<(String, String)> {
        let file = joined(&self.flake, name);
        let text = self.text(&file)?;
        Some((file, text))
    }

    fn text(&self, file: &str) -> Option<String> {
        let path = self.top.join(file);
        // Who changes the project meanwhile must not have us read something else.
        let is_file = fs::symlink_metadata(&path).is_ok_and(|data| data.is_file());
        is_file.then(|| read(&path).ok()).flatten()
    }

    /// The file that ends in this: below the flake, or below what is named like the package,
    /// or the only one.
    fn best(&self, end: &str, package: &str) -> Option<String> {
        if end.is_empty() || end.split('/').any(|part| part == "..") {
            return None;
        }
        let files = self.files();
        let here = [&self.flake, &self.source].map(|place| joined(place, end));
        if let Some(file) = here.into_iter().find(|file| files.contains(file)) {
            return Some(file);
        }
        let below = format!("/{end}");
        let ending = files
            .iter()
            .filter(|file| *file == end || file.ends_with(&below));
        let all: Vec<&String> = ending.collect();
        let is_named = |file: &&&String| {
            let mut parts = file.split('/');
            !package.is_empty() && parts.any(|part| part.replace('_', "-") == package)
        };
        let named: Vec<&String> = all.iter().filter(is_named).copied().collect();
        match (all.as_slice(), named.as_slice()) {
            ([only], _) | (_, [only]) => Some((*only).clone()),
            _ => None,
        }
    }

    fn files(&self) -> &Vec<String> {
        self.files.get_or_init(|| {
            let mut files = Vec::new();
            walk(&self.top, "", DEEPEST, &mut files);
            files.sort();
            files
        })
    }
}

/// A file of a package that is installed somewhere is none of the project's, even where a
/// file of the project has its name.
fn is_installed(path: &str) -> bool {
    ["site-packages/", "dist-packages/", "/lib/python"]
        .iter()
        .any(|part| path.contains(part))
}

/// What a path may be below the project or a part of it: all that stands behind the folder that
/// Nix has made; and without the folder that was unpacked there.
fn candidates(path: &str) -> impl Iterator<Item = &str> {
    let copied = StorePath::split(path).filter(|(store, _)| {
        let name = store.name();
        name == "source" || name.ends_with("-source")
    });
    let (whole, unpacked) = match copied {
        Some((_, rest)) => (Some(rest), None),
        None => match behind_build_folder(path) {
            Some(rest) => (Some(rest), rest.split_once('/').map(|(_, rest)| rest)),
            None => ((!path.starts_with('/')).then_some(path), None),
        },
    };
    whole.into_iter().chain(unpacked)
}

/// `/build/…`, `/tmp/nix-build-NAME.drv-0/…`, `/nix/var/nix/builds/NAME/build/…`.
fn behind_build_folder(path: &str) -> Option<&str> {
    if let Some(rest) = path.strip_prefix("/build/") {
        return Some(rest);
    }
    let (_, rest) = path
        .split_once("/nix-build-")
        .or_else(|| path.split_once("/nix/builds/"))?;
    let (_, rest) = rest.split_once('/')?;
    Some(rest.strip_prefix("build/").unwrap_or(rest))
}

fn joined(folder: &str, file: &str) -> String {
    match folder {
        "" => file.to_owned(),
        folder => format!("{folder}/{file}"),
    }
}

fn walk(top: &Path, below: &str, deeper: usize, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(top.join(below)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let (Some(name), Ok(kind)) = (name.to_str(), entry.file_type()) else {
            continue;
        };
        if name.starts_with('.') || files.len() >= MOST_FILES {
            continue;
        }
        let path = joined(below, name);
        if kind.is_file() {
            files.push(path);
        } else if kind.is_dir() && deeper > 0 && !NOT_OURS.contains(&name) {
            walk(top, &path, deeper - 1, files);
        }
    }
}
