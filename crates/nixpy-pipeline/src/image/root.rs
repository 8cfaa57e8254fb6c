//! The bottom layer of an image that is made from a plain package: what a program
//! finds on every machine and in no store path, and links to what the package is to
//! show at the root.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use nixpy_nix::StorePath;
use nixpy_oci::layer::{Entry, Identity, Layer, Source};
use nixpy_oci::tarball::Stamp;

use super::{Files, ImageErrorKind};
use crate::inputs::ImageSettings;

/// More links than any package has programs, headers and pages of manuals.
const MOST_LINKS: usize = 100_000;

/// By name without the leading slash, so that parents come before what is in them.
type Root = BTreeMap<String, Entry>;

/// A place for temporary files, names for the image's user, and the wanted contents.
pub(super) fn root_layer(
    output: &StorePath,
    files: &Files,
    settings: &ImageSettings,
    stamp: &Stamp,
) -> Result<Layer, ImageErrorKind> {
    let mut root = Root::new();
    add_directory(&mut root, "tmp", 0o1777);
    add_directory(&mut root, "etc", 0o755);
    let (passwd, group) = users(settings.user.as_deref().unwrap_or("0"));
    for (name, text) in [("etc/passwd", passwd), ("etc/group", group)] {
        let file = Entry::File(name.to_owned(), 0o644, text);
        root.insert(name.to_owned(), file);
    }
    if !settings.contents.is_empty() && matches!(files, Files::Fetched(_)) {
        // What is in the package is only known where it is.
        return Err(ImageErrorKind::Unreadable);
    }
    for wanted in &settings.contents {
        link_contents(&mut root, output, wanted)?;
    }
    let entries: Vec<Entry> = root.into_values().collect();
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

fn link_contents(root: &mut Root, output: &StorePath, wanted: &str) -> Result<(), ImageErrorKind> {
    let source = match wanted {
        "." => output.as_path().to_owned(),
        wanted => output.as_path().join(wanted),
    };
    let missing = |source: io::Error| ImageErrorKind::NoContents {
        wanted: wanted.to_owned(),
        why: source.to_string(),
    };
    fs::symlink_metadata(&source).map_err(missing)?;
    if wanted == "." {
        return link_children(root, "", &source);
    }
    if let Some((parents, _)) = wanted.rsplit_once('/') {
        let ends = parents.match_indices('/').map(|(end, _)| end);
        for end in ends.chain([parents.len()]) {
            add_directory(root, &parents[..end], 0o755);
        }
    }
    link(root, wanted, &source)
}

/// Directories are made anew, so that others can have something in them too; all
/// else is a link into the store.
fn link(root: &mut Root, name: &str, source: &Path) -> Result<(), ImageErrorKind> {
    let unreadable = |_| ImageErrorKind::Unreadable;
    let own = fs::symlink_metadata(source).map_err(unreadable)?;
    // A link to a directory is gone into only where one is there already.
    let merged = matches!(root.get(name), Some(Entry::Directory(..))) && source.is_dir();
    if own.is_dir() || merged {
        add_directory(root, name, 0o755);
        return link_children(root, name, source);
    }
    if root.len() >= MOST_LINKS {
        return Err(ImageErrorKind::TooManyLinks(MOST_LINKS));
    }
    let target = source.display().to_string();
    root.insert(name.to_owned(), Entry::Symlink(name.to_owned(), target));
    Ok(())
}

fn link_children(root: &mut Root, name: &str, source: &Path) -> Result<(), ImageErrorKind> {
    for child in Files::OnDisk.names(source) {
        let below = match name {
            "" => child.clone(),
            name => format!("{name}/{child}"),
        };
        link(root, &below, &source.join(child))?;
    }
    Ok(())
}

/// One that is there keeps its mode; a link of that name gives way.
fn add_directory(root: &mut Root, name: &str, mode: u32) {
    if !matches!(root.get(name), Some(Entry::Directory(..))) {
        let directory = Entry::Directory(name.to_owned(), mode);
        root.insert(name.to_owned(), directory);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    /// What the layer has, as `name -> target`, `name/` or `name`.
    fn listed(package: impl Fn(&Path), contents: &[&str]) -> Result<Vec<String>, ImageErrorKind> {
        let dir = tempfile::tempdir().unwrap();
        let base = format!("{}-app", "0".repeat(32));
        fs::create_dir(dir.path().join(&base)).unwrap();
        package(&dir.path().join(&base));
        let output = StorePath::in_store(dir.path().to_str().unwrap(), &base).unwrap();
        let settings = ImageSettings {
            contents: contents.iter().map(|path| (*path).to_owned()).collect(),
            ..ImageSettings::default()
        };
        let layer = root_layer(&output, &Files::OnDisk, &settings, &Stamp::root())?;
        let Source::Entries { entries, .. } = layer.source else {
            unreachable!("the layer has entries");
        };
        let listed = entries.into_iter().map(|entry| match entry {
            Entry::Directory(name, _) => format!("{name}/"),
            Entry::File(name, ..) => name,
            Entry::Symlink(name, target) => {
                format!("{name} -> {}", target.replace(output.as_str(), "OUT"))
            }
        });
        Ok(listed.collect())
    }

    fn package(root: &Path) {
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("etc/ssl")).unwrap();
        fs::write(root.join("bin/sh"), "").unwrap();
        fs::write(root.join("etc/ssl/ca.pem"), "").unwrap();
        symlink("etc", root.join("config")).unwrap();
    }

    #[test]
    fn nothing_of_the_package_is_linked_unless_it_is_wanted() {
        let expected = ["etc/", "etc/group", "etc/passwd", "tmp/"];
        assert_eq!(listed(package, &[]).unwrap(), expected);
    }

    #[test]
    fn contents_are_linked_beside_what_is_there() {
        let all = listed(package, &["."]).unwrap();
        let expected = [
            "bin/",
            "bin/sh -> OUT/bin/sh",
            "config -> OUT/config",
            "etc/",
            "etc/group",
            "etc/passwd",
            "etc/ssl/",
            "etc/ssl/ca.pem -> OUT/etc/ssl/ca.pem",
            "tmp/",
        ];
        assert_eq!(all, expected);
        let one = listed(package, &["etc/ssl"]).unwrap();
        assert!(
            one.contains(&"etc/ssl/ca.pem -> OUT/etc/ssl/ca.pem".to_owned()),
            "{one:?}"
        );
        assert!(!one.iter().any(|line| line.starts_with("bin")), "{one:?}");
    }

    #[test]
    fn a_link_to_a_directory_that_is_there_is_gone_into() {
        let listed = listed(
            |root| {
                fs::create_dir(root.join("real")).unwrap();
                fs::write(root.join("real/hosts"), "").unwrap();
                symlink("real", root.join("etc")).unwrap();
            },
            &["etc"],
        );
        let listed = listed.unwrap();
        assert!(
            listed.contains(&"etc/hosts -> OUT/etc/hosts".to_owned()),
            "{listed:?}"
        );
        assert!(listed.contains(&"etc/passwd".to_owned()), "{listed:?}");
    }

    #[test]
    fn what_the_package_does_not_have_is_named() {
        let error = listed(package, &["share"]).unwrap_err().to_string();
        assert!(error.contains("share"), "{error}");
    }
}
