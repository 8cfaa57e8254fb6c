//! What was cleaned, and which parts of each telling are words.
//!
//! What is cleaned are the texts in which others' words may stand: of an error, a log, an
//! address. Names by which things are found (store paths, digests, references, tags) stay what
//! they are, and so do numbers.

use std::ops::Deref;
use std::str::FromStr as _;

use nixpy_github::api::Comparison;
use nixpy_nix::StorePath;
use nixpy_oci::digest::Digest;
use nixpy_pipeline::changes::Changes;
use nixpy_pipeline::doctor::Diagnosis;
use nixpy_pipeline::matrix::Matrix;
use nixpy_pipeline::preview::Preview;
use nixpy_pipeline::report::{PlatformReport, Report};
use nixpy_pipeline::result::RunResult;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Secrets;

/// Has no secret in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Clean<T>(T);

/// What is told, in one form or another.
pub trait Tell {
    /// The same, after its words were looked at.
    fn without(self, secrets: &Secrets) -> Self;
}

impl<T> Deref for Clean<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Clean<T> {
    /// What is made of this and of nothing else, as its text in one form or another.
    pub fn made<U>(&self, make: impl FnOnce(&T) -> U) -> Clean<U> {
        Clean(make(&self.0))
    }
}

impl Secrets {
    /// The same without them.
    pub(super) fn out_of<T: Tell>(&self, told: T) -> Clean<T> {
        Clean(told.without(self))
    }

    /// Hides them in a part whose every text is words, or a name by its form. A text that has to
    /// be what it is for the part to be read, as a verdict or a system, stays.
    pub fn clean<T: Serialize + DeserializeOwned>(&self, part: &mut T) {
        let Ok(value) = serde_json::to_value(&*part) else {
            return;
        };
        let mut changes = Vec::new();
        self.collect(&value, &mut String::new(), &mut changes);
        if changes.is_empty() {
            return;
        }
        let mut clean = value;
        apply::<T>(&mut clean, &changes);
        if let Ok(clean) = serde_json::from_value(clean) {
            *part = clean;
        }
    }

    /// The texts that would be others without them, by their places.
    fn collect(&self, value: &Value, place: &mut String, changes: &mut Vec<(String, String)>) {
        let length = place.len();
        match value {
            Value::String(text) if !is_name(text) => {
                let clean = self.hidden(text);
                if clean != *text {
                    changes.push((place.clone(), clean));
                }
            }
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    place.push_str(&format!("/{at}"));
                    self.collect(item, place, changes);
                    place.truncate(length);
                }
            }
            Value::Object(fields) => {
                for (name, item) in fields {
                    place.push('/');
                    place.push_str(&name.replace('~', "~0").replace('/', "~1"));
                    self.collect(item, place, changes);
                    place.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// Names of packages and their versions are others' words, and nothing is found by them.
    pub fn clean_changes(&self, changes: &mut [Changes]) {
        for changes in changes {
            self.clean(&mut changes.python);
            self.clean(&mut changes.libraries);
            self.clean(&mut changes.grown);
        }
    }

    fn clean_image(&self, image: &mut PlatformReport) {
        self.clean(&mut image.smoke);
        self.clean(&mut image.machine);
        self.clean(&mut image.before_unknown);
    }
}

/// Makes those of the changes after which it can still be read as what it is.
fn apply<T: DeserializeOwned>(value: &mut Value, changes: &[(String, String)]) {
    let mut changed = value.clone();
    for (place, text) in changes {
        if let Some(leaf) = changed.pointer_mut(place) {
            *leaf = Value::String(text.clone());
        }
    }
    if T::deserialize(&changed).is_ok() {
        *value = changed;
    } else if changes.len() > 1 {
        let (some, others) = changes.split_at(changes.len() / 2);
        apply::<T>(value, some);
        apply::<T>(value, others);
    }
}

fn is_name(text: &str) -> bool {
    StorePath::from_str(text).is_ok() || Digest::from_str(text).is_ok()
}

impl Tell for String {
    fn without(self, secrets: &Secrets) -> Self {
        secrets.hidden(&self)
    }
}

impl Tell for Value {
    fn without(mut self, secrets: &Secrets) -> Self {
        secrets.clean(&mut self);
        self
    }
}

impl Tell for Report {
    fn without(mut self, secrets: &Secrets) -> Self {
        secrets.clean(&mut self.flake);
        secrets.clean(&mut self.error);
        secrets.clean(&mut self.notes);
        secrets.clean(&mut self.troubles);
        secrets.clean(&mut self.failures);
        secrets.clean(&mut self.caches);
        secrets.clean(&mut self.findings);
        secrets.clean(&mut self.timeline);
        secrets.clean_changes(&mut self.changes);
        let images = self.platforms.iter_mut();
        images.for_each(|image| secrets.clean_image(image));
        self
    }
}

impl Tell for RunResult {
    fn without(mut self, secrets: &Secrets) -> Self {
        secrets.clean(&mut self.flake);
        secrets.clean_changes(&mut self.changes);
        let images = self.platforms.iter_mut();
        images.for_each(|image| secrets.clean_image(&mut image.report));
        self
    }
}

impl Tell for Preview {
    fn without(mut self, secrets: &Secrets) -> Self {
        secrets.clean(&mut self.plan.flake);
        secrets.clean(&mut self.plan.notes);
        for job in &mut self.plan.jobs {
            secrets.clean(&mut job.declined);
        }
        self
    }
}

/// Names of systems and runners, in the words of the settings.
impl Tell for Matrix {
    fn without(self, _: &Secrets) -> Self {
        self
    }
}

impl Tell for Diagnosis {
    fn without(mut self, secrets: &Secrets) -> Self {
        secrets.clean(&mut self.flake);
        for check in &mut self.checks {
            secrets.clean(&mut check.subject);
            secrets.clean(&mut check.found);
            secrets.clean(&mut check.cure);
        }
        self
    }
}

impl Tell for Comparison {
    fn without(mut self, secrets: &Secrets) -> Self {
        for commit in &mut self.commits {
            secrets.clean(&mut commit.commit.message);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::none();
        secrets.add(["hunter22".to_owned(), "hunt".to_owned()]);
        secrets
    }

    #[test]
    fn what_has_to_be_read_as_it_is_stays_and_the_words_beside_it_are_cleaned() {
        #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Verdict {
            Hunted,
            Free,
        }
        let mut secrets = secrets();
        secrets.add(["linux".to_owned()]);
        let mut part: Vec<(Verdict, nixpy_nix::System, String)> = Vec::new();
        let system: nixpy_nix::System = "x86_64-linux".parse().expect("a system");
        for _ in 0..5 {
            part.push((
                Verdict::Hunted,
                system.clone(),
                "a hunt on linux".to_owned(),
            ));
            part.push((Verdict::Free, system.clone(), "nothing".to_owned()));
        }
        secrets.clean(&mut part);
        assert_eq!(part.len(), 10);
        for pair in part.chunks(2) {
            assert_eq!((&pair[0].0, &pair[1].0), (&Verdict::Hunted, &Verdict::Free));
            assert_eq!(
                (pair[0].2.as_str(), pair[1].2.as_str()),
                ("a *** on ***", "nothing")
            );
            assert_eq!(pair[0].1, system);
        }
    }

    #[test]
    fn words_are_cleaned_and_names_stay() {
        let path = "/nix/store/l8s71q1sbqa8q6yd8zi3ak40kn1h9dhf-hunt";
        let cleaned = secrets().out_of(serde_json::json!([path, { "of": "hunt" }]));
        assert_eq!(*cleaned, serde_json::json!([path, { "of": "***" }]));
    }

    #[test]
    fn what_a_report_says_is_cleaned_and_what_points_to_the_image_is_not() {
        let mut report = Report::failed("git+https://me:pass@git.example", &[], "it is hunter22");
        report.references.push("ghcr.io/hunt/api:1".to_owned());
        let told = secrets().out_of(report);
        assert_eq!(told.flake, "git+https://***@git.example");
        assert_eq!(told.error.as_deref(), Some("it is ***"));
        assert_eq!(told.references, ["ghcr.io/hunt/api:1"]);
        let text = told.made(|report| report.error.clone().unwrap_or_default());
        assert_eq!(*text, "it is ***");
    }
}
