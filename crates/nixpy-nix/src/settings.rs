//! What Nix is configured to do, with the options of the command line: `nix show-config`.

use serde_json::Value;

use crate::program::Nix;
use crate::run::run;

/// Every setting, as Nix tells it.
pub(crate) struct Settings(Value);

impl Settings {
    /// Asks; `None` if Nix does not tell.
    pub(crate) async fn of(nix: &Nix) -> Option<Self> {
        let verb: &[&str] = match nix.version().await.ok()?.shows_config_by_two_words() {
            true => &["config", "show", "--json"],
            false => &["show-config", "--json"],
        };
        let arguments: Vec<String> = verb.iter().map(|word| (*word).to_owned()).collect();
        let ended = run(nix, &arguments, &mut |_| {}).await.ok()?;
        Self::read(&ended.stdout)
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// Whatever it is.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)?.get("value")
    }

    /// One that is a text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    /// One that is a list of texts; empty if there is no such.
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        let list = self.value(name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str)
    }
}
