//! What a derivation consists of: its outputs, what it needs, its environment.
//!
//! Needed to find one derivation among the inputs of another, such as the script
//! that makes an image's archive. The JSON is keyed by path (2.8 to 2.31 or so) or
//! wrapped in `derivations` and keyed by base name, with inputs under `inputs`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{NixError, NixErrorKind};
use crate::path_info::in_store;
use crate::program::Nix;
use crate::run::run;
use crate::store_path::StorePath;
use crate::system::System;

/// A derivation, as far as it is of interest here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derivation {
    /// Its `.drv`.
    pub path: StorePath,
    /// Its name, without `.drv`.
    pub name: String,
    /// The system it is built on, in Nix's spelling or `builtin`.
    pub system: String,
    /// Output name to path; `None` where the path is known only after the build.
    pub outputs: BTreeMap<String, Option<StorePath>>,
    /// The derivations it needs, with the outputs it needs of each; in order of path.
    pub input_drvs: Vec<(StorePath, Vec<String>)>,
    /// The store paths it needs that are not built; in order.
    pub input_srcs: Vec<StorePath>,
    /// Its environment. With structured attributes: their strings, in its place.
    pub env: BTreeMap<String, String>,
}

/// Describes these derivations, in one call; in order of path.
///
/// # Errors
/// [`NixErrorKind::Failed`] when one is not in the store, and those of any call.
pub async fn show_derivations(
    nix: &Nix,
    derivations: &[StorePath],
) -> Result<Vec<Derivation>, NixError> {
    let Some(first) = derivations.first() else {
        return Ok(Vec::new());
    };
    // `derivation show` came with 2.15 or so; 2.8 knows only the old name, and new
    // versions keep it as an alias that warns.
    let verb: &[&str] = match nix.version().await?.names_outputs_with_caret() {
        true => &["derivation", "show"],
        false => &["show-derivation"],
    };
    let paths = derivations.iter().map(StorePath::as_str);
    let arguments: Vec<String> = verb
        .iter()
        .copied()
        .chain(paths)
        .map(str::to_owned)
        .collect();
    let ended = run(nix, &arguments, &mut |_| {}).await?;
    if !ended.success {
        return Err(NixError::new(
            "describe",
            first,
            NixErrorKind::Failed {
                message: ended.complaint(),
            },
        ));
    }
    read(&ended.stdout, first.store_dir())
        .ok_or_else(|| NixError::unparseable("describe", first, nix.described(), &ended.stdout))
}

/// The system that a derivation in the store is built on, read from its file: for
/// whoever only has to name it. `None` if the file is not there, or is of another form.
pub fn system_of(derivation: &StorePath) -> Option<System> {
    let text = std::fs::read_to_string(derivation.as_path()).ok()?;
    system_in(&text)?.parse().ok()
}

/// `Derive([outputs],[derivations],[sources],"x86_64-linux",…`: the text behind three lists.
fn system_in(text: &str) -> Option<&str> {
    let (mut depth, mut lists, mut quoted, mut escaped) = (0_u32, 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' => depth += 1,
            b']' => {
                depth = depth.checked_sub(1)?;
                lists += u32::from(depth == 0);
                if lists == 3 {
                    let rest = text[at + 1..].strip_prefix(",\"")?;
                    return rest.split('"').next();
                }
            }
            _ => {}
        }
    }
    None
}

pub(crate) fn read(json: &str, store_dir: &str) -> Option<Vec<Derivation>> {
    let value: Value = serde_json::from_str(json).ok()?;
    let all = value.get("derivations").unwrap_or(&value).as_object()?;
    let mut found: Vec<Derivation> = all
        .iter()
        .map(|(path, value)| one(path, value, store_dir))
        .collect::<Option<_>>()?;
    found.sort_by(|left, right| left.path.cmp(&right.path));
    Some(found)
}

fn one(path: &str, value: &Value, store_dir: &str) -> Option<Derivation> {
    let path = in_store(path, store_dir)?;
    let inputs = |new: &str, old: &str| value.pointer(new).or_else(|| value.get(old));
    let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let outputs = value
        .get("outputs")?
        .as_object()?
        .iter()
        .map(|(name, output)| {
            let place = match output.get("path").and_then(Value::as_str) {
                Some(place) => Some(in_store(place, store_dir)?),
                None => None,
            };
            Some((name.clone(), place))
        });
    let drvs = inputs("/inputs/drvs", "inputDrvs").and_then(Value::as_object);
    let mut input_drvs: Vec<(StorePath, Vec<String>)> = drvs
        .into_iter()
        .flatten()
        .map(|(input, wanted)| {
            Some((
                in_store(input, store_dir)?,
                strings(wanted.get("outputs").unwrap_or(wanted)),
            ))
        })
        .collect::<Option<_>>()?;
    input_drvs.sort();
    let srcs = inputs("/inputs/srcs", "inputSrcs")
        .map(strings)
        .unwrap_or_default();
    let env = value
        .get("structuredAttrs")
        .filter(|attrs| attrs.is_object())
        .or_else(|| value.get("env"));
    Some(Derivation {
        name: text("name").unwrap_or_else(|| path.name().trim_end_matches(".drv").to_owned()),
        system: text("system")?,
        outputs: outputs.collect::<Option<_>>()?,
        input_drvs,
        input_srcs: srcs
            .iter()
            .filter_map(|source| in_store(source, store_dir))
            .collect(),
        env: env.map(environment).unwrap_or_default(),
        path,
    })
}

fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The strings of an environment. Old versions put structured attributes, as text, into `__json`.
fn environment(env: &Value) -> BTreeMap<String, String> {
    let json = env
        .get("__json")
        .and_then(Value::as_str)
        .and_then(|json| serde_json::from_str::<Value>(json).ok());
    let env = json
        .as_ref()
        .unwrap_or(env)
        .as_object()
        .into_iter()
        .flatten();
    env.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
