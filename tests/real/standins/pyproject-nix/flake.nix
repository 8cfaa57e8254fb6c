# In pyproject.nix's place: it finds a project's requirements by name, heeds no markers, and makes of
# them what the renderer of that name makes.
{
  outputs = { self }:
    let
      normalize = name: builtins.replaceStrings [ "_" "." ]  [ "-" "-" ]
        (builtins.concatStringsSep "" (map lower (builtins.filter builtins.isString (builtins.split "" name))));
      lower = letter:
        let
          large = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
          small = "abcdefghijklmnopqrstuvwxyz";
          letters = text: map (at: builtins.substring at 1 text) (builtins.genList (at: at) 26);
        in
        builtins.replaceStrings (letters large) (letters small) letter;

      # `uvicorn[standard]>=0.29` asks for uvicorn.
      nameOf = requirement: normalize (builtins.head (builtins.match "([A-Za-z0-9._-]+).*" requirement));
      toml = root: builtins.fromTOML (builtins.readFile (root + "/pyproject.toml"));

      loaded = by: { root, name ? null, version ? null, needs }: {
        renderers.buildPythonPackage = { python }: {
          inherit by;
          src = root;
          pyproject = true;
          dependencies = map (need: python.pkgs.${need}) needs;
        } // (if name == null then { } else { pname = name; inherit version; });
      };
      pep621 = by: { projectRoot }:
        let inherit (toml projectRoot) project; in
        loaded by {
          root = projectRoot;
          inherit (project) name;
          version = project.version or "0";
          needs = map nameOf (project.dependencies or [ ]);
        };
    in
    {
      lib.pypa.normalizePackageName = normalize;
      lib.project = {
        loadPyproject = pep621 "loadPyproject";
        loadPDMPyproject = pep621 "loadPDMPyproject";
        loadPoetryPyproject = { projectRoot }:
          let inherit ((toml projectRoot).tool) poetry; in
          loaded "loadPoetryPyproject" {
            root = projectRoot;
            inherit (poetry) name version;
            needs = map normalize
              (builtins.filter (name: name != "python") (builtins.attrNames poetry.dependencies));
          };
        loadRequirementsTxt = { requirements, projectRoot }:
          let
            lines = builtins.filter builtins.isString (builtins.split "\n" (builtins.readFile requirements));
            wanted = builtins.filter (line: builtins.match "[A-Za-z0-9].*" line != null) lines;
          in
          loaded "loadRequirementsTxt" { root = projectRoot; needs = map nameOf wanted; };
      };

      # A set of packages that overlays can be put over, which makes environments of them.
      build.packages = { python, runCommand }:
        let
          made = overlay: let set = base // overlay set base; base = {
            inherit python;
            mkVirtualEnv = name: wanted: runCommand name {
              inherit python;
              packages = map (package: set.${package}) (builtins.attrNames wanted);
            } "mkVirtualEnv";
            package = name: runCommand name { } "a package of the lock file";
            resolveBuildSystem = wanted: map (package: set.${package}) (builtins.attrNames wanted);
            overrideScope = made;
          }; in set;
        in
        made (final: prev: { });

      build.util = { runCommand }: {
        mkApplication = { venv, package }: runCommand package.name { inherit venv package; } "mkApplication";
      };
    };
}
