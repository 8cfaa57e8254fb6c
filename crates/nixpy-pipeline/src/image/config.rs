//! The config of an image that is made from a plain package: the settings, in the
//! words of the OCI image specification, and of Docker where that has none
//! (<https://github.com/opencontainers/image-spec/blob/main/config.md>).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Files, ImageErrorKind};
use crate::inputs::{HealthCheck, ImageSettings};
use crate::plan::Job;

/// Everything that stands under `config`.
pub(super) fn config(
    job: &Job,
    files: &Files,
    settings: &ImageSettings,
) -> Result<Value, ImageErrorKind> {
    let bin = job.output.as_path().join("bin");
    let programs = Programs {
        names: files.names(&bin),
        bin: &bin,
    };
    let mut env = settings.env.clone();
    env.entry("PATH".to_owned())
        .or_insert_with(|| bin.display().to_string());
    let env: Vec<String> = env
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut config = json!({
        "Entrypoint": entrypoint(job, &programs, settings)?,
        "Env": env,
    });
    let mut set = |key: &str, value: Value| config[key] = value;
    if !settings.cmd.is_empty() {
        set("Cmd", json!(settings.cmd));
    }
    if !settings.ports.is_empty() {
        set("ExposedPorts", keys(&settings.ports));
    }
    if !settings.volumes.is_empty() {
        set("Volumes", keys(&settings.volumes));
    }
    if let Some(user) = &settings.user {
        set("User", json!(user));
    }
    if let Some(workdir) = &settings.workdir {
        set("WorkingDir", json!(workdir));
    }
    let mut labels = settings.told_labels.clone();
    labels.extend(settings.labels.clone());
    if !labels.is_empty() {
        set("Labels", json!(labels));
    }
    if let Some(signal) = &settings.stop_signal {
        set("StopSignal", json!(signal));
    }
    if let Some(health) = &settings.health {
        set("Healthcheck", health_check(health, &programs)?);
    }
    Ok(config)
}

/// The programs of the package.
struct Programs<'a> {
    names: Vec<String>,
    bin: &'a Path,
}

impl Programs<'_> {
    fn path(&self, name: &str) -> String {
        self.bin.join(name).display().to_string()
    }

    /// A command whose program, if it has a bare name, is one of these.
    fn command(
        &self,
        setting: &'static str,
        words: &[String],
    ) -> Result<Vec<String>, ImageErrorKind> {
        let [program, arguments @ ..] = words else {
            return Ok(Vec::new());
        };
        if program.contains('/') {
            return Ok(words.to_vec());
        }
        if !self.names.contains(program) {
            return Err(ImageErrorKind::NoSuchProgram {
                setting,
                program: program.clone(),
                there: self.names.clone(),
            });
        }
        let mut command = vec![self.path(program)];
        command.extend_from_slice(arguments);
        Ok(command)
    }
}

/// The setting; else the package's main program; else the only one it has.
fn entrypoint(
    job: &Job,
    programs: &Programs<'_>,
    settings: &ImageSettings,
) -> Result<Vec<String>, ImageErrorKind> {
    if !settings.entrypoint.is_empty() {
        return programs.command("entrypoint", &settings.entrypoint);
    }
    match (&job.main_program, programs.names.as_slice()) {
        (Some(main), names) if names.contains(main) => Ok(vec![programs.path(main)]),
        (_, [only]) => Ok(vec![programs.path(only)]),
        (_, names) => Err(ImageErrorKind::NoProgram(names.to_vec())),
    }
}

/// Docker's own addition; podman knows it too. What is not set is left to them.
fn health_check(health: &HealthCheck, programs: &Programs<'_>) -> Result<Value, ImageErrorKind> {
    let mut test = vec!["CMD".to_owned()];
    test.extend(programs.command("health-cmd", &health.command)?);
    let mut check = json!({ "Test": test });
    let times = [
        ("Interval", health.interval),
        ("Timeout", health.timeout),
        ("StartPeriod", health.start_period),
    ];
    for (key, time) in times {
        if let Some(time) = time {
            check[key] = json!(nanoseconds(time));
        }
    }
    if let Some(retries) = health.retries {
        check["Retries"] = json!(retries);
    }
    Ok(check)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A set, as Go writes one in JSON.
fn keys(names: &[String]) -> Value {
    let keys: BTreeMap<&String, Value> = names.iter().map(|name| (name, json!({}))).collect();
    json!(keys)
}
