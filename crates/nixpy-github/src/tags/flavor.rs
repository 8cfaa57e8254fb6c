//! What goes for all tags that rules make: `latest=auto|true|false`, `prefix=`, `suffix=`.

use super::RuleError;
use super::expression::Expressions;
use super::rule::fields;

/// Prefix, suffix, and what becomes of `latest`.
#[derive(Clone, Debug)]
pub(super) struct Flavor {
    pub latest: Latest,
    pub prefix: String,
    pub suffix: String,
    prefix_on_latest: bool,
    suffix_on_latest: bool,
}

/// Whether `latest` goes with the tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Latest {
    /// As the rule says that gives the first tag.
    Auto,
    Always,
    Never,
}

impl Flavor {
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, RuleError> {
        let mut flavor = Self {
            latest: Latest::Auto,
            prefix: String::new(),
            suffix: String::new(),
            prefix_on_latest: false,
            suffix_on_latest: false,
        };
        for line in lines {
            flavor.read(line).map_err(|problem| RuleError {
                line: line.to_owned(),
                problem,
            })?;
        }
        Ok(flavor)
    }

    fn read(&mut self, line: &str) -> Result<(), String> {
        let mut around = None;
        for field in fields(line) {
            let Some((key, value)) = field.split_once('=') else {
                return Err(format!(
                    "{field:?} is not KEY=VALUE, as in latest=false or prefix=alpine-"
                ));
            };
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "latest" => {
                    self.latest = match value {
                        "auto" => Latest::Auto,
                        "true" => Latest::Always,
                        "false" => Latest::Never,
                        _ => return Err("latest is auto, true or false".to_owned()),
                    }
                }
                "prefix" => {
                    value.clone_into(&mut self.prefix);
                    around = Some(&mut self.prefix_on_latest);
                }
                "suffix" => {
                    value.clone_into(&mut self.suffix);
                    around = Some(&mut self.suffix_on_latest);
                }
                "onlatest" => {
                    let on = match value {
                        "true" => true,
                        "false" => false,
                        _ => return Err("onlatest is true or false".to_owned()),
                    };
                    match &mut around {
                        Some(on_latest) => **on_latest = on,
                        None => return Err("onlatest stands behind a prefix or suffix".to_owned()),
                    }
                }
                other => {
                    return Err(format!(
                        "there is no {other:?}: there are latest, prefix, suffix and, behind one of these two, onlatest"
                    ));
                }
            }
        }
        Ok(())
    }

    /// The tag itself.
    pub fn latest(&self, expressions: &Expressions<'_>) -> Result<String, RuleError> {
        let fill = |text: &str, on: bool| match on {
            true => expressions.fill(text).map_err(|problem| RuleError {
                line: text.to_owned(),
                problem,
            }),
            false => Ok(String::new()),
        };
        let prefix = fill(&self.prefix, self.prefix_on_latest)?;
        let suffix = fill(&self.suffix, self.suffix_on_latest)?;
        Ok(format!("{prefix}latest{suffix}"))
    }
}
