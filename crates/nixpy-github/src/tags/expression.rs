//! What stands in double braces: `{{branch}}`, `{{date 'YYYYMMDD'}}`.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, RenderContext, RenderError, RenderErrorReason,
    ScopedJson, no_escape,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::facts::Facts;
use super::moment;
use super::version::Version;

/// Fills templates with facts.
#[derive(Clone)]
pub(super) struct Expressions<'a> {
    filler: Handlebars<'a>,
    facts: Value,
}

impl Expressions<'_> {
    pub fn of(facts: &Facts) -> Self {
        let mut filler = Handlebars::new();
        // What does not exist is a slip, and its tag would be another than was meant.
        filler.set_strict_mode(true);
        filler.register_escape_fn(no_escape);
        // Its own of this name stands in the way of the git tag.
        filler.unregister_helper("raw");
        filler.register_helper("date", Box::new(Date(facts.now)));
        let commit = facts.commit_date.unwrap_or(facts.now);
        filler.register_helper("commit_date", Box::new(Date(commit)));
        let is_default = facts.is_default_branch();
        let facts = json!({
            "branch": facts.branch().unwrap_or_default(),
            "tag": facts.tag().unwrap_or_default(),
            "sha": facts.short_sha(),
            "base_ref": facts.base_ref,
            "is_default_branch": is_default.to_string(),
            "is_not_default_branch": (!is_default).to_string(),
        });
        Self { filler, facts }
    }

    /// With those of a version.
    #[must_use]
    pub fn of_version(&self, version: &Version) -> Self {
        let mut with = self.clone();
        let parts = [
            ("raw", json!(version.raw)),
            ("version", json!(version.version)),
            ("major", json!(version.major)),
            ("minor", json!(version.minor)),
            ("patch", json!(version.patch)),
        ];
        for (name, value) in parts {
            with.facts[name] = value;
        }
        with
    }

    /// The text with every expression replaced by what it comes to.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        if !text.contains("{{") {
            return Ok(text.to_owned());
        }
        let filled = self.filler.render_template(text, &self.facts);
        filled.map_err(|e| match e.reason() {
            RenderErrorReason::MissingVariable(Some(name)) => format!(
                "there is no {{{{{name}}}}} here: there are branch, tag, sha, base_ref, is_default_branch, \
                 is_not_default_branch, date, commit_date and, in patterns of versions, raw, version, major, minor, patch"
            ),
            RenderErrorReason::TemplateError(e) => {
                format!("{text:?} is no template: {}", e.reason())
            }
            RenderErrorReason::HelperNotFound(name) => format!("there is no {{{{{name}}}}}"),
            reason => reason.to_string(),
        })
    }
}

/// `date 'FORMAT' tz='ZONE'`, in moment's letters.
struct Date(Timestamp);

impl HelperDef for Date {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let wrong = |problem: String| RenderErrorReason::Other(problem);
        let name = helper.name();
        let format = helper.param(0).and_then(|format| format.value().as_str());
        let Some(format) = format else {
            let problem = format!("{name} needs a format, as in {{{{{name} 'YYYYMMDD'}}}}");
            return Err(wrong(problem).into());
        };
        let mut zone = TimeZone::UTC;
        for (key, value) in helper.hash() {
            let value = value.value().as_str().unwrap_or_default();
            if *key != "tz" {
                return Err(wrong(format!("{name} has no {key}, only tz='Europe/Berlin'")).into());
            }
            zone = TimeZone::get(value)
                .map_err(|_| wrong(format!("{value:?} is no time zone, as Europe/Berlin is")))?;
        }
        let text = moment::format(&self.0.to_zoned(zone), format);
        Ok(ScopedJson::Derived(Value::String(text)))
    }
}
