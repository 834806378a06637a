#!/usr/bin/env python3
"""Measure secure inference of whole networks: three processes over TLS on this machine.

    tools/bench.py --treville build/release/treville [--models DIR] [--repeat 5] [--json]

Each network runs in one session with REPEAT inputs; the table shows the median and the spread of the seconds from the
moment all three parties hold program, weights and session to the output at the client, offline work included. Bytes
and rounds are exact. Compilation, start, handshake and the sharing of weights are not in the seconds; CPU is of all parties per inference.
Models: the digit CNN of this repository, and what --models holds of the networks listed below (./dev models makes them).
"""
import argparse
import datetime
import json
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def machine() -> str:
    model = platform.processor()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    cores = sum(line.startswith("processor") for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines())
    return f"{model}, {cores} cores"


def networks(models: pathlib.Path | None):
    digits = ROOT / "examples/digits"
    yield "digit CNN", digits / "digits.pb", digits / "samples.npy", digits / "calibration.npy"
    if models is None:
        return
    for path in sorted(models.glob("*.onnx")):
        inputs = path.with_suffix(".inputs.npy")
        if inputs.exists():
            yield path.stem, path, inputs, inputs


def run(treville: str, model, inputs, calibration, repeat: int, ring: int | None):
    command = [treville, "run", str(model), "--calibrate", str(calibration), "--json"]
    command += sum((["--input", str(inputs)] for _ in range(repeat)), [])
    if ring:
        command += ["--ring", str(ring)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)} failed: {result.stderr}")
    return json.loads(result.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--treville", default=str(ROOT / "build/release/treville"))
    parser.add_argument("--kernels", help="the kernels_bench program; measured first when given")
    parser.add_argument("--only-kernels", action="store_true", help="measure the kernels and no network")
    parser.add_argument("--models", type=pathlib.Path, help="folder of MODEL.onnx with MODEL.inputs.npy")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", help="networks whose name contains this")
    parser.add_argument("--ring", type=int, choices=(32, 64))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.only_kernels and not options.kernels:
        sys.exit("--only-kernels needs --kernels, the kernels_bench program")
    kernels = None
    if options.kernels and not options.only:
        if options.json:
            measured = subprocess.run([options.kernels, "--json"], check=True, capture_output=True, text=True)
            kernels = json.loads(measured.stdout)
        else:
            subprocess.run([options.kernels], check=True)
            print(flush=True)
    rows = []
    for name, model, inputs, calibration in [] if options.only_kernels else networks(options.models):
        if options.only and options.only not in name:
            continue
        report = run(options.treville, model, inputs, calibration, options.repeat, options.ring)
        seconds = [inference["seconds"] for inference in report["inferences"]]
        cpu = sum(p["cpu_seconds"]["inferences"] for p in report["processes"]) / len(seconds)
        peaks = [sum(walk["peak_bytes"] for walk in p["memory"]) for p in report["processes"]]
        rows.append({
            "network": name, "ring": report["ring"], "inferences": len(seconds),
            "median_seconds": statistics.median(seconds), "min_seconds": min(seconds), "max_seconds": max(seconds),
            "cpu_seconds": cpu, "offline_bytes": report["bytes_per_inference"]["offline"],
            "online_bytes": report["bytes_per_inference"]["online"], "setup_bytes": report["bytes_per_inference"]["setup_once"],
            "online_rounds": report["online_rounds"], "peak_bytes": max(peaks),
            "agrees": report["plaintext"]["agrees"], "largest_error": report["plaintext"]["largest_error"],
        })
    if options.json:
        document = {"machine": machine(), "date": datetime.date.today().isoformat(), "rows": rows}
        if kernels:
            document["kernels"] = kernels
        print(json.dumps(document, indent=2))
        return 0
    if options.only_kernels:
        return 0
    print(f"{machine()}; {datetime.date.today().isoformat()}; three processes over TLS on loopback\n")
    print("| network | ring | seconds, median (min to max) | CPU s | traffic MB | online MB | set-up MB | rounds | tensors MB | agrees |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for r in rows:
        total = r["offline_bytes"] + r["online_bytes"]
        print(f"| {r['network']} | {r['ring']} | {r['median_seconds']:.3f} ({r['min_seconds']:.3f} to {r['max_seconds']:.3f}) "
              f"| {r['cpu_seconds']:.2f} | {total / 1e6:.1f} | {r['online_bytes'] / 1e6:.1f} | {r['setup_bytes'] / 1e6:.1f} "
              f"| {r['online_rounds']} | {r['peak_bytes'] / 1e6:.0f} | {'yes' if r['agrees'] else 'no'} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
