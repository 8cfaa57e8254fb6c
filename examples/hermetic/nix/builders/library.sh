# A package of shared libraries out of $debs: Debian's two multiarch folders
# become $out/lib.  Plug-in folders (gconv, engines) and programs stay out; of
# programs only patchelf is kept.  With an empty $patchelf nothing is patched,
# which suits the C library (it needs nothing) and patchelf itself.
. "${0%/*}/elf.sh"

for deb in $debs; do dpkg-deb -x $deb unpacked; done
mkdir -p $out/lib
for folder in unpacked/lib/$triple unpacked/usr/lib/$triple; do
  for file in $folder/*.so.*; do
    if [ -e $file ]; then cp -a $file $out/lib/; fi
  done
done
if [ -e unpacked/usr/bin/patchelf ]; then
  mkdir $out/bin
  cp unpacked/usr/bin/patchelf $out/bin/
fi

if [ -n "$patchelf" ]; then
  patch_elf $(find $out/lib -type f)
fi
