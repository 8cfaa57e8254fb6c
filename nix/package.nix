# The program, of the sources that it is compiled from and nothing else: a change of a page of the
# documentation builds nothing anew. With pkgsStatic it is one static file (musl).
{ lib, rustPlatform }:
let
  root = ../.;
  manifest = builtins.fromTOML (builtins.readFile (root + "/Cargo.toml"));
  wanted = [ "Cargo.lock" "Cargo.toml" "crates" ];
in
rustPlatform.buildRustPackage {
  pname = "nixpy-ci";
  inherit (manifest.workspace.package) version;

  # Without .cargo: the platform's own hooks name target and flags.
  src = builtins.path {
    name = "nixpy-ci-source";
    path = root;
    filter = path: _:
      let relative = lib.removePrefix "${toString root}/" (toString path); in
      builtins.elem (builtins.head (lib.splitString "/" relative)) wanted;
  };

  cargoLock.lockFile = root + "/Cargo.lock";
  cargoBuildFlags = [ "--package" "nixpy-ci" ];

  # They want a registry, a git checkout, and much time: `make test` runs them.
  doCheck = false;

  meta = {
    description = "Builds Python container images for every platform from one Nix flake, and publishes them";
    mainProgram = "nixpy-ci";
    platforms = [ "x86_64-linux" "aarch64-linux" ];
  };
}
