//! The command line, made from the table of settings.

use clap::{Arg, ArgAction, Command};

use crate::settings::table::{Group, Kind, SETTINGS, Setting};

const EXAMPLES: &str = "\
Examples:
  nixpy-ci run                                  build what the flake here offers, into ./oci-image
  nixpy-ci run .#image -r ghcr.io/acme/api -t v1  build and push for all systems of the flake
  nixpy-ci run --load podman                    and try it: podman run --rm -p 8000:8000 NAME:latest
  nixpy-ci run --dry-run                        only say what would be done

Every setting can also be given as NIXPY_NAME in the environment, and as a key of
nixpy-ci.yaml; a flag wins over the environment, and that over the file.

Exit codes: 0 fine, 1 a build or a smoke test failed, 2 wrong inputs, 3 this machine
cannot, 4 a remote refused or could not be reached, 130 cancelled.";

/// The whole command line.
pub fn command() -> Command {
    Command::new("nixpy-ci")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Builds Python container images for every platform from one Nix flake, and publishes them")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(crate::init::command())
        .subcommand(run())
        .subcommand(plan())
        .subcommand(doctor())
        .subcommand(index())
        .subcommand(crate::release::command())
        .subcommand(report())
        .subcommand(cache())
        .subcommand(setup())
        .subcommands(INSIDE.map(inside))
        .subcommands(of_the_action())
}

/// What the launcher of the action starts, before and after the job's other steps.
fn of_the_action() -> [Command; 2] {
    let was_ended = Arg::new("was-ended")
        .long("was-ended")
        .action(ArgAction::SetTrue);
    [
        Command::new("action").hide(true),
        Command::new("action-post").hide(true).arg(was_ended),
    ]
}

/// What this program is asked to do inside of a container that is tried out; nothing for users.
pub const INSIDE: [&str; 3] = ["smoke-probe", "smoke-room", "smoke-enter"];

fn inside(name: &'static str) -> Command {
    Command::new(name)
        .hide(true)
        .arg(Arg::new("orders").required(true))
}

fn run() -> Command {
    let command = Command::new("run")
        .about("Build a flake for all its systems and publish one image for them")
        .after_help(EXAMPLES);
    with_settings(command, |setting| {
        !FOR_PLANS.contains(&setting.name) && setting.group != Group::Release
    })
}

/// Settings that only mean something where something is done.
const FOR_RUNS: [&str; 10] = [
    "dry-run", "load", "result", "setup", "push", "report", "html", "summary", "progress", "budget",
];
/// Settings of work that is not done here.
const FOR_PLANS: [&str; 2] = ["matrix", "runner"];
/// Settings that mean something without a flake.
const FOR_INDEXES: [&str; 13] = [
    "system",
    "repository",
    "tag",
    "flavor",
    "annotation",
    "push",
    "username",
    "ca-file",
    "plain-http",
    "json",
    "report",
    "summary",
    "progress",
];

fn is_for_runs(setting: &Setting) -> bool {
    FOR_RUNS.contains(&setting.name)
        || matches!(setting.group, Group::Smoke | Group::Github | Group::Release)
}

fn plan() -> Command {
    let command = Command::new("plan")
        .about("Say what `run` would do, and show the layers of each image")
        .long_about(
            "Says what `run` would do with the same settings, and touches nothing. Where the outputs are \
             built, or in a binary cache, it shows the layers of each image, which of them are published \
             already, and how many bytes would be sent again after a change of the app, of a wheel, of Python.",
        )
        .after_help(
            "Examples:\n  nixpy-ci plan .#app            how would the layers be cut?\n  \
             nixpy-ci plan -r ghcr.io/acme/api --json   what would be sent, for a program to read\n  \
             nixpy-ci plan --matrix                     as which jobs can it be spread over runners?",
        );
    with_settings(command, |setting| !is_for_runs(setting))
}

/// Settings that say how something is made, which a doctor does not make.
const FOR_IMAGES: [&str; 6] = [
    "by-digest",
    "compression",
    "compression-level",
    "remake",
    "uploads",
    "max-layers",
];

fn doctor() -> Command {
    let command = Command::new("doctor")
        .about("Check everything that `run` would need, and say how to cure what is wrong")
        .long_about(
            "Checks everything that `run` would need with the same settings: Nix and who builds for it; each \
             system, by really building for it in the sandbox; each remote builder, by having it build; binary \
             caches, the registry, room on the disks; files that git keeps from the flake, and a lock file that \
             is not of its pyproject.toml. It ends within seconds, also when a host hangs.",
        )
        .after_help(
            "Examples:\n  nixpy-ci doctor -r ghcr.io/acme/api   may I push there, and will it build?\n  \
             nixpy-ci doctor --json                for a program to read\n\n\
             Exit codes: 0 fine, or warnings only; else the first of 2 settings and files, 3 this machine,\n\
             4 a remote.",
        );
    with_settings(command, |setting| {
        let is_of_the_image =
            matches!(setting.group, Group::Image | Group::Github | Group::Release);
        let mut others = FOR_RUNS.iter().chain(&FOR_PLANS).chain(&FOR_IMAGES);
        !is_of_the_image && !others.any(|name| *name == setting.name)
    })
}

fn index() -> Command {
    let command = Command::new("index")
        .about("Join the results of several `run --by-digest` into one index, and tag it")
        .long_about(
            "Joins what several jobs have published with `run --by-digest`, each for its systems, into the index \
             that one run for all systems would have made. It checks that the results are of one commit, that \
             no platform is there twice, and that every image is where its result says; then it points the tags.",
        )
        .after_help(
            "Examples:\n  nixpy-ci index nixpy-ci-result-*.json -t v1 -t latest\n  \
             nixpy-ci index results/*.json -s x86_64-linux -s aarch64-linux   both must be there",
        )
        .arg(
            Arg::new("results")
                .value_name("RESULT")
                .required(true)
                .num_args(1..)
                .help("The files that `run --by-digest` has left"),
        );
    let command = with_settings(command, |setting| {
        FOR_INDEXES.contains(&setting.name) || matches!(setting.group, Group::Github)
    });
    command
        .mut_arg("system", |arg| {
            arg.help("There must be an image for this system, as in x86_64-linux; may be repeated")
        })
        .mut_arg("repository", |arg| {
            arg.help(
                "The repository that the images were published to, as in ghcr.io/owner/name; may be repeated. \
                 Without it, what the results say",
            )
        })
}

fn report() -> Command {
    let command = Command::new("report")
        .about("Post the report that a fork's job has left, in a workflow that runs after it")
        .long_about(
            "Posts what the job of a fork's pull request has left with --report, which may not comment itself: in a \
             workflow with `on: workflow_run`. The files may say anything; where it is posted GitHub alone decides, by \
             the run's branch and commit.",
        )
        .after_help(
            "Example:\n  nixpy-ci report nixpy-ci-report/   what the other workflow's artifact was unpacked to\n\n\
             Exit codes: 0 posted, or there was no pull request of that commit any more; 2 a file is no report, or \
             this is not such a workflow; 4 GitHub refused.",
        )
        .arg(
            Arg::new("files")
                .value_name("FILE")
                .required(true)
                .num_args(1..)
                .help("The files that jobs have left with --report, or folders whose .json files these are"),
        );
    with_settings(command, |setting| setting.name == "json")
}

/// Settings of what is served to this machine's Nix.
const FOR_SERVING: [&str; 8] = [
    "cache",
    "cache-public-key",
    "cache-port",
    "repository",
    "username",
    "ca-file",
    "plain-http",
    "json",
];

fn cache() -> Command {
    let key = Command::new("key")
        .about("Make a key to sign with what is pushed to caches")
        .long_about(
            "Makes a key to sign with what is pushed to caches. The secret half is written to standard output, or to \
             a file that only you can read; the public half, by which others trust what is signed, is told beside it.",
        )
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .help("What signatures call it, as in example.org-1 [default: this folder's name, and -1]"),
        )
        .arg(
            Arg::new("output")
                .long("output")
                .short('o')
                .value_name("FILE")
                .help("Write the secret half to this file, which must not be there yet"),
        )
        .after_help(
            "Examples:\n  nixpy-ci cache key acme.example-1 --output cache.key   a file, for you alone\n  \
             nixpy-ci cache key | gh secret set NIXPY_CACHE_KEY     nobody sees it",
        );
    let serve = Command::new("serve")
        .about("Serve caches that Nix cannot read itself to the Nix of this machine")
        .long_about(
            "Serves the cache of a registry, or one in a folder, as an ordinary binary cache on 127.0.0.1, until it \
             is interrupted. A run does so by itself: this is for the Nix that you start.",
        )
        .after_help(
            "Examples:\n  nixpy-ci cache serve --cache 'oci://ghcr.io/acme/api/nix-cache key=acme.example-1:…'\n  \
             nixpy-ci cache serve -r ghcr.io/acme/api --cache registry --cache-port 8181",
        );
    let gc = Command::new("gc")
        .about("Remove from a registry's cache what no recent run has reached")
        .long_about(
            "Removes from the cache of a registry what no run has reached for as long as --keep says, and then what \
             was reached longest ago, until --max is kept to; never a path that a kept one refers to. It may be \
             stopped at any moment. Space is free when the registry has collected its own garbage.",
        )
        .arg(
            Arg::new("keep")
                .long("keep")
                .value_name("TIME")
                .help("Keep what a run has reached within this time, as in 14d"),
        )
        .arg(
            Arg::new("max")
                .long("max")
                .value_name("SIZE")
                .help("Keep no more than this, as in 10GB"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .help("Only say what would be removed")
                .action(ArgAction::SetTrue),
        )
        .after_help(
            "Examples:\n  nixpy-ci cache gc -r ghcr.io/acme/api --cache registry --keep 14d --max 10GB\n  \
             nixpy-ci cache gc --cache oci://ghcr.io/acme/api/nix-cache --keep 30d --dry-run --json",
        );
    Command::new("cache")
        .about("Make keys for binary caches, serve caches to this machine, and keep them small")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(key)
        .subcommand(with_settings(serve, |setting| {
            FOR_SERVING.contains(&setting.name)
        }))
        .subcommand(with_settings(gc, |setting| {
            FOR_SERVING.contains(&setting.name) && setting.name != "cache-port"
        }))
}

/// The configuration file, and every wanted setting but secrets.
pub fn with_settings(command: Command, wanted: impl Fn(&Setting) -> bool) -> Command {
    let command = command.arg(
        Arg::new("config")
            .long("config")
            .short('c')
            .value_name("FILE")
            .help("Read settings from this file [default: nixpy-ci.yaml, where there is one]"),
    );
    SETTINGS
        .iter()
        .filter(|setting| setting.kind != Kind::Secret && wanted(setting))
        .fold(command, |command, setting| command.arg(argument(setting)))
}

fn argument(setting: &'static Setting) -> Arg {
    let mut help = setting.help.to_owned();
    if let Some(default) = setting.default {
        help.push_str(&format!(" [default: {default}]"));
    }
    let arg = Arg::new(setting.name)
        .help(help)
        .help_heading(setting.group.heading());
    // What the flake is called goes without a flag, as with nix itself.
    let arg = match setting.name {
        "flake" => arg.value_name("FLAKE"),
        name => arg.long(name),
    };
    let arg = match setting.short {
        Some(short) => arg.short(short),
        None => arg,
    };
    match setting.kind {
        Kind::Switch => arg.action(ArgAction::SetTrue),
        Kind::One(value) => arg.value_name(value),
        // Checked with all other settings, so that every problem is told at once.
        Kind::Choice(words) => arg.value_name(words.join("|")),
        Kind::Words(value) | Kind::Lines(value) | Kind::Pairs(value) => {
            arg.value_name(value).action(ArgAction::Append)
        }
        Kind::Secret => arg,
    }
}

fn setup() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("setup")
        .about("Make this machine able to build: Nix, flakes, and programs of other processors")
        .long_about(
            "Makes this machine able to build: installs Nix where it is missing, allows flakes, lets \
             the kernel run programs of other processors by qemu (also inside Nix's sandbox), and \
             tells Nix so. It says what it will change, changes only that, and can be run again.",
        )
        .arg(
            text("system", "SYSTEM", "Be able to build for this system; may be repeated [default: x86_64-linux, aarch64-linux]")
                .short('s')
                .action(ArgAction::Append),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .short('n')
                .action(ArgAction::SetTrue)
                .help("Say what would be changed, and change nothing"),
        )
        .arg(text(
            "nix-url",
            "URL",
            "Take Nix from this release archive where the distribution has none",
        )
        .requires("nix-sha256"))
        .arg(text("nix-sha256", "HEX", "The SHA-256 of that archive").requires("nix-url"))
        .after_help(
            "Examples:\n  nixpy-ci setup --dry-run      what would it change?\n  sudo nixpy-ci setup           change it",
        )
}
