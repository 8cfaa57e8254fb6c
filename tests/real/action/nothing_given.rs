//! The example of a step without any input, in a network of its own where ghcr.io is a registry on the loopback.
//! GitHub's API is not there: the registry answers in its name that it knows of nothing.

use std::fs;
use std::path::Path;

use super::pushed;
use crate::world::act::{Job, Repository, project};
use crate::world::flake::Flake;
use crate::world::nixpy::{Workplace, binary, names_in};
use crate::world::program::{output_of, place_of, program, run};

/// As htpasswd -B writes it: `octocat`, and the token `right`.
const USERS: &str = "octocat:$2b$04$zsyDCsG0MG4KctS.DhMRq.c/QOzu/ghYJjhACgrHbPe9uDXMoVmPC\n";
const SECONDS: u32 = 60;

/// The registry, as the network's only other host; then what is to be run.
const SCRIPT: &str = r#"
ip link set lo up
mount --bind hosts /etc/hosts
"$REGISTRY" serve config.yml >log 2>&1 &
registry=$!
trap 'kill $registry' EXIT
for _ in $(seq "$SECONDS_TO_WAIT"0); do grep -q 'listening on' log && break; sleep 0.1; done
cd "$REPOSITORY"
"$@"
"#;

#[test]
fn without_any_input_the_image_is_published_beside_the_repository() {
    let here = Workplace::new();
    // The example that users copy, with this action in the place of a released one, and without the one
    // input that it has because of the release workflow beside it.
    let example = fs::read_to_string(project().join("examples/workflows/image.yaml")).unwrap();
    let (workflow, inputs) = example.rsplit_once("        with:\n").unwrap();
    assert!(inputs.trim_start().starts_with("flavor: latest=false") && inputs.lines().count() == 1);
    let workflow = workflow.replace("org/nixpy-action@v1", "./");
    assert!(workflow.contains("uses: ./"), "{workflow}");
    let repository = Repository::new(&Flake::small(), &workflow);
    // There is nobody to download the program from.
    repository.has_in_tool_cache(binary(), &repository.folder());
    certificate(&here.path(""));
    fs::write(here.path("users"), USERS).unwrap();
    fs::write(
        here.path("hosts"),
        "127.0.0.1 localhost ghcr.io api.github.com\n",
    )
    .unwrap();
    let config = "version: 0.1\nlog: { level: info }\n\
        storage: { filesystem: { rootdirectory: storage } }\n\
        http: { addr: \"127.0.0.1:443\", tls: { certificate: cert.pem, key: key.pem } }\n\
        auth: { htpasswd: { realm: test, path: users } }\n";
    fs::write(here.path("config.yml"), config).unwrap();

    let act = {
        let mut act = repository.command("push", &pushed("main"));
        act.args(["--secret", "GITHUB_TOKEN"]);
        act
    };
    let mut inside = program("unshare");
    inside.args(["--net", "--mount", "--propagation", "private"]);
    inside.args(["sh", "-eu", "-c", SCRIPT, "sh"]);
    inside.arg(act.get_program()).args(act.get_args());
    for (name, value) in act.get_envs() {
        match value {
            Some(value) => inside.env(name, value),
            None => inside.env_remove(name),
        };
    }
    inside
        .current_dir(here.path(""))
        .env("REGISTRY", place_of("docker-registry"))
        .env("REPOSITORY", repository.folder())
        .env("SECONDS_TO_WAIT", SECONDS.to_string())
        .env("SSL_CERT_FILE", here.path("cert.pem"))
        .env("GITHUB_TOKEN", "right");
    let job = Job::of(run(&mut inside).succeeded());

    let tags = here.path("storage/docker/registry/v2/repositories/acme/service/_manifests/tags");
    let tags = names_in(&tags);
    assert!(tags.contains(&"latest".to_owned()), "{tags:?}");
    let of_the_commit = format!("sha-{}", repository.commit());
    assert!(tags.contains(&of_the_commit), "{tags:?}: {}", job.ended);
    let image = job.output("image");
    assert!(image.starts_with("ghcr.io/acme/service@sha256:"), "{image}");
    assert!(
        job.summary().contains("ghcr.io/acme/service"),
        "{}",
        job.ended
    );
}

/// One that is its own authority, for both names.
fn certificate(folder: &Path) {
    let file = |name: &str| folder.join(name).display().to_string();
    let about = "[req]\ndistinguished_name = name\nx509_extensions = more\nprompt = no\n[name]\nCN = ghcr.io\n\
                 [more]\nsubjectAltName = DNS:ghcr.io, DNS:api.github.com\nbasicConstraints = critical, CA:FALSE\n";
    fs::write(folder.join("about"), about).unwrap();
    let kind = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ];
    let (about, key, cert) = (file("about"), file("key.pem"), file("cert.pem"));
    let files = [
        "-config", &about, "-keyout", &key, "-out", &cert, "-days", "2",
    ];
    output_of("openssl", [&["req", "-x509"][..], &kind, &files].concat());
}
