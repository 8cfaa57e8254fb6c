# One Python package: unpacked by wheel.py, its extension modules patched.
. "${0%/*}/elf.sh"

$python/bin/python3 -S "${0%/*}/wheel.py"
modules=$(find $out -name '*.so' -o -name '*.so.*')
if [ -n "$modules" ]; then patch_elf $modules; fi
