//! A place to publish to, and the publishing.

use std::fs;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use nixpy_oci::compress::Compression;
use nixpy_oci::destination::Destination;
use nixpy_oci::digest::Digest;
use nixpy_oci::image::{Archive, Body, Image, Pushed};
use nixpy_oci::layer::Identity;
use nixpy_oci::layout::Layout;
use nixpy_oci::manifest::{Annotations, Index, media_type, to_bytes};
use nixpy_oci::name::Tag;
use nixpy_oci::platform::Platform;
use nixpy_oci::prior::Prior;
use nixpy_oci::publish::{Options, PublishError, Publisher, Site};
use nixpy_oci::registry::{Credentials, Registry, RegistryOptions};
use nixpy_testkit::registry::Registry as Double;
use tokio::sync::Mutex;

/// Ends, or fails: what hangs in a thread of its own would keep a runtime from
/// being dropped, so everything happens in a thread that can be left behind.
pub fn promptly<F: Future<Output: Send>>(test: impl FnOnce() -> F + Send + 'static) -> F::Output
where
    F::Output: 'static,
{
    let (told, outcome) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        told.send(runtime.unwrap().block_on(test())).unwrap();
    });
    outcome
        .recv_timeout(Duration::from_secs(30))
        .expect("publishing hangs, or the test failed")
}

pub struct Place {
    pub dir: tempfile::TempDir,
    site: Mutex<Site>,
    pub options: Options,
}

impl Place {
    pub fn layout() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open(&dir.path().join("layout")).unwrap();
        Self::of(dir, Destination::Layout(layout))
    }

    pub fn registry(double: &Double) -> Self {
        let repository = format!("{}/acme/api", double.host()).parse().unwrap();
        let options = RegistryOptions {
            first_wait: Duration::from_millis(5),
            ..RegistryOptions::default()
        };
        let registry = Registry::new(repository, Credentials::Anonymous, options).unwrap();
        Self::of(
            tempfile::tempdir().unwrap(),
            Destination::Registry(registry),
        )
    }

    fn of(dir: tempfile::TempDir, destination: Destination) -> Self {
        let options = Options {
            compression: Compression::Gzip(1),
            makers: 2,
            uploads: 2,
            spool_dir: dir.path().to_owned(),
        };
        Self {
            dir,
            site: Mutex::new(Site::new(destination, Prior::default())),
            options,
        }
    }

    pub fn compressing(mut self, compression: Compression) -> Self {
        self.options.compression = compression;
        self
    }

    pub async fn publish(&self, bytes: &[u8]) -> Result<Pushed, PublishError> {
        let content: Arc<[u8]> = bytes.into();
        self.publish_from(Archive::Stream {
            name: Digest::of(bytes).hex().into(),
            open: Arc::new(move || Ok(Box::new(io::Cursor::new(content.clone())))),
        })
        .await
    }

    pub async fn publish_from(&self, archive: Archive) -> Result<Pushed, PublishError> {
        let identity = Identity::of("test-archive/1", &archive.name());
        self.publish_body(Body::Archive { identity, archive }).await
    }

    pub async fn publish_body(&self, body: Body) -> Result<Pushed, PublishError> {
        let image = Image {
            platform: Platform::linux("amd64"),
            body,
            annotations: Annotations::new(),
        };
        let tag: Tag = "latest".parse().unwrap();
        let platforms = [image.platform.clone()];
        let mut site = self.site.lock().await;
        site.prior = Prior::read(&site.destination, &tag, &platforms).await?;
        let publisher = Publisher {
            sites: std::slice::from_ref(&site),
            options: &self.options,
            on_layer: &|_| (),
            making: true,
        };
        let pushed = publisher.publish(&image).await?;
        let manifests = vec![pushed.manifest.clone()];
        let index = to_bytes(&Index::new(manifests, Annotations::new()));
        site.destination
            .tag(&tag, media_type::INDEX, &index)
            .await?;
        Ok(pushed)
    }

    /// Whether anybody can see that something was published to the layout.
    pub fn is_tagged(&self) -> bool {
        let index = self.dir.path().join("layout/index.json");
        !fs::read_to_string(index)
            .unwrap()
            .contains("\"manifests\":[]")
    }
}

/// An error and its causes.
pub fn told(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", told(cause)));
    format!("{error}{}", cause.unwrap_or_default())
}
