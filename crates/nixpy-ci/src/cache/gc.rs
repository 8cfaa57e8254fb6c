//! `nixpy-ci cache gc`: removes from a registry's cache what no recent run has reached.

use std::time::SystemTime;

use clap::ArgMatches;
use nixpy_cache::registry::{CollectEvent, Collected, Keep, collect};
use nixpy_cache::{CacheError, CacheErrorKind, Place, RegistryCache};
use nixpy_pipeline::report::told;
use serde::Serialize;

use crate::audience::wrong;
use crate::exit::Code;
use crate::redact::{Secrets, Tell, clean};
use crate::render::{line, size};
use crate::report::json;
use crate::settings::{Environment, RawInputs, Surroundings, ToServe, days, to_serve};
use crate::{print, until_interrupted};

/// What came of it, for a program to read. Version 1: fields may be added.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    version: u32,
    cache: String,
    #[serde(flatten)]
    collected: Collected,
}

impl Tell for Told {
    fn without(mut self, secrets: &Secrets) -> Self {
        secrets.clean(&mut self.cache);
        self
    }
}

/// Does it, or says what it would do. To be interrupted does no harm.
pub async fn gc(flags: &ArgMatches, environment: &Environment) -> Code {
    let dry_run = flags.get_flag("dry-run");
    let (settings, keep) = match settings(flags, environment).await {
        Ok(settings) => settings,
        Err(problems) => return wrong(&problems, environment),
    };
    let cache = match open(&settings) {
        Ok(cache) => cache,
        Err(problem) => return wrong(&[problem], environment),
    };
    let name = settings
        .caches
        .wanted
        .iter()
        .map(|spec| spec.place.to_string());
    let name = name.collect::<String>();
    let now = SystemTime::now();
    let work = async {
        match collect(&cache, keep, dry_run, now, |event| tell_event(&event)).await {
            Ok(collected) => {
                let told = clean(Told {
                    version: 1,
                    cache: name,
                    collected,
                });
                match settings.output.json {
                    true => print(&json(&told)),
                    false => print(&told.made(|told| text(&told.cache, &told.collected))),
                }
            }
            Err(error) => return refused(&error),
        }
        Code::Success
    };
    let code = until_interrupted(work).await;
    if code == Code::Cancelled {
        line("stopped: what is left to remove, the next call removes");
    }
    code
}

async fn settings(
    flags: &ArgMatches,
    environment: &Environment,
) -> Result<(ToServe, Keep), Vec<String>> {
    let mut problems = Vec::new();
    let read = |name: &str| flags.get_one::<String>(name).cloned();
    let (age, most) = (read("keep"), read("max"));
    let age = age.map(|text| days(&text));
    let most = most.map(|text| bytes(&text));
    let keep = Keep {
        age: given("--keep", age, &mut problems),
        size: given("--max", most, &mut problems),
    };
    if flags.get_one::<String>("keep").is_none() && flags.get_one::<String>("max").is_none() {
        problems.push("say what is to be kept: --keep 14d, --max 10GB, or both".to_owned());
    }
    let raw = RawInputs::collect(flags, environment).map_err(|e| vec![e.to_string()])?;
    let around = Surroundings::here(environment).map_err(|e| vec![e])?;
    match to_serve(&raw, &around).await {
        Ok(settings) if problems.is_empty() => Ok((settings, keep)),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more.iter().map(ToString::to_string));
            Err(problems)
        }
    }
}

fn given<T>(name: &str, read: Option<Result<T, String>>, problems: &mut Vec<String>) -> Option<T> {
    match read? {
        Ok(value) => Some(value),
        Err(problem) => {
            problems.push(format!("{name}: {problem}"));
            None
        }
    }
}

/// The one cache that is named.
fn open(settings: &ToServe) -> Result<RegistryCache, String> {
    let place = match settings.caches.wanted.as_slice() {
        [spec] => &spec.place,
        _ => return Err("--cache: name one cache to remove from".to_owned()),
    };
    if !matches!(place, Place::Registry(_) | Place::BesideImage) {
        return Err(format!(
            "--cache: {place} is in no registry: only caches of registries (registry, oci://…) are collected here"
        ));
    }
    let opened = settings.caches.in_registry(place, &[]);
    opened.map_err(|kind| {
        let error = CacheError::new(place.to_string(), "be used", kind);
        let cure = error.cure().map(|cure| format!("; {cure}"));
        format!("{error}{}", cure.unwrap_or_default())
    })
}

fn tell_event(event: &CollectEvent) {
    match event {
        CollectEvent::Read { packs, paths } => line(&format!("{paths} paths in {packs} packs")),
        CollectEvent::Rewritten { from, to } => line(&format!("{from} is now {to}")),
        CollectEvent::Deleted(tag) => line(&format!("{tag} is deleted")),
        CollectEvent::Spared(tag) => {
            line(&format!("{tag} stays: somebody needs it meanwhile"));
        }
    }
}

fn text(cache: &str, collected: &Collected) -> String {
    let would = if collected.dry_run { "would be " } else { "" };
    let mut text = format!(
        "{cache}\n  {} paths kept, {}\n  {} paths {would}removed, {} that nothing names any more\n",
        collected.paths_kept,
        size(collected.bytes_kept),
        collected.paths_removed,
        size(collected.bytes_freed),
    );
    if collected.is_too_large {
        text.push_str(
            "  still larger than --max: what the last run reached stays, and what is younger than an hour\n",
        );
    }
    text
}

fn refused(error: &CacheError) -> Code {
    line(&format!("error: {}", told(error)));
    if let Some(cure) = error.cure() {
        line(&format!("  {cure}"));
    }
    match error.kind {
        CacheErrorKind::Here(_) => Code::Machine,
        _ => Code::Remote,
    }
}

/// `10GB`, `500MB`, `2GiB`.
fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: write 10GB, 500MB or 2GiB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit {
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sizes_and_ages_have_units() {
        assert_eq!(bytes("10GB"), Ok(10_000_000_000));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        for text in ["", "10", "GB", "-1GB", "1.5GB", "1 GB", "99999999999TB"] {
            assert!(bytes(text).is_err(), "{text:?}");
        }
        assert_eq!(days("14d"), Ok(Duration::from_secs(14 * 86_400)));
    }
}
