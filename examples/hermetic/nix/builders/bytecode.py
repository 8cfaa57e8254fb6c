"""bytecode.py FOLDER: compile every module below FOLDER.

The result is the same bits each time: byte code is bound to a hash of the
source (not to its date, which the store changes) and is not checked against
it at run time, where the store is read-only.  The work is dealt to a fixed
number of processes in a fixed order, whatever the number of processors."""

import os
import py_compile
import sys

PROCESSES = 2


def compile_tree(folder: str) -> None:
    sources = sorted(
        os.path.join(parent, file) for parent, _, files in os.walk(folder) for file in files if file.endswith(".py")
    )
    if len(sources) < 20:  # not worth a second process
        compile_files(sources)
        return
    children = []
    for share in range(PROCESSES):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                compile_files(sources[share::PROCESSES])
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    if any(statuses):
        sys.exit("byte-compiling failed")


def compile_files(sources: list[str]) -> None:
    for source in sources:
        try:
            py_compile.compile(source, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        except py_compile.PyCompileError as error:
            # Wheels may carry templates that end in .py; pip only warns, too.
            print(f"not compiled: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    compile_tree(sys.argv[1])
