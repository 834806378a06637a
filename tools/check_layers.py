#!/usr/bin/env python3
"""Check that every include line follows the architecture: which folder of src/ may include which.

The table is the one of ARCHITECTURE.md. Tests may also include what their folder's TEST_DEPS name, so files ending
in _test.cc are only checked for relative includes. Prints each violation with its line; exit code 1 if there is one.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# folder: the folders it may include from directly (besides itself)
ALLOWED = {
    "base": set(),
    "tensor": {"base"},
    "data": {"base", "tensor"},
    "accuracy": {"base"},
    "kernels": {"base", "tensor"},
    "crypto": {"base", "tensor"},
    "graph": {"base", "tensor"},
    "program": {"base", "tensor", "crypto"},
    "ops": {"base", "tensor", "kernels", "graph", "program"},
    "import": {"base", "tensor", "graph", "ops"},
    "compile": {"base", "tensor", "kernels", "graph", "ops", "program"},
    "net": {"base", "tensor", "crypto"},
    "attest": {"base", "crypto", "net"},
    "store": {"base", "tensor", "crypto", "net"},
    "party": {"base", "tensor", "crypto", "net", "attest", "store"},
    "mpc": {"base", "tensor", "kernels", "crypto", "net", "store", "party"},
    "run": {"base", "tensor", "kernels", "crypto", "net", "store", "party", "mpc", "program"},
    "cost": {"base", "tensor", "crypto", "net", "party", "mpc", "program", "run"},
}
# headers of systems that belong to one folder only
CONFINED = {
    r"<(immintrin|arm_neon|x86intrin)\.h>": {"kernels", "crypto"},
    r"<hwy/": {"kernels", "crypto"},
    r"<asio": {"net", "party"},
    r"<(sys/socket|netinet/\w+|arpa/inet)\.h>": {"net", "party"},
    r"<cairo": {"accuracy"},
    r"<openssl/": {"crypto", "net", "party"},
}


def main() -> int:
    problems = []
    files = [path for kind in ("*.h", "*.cc") for path in (ROOT / "src").rglob(kind)]
    for path in sorted(files):
        folder = path.relative_to(ROOT / "src").parts[0]
        is_test = path.name.endswith("_test.cc") or "test" in path.stem.split("_")
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+(["<][^">]+[">])', line)
            if not match:
                continue
            header = match.group(1)
            where = f"{path.relative_to(ROOT)}:{number}: {header}"
            if header.startswith('"'):
                target = header[1:].split("/")[0]
                if "/" not in header:
                    if not header.endswith('.pb.h"'):
                        problems.append(f"{where}: write the path from src/")
                elif target in ALLOWED and target != folder and target not in ALLOWED.get(folder, set()) and not is_test:
                    problems.append(f"{where}: {folder} may not include {target}")
                elif target == "cli":
                    problems.append(f"{where}: src may not include cli")
            for pattern, folders in CONFINED.items():
                if re.match(pattern, header) and folder not in folders and not is_test:
                    problems.append(f"{where}: belongs to {', '.join(sorted(folders))} only")
    print("\n".join(problems) if problems else f"include layers: {len(files)} files follow the architecture")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
