//! The counting proxy, in front of the registry double.

use nixpy_testkit::digest;
use nixpy_testkit::proxy::CountingProxy;
use nixpy_testkit::registry::{Method, Registry};

use crate::client::ask_at;

#[test]
fn locations_name_the_proxy_and_every_byte_is_counted() {
    let registry = Registry::start();
    let proxy = CountingProxy::start(registry.address());
    let ask = |line: &str| ask_at(proxy.address(), line);
    let content = vec![9; 70_000];

    let begun = ask("POST /v2/acme/api/blobs/uploads/").body("").send();
    assert!(
        begun
            .header("Location")
            .starts_with(&format!("http://{}/", proxy.host()))
    );
    let patched = ask(&format!("PATCH {}", begun.header("Location")))
        .streamed(&content)
        .send();
    let put = ask(&format!(
        "PUT {}&digest={}",
        patched.header("Location"),
        digest(&content)
    ))
    .body("")
    .send();
    assert_eq!(put.status, 201);

    assert_eq!(proxy.layer_bytes_sent(), 70_000);
    assert_eq!(registry.layer_bytes_received(), 70_000);
    let methods: Vec<Method> = proxy
        .requests()
        .into_iter()
        .map(|request| request.method)
        .collect();
    assert_eq!(methods, [Method::POST, Method::PATCH, Method::PUT]);
    proxy.reset_counts();
    assert_eq!(
        ask(&format!("GET {}", put.header("Location"))).send().body,
        content
    );
    assert!(proxy.response_bytes() > 70_000);
    assert_eq!(proxy.count(Method::GET, "/blobs/"), 1);
    proxy.stop();
    assert!(ask("GET /v2/").try_send().is_none());
}
