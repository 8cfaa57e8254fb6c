//! What a release did, or would do: text for people, JSON for programs.

use nixpy_nix::Revision;
use nixpy_pipeline::release::{ReleasePlan, Step};
use serde::Serialize;
use serde_json::json;

use super::Asked;
use super::github::{FileStep, Planned, RefStep, ReleaseStep, notes};
use super::images::Images;
use crate::redact::{Clean, Secrets, Tell, clean};
use crate::render::size;
use crate::settings::Output;
use crate::{print, report};

/// Everything that is told.
pub struct Told<'a> {
    pub images: &'a Clean<Images>,
    pub plan: &'a ReleasePlan,
    pub github: Option<&'a Planned>,
    pub built: bool,
    pub tag: &'a str,
    pub dry_run: bool,
}

/// In version 1: fields may be added. What a run's report has as well is called as it is there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    #[serde(flatten)]
    images: &'a Images,
    git_tag: &'a str,
    built: bool,
    dry_run: bool,
    /// Whether everything was there before.
    unchanged: bool,
    /// Whether another image has the version's tag now than before.
    changed: bool,
    /// The first place where the image is.
    destination: String,
    /// Tags that point to it.
    references: Vec<String>,
    index: serde_json::Value,
    places: &'a [nixpy_pipeline::release::PlacePlan],
    github: Option<serde_json::Value>,
}

/// The images were cleaned as facts; everything else is names and words of ours.
impl Tell for Json<'_> {
    fn without(self, _: &Secrets) -> Self {
        self
    }
}

impl Told<'_> {
    /// On standard output.
    pub fn print(&self, as_json: bool) {
        match as_json {
            true => print(&report::json(&clean(self.json()))),
            false => print(&clean(self.text())),
        }
    }

    /// Writes the files that the settings name; `Err` says why one could not be.
    pub fn write(&self, output: &Output) -> Result<(), String> {
        if let Some(file) = &output.summary {
            let summary = self.images.made(|images| notes::summary(self.tag, images));
            report::write_whole(file, &summary)
                .map_err(|e| format!("cannot write the summary {}: {e}", file.display()))?;
        }
        if let Some(file) = &output.report {
            report::write_whole(file, &report::json(&clean(self.json())))
                .map_err(|e| format!("cannot write the report {}: {e}", file.display()))?;
        }
        Ok(())
    }

    /// Every tag that points to the image, or would.
    fn references(&self) -> Vec<String> {
        let places = self.plan.places.iter().flat_map(|place| {
            let tags = place.tags.iter();
            let ours = tags.filter(|step| !matches!(step.step, Step::Held { .. }));
            ours.map(|step| format!("{}:{}", place.repository, step.tag))
        });
        places.collect()
    }

    fn is_unchanged(&self) -> bool {
        let github = self.github.is_none_or(|github| github.plan.is_done());
        self.plan.is_done() && github && !self.built
    }

    fn json(&self) -> Json<'_> {
        let github = self.github.map(|github| {
            let plan = &github.plan;
            let files = plan.files.iter();
            let files = files.map(|file| json!({ "name": file.name, "step": file.step }));
            json!({
                "release": plan.step,
                "url": github.release.as_ref().map(|release| &release.html_url),
                "files": files.collect::<Vec<_>>(),
                "floating": plan.floating,
            })
        });
        Json {
            images: self.images,
            git_tag: self.tag,
            built: self.built,
            dry_run: self.dry_run,
            unchanged: self.is_unchanged(),
            changed: !self.plan.is_done(),
            destination: self
                .images
                .repositories
                .first()
                .map(ToString::to_string)
                .unwrap_or_default(),
            references: self.references(),
            index: json!({ "digest": self.images.digest }),
            places: &self.plan.places,
            github,
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("{} is {}", self.tag, self.plan.digest)];
        for one in &self.images.platforms {
            let platform = one.platform.to_string();
            let size = size(one.compressed_size);
            lines.push(format!("  {}  {platform:<16} {size:>9}", one.digest));
        }
        // What was not done yet is not told as if it were.
        let (set, moved) = match self.dry_run {
            true => ("would be set", "would move here from"),
            false => ("set", "moved here from"),
        };
        for place in &self.plan.places {
            for step in &place.tags {
                let what = match &step.step {
                    Step::Already => "there already".to_owned(),
                    Step::Set => set.to_owned(),
                    Step::Move { from } => format!("{moved} {from}"),
                    Step::Held { newer } => format!("stays: {newer} is newer"),
                };
                lines.push(format!("  {}:{}  {what}", place.repository, step.tag));
            }
        }
        if let Some(github) = self.github {
            lines.extend(self.github_lines(github));
        }
        if self.is_unchanged() {
            lines.push("  nothing had to be changed".to_owned());
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn github_lines(&self, github: &Planned) -> Vec<String> {
        let plan = &github.plan;
        let would = if self.dry_run { "would be " } else { "" };
        let what = match plan.step {
            ReleaseStep::Already => "there already".to_owned(),
            ReleaseStep::Create => format!("{would}made"),
            ReleaseStep::Publish => format!("{would}published"),
            ReleaseStep::Update => format!("{would}updated"),
        };
        let name = match &github.release {
            Some(release) => release.html_url.clone(),
            None => self.tag.to_owned(),
        };
        let mut lines = vec![format!("  release {name}  {what}")];
        let files = plan.files.iter();
        lines.extend(files.filter_map(|file| match file.step {
            FileStep::Already => None,
            FileStep::Left => Some(format!(
                "  {}  left out: this release cannot be changed any more",
                file.name
            )),
            FileStep::Attach | FileStep::Replace { .. } => {
                Some(format!("  {}  {would}attached", file.name))
            }
        }));
        for floating in &plan.floating {
            let what = match &floating.step {
                RefStep::Already => "there already".to_owned(),
                RefStep::Create => format!("{would}made"),
                RefStep::Move { from } => format!("{would}moved from {from}"),
                RefStep::Held { newer } => format!("stays: {newer} is newer"),
                RefStep::Refused { why } => format!("refused by GitHub: {why}"),
            };
            lines.push(format!("  git tag {}  {what}", floating.name));
        }
        lines
    }
}

/// Of a call that only asks, where nothing is published yet.
pub fn would_build(commit: &Revision, asked: &Asked<'_>) {
    let tag = &asked.wanted.tag;
    match asked.wanted.output.json {
        true => print(&report::json(&clean(
            json!({ "version": 1, "release": asked.wanted.version, "gitTag": tag, "commit": commit, "dryRun": true, "wouldBuild": true }),
        ))),
        false => print(&clean(format!(
            "{tag}: an image of commit {commit} would be built and published first\n"
        ))),
    }
}
