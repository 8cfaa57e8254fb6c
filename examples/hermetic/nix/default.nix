# The package set of one system, from the bottom up: a static shell, the C
# library, shared libraries, Python, one store path per wheel, the service.
#
# Store paths refer to one another for real (loader, RUNPATH, shebang,
# nix-support/propagated-build-inputs), so `nix path-info -r` on the service
# gives the same kind of graph as it would with nixpkgs:
#
#     glibc <- libraries <- python <- wheels <- environment <- app
#
# Nothing here imports anything from outside this flake, and everything of a
# system is built by programs of that system: aarch64-linux needs no x86_64
# machine.  No builtin newer than Nix 2.8 is used.
{ system }:
let
  lock = (builtins.fromJSON (builtins.readFile ../lock.json)).${system};
  project = (builtins.fromTOML (builtins.readFile ../pyproject.toml)).project;

  platform = {
    x86_64-linux = { triple = "x86_64-linux-gnu"; loader = "ld-linux-x86-64.so.2"; goarch = "amd64"; };
    aarch64-linux = { triple = "aarch64-linux-gnu"; loader = "ld-linux-aarch64.so.1"; goarch = "arm64"; };
  }.${system};

  # A file that ./prefetch has put into the store.  If it has not, Nix tries
  # the address below, and its complaint tells the reader what to do.
  prefetched = mode: { name, sha256, ... }: derivation {
    inherit name;
    system = "builtin";
    builder = "builtin:fetchurl";
    url = "file:///run/examples/hermetic/prefetch/first/${name}";
    outputHashMode = mode;
    outputHashAlgo = "sha256";
    outputHash = sha256;
    preferLocalBuild = true;
  };

  # The named builders as one store path: a change of one builder rebuilds
  # only what uses it, and Python builders can import each other.
  builders = names: builtins.path {
    path = ./builders;
    name = "hermetic-builders";
    filter = path: _: builtins.elem (baseNameOf path) names;
  };

  # Busybox chooses its applet by its own file name.  A file's store name
  # begins with a hash, so it is kept in a folder.
  busybox = prefetched "recursive" lock.busybox;

  runShell = script: args: derivation ({
    inherit system;
    inherit (platform) triple loader;
    builder = "${busybox}/bin/busybox";
    args = [ "sh" "-eu" script ];
    # Byte code must not depend on the order of sets, nor on the clock.
    PYTHONHASHSEED = "0";
    PYTHONDONTWRITEBYTECODE = "1";
    SOURCE_DATE_EPOCH = "315532800";
  } // args);

  # Nix starts a builder under its base name; Python finds itself by PATH.
  runPython = home: script: args: derivation ({
    inherit system;
    builder = "${home}/bin/python3";
    args = [ script ];
    PATH = "${home}/bin";
    PYTHONHASHSEED = "0";
    PYTHONDONTWRITEBYTECODE = "1";
  } // args);

  storeVersion = builtins.replaceStrings [ ":" "~" ] [ "-" "-" ];

  # A package out of Debian packages; the first gives the version.
  fromDebs = { pname, debs, recipe ? "library.sh", ... }@args:
    let
      version = storeVersion lock.debs.${builtins.head debs}.version;
    in
    runShell "${builders [ recipe "elf.sh" "bytecode.py" ]}/${recipe}" ({
      inherit version glibc patchelf;
      name = "${pname}-${version}";
      deps = [ ];
    } // args // {
      debs = map (deb: prefetched "flat" lock.debs.${deb}) debs;
    });

  # patchelf and the unpatched libraries that it runs on: it cannot patch what
  # it has loaded.  Used while building only.
  patchelf = fromDebs {
    pname = "patchelf";
    debs = [ "patchelf" "libc6" "libgcc-s1" "libstdc++6" ];
    glibc = "";
    patchelf = "";
  };

  glibc = fromDebs { pname = "glibc"; debs = [ "libc6" ]; glibc = ""; patchelf = ""; };
  library = pname: deb: fromDebs { inherit pname; debs = [ deb ]; };

  libgcc = library "libgcc" "libgcc-s1";
  libraries = {
    bzip2 = library "bzip2" "libbz2-1.0";
    expat = library "expat" "libexpat1";
    libffi = library "libffi" "libffi8";
    openssl = library "openssl" "libssl3";
    sqlite = library "sqlite" "libsqlite3-0";
    xz = library "xz" "liblzma5";
    zlib = library "zlib" "zlib1g";
  };

  cacert = fromDebs {
    pname = "cacert";
    debs = [ "ca-certificates" ];
    recipe = "cacert.sh";
    glibc = "";
    patchelf = "";
  };

  python = fromDebs {
    pname = "python3";
    debs = [ "python3.11-minimal" "libpython3.11-minimal" "libpython3.11-stdlib" ];
    recipe = "python.sh";
    deps = builtins.attrValues libraries;
  };

  pythonPackage = { pname, version, requires, ... }@args:
    runShell "${builders [ "wheel.sh" "wheel.py" "elf.sh" "bytecode.py" ]}/wheel.sh" ({
      inherit python glibc patchelf busybox;
      name = "python3.11-${pname}-${version}";
      deps = [ libgcc ];
    } // args // {
      requires = map (name: wheels.${name}) requires;
    });

  wheels = builtins.mapAttrs
    (pname: entry: pythonPackage {
      inherit pname;
      inherit (entry) version requires;
      wheel = prefetched "flat" entry;
      wheelName = entry.name;
    })
    lock.wheels;

  # The service from its sources, by the build backend its pyproject names.
  baseApi = pythonPackage {
    pname = "base-api";
    inherit (project) version;
    requires = lock.roots;
    backend = wheels.flit-core;
    source = builtins.path {
      path = ../.;
      name = "base-api-source";
      # Nothing else in this folder may change the service's store path.
      filter = path: type:
        let relative = builtins.substring (builtins.stringLength (toString ../.) + 1) (-1) path; in
        relative == "pyproject.toml" || builtins.match "src(/.*)?" relative != null
        && (if type == "directory" then baseNameOf path != "__pycache__" else builtins.match ".*[.]py" path != null);
    };
  };

  # A virtual environment: symbolic links to one store path per wheel.
  environment = runPython python "${builders [ "environment.py" ]}/environment.py" {
    name = "base-api-env";
    inherit python;
    roots = [ baseApi ];
  };

  # What users run: only the service's own command, not uvicorn's or pip's.
  app = runShell (builtins.toFile "app.sh" ''
    mkdir -p $out/bin
    ln -s $environment/bin/$pname $out/bin/$pname
  '') rec {
    inherit environment;
    pname = "base-api";
    inherit (project) version;
    name = "${pname}-${version}";
  } // {
    meta = { mainProgram = "base-api"; inherit (project) description; };
  };

  images = import ./image.nix { inherit platform builders busybox python runShell runPython app cacert; };
  checks = import ./checks.nix { inherit system runPython environment app; };
in
libraries // {
  inherit busybox patchelf glibc libgcc cacert python wheels baseApi environment app checks;
  inherit (images) conf customisationLayer stream image derived nix2container;
}
