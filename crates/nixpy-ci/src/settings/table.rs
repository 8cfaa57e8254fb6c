//! The one table of settings. Flags, `NIXPY_*`, `INPUT_*`, keys of
//! `nixpy-ci.yaml` and their documentation are all made from it.

/// One setting, in every spelling.
#[derive(Debug)]
pub struct Setting {
    /// `max-layers`: the flag `--max-layers`, the variables `NIXPY_MAX_LAYERS` and
    /// `INPUT_MAX-LAYERS`, the action's input, and the key, unless [`Setting::key`] says other.
    pub name: &'static str,
    /// The path in `nixpy-ci.yaml`, where it is not the name.
    pub key: Option<&'static str>,
    /// A short flag.
    pub short: Option<char>,
    /// What values it takes.
    pub kind: Kind,
    /// Under which heading it is shown.
    pub group: Group,
    /// One or two sentences.
    pub help: &'static str,
    /// Said in the help; applied by the resolver.
    pub default: Option<&'static str>,
}

/// What values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// On or off.
    Switch,
    /// One value, by this name in the help.
    One(&'static str),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Several: the flag repeated, lines or words of a variable, a YAML list.
    Words(&'static str),
    /// Several that may contain blanks: the flag repeated, lines, a YAML list.
    Lines(&'static str),
    /// `KEY=VALUE`: the flag repeated, lines, a YAML map.
    Pairs(&'static str),
    /// A secret: never a flag, because other users of a machine see flags.
    Secret,
}

/// Headings of the help, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// From which flake, for what.
    What,
    /// Where to, under which names.
    Where,
    /// Of an image from a plain package.
    Image,
    /// What an image has to do before it is tagged.
    Smoke,
    /// Other machines that build.
    Builders,
    /// What was built once, kept for other machines.
    Caches,
    /// How the work is done.
    How,
    /// What is shown and written.
    Output,
    /// What GitHub is told.
    Github,
    /// Names of a version for an image that is published.
    Release,
}

impl Group {
    /// The heading.
    pub fn heading(self) -> &'static str {
        match self {
            Self::What => "What to build",
            Self::Where => "Where it goes",
            Self::Image => "The image of a plain package (an `app`)",
            Self::Smoke => "Before anything is tagged: smoke test, budget",
            Self::Builders => "Remote builders",
            Self::Caches => "Binary caches",
            Self::How => "How",
            Self::Output => "What is told",
            Self::Github => "On GitHub",
            Self::Release => "Of `nixpy-ci release`",
        }
    }
}

const fn setting(name: &'static str, group: Group, kind: Kind, help: &'static str) -> Setting {
    Setting {
        name,
        key: None,
        short: None,
        kind,
        group,
        help,
        default: None,
    }
}

impl Setting {
    const fn key(mut self, key: &'static str) -> Self {
        self.key = Some(key);
        self
    }

    const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// The path in `nixpy-ci.yaml`.
    pub fn path(&self) -> &'static str {
        self.key.unwrap_or(self.name)
    }

    /// `NIXPY_MAX_LAYERS`.
    pub fn variable(&self) -> String {
        format!("NIXPY_{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// The default as pages show it: what somebody would write is marked, and not what is said of it.
    #[cfg(test)]
    pub fn marked_default(&self) -> Option<String> {
        let default = self.default?;
        Some(match default.split_once(", ") {
            Some((word, rest)) => format!("`{word}`, {rest}"),
            None => format!("`{default}`"),
        })
    }

    /// What the action calls it: as `nixpy-ci.yaml` does where that is one word, `tags`; else
    /// by the name, `port`. `None` where the action decides, or it means nothing in a job.
    #[cfg(test)]
    pub fn action_input(&self) -> Option<&'static str> {
        const NOT_IN_A_JOB: [&str; 5] = ["dry-run", "json", "matrix", "progress", "summary"];
        (!NOT_IN_A_JOB.contains(&self.name)).then(|| self.word())
    }

    /// `INPUT_MAX-LAYERS`, as GitHub spells it, and `INPUT_MAX_LAYERS`: a hyphen is no part of a
    /// name that shells can export. By the name and by the action's: `INPUT_TAG`, `INPUT_TAGS`.
    pub fn inputs(&self) -> Vec<String> {
        let words = [self.name, self.word()].map(|word| format!("INPUT_{}", word.to_uppercase()));
        let spellings = words
            .into_iter()
            .flat_map(|word| [word.replace('-', "_"), word]);
        let mut spellings: Vec<String> = spellings.collect();
        spellings.sort_unstable();
        spellings.dedup();
        spellings
    }

    /// What the action does where nobody has said anything; set by
    /// [`action`](crate::github::action), for this program only.
    pub fn action_variable(&self) -> String {
        format!(
            "NIXPY_ACTION_{}",
            self.name.to_uppercase().replace('-', "_")
        )
    }

    fn word(&self) -> &'static str {
        let path = self.path();
        if path.contains('.') { self.name } else { path }
    }
}

/// Tokens that a job's runner gives, for its own programs.
const TOKENS: [&str; 3] = [
    "GITHUB_TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
];
/// Where they are taken: without the tokens of no use, and nobody else's affair.
const TOKENS_ARE_FOR: [&str; 4] = [
    "ACTIONS_RUNTIME_URL",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_RESULTS_URL",
    "ACTIONS_CACHE_URL",
];

/// The variables that no program that we start shall see.
pub fn withheld_variables() -> impl Iterator<Item = String> {
    secret_variables().chain(TOKENS_ARE_FOR.map(str::to_owned))
}

/// The variables that hold secrets: settings, and what the runner gives.
pub fn secret_variables() -> impl Iterator<Item = String> {
    let secrets = SETTINGS
        .iter()
        .filter(|setting| setting.kind == Kind::Secret);
    let settings =
        secrets.flat_map(|setting| [vec![setting.variable()], setting.inputs()].concat());
    settings.chain(TOKENS.map(str::to_owned))
}

/// All settings, in the order of the help.
pub const SETTINGS: &[Setting] = &[
    setting(
        "flake",
        Group::What,
        Kind::One("FLAKE"),
        "The flake, and after a # the attribute: `.`, `./service#image`, `github:owner/repo`.",
    )
    .default("."),
    setting(
        "attribute",
        Group::What,
        Kind::One("NAME"),
        "The attribute under `packages.<system>`. Without it the first there is of: stream, streamImage, \
         image, container, dockerImage, docker, ociImage, default, app.",
    )
    .short('A'),
    setting(
        "system",
        Group::What,
        Kind::Words("SYSTEM"),
        "Build for this system, as in x86_64-linux; may be repeated. Without it, all Linux systems the flake offers.",
    )
    .key("systems")
    .short('s'),
    setting(
        "strategy",
        Group::What,
        Kind::Pairs("SYSTEM=WAY"),
        "Build for this system in this way, as in aarch64-linux=remote; may be repeated. Ways: native, remote, cross, \
         emulated, elsewhere (another job does it). Without it, the quickest that is open: see `nixpy-ci plan`.",
    )
    .key("strategies"),
    setting(
        "cross",
        Group::What,
        Kind::Pairs("SYSTEM=NAME"),
        "What is cross-compiled for this system: an attribute of this machine's own system; may be repeated. Without it, \
         NAME-aarch64, NAME-aarch64-linux or NAME-arm64 beside the attribute NAME, or one that says it is for that system.",
    ),
    setting(
        "repository",
        Group::Where,
        Kind::Words("HOST/NAME"),
        "Push to this repository of a registry, as in ghcr.io/owner/name; may be repeated: layers are made once for all. \
         Without it the image goes to a layout directory.",
    )
    .short('r'),
    setting(
        "tag",
        Group::Where,
        Kind::Lines("RULE"),
        "Point this tag to the image once all platforms are in place; may be repeated. A rule, as docker's metadata action \
         has it (`type=semver,pattern={{version}}`), or words that are tags. Without it, on GitHub, what the ref gives: \
         see docs/TAGS.md.",
    )
    .key("tags")
    .short('t')
    .default("latest"),
    setting(
        "by-digest",
        Group::Where,
        Kind::Switch,
        "Publish without a tag, and leave the result in a file: for one of several jobs whose images \
         `nixpy-ci index` then joins.",
    ),
    setting(
        "result",
        Group::Where,
        Kind::One("FILE"),
        "The file that --by-digest writes.",
    )
    .default("nixpy-ci-result-SYSTEM.json"),
    setting(
        "flavor",
        Group::Where,
        Kind::Lines("RULE"),
        "For tags that rules make, as docker's metadata action has it: latest=auto|true|false, prefix=TEXT, suffix=TEXT; may \
         be repeated.",
    ),
    setting(
        "annotation",
        Group::Where,
        Kind::Pairs("KEY=VALUE"),
        "An annotation of the images and of their index; with manifest: or index: before the key of one of them. May be \
         repeated.",
    )
    .key("annotations"),
    setting(
        "push",
        Group::Where,
        Kind::Choice(&["auto", "always", "never"]),
        "Whether images go to the repository. Never: they are made, measured and forgotten. Auto: always, but not for a \
         pull request, a merge queue, a comment on a pull request, what follows the run of one of these (workflow_run), and \
         GitLab's merge request from a fork.",
    )
    .default("auto"),
    setting(
        "reuse-from",
        Group::Where,
        Kind::Words("TAG"),
        "Take layers over from this tag of the same repository where the first --tag does not have them; may be repeated. \
         On GitHub the pull request's base branch comes first, under the tag that the rules give it.",
    )
    .default("latest"),
    setting(
        "layout",
        Group::Where,
        Kind::One("DIR"),
        "The OCI image layout directory to write when there is no repository.",
    )
    .default("oci-image"),
    setting(
        "load",
        Group::Where,
        Kind::Choice(&["docker", "podman"]),
        "Load the image of this machine's platform into docker or podman.",
    ),
    setting(
        "username",
        Group::Where,
        Kind::One("NAME"),
        "Log in to the registry as this user, with the password in NIXPY_PASSWORD. Without it, what `docker login` \
         or `podman login` left; for ghcr.io also GITHUB_TOKEN, which in a workflow comes first.",
    ),
    setting(
        "password",
        Group::Where,
        Kind::Secret,
        "The password or token for --username.",
    ),
    setting(
        "ca-file",
        Group::Where,
        Kind::One("FILE"),
        "Trust the certificates in this PEM file, beside the system's, when talking to the registry.",
    ),
    setting(
        "plain-http",
        Group::Where,
        Kind::Switch,
        "Talk to the registry without TLS. Registries on this machine's loopback need not be told.",
    ),
    setting(
        "entrypoint",
        Group::Image,
        Kind::Lines("WORD"),
        "The program to start, and its first arguments; may be repeated. Without it meta.mainProgram, or the only program in bin/.",
    )
    .key("image.entrypoint"),
    setting(
        "cmd",
        Group::Image,
        Kind::Lines("WORD"),
        "Arguments that `docker run IMAGE …` replaces; may be repeated.",
    )
    .key("image.cmd"),
    setting(
        "env",
        Group::Image,
        Kind::Pairs("KEY=VALUE"),
        "An environment variable of the container; may be repeated. PATH is the package's bin unless given.",
    )
    .key("image.env")
    .short('e'),
    setting(
        "port",
        Group::Image,
        Kind::Words("PORT"),
        "A port the service listens on, as in 8000 or 53/udp; may be repeated.",
    )
    .key("image.ports")
    .short('p'),
    setting(
        "user",
        Group::Image,
        Kind::One("USER"),
        "Run as this user, as in 1000:1000.",
    )
    .key("image.user"),
    setting(
        "workdir",
        Group::Image,
        Kind::One("DIR"),
        "Start in this directory of the container.",
    )
    .key("image.workdir"),
    setting(
        "label",
        Group::Image,
        Kind::Pairs("KEY=VALUE"),
        "A label of the image; may be repeated.",
    )
    .key("image.labels"),
    setting(
        "volume",
        Group::Image,
        Kind::Lines("DIR"),
        "Have docker and podman mount a volume of its own at this directory of the container; may be repeated.",
    )
    .key("image.volumes"),
    setting(
        "stop-signal",
        Group::Image,
        Kind::One("SIGNAL"),
        "The signal that ends the program, as in SIGINT. Without it docker and podman send SIGTERM.",
    )
    .key("image.stop-signal"),
    setting(
        "health-cmd",
        Group::Image,
        Kind::Lines("WORD"),
        "A program that tells whether the service is well, and its arguments; may be repeated. A bare name is one of \
         the package's own programs; there is no shell.",
    )
    .key("image.health.cmd"),
    setting(
        "health-interval",
        Group::Image,
        Kind::One("TIME"),
        "From one start of it to the next, as in 30s.",
    )
    .key("image.health.interval"),
    setting(
        "health-timeout",
        Group::Image,
        Kind::One("TIME"),
        "After which it counts as failed.",
    )
    .key("image.health.timeout"),
    setting(
        "health-start-period",
        Group::Image,
        Kind::One("TIME"),
        "At first, failures do not count for so long.",
    )
    .key("image.health.start-period"),
    setting(
        "health-retries",
        Group::Image,
        Kind::One("N"),
        "So many failures in a row mean that the service is not well (1 to 100).",
    )
    .key("image.health.retries"),
    setting(
        "contents",
        Group::Image,
        Kind::Words("PATH"),
        "Link this path of the package into the image's root, as in `bin` (then there is a /bin) or `etc/ssl`; `.` for all \
         of it; may be repeated.",
    )
    .key("image.contents"),
    setting(
        "max-layers",
        Group::Image,
        Kind::One("N"),
        "At most so many layers (2 to 127).",
    )
    .key("image.max-layers")
    .default("100"),
    setting(
        "smoke-http",
        Group::Smoke,
        Kind::One("ROUTE"),
        "Start each platform's image and wait until this route answers, as in / or /openapi.json. If one does not, no tag moves.",
    )
    .key("smoke.http"),
    setting(
        "smoke-port",
        Group::Smoke,
        Kind::One("PORT"),
        "The port that is asked. Without it the only one that the image exposes, else 8000. Given alone: wait until it \
         accepts connections.",
    )
    .key("smoke.port"),
    setting(
        "smoke-expect",
        Group::Smoke,
        Kind::One("STATUS"),
        "The status that the route has to answer with. Redirects are not followed; 5xx is asked again until the time is over.",
    )
    .key("smoke.expect")
    .default("200"),
    setting(
        "smoke-cmd",
        Group::Smoke,
        Kind::Lines("WORD"),
        "A program inside the container, and its arguments, that has to end with exit code 0; may be repeated. With a route \
         or port it runs beside the service, once that answers; else in the place of the image's own program. No shell.",
    )
    .key("smoke.cmd"),
    setting(
        "smoke-timeout",
        Group::Smoke,
        Kind::One("TIME"),
        "For each image, as in 90s. Platforms that are emulated have four times as long.",
    )
    .key("smoke.timeout")
    .default("60s"),
    setting(
        "smoke-network",
        Group::Smoke,
        Kind::One("NETWORK"),
        "The container's network, as docker and podman name it. With none it has its own loopback and nothing else.",
    )
    .key("smoke.network")
    .default("none"),
    setting(
        "smoke-env",
        Group::Smoke,
        Kind::Pairs("KEY=VALUE"),
        "A variable for the container that is tried out, beside the image's own; may be repeated. Not for secrets.",
    )
    .key("smoke.env"),
    setting(
        "smoke-required",
        Group::Smoke,
        Kind::Switch,
        "An image that cannot be run here counts as failed, and what the tags point to already is started again, since \
         it may never have been. Without it, the first is told as untested, and tagged.",
    )
    .key("smoke.required"),
    setting(
        "budget",
        Group::Smoke,
        Kind::Words("SIZE"),
        "No tag moves if an image's compressed size is over this, as in 200MB, or over that of the image before by more than \
         this, as in +5MB; may be repeated.",
    ),
    setting(
        "builders",
        Group::Builders,
        Kind::Lines("LINE"),
        "A machine that builds for others, as Nix writes it: address, systems, key file, jobs at a time, speed, \
         features (`ssh-ng://root@arm.example.org aarch64-linux - 4`); may be repeated, or be @FILE. Nix's own are \
         used as well.",
    ),
    setting(
        "builder-ssh-key",
        Group::Builders,
        Kind::Secret,
        "The private key that opens the builders, as the text of its file. Without it, ssh's own keys and agent.",
    ),
    setting(
        "builder-known-hosts",
        Group::Builders,
        Kind::Lines("LINE"),
        "The builders' public keys, as `ssh-keyscan` prints them; may be repeated. Without it, ~/.ssh/known_hosts. \
         A builder whose key is not known is not used.",
    ),
    setting(
        "builders-use-substitutes",
        Group::Builders,
        Kind::Switch,
        "Let builders fetch from caches what they can, rather than send it to them.",
    ),
    setting(
        "builder-silence",
        Group::Builders,
        Kind::One("TIME"),
        "Give a builder up that is silent for so long in the middle of a build, as in 10m.",
    )
    .default("30m"),
    setting(
        "cache",
        Group::Caches,
        Kind::Lines("CACHE"),
        "Take paths from this binary cache, and push there what is built; may be repeated. `registry` (beside the image), \
         oci://HOST/NAME, cachix:NAME, attic:SERVER:NAME, or any store of Nix: s3://…, https://…, file://…, ssh-ng://…. \
         Words may follow: read or write (without them both), and key=NAME:BASE64, by which its paths are signed.",
    ),
    setting(
        "cache-public-key",
        Group::Caches,
        Kind::Words("KEY"),
        "Trust paths of the caches that are signed by this key, as in example.org-1:BASE64; may be repeated.",
    )
    .key("cache-public-keys"),
    setting(
        "cache-key",
        Group::Caches,
        Kind::Secret,
        "Sign what is pushed with this key, and trust it: `nixpy-ci cache key` makes one.",
    ),
    setting(
        "cache-token",
        Group::Caches,
        Kind::Secret,
        "What opens the cache: a token, or USER:PASSWORD for https; for several caches a line `CACHE TOKEN` for each, and for \
         a pull request from a fork in any case.",
    ),
    setting(
        "cache-upstream",
        Group::Caches,
        Kind::Words("URL"),
        "Do not push what this cache holds; may be repeated.",
    )
    .default("https://cache.nixos.org"),
    setting(
        "cache-exclude",
        Group::Caches,
        Kind::Words("PATTERN"),
        "Do not push paths of this name, as in `*-model-weights-*`, unless one that is pushed refers to it; may be repeated.",
    ),
    setting(
        "cache-read-only",
        Group::Caches,
        Kind::Switch,
        "Push nothing. A pull request from a fork never does.",
    ),
    setting(
        "cache-port",
        Group::Caches,
        Kind::One("PORT"),
        "The port of 127.0.0.1 at which a registry's cache is served to Nix. Without it one that is free; a daemon that \
         does not trust this user has to know it beforehand.",
    ),
    setting(
        "cache-required",
        Group::Caches,
        Kind::Switch,
        "Fail if a cache could not be written. Without it, it is told, and the run goes on.",
    ),
    setting(
        "cache-drain",
        Group::Caches,
        Kind::One("TIME"),
        "When nothing else is left to do, go on pushing for so long.",
    )
    .default("5m"),
    setting(
        "cache-uploads",
        Group::Caches,
        Kind::One("N"),
        "Send so much at once to each cache.",
    )
    .default("8"),
    setting(
        "build-archive",
        Group::How,
        Kind::Switch,
        "Build and read the archive of a buildLayeredImage, whose description is read otherwise.",
    ),
    setting(
        "compression",
        Group::How,
        Kind::Choice(&["gzip", "zstd", "none"]),
        "How layers are compressed. Every client reads gzip; zstd is smaller and quicker, for clients since 2020.",
    )
    .default("gzip"),
    setting(
        "compression-level",
        Group::How,
        Kind::One("N"),
        "1 to 12 for gzip, as libdeflate counts them; 1 to 19 for zstd.",
    )
    .default("1, or 2 for zstd"),
    setting(
        "remake",
        Group::How,
        Kind::Switch,
        "Make every layer, whatever was published before.",
    ),
    setting(
        "uploads",
        Group::How,
        Kind::One("N"),
        "Send so many layers at once (1 to 64).",
    )
    .default("8"),
    setting(
        "nix",
        Group::How,
        Kind::One("FILE"),
        "The nix program. Without it, the one in PATH.",
    ),
    setting(
        "nix-option",
        Group::How,
        Kind::Pairs("NAME=VALUE"),
        "An option for Nix, as in its nix.conf; may be repeated.",
    )
    .key("nix-options"),
    setting(
        "reevaluate",
        Group::How,
        Kind::Switch,
        "Evaluate the flake even if it is what it was when it was evaluated last.",
    ),
    setting(
        "runner",
        Group::How,
        Kind::Pairs("SYSTEM=LABEL[,LABEL…]"),
        "With `plan --matrix`: the labels of the runner that builds a system; may be repeated. Without it \
         ubuntu-24.04 for x86_64-linux and ubuntu-24.04-arm for aarch64-linux.",
    )
    .key("runners"),
    setting(
        "setup",
        Group::How,
        Kind::Switch,
        "First make this machine able to build, as `nixpy-ci setup` does.",
    ),
    setting(
        "dry-run",
        Group::How,
        Kind::Switch,
        "Print the plan and touch nothing.",
    )
    .short('n'),
    setting(
        "json",
        Group::Output,
        Kind::Switch,
        "Print the report (with --dry-run, the plan) as JSON on standard output.",
    ),
    setting(
        "matrix",
        Group::Output,
        Kind::Switch,
        "Of `plan`: print on one line the jobs that the work can be spread over, as GitHub's strategy.matrix takes them.",
    ),
    setting(
        "report",
        Group::Output,
        Kind::One("FILE"),
        "Write the report as JSON to this file.",
    ),
    setting(
        "html",
        Group::Output,
        Kind::One("FILE"),
        "Write the report as one page to look at to this file: timeline, layers, what changed.",
    ),
    setting(
        "summary",
        Group::Output,
        Kind::One("FILE"),
        "Write the report as Markdown to this file. To GitHub's own of a step, $GITHUB_STEP_SUMMARY, it is added below what is there.",
    ),
    setting(
        "progress",
        Group::Output,
        Kind::Choice(&["auto", "bars", "plain", "github", "none"]),
        "How to show what goes on.",
    )
    .default("auto"),
    setting(
        "comment",
        Group::Github,
        Kind::Choice(&["auto", "never"]),
        "Tell a pull request what became of it in one comment, kept up to date, where the token may write one.",
    )
    .default("auto"),
    setting(
        "check",
        Group::Github,
        Kind::Choice(&["auto", "never"]),
        "Leave a check run with annotations at the lines that are wrong, where the token may; else by workflow commands.",
    )
    .default("auto"),
    setting(
        "github-token",
        Group::Github,
        Kind::Secret,
        "The token for GitHub. Without it, GITHUB_TOKEN.",
    ),
    setting(
        "from",
        Group::Release,
        Kind::One("TAG|DIGEST"),
        "Release this image. Without it, that of the commit: sha-COMMIT, which every push leaves.",
    ),
    setting(
        "commit",
        Group::Release,
        Kind::One("COMMIT"),
        "The commit that is released. Without it, that of the version's git tag; where there is none yet, the one that is \
         checked out.",
    ),
    setting(
        "no-build",
        Group::Release,
        Kind::Switch,
        "Fail where the commit has no image. Without it, one is built and published first.",
    ),
    setting(
        "floating-tags",
        Group::Release,
        Kind::Switch,
        "Move git tags such as v1 and v1.2 as well: only forward, and never for a pre-release.",
    ),
    setting(
        "no-github",
        Group::Release,
        Kind::Switch,
        "Give the image its tags, and make no release on GitHub.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_every_spelling_that_is_read() {
        let hidden: Vec<String> = secret_variables().collect();
        for name in [
            "NIXPY_PASSWORD",
            "INPUT_PASSWORD",
            "NIXPY_BUILDER_SSH_KEY",
            "INPUT_BUILDER_SSH_KEY",
            "INPUT_BUILDER-SSH-KEY",
        ] {
            assert!(hidden.iter().any(|variable| variable == name), "{name}");
        }
    }
}
