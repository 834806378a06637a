#!/usr/bin/env python3
"""Measure secure inference of whole networks: three processes over TLS on this machine.

    tools/bench.py --treville build/release/treville [--models DIR] [--repeat 5] [--ring 64] [--json]
    tools/bench.py --models DIR --only resnet50 --batches 1,2,4,8,16,32     # the curve over batches
    tools/bench.py --models DIR --only resnet50 --layers --name-parts 1    # where the time goes

Each network runs in one session on its samples, REPEAT times over; the table shows the median and the spread of the
seconds from the moment all three parties hold program, weights and session to the output at the client, offline work
included. The online part is measured in a session of its own, whose offline phase was preprocessed to disk. Bytes and
rounds are exact. Compilation, start, handshake and the sharing of weights are not in the seconds; CPU is of all parties
per inference; resident is the largest process, with program and weights.
Models: the digit CNN of this repository, and what --models holds of the networks listed below (./dev models makes them).
"""
import argparse
import ast
import datetime
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

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


def call(command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if result.returncode not in (0, 1):
        sys.exit(f"{' '.join(map(str, command))} failed: {result.stderr}")
    return json.loads(result.stdout)


def flags(calibration, ring, batch):
    chosen = ["--calibrate", calibration, "--json"]
    chosen += ["--ring", ring] if ring else []
    return chosen + (["--batch", batch] if batch else [])


def run(treville, model, inputs, calibration, repeat, ring, batch=None):
    return call([treville, "run", model, *flags(calibration, ring, batch), *["--input", inputs] * repeat])


def online_seconds(treville, model, inputs, calibration, ring):
    """Seconds of the online phase alone, for each sample: the offline phase of all is preprocessed first."""
    count = read_npy(inputs)[0][0]
    with tempfile.TemporaryDirectory() as store:
        kept = [*flags(calibration, ring, None), "--store", store]
        call([treville, "preprocess", model, "--count", count, *kept])
        report = call([treville, "run", model, "--input", inputs, "--preprocessed", *kept])
    return [inference["seconds"] for inference in report["inferences"]]


def read_npy(path):
    """Shape and bytes of a C-ordered array."""
    data = pathlib.Path(path).read_bytes()
    size = int.from_bytes(data[8:10], "little") + 10
    header = ast.literal_eval(data[10:size].decode())
    if header["descr"] != "<f4" or header["fortran_order"]:
        sys.exit(f"{path}: expected float32 in C order")
    return header["shape"], data[size:]


def write_repeated(path, inputs, count):
    """Writes `count` samples, those of `inputs` over and over."""
    shape, data = read_npy(inputs)
    size = len(data) // shape[0]
    header = str({"descr": "<f4", "fortran_order": False, "shape": (count, *shape[1:])}).encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    samples = (data[i % shape[0] * size:][:size] for i in range(count))
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"".join(samples))


def curve(options, name, model, inputs, calibration):
    """Time, traffic and memory over batches, each for one image."""
    print(f"{name}, ring {options.ring or 32}; each figure for one image but memory; {machine()}\n")
    print("| batch | seconds | CPU s | traffic MB | online MB | rounds | tensors MB | resident MB |\n|---|---|---|---|---|---|---|---|")
    for batch in map(int, options.batches.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            repeated = pathlib.Path(folder) / "inputs.npy"
            runs = max(2, options.repeat)
            write_repeated(repeated, inputs, batch * runs)
            report = run(options.treville, model, repeated, calibration, 1, options.ring, batch)
        seconds = statistics.median(i["seconds"] for i in report["inferences"]) / batch
        cpu = sum(p["cpu_seconds"]["inferences"] for p in report["processes"]) / batch / runs
        traffic = report["bytes_per_inference"]
        tensors = max(sum(walk["peak_bytes"] for walk in p["memory"]) for p in report["processes"])
        resident = max(p["resident_bytes"] for p in report["processes"])
        print(f"| {batch} | {seconds:.3f} | {cpu:.2f} | {(traffic['offline'] + traffic['online']) / 1e6 / batch:.1f} "
              f"| {traffic['online'] / 1e6 / batch:.1f} | {report['online_rounds']} | {tensors / 1e6:.0f} "
              f"| {resident / 1e6:.0f} |", flush=True)


def layers(options, name, model, inputs, calibration):
    """Where the time of one inference goes, by layer, against two limits: the multiply-accumulates of all parties at the
    kernel's rate on all cores, and all bytes at the rate of the loopback. What is above both is the gap."""
    report = call([options.treville, "run", model, "--input", inputs, "--profile", *flags(calibration, options.ring, None)])
    wide = report["ring"] == 64
    rate = options.gmacs or (9 if wide else 35)
    cores = sum(line.startswith("processor") for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines())
    groups = {}
    for layer in report["layers"]:
        key = ".".join(layer["layer"].split(".")[: options.name_parts]) if options.name_parts else layer["layer"]
        row = groups.setdefault(key, {"seconds": 0, "macs": 0, "bytes": 0, "operations": []})
        row["seconds"] += layer["seconds"]
        row["macs"] += layer["macs"]
        row["bytes"] += layer["offline_bytes"] + layer["online_bytes"]
        row["operations"] += [o for o in layer["operations"].split(", ") if o not in row["operations"]]
    print(f"{name}, ring {report['ring']}: {rate} giga-MAC/s on each of {cores} cores, {options.gbytes} GB/s; {machine()}\n")
    print("| layers | operations | ms | MACs of a party, M | traffic MB | compute limit ms | bytes limit ms | gap ms |")
    print("|---|---|---|---|---|---|---|---|")
    total = [0.0] * 6
    for key, row in groups.items():
        figures = [1e3 * row["seconds"], row["macs"] / 1e6, row["bytes"] / 1e6,
                   1e3 * 3 * row["macs"] / (cores * rate * 1e9), 1e3 * row["bytes"] / (options.gbytes * 1e9)]
        figures.append(figures[0] - figures[3] - figures[4])
        total = [a + b for a, b in zip(total, figures)]
        if figures[0] >= options.least:
            print(f"| {key} | {', '.join(row['operations'])} | " + " | ".join(f"{f:.1f}" for f in figures) + " |")
    print("| **all** | | " + " | ".join(f"**{f:.1f}**" for f in total) + " |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--treville", default=str(ROOT / "build/release/treville"))
    parser.add_argument("--kernels", help="the kernels_bench program; measured first when given")
    parser.add_argument("--only-kernels", action="store_true", help="measure the kernels and no network")
    parser.add_argument("--models", type=pathlib.Path, help="folder of MODEL.onnx with MODEL.inputs.npy")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", help="networks whose name contains this")
    parser.add_argument("--ring", type=int, choices=(32, 64))
    parser.add_argument("--batches", help="batch sizes, 1,2,4,8: the curve of each network instead of the table")
    parser.add_argument("--layers", action="store_true", help="where the time of each network goes instead of the table")
    parser.add_argument("--name-parts", type=int, help="with --layers: join layers whose names begin with as many parts")
    parser.add_argument("--least", type=float, default=0, help="with --layers: leave out rows below so many ms")
    parser.add_argument("--gmacs", type=float, help="giga-MAC/s of the kernel on a core (default 35, 9 in the wide ring)")
    parser.add_argument("--gbytes", type=float, default=1.3, help="GB/s of TLS on the loopback (default 1.3)")
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
        if options.layers:
            layers(options, name, model, inputs, calibration)
            continue
        if options.batches:
            curve(options, name, model, inputs, calibration)
            continue
        report = run(options.treville, model, inputs, calibration, options.repeat, options.ring)
        online = online_seconds(options.treville, model, inputs, calibration, options.ring)
        seconds = [inference["seconds"] for inference in report["inferences"]]
        cpu = sum(p["cpu_seconds"]["inferences"] for p in report["processes"]) / len(seconds)
        peaks = [sum(walk["peak_bytes"] for walk in p["memory"]) for p in report["processes"]]
        rows.append({
            "network": name, "ring": report["ring"], "inferences": len(seconds),
            "median_seconds": statistics.median(seconds), "min_seconds": min(seconds), "max_seconds": max(seconds),
            "cpu_seconds": cpu, "offline_bytes": report["bytes_per_inference"]["offline"],
            "online_bytes": report["bytes_per_inference"]["online"], "setup_bytes": report["bytes_per_inference"]["setup_once"],
            "online_rounds": report["online_rounds"], "peak_bytes": max(peaks),
            "online_median_seconds": statistics.median(online), "online_min_seconds": min(online),
            "online_max_seconds": max(online), "resident_bytes": max(p["resident_bytes"] for p in report["processes"]),
            "agrees": report["plaintext"]["agrees"], "largest_error": report["plaintext"]["largest_error"],
        })
    if options.json:
        document = {"machine": machine(), "date": datetime.date.today().isoformat(), "rows": rows}
        if kernels:
            document["kernels"] = kernels
        print(json.dumps(document, indent=2))
        return 0
    if options.only_kernels or options.batches or options.layers:
        return 0
    print(f"{machine()}; {datetime.date.today().isoformat()}; three processes over TLS on loopback\n")
    print("| network | ring | seconds, median (min to max) | online part, median (min to max) | CPU s | traffic MB | online MB "
          "| set-up MB | rounds | tensors MB | resident MB | agrees |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for r in rows:
        total = r["offline_bytes"] + r["online_bytes"]
        print(f"| {r['network']} | {r['ring']} | {r['median_seconds']:.3f} ({r['min_seconds']:.3f} to {r['max_seconds']:.3f}) "
              f"| {r['online_median_seconds']:.3f} ({r['online_min_seconds']:.3f} to {r['online_max_seconds']:.3f}) "
              f"| {r['cpu_seconds']:.2f} | {total / 1e6:.1f} | {r['online_bytes'] / 1e6:.1f} | {r['setup_bytes'] / 1e6:.1f} "
              f"| {r['online_rounds']} | {r['peak_bytes'] / 1e6:.0f} | {r['resident_bytes'] / 1e6:.0f} | {'yes' if r['agrees'] else 'no'} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
