//! The bottom layer of an image that is made from a plain package: what a program
//! finds on every machine and in no store path, and links to what the package is to
//! show at the root.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nixpy_nix::StorePath;
use nixpy_oci::layer::{Entry, Identity, Layer, Source};
use nixpy_oci::tarball::Stamp;

use super::{Closure, Files, ImageErrorKind};
use crate::inputs::ImageSettings;

/// More links than any package has programs, headers and pages of manuals.
const MOST_LINKS: usize = 100_000;

/// What lies at the root so far.
struct Root<'a> {
    /// By name without the leading slash, so that parents come before what is in them.
    entries: BTreeMap<String, Entry>,
    closure: &'a Closure,
}

/// A place for temporary files, names for the image's user, and the wanted contents.
pub(super) fn root_layer(
    output: &StorePath,
    closure: &Closure,
    files: &Files,
    settings: &ImageSettings,
    stamp: &Stamp,
) -> Result<Layer, ImageErrorKind> {
    let mut root = Root {
        entries: BTreeMap::new(),
        closure,
    };
    root.put(Entry::Directory("tmp".to_owned(), 0o1777))?;
    root.put(Entry::Directory("etc".to_owned(), 0o755))?;
    let (passwd, group) = users(settings.user.as_deref().unwrap_or("0"));
    for (name, text) in [("etc/passwd", passwd), ("etc/group", group)] {
        root.put(Entry::File(name.to_owned(), 0o644, text))?;
    }
    if !settings.contents.is_empty() && matches!(files, Files::Fetched(_)) {
        // What is in the package is only known where it is.
        return Err(ImageErrorKind::Unreadable);
    }
    for wanted in &settings.contents {
        root.link_contents(output, wanted)?;
    }
    let entries: Vec<Entry> = root.entries.into_values().collect();
    Ok(Layer {
        identity: Identity::of("entries/1", &entries),
        source: Source::Entries {
            entries,
            stamp: stamp.clone(),
        },
        size_hint: 0,
        stated_diff_id: None,
        comment: match settings.contents.is_empty() {
            true => "/etc/passwd, /etc/group and /tmp".to_owned(),
            false => "/etc/passwd, /etc/group, /tmp and links into the package".to_owned(),
        },
        contents: Vec::new(),
    })
}

/// `/etc/passwd` and `/etc/group`: root, and the image's user.
fn users(user: &str) -> (String, String) {
    let mut passwd = "root:x:0:0:root:/root:/noshell\n".to_owned();
    let mut group = "root:x:0:\n".to_owned();
    let (uid, gid) = user.split_once(':').unwrap_or((user, user));
    if let (Ok(uid), Ok(gid)) = (uid.parse::<u32>(), gid.parse::<u32>())
        && uid != 0
    {
        passwd.push_str(&format!("app:x:{uid}:{gid}:app:/tmp:/noshell\n"));
        if gid != 0 {
            group.push_str(&format!("app:x:{gid}:\n"));
        }
    }
    (passwd, group)
}

impl Root<'_> {
    fn link_contents(&mut self, output: &StorePath, wanted: &str) -> Result<(), ImageErrorKind> {
        if wanted == "." {
            return self.link_children("", output.as_path());
        }
        let source = output.as_path().join(wanted);
        let missing = |why: String| ImageErrorKind::NoContents {
            wanted: wanted.to_owned(),
            why,
        };
        fs::symlink_metadata(&source).map_err(|e| missing(e.to_string()))?;
        if let Some((parents, _)) = wanted.rsplit_once('/') {
            // What lies behind a link out of the store is this machine's.
            if !self.has(&output.as_path().join(parents)) {
                return Err(missing(
                    "a link on the way leads out of its closure".to_owned(),
                ));
            }
            let ends = parents.match_indices('/').map(|(end, _)| end);
            for end in ends.chain([parents.len()]) {
                self.put(Entry::Directory(parents[..end].to_owned(), 0o755))?;
            }
        }
        self.link(wanted, &source)
    }

    /// Directories are made anew, so that others can have something in them too; all
    /// else is a link into the store.
    fn link(&mut self, name: &str, source: &Path) -> Result<(), ImageErrorKind> {
        let unreadable = |_| ImageErrorKind::Unreadable;
        let own = fs::symlink_metadata(source).map_err(unreadable)?;
        // A link to a directory is gone into only where one is there already, and
        // where the image has what it leads to.
        let there = matches!(self.entries.get(name), Some(Entry::Directory(..)));
        let merged = there && source.is_dir() && self.has(source);
        if own.is_dir() || merged {
            self.put(Entry::Directory(name.to_owned(), 0o755))?;
            return self.link_children(name, source);
        }
        if self.entries.len() >= MOST_LINKS {
            return Err(ImageErrorKind::TooManyLinks(MOST_LINKS));
        }
        let target = source.display().to_string();
        self.put(Entry::Symlink(name.to_owned(), target))
    }

    fn link_children(&mut self, name: &str, source: &Path) -> Result<(), ImageErrorKind> {
        for child in Files::OnDisk.names(source) {
            let below = match name {
                "" => child.clone(),
                name => format!("{name}/{child}"),
            };
            self.link(&below, &source.join(child))?;
        }
        Ok(())
    }

    /// Whether the image has this file or directory, wherever links on the way lead.
    fn has(&self, source: &Path) -> bool {
        let Ok(found) = source.canonicalize() else {
            return false;
        };
        let path = found.to_str().and_then(StorePath::split);
        path.is_some_and(|(path, _)| self.closure.contains_key(&path))
    }

    /// A directory that is there keeps its mode, and a link takes the place of a file.
    /// Nothing else gives way: what is below a directory cannot lie below a link.
    fn put(&mut self, entry: Entry) -> Result<(), ImageErrorKind> {
        use Entry::Directory;
        let (Directory(name, _) | Entry::File(name, ..) | Entry::Symlink(name, _)) = &entry;
        match (&entry, self.entries.get(name)) {
            (Directory(..), Some(Directory(..))) => return Ok(()),
            (Directory(..), Some(there)) | (_, Some(there @ Directory(..))) => {
                return Err(ImageErrorKind::Conflict {
                    name: name.clone(),
                    wanted: told(&entry),
                    there: told(there),
                });
            }
            _ => {}
        }
        self.entries.insert(name.clone(), entry);
        Ok(())
    }
}

fn told(entry: &Entry) -> String {
    match entry {
        Entry::Directory(..) => "a directory".to_owned(),
        Entry::File(..) => "a file of its own".to_owned(),
        Entry::Symlink(_, target) => format!("a link to {target}"),
    }
}

#[cfg(test)]
mod tests;
