# The container image, with the shape and the attributes of dockerTools:
# `stream` is what streamLayeredImage gives, `image` what buildLayeredImage
# gives.  Tools that know the one know the other.  `nix2container` is what
# nix2container's buildImage gives.
{ platform, builders, busybox, python, runShell, runPython, app, cacert }:
let
  imageName = app.pname;
  imageTag = app.version;

  builder = name: "${builders [ name ]}/${name}";

  config = {
    Entrypoint = [ "${app}/bin/${app.meta.mainProgram}" ];
    Env = [
      "PYTHONUNBUFFERED=1"
      "SSL_CERT_FILE=${cacert}/etc/ssl/certs/ca-bundle.crt"
      "PATH=${app}/bin"
    ];
    ExposedPorts."8000/tcp" = { };
    User = "1000:1000";
    WorkingDir = "/tmp";
    Labels = {
      "org.opencontainers.image.title" = imageName;
      "org.opencontainers.image.version" = app.version;
      "org.opencontainers.image.description" = app.meta.description;
    };
  };

  # The one layer that is not made of store paths: /etc/passwd and /tmp.
  customisationLayer = runPython python (builder "customisation_layer.py") {
    name = "base-api-customisation-layer";
  };

  describe = args: runPython python (builder "image_conf.py") ({
    inherit imageName imageTag customisationLayer;
    inherit (platform) goarch;
    maxLayers = 100;
  } // args);

  conf = describe {
    name = "base-api-conf.json";
    config = builtins.toJSON config;
    exportReferencesGraph = [ "closure-of-app" app "closure-of-cacert" cacert ];
    graphs = [ "closure-of-app" "closure-of-cacert" ];
  };

  # With a shell over it, as people derive an image to look around in: `fromImage`.
  derivedConf = describe {
    name = "derived-conf.json";
    fromImage = image;
    config = builtins.toJSON {
      Cmd = [ "${busybox}/bin/busybox" "sh" ];
      Env = [ "PATH=${busybox}/bin" "TERM=dumb" ];
    };
    exportReferencesGraph = [ "closure-of-busybox" busybox ];
    graphs = [ "closure-of-busybox" ];
  };

  streamOf = conf: runShell (builtins.toFile "stream.sh" ''
    cat > $out <<END
    #!$busybox/bin/busybox sh
    exec "$python/bin/python3" "$streamImage" "$conf" "\$@"
    END
    chmod 555 $out
  '') {
    name = "stream-base-api";
    inherit imageName busybox python conf;
    streamImage = builder "stream_image.py";
  } // { inherit imageTag conf; };

  stream = streamOf conf;
  derived = streamOf derivedConf;

  pigz = runShell (builtins.toFile "pigz.sh" ''
    $busybox/bin/busybox mkdir -p $out/bin
    { echo "#!$python/bin/python3"; $busybox/bin/busybox cat "$compress"; } > $out/bin/pigz
    $busybox/bin/busybox chmod 555 $out/bin/pigz
  '') {
    name = "pigz-in-python";
    inherit busybox python;
    compress = builder "compress.py";
  };

  # The command has the form that buildLayeredImage gives it.
  image = runShell (builtins.toFile "image.sh" ''
    set -o pipefail
    eval "$buildCommand"
  '') {
    name = "base-api.tar.gz";
    buildCommand = "${stream} | ${pigz}/bin/pigz -nT > $out";
    inherit imageName;
  } // { inherit imageTag stream; };
  # What nix2container calls copyToRoot.
  root = runShell (builtins.toFile "root.sh" ''
    $busybox/bin/busybox mkdir -p $out/bin $out/etc $out/tmp
    $busybox/bin/busybox ln -s $app/bin/* $out/bin/
    echo "app:x:1000:1000:app:/tmp:/noshell" > $out/etc/passwd
  '') {
    name = "base-api-root";
    inherit busybox app;
  };

  nix2container = runPython python (builder "nix2container_image.py") {
    name = "image-base-api.json";
    inherit conf root;
  } // { inherit imageName imageTag; };
in
{ inherit customisationLayer conf stream image derived nix2container; }
