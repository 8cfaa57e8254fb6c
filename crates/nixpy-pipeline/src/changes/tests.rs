use nixpy_oci::manifest::media_type;

use super::*;

/// A layer of so many compressed bytes, with this in it.
fn layer(size: u64, contents: &[(&str, u64)]) -> Descriptor {
    let words: Vec<String> = contents
        .iter()
        .enumerate()
        .map(|(n, (name, size))| match name.split_once('!') {
            // A hash of its own: another build.
            Some((hash, name)) => format!("{hash:0>32}-{name}={size}"),
            None => format!("{:0>32}-{name}={size}", n % 10),
        })
        .collect();
    let words = words.join(" ");
    let mut layer = Descriptor::of(media_type::LAYER_GZIP, format!("{size} {words}").as_bytes());
    layer.size = size;
    if !words.is_empty() {
        layer
            .annotations
            .insert(annotation::CONTENTS.to_owned(), words);
    }
    layer
}

fn compared(before: &[Descriptor], after: &[Descriptor], lock: Option<&str>) -> Changes {
    let lock = lock.map(|text| LockFile::parse(text).expect("it is a lock file"));
    let seen = |layers| Seen {
        digest: Digest::of(b"manifest"),
        layers,
    };
    let platform = Platform::linux("amd64");
    between(
        &platform,
        "r.test/a:main",
        seen(before),
        seen(after),
        lock.as_ref(),
    )
}

fn told(moved: &[Moved]) -> Vec<String> {
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".to_owned());
    moved
        .iter()
        .map(|one| {
            format!(
                "{} {} {}",
                one.name,
                version(&one.before),
                version(&one.after)
            )
        })
        .collect()
}

#[test]
fn packages_come_go_and_change_their_version() {
    let before = [layer(
        10,
        &[
            ("python3-3.12.4", 100),
            ("python3.12-fastapi-0.110.0", 10),
            ("python3.12-requests-2.0", 5),
            ("python3.12-shop-1.0", 1),
            ("shop-1.0", 1),
            ("openssl-3.0.13", 7),
            ("openssl-3.0.13-bin", 1),
            ("zlib-1.3", 2),
        ],
    )];
    let after = [layer(
        12,
        &[
            ("python3-3.12.5", 100),
            ("python3.12-fastapi-0.111.0", 12),
            ("python3.12-httpx-0.27", 5),
            ("python3.12-shop-1.1", 1),
            ("shop-1.1", 1),
            ("openssl-3.0.14", 7),
            ("openssl-3.0.14-bin", 1),
            ("zlib-1.3", 2),
        ],
    )];
    let changes = compared(&before, &after, None);
    assert_eq!(
        told(&changes.python),
        [
            "fastapi 0.110.0 0.111.0",
            "httpx - 0.27",
            "requests 2.0 -",
            "shop 1.0 1.1",
        ]
    );
    assert_eq!(
        told(&changes.libraries),
        ["openssl 3.0.13 3.0.14", "python3 3.12.4 3.12.5",]
    );
    assert_eq!(
        (changes.size_before, changes.size, changes.growth()),
        (10, 12, 2)
    );
}

#[test]
fn another_python_is_no_change_of_its_packages() {
    let before = [layer(
        1,
        &[("python3.11-fastapi-0.111.0", 10), ("python3-3.11.9", 1)],
    )];
    let after = [layer(
        1,
        &[("python3.12-fastapi-0.111.0", 10), ("python3-3.12.4", 1)],
    )];
    let changes = compared(&before, &after, None);
    assert_eq!(told(&changes.python), [""; 0]);
    assert_eq!(told(&changes.libraries), ["python3 3.11.9 3.12.4"]);
}

#[test]
fn a_wheel_that_is_called_like_a_library_is_told_by_the_lock_file() {
    let lock = r#"
        version = 1
        [[package]]
        name = "fastapi"
        version = "0.111.0"
        source = { registry = "https://pypi.example/simple" }
    "#;
    let before = [layer(
        1,
        &[
            ("fastapi-0.110.0", 1),
            ("requests-2.0", 1),
            ("libuuid-2.39", 1),
            ("zlib-1.2", 1),
        ],
    )];
    let after = [layer(1, &[("fastapi-0.111.0", 1), ("zlib-1.3", 1)])];
    let changes = compared(&before, &after, Some(lock));
    assert_eq!(
        told(&changes.python),
        ["fastapi 0.110.0 0.111.0", "requests 2.0 -"]
    );
    assert_eq!(told(&changes.libraries), ["libuuid 2.39 -", "zlib 1.2 1.3"]);
    let without = compared(&before, &after, None);
    assert_eq!(without.python, []);
    assert_eq!(without.libraries.len(), 4);
}

#[test]
fn another_build_of_the_same_version_is_counted_and_not_listed() {
    let before = [layer(1, &[("a!app-1.0", 5), ("b!glibc-2.40", 1)])];
    let after = [layer(1, &[("c!app-1.0", 6), ("b!glibc-2.40", 1)])];
    let changes = compared(&before, &after, None);
    assert_eq!(changes.rebuilt, 1);
    assert_eq!((changes.python.len(), changes.libraries.len()), (0, 0));
    assert_eq!(
        changes.grown,
        [Grown {
            name: "app-1.0".to_owned(),
            before: 5,
            after: 6
        }]
    );
}

#[test]
fn the_ten_that_grew_most_are_told_the_largest_first() {
    let names: Vec<String> = (0..12)
        .map(|n| format!("lib{}-1.0", (b'a' + n) as char))
        .collect();
    let sized = |sizes: &dyn Fn(u64) -> u64| -> Vec<(&str, u64)> {
        let each = names.iter().zip(0..);
        each.map(|(name, n)| (name.as_str(), sizes(n))).collect()
    };
    let changes = compared(
        &[layer(1, &sized(&|_| 10))],
        &[layer(1, &sized(&|n| 10 + n))],
        None,
    );
    let grown: Vec<u64> = changes
        .grown
        .iter()
        .map(|one| one.after - one.before)
        .collect();
    assert_eq!(grown, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
}

#[test]
fn of_an_image_that_does_not_say_what_is_in_it_only_sizes_are_compared() {
    let said = [layer(10, &[("zlib-1.3", 1)])];
    let silent = [layer(30, &[])];
    for (before, after) in [(&said, &silent), (&silent, &said)] {
        let changes = compared(before, after, None);
        assert!(!changes.contents_known);
        assert_eq!((changes.libraries.len(), changes.grown.len()), (0, 0));
        assert_eq!(changes.growth().abs(), 20);
    }
}

#[test]
fn a_layer_that_occurs_twice_is_downloaded_once() {
    let twice = [layer(10, &[]), layer(10, &[])];
    assert_eq!(compared(&twice, &twice, None).size, 10);
}

#[test]
fn names_that_are_none_of_a_store_are_left_out() {
    let mut odd = layer(1, &[("zlib-1.3", 1)]);
    odd.annotations.insert(
        annotation::CONTENTS.to_owned(),
        "<script>=1 ../..=2".to_owned(),
    );
    let changes = compared(&[odd], &[layer(1, &[("zlib-1.3", 1)])], None);
    assert_eq!(told(&changes.libraries), ["zlib - 1.3"]);
}
