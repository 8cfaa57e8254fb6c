//! The Nix expression that answers a [`Question`], applied to `packages`.
//!
//! It uses builtins only (there may be no nixpkgs) and nothing younger than 2.8.

use super::Question;

/// The function, its two lists filled in.
pub(super) fn of(question: &Question) -> String {
    let list = |items: &mut dyn Iterator<Item = String>| {
        format!("[ {} ]", items.collect::<Vec<_>>().join(" "))
    };
    let wanted = match &question.systems {
        None => "null".to_owned(),
        Some(systems) => list(&mut systems.iter().map(|system| string(system.as_str()))),
    };
    let candidate = |names: &[String]| list(&mut names.iter().map(|name| string(name)));
    let candidates = list(
        &mut question
            .candidates
            .iter()
            .map(|path| candidate(path.names())),
    );
    format!("packages: let wanted = {wanted}; candidates = {candidates};{BODY}")
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
      architecture = text (value.architecture or null);
      mainProgram = text (value.meta.mainProgram or null);
    } else { inherit path; found = builtins.typeOf value; };

  offer = set: let
    hits = builtins.concatMap (path: map (value: { inherit path value; }) (find set path)) candidates;
  in {
    attributes = builtins.attrNames set;
    chosen = if hits == [ ] then null else describe (builtins.head hits);
  };

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
