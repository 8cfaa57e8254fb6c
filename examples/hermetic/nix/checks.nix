# What `nix flake check` runs: the service's imports, and one real request.
{ system, runPython, environment, app }:
let
  inEnvironment = name: script: args:
    runPython environment (builtins.toFile "${name}.py" script) ({ inherit name; } // args);
in
{
  imports = inEnvironment "import-check" ''
    import bz2, ctypes, lzma, os, platform, sqlite3, ssl, sys, zlib
    import fastapi, pydantic_core, uvicorn
    import base_api.main

    machine = os.environ["expected"].removesuffix("-linux")
    assert platform.machine() == machine, platform.machine()
    assert base_api.main.__file__.startswith(sys.prefix), base_api.main.__file__
    with open(os.environ["out"], "w") as out:
        print(machine, "Python", platform.python_version(), "FastAPI", fastapi.__version__, ssl.OPENSSL_VERSION, file=out)
  ''
    { expected = system; };

  http = inEnvironment "http-check" ''
    import json, os, subprocess, time, urllib.request

    # The sandbox has a network of its own, so the port is free.
    service = subprocess.Popen([os.environ["command"]], env={"HOST": "127.0.0.1", "PORT": "8000"})
    try:
        give_up = time.monotonic() + 60
        while True:
            try:
                answer = json.load(urllib.request.urlopen("http://127.0.0.1:8000/", timeout=5))
                break
            except OSError:
                if service.poll() is not None or time.monotonic() > give_up:
                    raise
                time.sleep(0.1)
    finally:
        service.terminate()
        service.wait()
    assert answer == {"message": "Hello from Nix"}, answer
    with open(os.environ["out"], "w") as out:
        json.dump(answer, out)
  ''
    { command = "${app}/bin/base-api"; };
}
