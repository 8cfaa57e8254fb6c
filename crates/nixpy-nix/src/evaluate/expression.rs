//! The Nix expression that answers a [`Question`], applied to `packages`.
//!
//! It uses builtins only (there may be no nixpkgs) and nothing younger than 2.8.

use super::{CrossNames, Question};
use crate::installable::AttrPath;

/// The function, its lists filled in.
pub(super) fn of(question: &Question) -> String {
    let wanted = match &question.systems {
        None => "null".to_owned(),
        Some(systems) => list(systems.iter().map(|system| string(system.as_str()))),
    };
    let candidates = paths(&question.candidates);
    let (host, targets) = match &question.cross {
        None => ("null".to_owned(), list(std::iter::empty())),
        Some((host, targets)) => (string(host.as_str()), list(targets.iter().map(target))),
    };
    format!(
        "packages: let wanted = {wanted}; candidates = {candidates}; host = {host}; \
         targets = {targets};{BODY}"
    )
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[ {} ]", items.collect::<Vec<_>>().join(" "))
}

fn paths(paths: &[AttrPath]) -> String {
    let path = |path: &AttrPath| list(path.names().iter().map(|name| string(name)));
    list(paths.iter().map(path))
}

fn target(names: &CrossNames) -> String {
    format!(
        "{{ target = {}; named = {}; suffixes = {}; words = {}; architecture = {}; }}",
        string(names.target.as_str()),
        paths(names.named.as_slice()),
        list(names.suffixes.iter().map(|suffix| string(suffix))),
        list(names.words.iter().map(|word| string(word))),
        string(&names.architecture),
    )
}

const BODY: &str = r#"
  # [ value ], or [ ] where the path leads nowhere. The value itself is not forced.
  find = set: path: builtins.foldl' (found: name:
    if builtins.length found == 0 then [ ]
    else let here = builtins.head found; in
      if builtins.isAttrs here && builtins.hasAttr name here
      then [ (builtins.getAttr name here) ] else [ ]) [ set ] path;

  text = value: if builtins.isString value then value else null;

  describe = { path, value }:
    if builtins.isAttrs value && (value.type or null) == "derivation" then {
      inherit path;
      inherit (value) drvPath;
      # Not by its own name: a set with `outPath` becomes nothing but that in JSON.
      place = value.outPath;
      name = value.name or "";
      output = value.outputName or "out";
      outputs = value.outputs or [ "out" ];
      pname = text (value.pname or null);
      version = text (value.version or null);
      imageName = text (value.imageName or null);
      imageTag = text (value.imageTag or null);
      architecture = text (value.architecture or value.buildArgs.architecture or null);
      builtOn = text (value.system or null);
      # Of a derivation that was not made by mkDerivation this may be anything.
      runsOn = let there = builtins.tryEval (value.stdenv.hostPlatform.system or null); in
        if there.success then text there.value else null;
      mainProgram = text (value.meta.mainProgram or null);
    } else { inherit path; found = builtins.typeOf value; };

  offer = set: let
    hits = builtins.concatMap (path: map (value: { inherit path value; }) (find set path)) candidates;
  in {
    attributes = builtins.attrNames set;
    chosen = if hits == [ ] then null else describe (builtins.head hits);
  };

  last = path: builtins.elemAt path (builtins.length path - 1);
  # [ "a" "b" ] and "-x": [ "a" "b-x" ].
  suffixed = path: suffix: builtins.genList (n: builtins.elemAt path n) (builtins.length path - 1)
    ++ [ (last path + suffix) ];

  # Names that have a word of the target's, and begin or end with that of an attribute.
  mentions = words: bases: name: builtins.any (word: builtins.any (path:
    builtins.match ".*${word}.*" name != null
    && (builtins.match "${last path}.*" name != null || builtins.match ".*${last path}" name != null)
  ) bases) words;
  # Names go into regular expressions: only those that are letters, digits, - and _.
  isPlain = path: builtins.length path == 1 && builtins.match "[A-Za-z0-9_-]+" (last path) != null;

  crossed = set: { target, named, suffixes, words, architecture }: let
    chosen = builtins.filter (path: find set path != [ ]) candidates;
    bases = if chosen == [ ] then candidates else [ (builtins.head chosen) ];
    paths = if named != [ ] then named else builtins.concatMap (path: map (suffixed path) suffixes) bases;
    hits = builtins.concatMap (path: map (value: { inherit path value; }) (find set path)) paths;
    # Nobody has asked for these: one that throws is passed over.
    loose = builtins.concatMap (name: let
        there = describe { path = [ name ]; value = builtins.getAttr name set; };
        tried = builtins.tryEval (builtins.deepSeq there there);
      in if tried.success then [ tried.value ] else [ ])
      (builtins.filter (mentions words (builtins.filter isPlain bases)) (builtins.attrNames set));
    saying = builtins.filter (found: (found.architecture or null) == architecture
      || (found.runsOn or null) == target) loose;
    found = if hits != [ ] then [ (describe (builtins.head hits)) ]
      else if named != [ ] then [ ] else saying;
  in map (value: { name = target; inherit value; }) (if found == [ ] then [ ] else [ (builtins.head found) ]);

  offered = builtins.attrNames packages;
  isWanted = system:
    if wanted == null then builtins.match ".*-linux" system != null
    else builtins.elem system wanted;
in {
  inherit (builtins) nixVersion storeDir;
  inherit offered;
  systems = builtins.listToAttrs (map
    (name: { inherit name; value = offer (builtins.getAttr name packages); })
    (builtins.filter isWanted offered));
  cross = if host == null || !(builtins.hasAttr host packages) then { }
    else builtins.listToAttrs (builtins.concatMap (crossed (builtins.getAttr host packages)) targets);
}"#;

/// A Nix string literal.
pub(crate) fn string(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace("${", "\\${");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::string;

    #[test]
    fn nothing_a_user_types_escapes_its_string() {
        assert_eq!(string("image"), r#""image""#);
        assert_eq!(string(r#"a" + b"#), r#""a\" + b""#);
        assert_eq!(string("${x}\\"), r#""\${x}\\""#);
        assert_eq!(string("$${x}"), r#""$\${x}""#);
    }
}
