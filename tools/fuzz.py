#!/usr/bin/env python3
"""Fuzz the parsers: build the libFuzzer targets with clang and run each for a while.

  tools/fuzz.py                    all targets, 60 seconds each
  tools/fuzz.py npy image          these
  tools/fuzz.py --seconds 600 npy

New inputs that reach new code go to build/fuzz/corpus/TARGET, the seeds are fuzz/corpus/TARGET. Prints a line for each
target: executions, code reached, findings. Inputs that break a target are left in build/fuzz/findings/TARGET; put them
into fuzz/corpus/TARGET with the fix, so that the tests keep them. Exit code 1 if there is one.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "fuzz"
CORPUS = ROOT / "fuzz" / "corpus"
MAX_LENGTH = 8192
CONFIGURE = [
    "cmake", "-S", str(ROOT), "-B", str(BUILD), "-G", "Ninja", "-DTREVILLE_FUZZ=ON", "-DTREVILLE_WERROR=OFF",
    "-DTREVILLE_SANITIZE=fuzzer-no-link,address,undefined", "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
    "-DCMAKE_CXX_FLAGS=-fno-sanitize-recover=all", "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1 -g1",
]
LAUNCHER = f"-DCMAKE_CXX_COMPILER_LAUNCHER=env;CCACHE_BASEDIR={ROOT};CCACHE_NOHASHDIR=1;ccache"


def find_compiler():
    """The newest clang that is installed, for C and C++."""
    for version in ["", "-19", "-18", "-17", "-16", "-15", "-14"]:
        found = [subprocess.run(["sh", "-c", f"command -v {name}{version}"], capture_output=True, text=True).stdout
                 for name in ("clang", "clang++")]
        if all(found):
            return [path.strip() for path in found]
    sys.exit("fuzz.py: clang is not installed; ./dev fuzz installs it")


def build(targets, jobs):
    c_compiler, cxx_compiler = find_compiler()
    if not (BUILD / "build.ninja").exists():
        compilers = [f"-DCMAKE_C_COMPILER={c_compiler}", f"-DCMAKE_CXX_COMPILER={cxx_compiler}"]
        subprocess.run([*CONFIGURE, LAUNCHER, *compilers], check=True, stdout=subprocess.DEVNULL)
    names = [f"fuzz_{target}" for target in targets]
    subprocess.run(["cmake", "--build", str(BUILD), "-j", str(jobs), "--target", *names], check=True)


def run(target, seconds):
    """Run one target; returns a finding's file or None."""
    corpus, findings = BUILD / "corpus" / target, BUILD / "findings" / target
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    command = [str(BUILD / f"fuzz_{target}"), str(corpus), str(CORPUS / target), f"-max_total_time={seconds}",
               f"-max_len={MAX_LENGTH}", "-timeout=10", "-rss_limit_mb=2048", f"-artifact_prefix={findings}/",
               "-print_final_stats=1"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                          env={**os.environ, "UBSAN_OPTIONS": "print_stacktrace=1"})
    log = BUILD / "findings" / f"{target}.log"
    log.write_text(done.stderr)
    executions = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    reached = re.findall(r"cov: (\d+)", done.stderr)
    new = sorted(set(findings.iterdir()) - before)
    verdict = "no finding" if done.returncode == 0 else "FINDING"
    print(f"{target:<14} {int(executions[1]) if executions else 0:>10} executions  "
          f"cov {reached[-1] if reached else 0:>6}  {verdict}", flush=True)
    if done.returncode == 0:
        return None
    for line in done.stderr.splitlines():
        if re.search(r"ERROR|runtime error|what\(\)|SUMMARY", line):
            print(f"    {line.strip()}")
    print(f"    log: {log}" + "".join(f"\n    input: {path}" for path in new), flush=True)
    return new[0] if new else log


def main():
    targets = sorted(folder.name for folder in CORPUS.iterdir())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(targets))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="of the build")
    parser.add_argument("--no-build", action="store_true", help="run what is built")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(targets)
    if unknown:
        parser.error(f"unknown target {', '.join(sorted(unknown))} (known: {', '.join(targets)})")
    chosen = arguments.targets or targets
    if not arguments.no_build:
        build(chosen, arguments.jobs)
    findings = [target for target in chosen if run(target, arguments.seconds) is not None]
    if findings:
        sys.exit(f"fuzz.py: findings in {', '.join(findings)}")


if __name__ == "__main__":
    main()
