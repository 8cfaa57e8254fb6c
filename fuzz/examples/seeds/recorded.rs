//! What several versions of Nix have said, as nixpy-nix's tests have it, and what builders
//! print, as nixpy-pipeline's have it.

use std::fs;
use std::path::Path;

pub fn copy() {
    crate::write("path_info", "other", b"{\"name\":\"x\"}");
    crate::write(
        "log",
        "text",
        b"ssh: connect to host builder\n@nix {\"action\":7}\n@nix {",
    );
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/nixpy-nix/tests/fixtures");
    for version in fs::read_dir(fixtures).unwrap() {
        let version = version.unwrap();
        for file in fs::read_dir(version.path()).unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            let target = match name.ends_with(".log") {
                true => "log",
                false => "path_info",
            };
            let name = format!("{}-{name}", version.file_name().to_str().unwrap());
            crate::write(target, &name, &fs::read(&file).unwrap());
        }
    }
    crate::write("builder_log", "nothing", b"unpacking\nbuilding\n");
    let printed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/nixpy-pipeline/src/findings/recorded");
    for file in fs::read_dir(printed).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        crate::write("builder_log", name, &fs::read(&file).unwrap());
    }
}
