//! Where the image goes, and who brings it there.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use nixpy_oci::name::Repository;
use nixpy_oci::registry::{CredentialEnvironment, Credentials, RegistryOptions, Secret};
use nixpy_pipeline::inputs::Target;

use super::resolve::{Reader, Surroundings};

/// The repository or the layout directory, whichever was named by the better source.
pub(super) async fn target(
    reader: &mut Reader<'_>,
    repository: Option<Repository>,
    around: &Surroundings<'_>,
) -> Option<Target> {
    let (named, layout) = (reader.raw.get("repository"), reader.raw.get("layout"));
    let layout_wins = match (named, layout) {
        (Some(repository), Some(layout)) if repository.source == layout.source => {
            let problem = "give either a repository or a layout directory, not both";
            reader.fail(&layout.origin.clone(), problem);
            return None;
        }
        (Some(repository), Some(layout)) => layout.source < repository.source,
        (named, _) => named.is_none(),
    };
    if layout_wins {
        let layout = layout.map_or("oci-image", |raw| raw.first());
        return Some(Target::Layout(around.cwd.join(layout)));
    }
    // One that cannot be parsed has been told, and is no wish for a layout.
    let repository = repository?;
    let options = RegistryOptions {
        plain_http: reader.switch("plain-http"),
        ca_file: reader
            .raw
            .get("ca-file")
            .map(|raw| around.cwd.join(raw.first())),
        ..RegistryOptions::default()
    };
    let credentials = credentials(reader, &repository, around).await?;
    Some(Target::Registry {
        repository,
        credentials,
        options,
    })
}

async fn credentials(
    reader: &mut Reader<'_>,
    repository: &Repository,
    around: &Surroundings<'_>,
) -> Option<Credentials> {
    match (reader.raw.get("username"), reader.raw.get("password")) {
        (Some(user), Some(password)) => Some(Credentials::Basic {
            user: user.first().to_owned(),
            password: Secret::new(password.first()),
        }),
        (Some(one), None) => {
            let problem = "a username needs a password: set NIXPY_PASSWORD";
            reader.fail(&one.origin.clone(), problem);
            None
        }
        (None, Some(one)) => {
            reader.fail(&one.origin.clone(), "a password needs --username");
            None
        }
        (None, None) => match Credentials::discover(repository, &around.credentials()).await {
            Ok(credentials) => Some(credentials),
            Err(e) => {
                reader.fail("credentials", e.to_string());
                None
            }
        },
    }
}

impl Surroundings<'_> {
    /// `$XDG_CACHE_HOME/nixpy-ci`, by the XDG base directory specification.
    pub(super) fn cache_dir(&self) -> Option<PathBuf> {
        let absolute = |name| self.path(name).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Some(cache?.join("nixpy-ci"))
    }

    fn credentials(&self) -> CredentialEnvironment {
        CredentialEnvironment {
            home: self.path("HOME"),
            xdg_runtime_dir: self.path("XDG_RUNTIME_DIR"),
            docker_config: self.path("DOCKER_CONFIG"),
            registry_auth_file: self.path("REGISTRY_AUTH_FILE"),
            helper_path: self.variable("PATH"),
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(PathBuf::from)
    }

    /// A variable that is empty is none.
    fn variable(&self, name: &str) -> Option<OsString> {
        let value = self.environment.get(OsStr::new(name))?;
        (!value.is_empty()).then(|| value.clone())
    }
}
