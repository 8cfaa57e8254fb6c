# examples/hermetic behind an evaluation that takes about a second, as that of a
# flake with nixpkgs and uv2nix does; it is made of nothing but work.
#
# bench/run puts examples/hermetic beside this file before it asks for anything.
{
  description = "A flake that is slow to evaluate";

  outputs = { self }:
    let
      hermetic = (import ./hermetic/flake.nix).outputs { inherit self; };
      lengths = builtins.genList (n: builtins.stringLength (toString n)) 3000000;
    in
    {
      packages = builtins.seq (builtins.foldl' (a: b: a + b) 0 lengths) hermetic.packages;
    };
}
