//! The arguments of `nixpy-ci init`. They are no settings: nothing of them outlives the command.

use clap::{Arg, ArgAction, Command};

use super::detect::Kind;

/// `nixpy-ci init`, with its arguments.
pub fn command() -> Command {
    let kinds = Kind::ALL.map(Kind::name);
    Command::new("init")
        .about("Write a flake, settings and workflows for the Python project that is here")
        .long_about(
            "Looks at the project's files (uv, Poetry, PDM, or a list of requirements), says what it is and what \
             its image will start, and writes flake.nix (a development shell, the package and its image, for \
             x86_64-linux and aarch64-linux), nixpy-ci.yaml, and .github/workflows/image.yaml and release.yaml. What exists \
             stays as it is, unless you say otherwise.",
        )
        .arg(Arg::new("dir").value_name("DIR").help("The project's folder [default: .]"))
        .arg(
            Arg::new("kind")
                .long("kind")
                .value_parser(kinds)
                .help("Who manages its packages, where its files do not tell, or tell too much"),
        )
        .arg(
            Arg::new("start")
                .long("start")
                .value_name("COMMAND")
                .help("What the image starts, as in 'uvicorn app.main:app', where it is not found"),
        )
        .arg(
            Arg::new("port")
                .long("port")
                .value_name("PORT")
                .value_parser(clap::value_parser!(u16).range(1..))
                .help("The port that it listens on, where it is not found"),
        )
        .arg(
            Arg::new("force")
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Write over files that are there, without asking"),
        )
        .arg(
            Arg::new("dry-run")
                .long("dry-run")
                .short('n')
                .action(ArgAction::SetTrue)
                .help("Print what would be written, and write nothing"),
        )
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("Tell it as JSON"),
        )
        .after_help(
            "Examples:\n  nixpy-ci init --dry-run       what would it write?\n  nixpy-ci init services/api\n  \
             nixpy-ci init --start 'python -m worker'",
        )
}
