//! What is told of settings that an image does not take.

use serde_json::json;

use crate::naming::job;
use crate::scenario::Scenario;

const UNHEEDED: &str = "is for plain packages";

#[test]
fn what_the_repository_says_of_itself_is_nothing_that_somebody_has_set() {
    let scenario = Scenario::stream();
    let main = ("push", "refs/heads/main");
    let run =
        |words: &[&'static str]| job(&scenario, scenario.run(words.to_vec()), main, json!({}));
    run(&[]).ended().succeeded().never_says(UNHEEDED);
    run(&["--label=a=b"]).ended().succeeded().says(UNHEEDED);
}
