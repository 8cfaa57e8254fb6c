//! Where the image goes, and who brings it there.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use nixpy_oci::name::Repository;
use nixpy_oci::registry::{
    CredentialEnvironment, Credentials, CredentialsError, RegistryOptions, Secret,
};
use nixpy_pipeline::inputs::Target;

use super::resolve::{Reader, Surroundings, parse};
use super::sources::Source;

/// The repositories or the layout directory, whichever was named by the better source.
pub(super) async fn targets(reader: &mut Reader<'_>, around: &Surroundings<'_>) -> Vec<Target> {
    let repositories = repositories(reader);
    let (named, layout) = (reader.raw.get("repository"), reader.raw.get("layout"));
    let layout_wins = match (named, layout) {
        (Some(repository), Some(layout)) if repository.source == layout.source => {
            let problem = "give either a repository or a layout directory, not both";
            reader.fail(&layout.origin.clone(), problem);
            return Vec::new();
        }
        (Some(repository), Some(layout)) => layout.source < repository.source,
        (named, _) => named.is_none(),
    };
    if layout_wins {
        let layout = layout.map_or("oci-image", |raw| raw.first());
        return vec![Target::Layout(around.cwd.join(layout))];
    }
    // One that cannot be parsed has been told, and is no wish for a layout.
    registries(reader, repositories, around).await
}

/// Those that were named.
pub(super) fn repositories(reader: &mut Reader<'_>) -> Vec<Repository> {
    let mut repositories: Vec<Repository> = reader.many("repository", parse);
    let mut seen = BTreeSet::new();
    repositories.retain(|repository| seen.insert(repository.clone()));
    repositories
}

/// How each of these is reached, and as whom.
pub(super) async fn registries(
    reader: &mut Reader<'_>,
    repositories: Vec<Repository>,
    around: &Surroundings<'_>,
) -> Vec<Target> {
    let options = options(reader, around);
    one_password_for_one_registry(reader, &repositories);
    let mut targets = Vec::new();
    for repository in repositories {
        if let Some(credentials) = credentials(reader, "repository", &repository, around).await {
            targets.push(Target::Registry {
                repository,
                credentials,
                options: options.clone(),
            });
        }
    }
    targets
}

/// How a repository is reached that is for something else than images: as a target of the
/// same registry is, if there is one. A password that is given is for the registry of the
/// targets, and so is plain HTTP; for this one's only where they are in none.
pub(super) async fn another(
    reader: &mut Reader<'_>,
    named_by: &str,
    repository: &Repository,
    targets: &[Target],
    around: &Surroundings<'_>,
) -> Option<(Credentials, RegistryOptions)> {
    let mut known = targets.iter().filter_map(|target| match target {
        Target::Registry {
            repository,
            credentials,
            options,
        } => Some((repository.registry(), credentials, options)),
        Target::Layout(_) => None,
    });
    let is_alone = known.clone().next().is_none();
    let same = known.find(|(registry, ..)| *registry == repository.registry());
    if let Some((_, credentials, options)) = same {
        return Some((credentials.clone(), options.clone()));
    }
    let credentials = match is_alone {
        true => credentials(reader, named_by, repository, around).await?,
        false => match discovered(repository, around).await {
            Ok(credentials) => credentials,
            Err(e) => {
                reader.fail("credentials", e.to_string());
                return None;
            }
        },
    };
    let mut options = options(reader, around);
    options.plain_http &= is_alone;
    Some((credentials, options))
}

fn options(reader: &mut Reader<'_>, around: &Surroundings<'_>) -> RegistryOptions {
    RegistryOptions {
        plain_http: reader.switch("plain-http"),
        ca_file: reader
            .raw
            .get("ca-file")
            .map(|raw| around.cwd.join(raw.first())),
        ..RegistryOptions::default()
    }
}

/// A password that is given is for the one registry that is named: others must not see it.
pub(super) fn one_password_for_one_registry(reader: &mut Reader<'_>, repositories: &[Repository]) {
    let registries: BTreeSet<&str> = repositories.iter().map(Repository::registry).collect();
    if registries.len() > 1
        && let Some(username) = reader.raw.get("username")
    {
        let problem = "one password cannot be for several registries: log in to each with \
                       `docker login` or `podman login`, and leave --username out";
        reader.fail(&username.origin.clone(), problem);
    }
}

/// As whom the registry of this repository is asked, that was named by this setting.
async fn credentials(
    reader: &mut Reader<'_>,
    named_by: &str,
    repository: &Repository,
    around: &Surroundings<'_>,
) -> Option<Credentials> {
    match (reader.raw.get("username"), reader.raw.get("password")) {
        (Some(_), Some(_)) if is_named_by_a_fork(reader, named_by, around) => {
            let host = repository.registry();
            reader.notes.push(format!(
                "{host} was shown no password: only the fork's file names it. To show it, name the {named_by} by a flag, \
                 a variable or an input"
            ));
            Some(Credentials::Anonymous)
        }
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
        (None, None) => match discovered(repository, around).await {
            Ok(credentials) => Some(credentials),
            Err(e) => {
                reader.fail("credentials", e.to_string());
                None
            }
        },
    }
}

/// A fork could name a host of its own to have a password sent there.
fn is_named_by_a_fork(reader: &Reader<'_>, name: &str, around: &Surroundings<'_>) -> bool {
    let source = reader.raw.get(name).map(|raw| raw.source);
    source == Some(Source::File) && around.is_from_fork()
}

/// What `docker login` and `podman login` left, and for GitHub's registry its token. In a
/// workflow the token comes first: who hands it to the job means it. Elsewhere it is often
/// there for other purposes, and may do less than the login.
async fn discovered(
    repository: &Repository,
    around: &Surroundings<'_>,
) -> Result<Credentials, CredentialsError> {
    let token = match repository.registry() {
        "ghcr.io" => around.github_token(),
        _ => None,
    };
    let in_workflow = around.variable("GITHUB_ACTIONS").is_some();
    if let (Some(token), true) = (&token, in_workflow) {
        return Ok(token.clone());
    }
    let left = Credentials::discover(repository, &around.credentials()).await?;
    Ok(match (left, token) {
        (Credentials::Anonymous, Some(token)) => token,
        (left, _) => left,
    })
}

impl Surroundings<'_> {
    /// `$XDG_CACHE_HOME/nixpy-ci`, by the XDG base directory specification.
    pub(super) fn cache_dir(&self) -> Option<PathBuf> {
        let absolute = |name| self.path(name).filter(|path| path.is_absolute());
        let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Some(cache?.join("nixpy-ci"))
    }

    /// `$XDG_STATE_HOME/nixpy-ci`: what was published is not there to be thrown away
    /// with a cache.
    pub(super) fn state_dir(&self) -> Option<PathBuf> {
        let absolute = |name| self.path(name).filter(|path| path.is_absolute());
        let state =
            absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
        Some(state?.join("nixpy-ci"))
    }

    /// The registry looks at the token alone, but wants a name beside it.
    fn github_token(&self) -> Option<Credentials> {
        let token = self.variable("GITHUB_TOKEN")?.into_string().ok()?;
        let actor = self.variable("GITHUB_ACTOR");
        let actor = actor.and_then(|actor| actor.into_string().ok());
        Some(Credentials::Basic {
            user: actor.unwrap_or_else(|| "x-access-token".to_owned()),
            password: Secret::new(&token),
        })
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Who pushes to a repository, where docker has logged in to both registries.
    async fn user(repository: &str, variables: &[(&str, &str)]) -> String {
        let home = tempfile::tempdir().unwrap();
        let auth =
            r#"{"auths":{"ghcr.io":{"auth":"ZG9ja2VyOmE="},"quay.io":{"auth":"ZG9ja2VyOmE="}}}"#;
        std::fs::create_dir(home.path().join(".docker")).unwrap();
        std::fs::write(home.path().join(".docker/config.json"), auth).unwrap();
        let mut environment: super::super::Environment = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)))
            .collect();
        if !variables.contains(&("HOME", "")) {
            environment.insert("HOME".into(), home.path().into());
        }
        let now = std::time::SystemTime::UNIX_EPOCH;
        let around = Surroundings::of(&environment, PathBuf::from("/"), now);
        match discovered(&repository.parse().unwrap(), &around)
            .await
            .unwrap()
        {
            Credentials::Basic { user, .. } => user,
            other => format!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn githubs_token_is_for_githubs_registry_and_first_in_a_workflow() {
        let token = ("GITHUB_TOKEN", "t");
        let workflow = [
            token,
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_ACTOR", "octocat"),
        ];
        assert_eq!(user("ghcr.io/a/b", &workflow).await, "octocat");
        assert_eq!(user("quay.io/a/b", &workflow).await, "docker");
        assert_eq!(user("ghcr.io/a/b", &[token]).await, "docker");
        let alone = [token, ("HOME", "")];
        assert_eq!(user("ghcr.io/a/b", &alone).await, "x-access-token");
    }

    #[tokio::test]
    async fn plain_http_for_the_target_is_not_for_a_cache_elsewhere() {
        let matches = crate::cli::command()
            .try_get_matches_from(["nixpy-ci", "run", "--plain-http"])
            .unwrap();
        let (_, flags) = matches.subcommand().unwrap();
        let environment = super::super::Environment::new();
        let raw = super::super::RawInputs::collect(flags, &environment).unwrap();
        let now = std::time::SystemTime::UNIX_EPOCH;
        let around = Surroundings::of(&environment, PathBuf::from("/"), now);
        let mut reader = Reader::of(&raw);
        let image: Repository = "lan.example/api".parse().unwrap();
        let targets = registries(&mut reader, vec![image], &around).await;
        let mut is_plain = async |repository: &str, targets: &[Target]| {
            let repository = repository.parse().unwrap();
            let (_, options) = another(&mut reader, "cache", &repository, targets, &around)
                .await
                .unwrap();
            options.plain_http
        };
        assert!(is_plain("lan.example/api/nix-cache", &targets).await);
        assert!(!is_plain("ghcr.io/acme/cache", &targets).await);
        assert!(is_plain("lan.example/cache", &[]).await);
    }
}
