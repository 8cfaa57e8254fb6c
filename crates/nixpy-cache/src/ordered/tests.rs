use std::time::Duration;

use super::*;

fn info(name: &str, references: &[&str]) -> PathInfo {
    let path = |name: &str| {
        format!("/nix/store/0c1rh5b9ky9wwkqh1csqjnwsqhdsm9zz-{name}")
            .parse()
            .unwrap()
    };
    PathInfo {
        path: path(name),
        nar_hash: nixpy_nix::NarHash::from_bytes([0; 32]),
        nar_size: 0,
        references: references.iter().map(|name| path(name)).collect(),
        deriver: None,
        ca: None,
        is_own: false,
        signatures: Vec::new(),
    }
}

fn names(paths: impl IntoIterator<Item = StorePath>) -> Vec<String> {
    paths.into_iter().map(|it| it.name().to_owned()).collect()
}

#[tokio::test]
async fn what_is_referred_to_is_published_first_whatever_was_quicker() {
    // In the worst order there is, with a reference to itself and one that is elsewhere.
    let paths = [
        info("app", &["app", "libc", "python"]),
        info("python", &["libc", "elsewhere"]),
        info("libc", &[]),
    ];
    let published = Mutex::new(Vec::new());
    let send = async |info: &PathInfo| {
        let slow = if info.path.name() == "libc" { 40 } else { 1 };
        tokio::time::sleep(Duration::from_millis(slow)).await;
        Ok(((), 10))
    };
    let publish = async |info: &PathInfo, ()| {
        published.lock().unwrap().push(info.path.name().to_owned());
        Ok(1)
    };
    for at_once in [1, 2, 8] {
        let put = put_in_order("c", &paths, at_once, send, publish).await;
        assert_eq!(names(put.stored), ["app", "libc", "python"]);
        assert_eq!((put.sent, put.failed.len()), (33, 0));
        let published = std::mem::take(&mut *published.lock().unwrap());
        assert_eq!(published, ["libc", "python", "app"]);
    }
}

#[tokio::test]
async fn what_fails_takes_with_it_what_refers_to_it_and_nothing_else() {
    let paths = [
        info("bad", &[]),
        info("on-bad", &["bad"]),
        info("on-that", &["on-bad"]),
        info("good", &[]),
    ];
    let send = async |info: &PathInfo| match info.path.name() {
        "bad" => Err(CacheErrorKind::Broken("it is bad".to_owned())),
        _ => Ok(((), 0)),
    };
    let put = put_in_order("c", &paths, 1, send, async |_, ()| Ok(0)).await;
    assert_eq!(names(put.stored), ["good"]);
    assert_eq!(put.failed.len(), 3);
    let told = put.failed.last().unwrap().1.to_string();
    assert!(told.contains("which is not there"), "{told}");
}

#[tokio::test]
async fn a_cache_that_refuses_or_is_silent_is_left_alone() {
    let names: Vec<String> = (0..1000).map(|n| format!("p{n}")).collect();
    let paths: Vec<PathInfo> = names.iter().map(|name| info(name, &[])).collect();
    let silent = || CacheErrorKind::Unreachable("silence".to_owned());
    let throttled = || CacheErrorKind::Throttled {
        retry_after: Some(Duration::from_secs(7)),
    };
    for (most, kind) in [(2, &throttled as &dyn Fn() -> CacheErrorKind), (4, &silent)] {
        let asked = Mutex::new(0);
        let send = async |_: &PathInfo| -> Result<((), u64), CacheErrorKind> {
            *asked.lock().unwrap() += 1;
            tokio::task::yield_now().await;
            Err(kind())
        };
        let put = put_in_order("c", &paths, 2, send, async |_, ()| Ok(0)).await;
        assert_eq!(put.failed.len(), 1000);
        assert!(put.failed.iter().all(|(_, error)| error.is_transient()));
        let asked = *asked.lock().unwrap();
        assert!(asked <= most, "{asked}");
    }
}
