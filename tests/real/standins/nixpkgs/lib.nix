# The functions of nixpkgs' library that flakes of ours call, and no other: a flake that calls one
# more fails here first.
rec {
  genAttrs = names: f: builtins.listToAttrs (map (name: { inherit name; value = f name; }) names);
  importTOML = file: builtins.fromTOML (builtins.readFile file);

  fix = f: let x = f x; in x;
  composeManyExtensions = overlays: final: prev:
    builtins.foldl' (before: overlay: before // overlay final (prev // before)) { } overlays;

  escapeShellArg = word: "'${builtins.replaceStrings [ "'" ] [ "'\\''" ] (toString word)}'";
  escapeShellArgs = words: builtins.concatStringsSep " " (map escapeShellArg words);

  splitString = by: text: builtins.filter builtins.isString (builtins.split by text);
  removePrefix = prefix: text:
    let length = builtins.stringLength prefix; in
    if builtins.substring 0 length text == prefix then builtins.substring length (-1) text else text;
}
