# The service of ../base_api as a container image for two platforms, without
# nixpkgs: everything is made from Debian packages and PyPI wheels that are
# pinned in lock.json.  There are no inputs, hence no flake.lock.
#
#     ./prefetch && nix build .#packages.{x86_64,aarch64}-linux.image
#
# The packages are in nix/default.nix, the image is in nix/image.nix.
{
  description = "A FastAPI service as container images, built from Debian packages and wheels";

  outputs = { self }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      eachSystem = select:
        builtins.listToAttrs (map
          (system: { name = system; value = select (import ./nix { inherit system; }); })
          systems);
    in
    {
      packages = eachSystem (set: {
        inherit (set) app derived image nix2container stream;
        default = set.image;
      });

      apps = eachSystem (set: {
        default = { type = "app"; program = "${set.app}/bin/${set.app.meta.mainProgram}"; };
      });

      checks = eachSystem (set: set.checks);

      # Every package of the set, for the curious: `nix build .#python`.
      legacyPackages = eachSystem (set: set);
    };
}
