# To be sourced: makes ELF files look for their libraries in the store.
# Wants $patchelf, $glibc, $deps (packages with a lib folder), $loader, $out.

run_patchelf() {
  # By its own loader, with its own unpatched libraries: see default.nix.
  "$patchelf/lib/$loader" --library-path "$patchelf/lib" "$patchelf/bin/patchelf" "$@"
}

# patch_elf FILE...: RUNPATH names exactly the packages that provide what a
# file needs, because every name in it becomes a reference.  All files are
# given to one process: starting processes is what is slow under qemu.
patch_elf() {
  runpath=$out/lib
  for dep in $deps $glibc; do runpath=$runpath:$dep/lib; done
  chmod u+w "$@"
  run_patchelf --set-rpath "$runpath" "$@"
  run_patchelf --shrink-rpath "$@"
}
