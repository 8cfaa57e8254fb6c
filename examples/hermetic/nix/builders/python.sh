# The interpreter and its standard library, out of three Debian packages.
. "${0%/*}/elf.sh"

for deb in $debs; do dpkg-deb -x $deb unpacked; done
mkdir -p $out/bin $out/lib
cp unpacked/usr/bin/python3.11 $out/bin/
ln -s python3.11 $out/bin/python3
cp -a unpacked/usr/lib/python3.11 $out/lib/

# What a service has no use for.  sitecustomize.py is a link into /etc.
cd $out/lib/python3.11
rm -r __phello__ _distutils_system_mod.py curses dbm distutils pydoc_data sitecustomize.py test turtle.py
# Modules whose libraries are left out.  uuid does without; crypt is obsolete.
rm crypt.py
for module in _crypt _curses _curses_panel _dbm _gdbm _tkinter _uuid nis ossaudiodev readline; do
  rm -f lib-dynload/$module.*
done

# Some modules are also scripts.
sed -i "1s|^#!.*|#!$out/bin/python3|" $(grep -l '^#!' $(find . -name '*.py'))

patch_elf $out/bin/python3.11 $out/lib/python3.11/lib-dynload/*.so
run_patchelf --set-interpreter $glibc/lib/$loader $out/bin/python3.11

$out/bin/python3.11 -S "${0%/*}/bytecode.py" $out/lib/python3.11

# Every extension module must find its libraries: say so now, not at run time.
$out/bin/python3.11 -S - <<END
import importlib, os
for file in sorted(os.listdir("$out/lib/python3.11/lib-dynload")):
    importlib.import_module(file.split(".")[0])
END
