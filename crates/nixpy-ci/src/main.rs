//! The front of nixpy-ci: command line, environment, terminal, exit code. What
//! is done stands in `nixpy-pipeline`.

mod audience;
mod cache;
mod cli;
mod doctor;
mod exit;
mod github;
mod index;
mod init;
mod listening;
mod load;
mod mask;
mod plan;
mod preview;
mod redact;
mod release;
mod render;
mod report;
mod run;
mod running;
mod settings;
mod setup;
mod smoke;

use std::io::Write as _;
use std::process::ExitCode;

use clap::ArgMatches;
use nixpy_nix::machine::Release;

use exit::Code;
use redact::{Clean, Hiding};
use settings::Environment;

fn main() -> ExitCode {
    let environment: Environment = std::env::vars_os().collect();
    let matches = match cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(e) => return ExitCode::from(told(&e, &environment) as u8),
    };
    trace();
    let is_inside = |name: &str| cli::INSIDE.contains(&name);
    if !matches.subcommand_name().is_some_and(is_inside) {
        keep_to_ourselves();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let code = match runtime {
        Ok(runtime) => {
            if let Some((name, flags)) = matches.subcommand()
                && !is_inside(name)
            {
                redact::learn(flags, &environment);
            }
            let work = dispatch(&matches, &environment);
            let code = match matches.subcommand_name() {
                // The first process of a container heeds no signal of those who are in it.
                Some(name) if cli::INSIDE.contains(&name) => runtime.block_on(work),
                // To be interrupted is how a server ends.
                Some("cache") => runtime.block_on(work),
                _ => runtime.block_on(until_interrupted(work)),
            };
            // A cancelled run does not wait for layers that are being made.
            runtime.shutdown_background();
            code
        }
        Err(e) => {
            render::line(&format!("error: cannot start: {e}"));
            Code::Machine
        }
    };
    ExitCode::from(code as u8)
}

/// Tells what is wrong with the command line, or what it asks: help, and the version.
fn told(e: &clap::Error, environment: &Environment) -> Code {
    if !e.use_stderr() {
        let _ = e.print();
        return Code::Success;
    }
    redact::learn(&ArgMatches::default(), environment);
    let text = e.to_string();
    if redact::hidden(&text) == text {
        // In colours.
        let _ = e.print();
    } else {
        text.lines().for_each(render::line);
    }
    Code::Inputs
}

/// Other programs of this user, such as a build without a sandbox, do not read the secrets in our
/// variables and memory. A program that we start is not bound by it.
fn keep_to_ourselves() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // Where it is refused there is nothing else to be done.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// `NIXPY_LOG=debug` shows what the libraries do.
fn trace() {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("NIXPY_LOG") {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(|| Hiding(std::io::stderr()))
            .init();
    }
}

async fn dispatch(matches: &ArgMatches, environment: &Environment) -> Code {
    match matches.subcommand() {
        Some(("run", flags)) => run::run(flags, environment).await,
        Some(("init", flags)) => init::init(flags),
        Some(("index", flags)) => index::index(flags, environment).await,
        Some(("release", flags)) => release::release(flags, environment).await,
        Some(("plan", flags)) => plan::plan(flags, environment).await,
        Some(("report", flags)) => github::post(flags, environment).await,
        Some(("doctor", flags)) => doctor::doctor(flags, environment).await,
        Some(("cache", flags)) => cache::cache(flags, environment).await,
        Some(("setup", flags)) => {
            let text = |name: &str| flags.get_one::<String>(name).cloned();
            let nix = text("nix-url").zip(text("nix-sha256"));
            let request = setup::Request {
                systems: flags
                    .get_many("system")
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect(),
                nix: nix.map(|(url, sha256)| Release { url, sha256 }),
                dry_run: flags.get_flag("dry-run"),
                right_away: false,
            };
            setup::setup(request, environment).await
        }
        Some(("action", flags)) => {
            mask::mask(flags, environment);
            github::action::action(environment).await
        }
        Some(("action-post", flags)) => {
            mask::mask(flags, environment);
            github::action::post(flags.get_flag("was-ended"), environment).await
        }
        Some((name, orders)) if cli::INSIDE.contains(&name) => {
            let orders = orders.get_one::<String>("orders");
            smoke::inside(name, orders.map_or("", String::as_str)).await
        }
        _ => Code::Inputs,
    }
}

/// Ends with the work or with the first interrupt; dropping the work ends the
/// programs it has started.
async fn until_interrupted(work: impl Future<Output = Code>) -> Code {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return work.await;
    };
    let hung_up = async {
        match hangup() {
            Some(mut hung_up) => hung_up.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        code = work => code,
        _ = tokio::signal::ctrl_c() => Code::Cancelled,
        _ = terminated.recv() => Code::Cancelled,
        _ = hung_up => Code::Cancelled,
    }
}

/// Told when the terminal goes away; `None` for who is to outlive it, as under `nohup`.
fn hangup() -> Option<tokio::signal::unix::Signal> {
    use tokio::signal::unix::{SignalKind, signal};
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let kind = SignalKind::hangup();
    let is_ignored = ignored.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1);
    (!is_ignored).then(|| signal(kind).ok()).flatten()
}

/// The result, on standard output. A reader that has gone away is no failure.
fn print(text: &Clean<String>) {
    // What others have said is in it.
    let text = render::without_commands(text);
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    #[test]
    fn others_of_this_user_do_not_look_in() {
        super::keep_to_ourselves();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    }
}
