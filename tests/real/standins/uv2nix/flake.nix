# In uv2nix's place: the packages of uv.lock by name.
{
  outputs = { self }: {
    lib.workspace.loadWorkspace = { workspaceRoot }:
      let
        lock = builtins.fromTOML (builtins.readFile (workspaceRoot + "/uv.lock"));
        names = map (package: package.name) lock.package;
        isOwn = package: package.source ? editable || package.source ? virtual;
        own = map (package: package.name) (builtins.filter isOwn lock.package);
        set = f: names: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
      in
      {
        deps.default = set (_: [ ]) own;
        mkPyprojectOverlay = { sourcePreference }: final: prev:
          assert sourcePreference == "wheel";
          assert prev ? setuptools; # the build systems come first
          set prev.package names;
      };
  };
}
