      serviceOf = pkgs: pkgs.writeShellScriptBin name ''
        exec ${environmentOf pkgs}/bin/${lib.escapeShellArgs command} "$@"
      '';
