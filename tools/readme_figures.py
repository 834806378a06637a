#!/usr/bin/env python3
"""Writes the measured block of README.md from real runs of the program.

    tools/readme_figures.py                        # the digit demo, and SqueezeNet where its model is found
    tools/readme_figures.py --models DIR           # where squeezenet-v1.0-imagenet/ lies (default ../shared/models)
    tools/readme_figures.py --print                # show the block, leave README.md alone

Everything between <!-- figures:begin --> and <!-- figures:end --> is replaced. Every number comes from the --json
output of a run on this machine; bytes and rounds are exact and the same everywhere, times are this machine's.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"


def run(program, *arguments):
    """Runs the program and returns its stdout; its errors are ours."""
    result = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"readme_figures: treville {arguments[0]} ended with code {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def cpu_model():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.split(":", 1)[1].split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def decimal(value, units, step=1000.0):
    """Three significant digits and a unit."""
    for unit in units[:-1]:
        if abs(value) < 999.5:
            break
        value /= step
    else:
        unit = units[-1]
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


def size(count):
    return f"{count} B" if count < 1000 else decimal(count / 1000, ["kB", "MB", "GB", "TB"])


def seconds(value):
    return decimal(value * 1000, ["ms", "s"]) if value < 100 else f"{value:.0f} s"


def spread(report):
    times = [inference["seconds"] for inference in report["inferences"]]
    text = seconds(statistics.median(times))
    return text if len(times) < 2 else f"{text} ({seconds(min(times))} to {seconds(max(times))})"


def sent(process, phase, count):
    total = sum(row["bytes"] for row in process["traffic"] if row["phase"] == phase)
    assert total % count == 0, "every inference sends the same"
    return total // count


def rows(title, report):
    """Three lines of the table, one for each party."""
    count = report["count"]
    roles = ["client, dealer", "model owner", "helper"]
    lines = []
    for process in sorted(report["processes"], key=lambda p: p["party"]):
        first = process["party"] == 0
        lines.append("| " + " | ".join([
            title if first else "",
            f"{process['party']} {roles[process['party']]}",
            size(sent(process, "offline", count)),
            size(sent(process, "online", count)),
            size(sum(row["bytes"] for row in process["traffic"] if row["phase"] == "setup")),
            str(report["online_rounds"]) if first else "",
            spread(report) if first else "",
            f"{report['plaintext']['largest_error']:.2g}" if first else "",
        ]) + " |")
    return lines


def digit_runs(program):
    screen = run(program, "demo")
    report = json.loads(run(program, "demo", "--json"))
    return screen, report


def squeezenet_run(program, models):
    folder = models / "squeezenet-v1.0-imagenet"
    model, sample = folder / "squeezenet_v1.0.onnx", folder / "in_nchw.npy"
    if not (model.exists() and sample.exists()):
        print(f"readme_figures: no SqueezeNet in {folder}; --models says where it is", file=sys.stderr)
        return None
    return json.loads(run(program, "run", model, "--json", "--calibrate", sample, "--input", sample))


def block(screen, digit, squeezenet):
    date = datetime.date.today().isoformat()
    machine = f"{cpu_model()}, {os.cpu_count()} hardware threads, {platform.system()} {platform.release().split('-')[0]}"
    lines = [
        BEGIN,
        "What `./dev demo` prints: each picture is classified by three processes that talk over TLS 1.3.",
        "",
        *("    " + line if line else "" for line in screen.rstrip().splitlines()),
        "",
        f"Measured on {date}: {machine}, three processes on this one machine.",
        "Bytes are what each party sends per inference (set-up: once per session); they are exact, and the same on every",
        "machine. Times are the median, the fastest and the slowest, offline work included. The error is the largest",
        "difference of an output, before softmax, from the float model.",
        "",
        "| model | party | offline | online | set-up | rounds online | time per inference | largest error |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
        *rows("digits, 28x28", digit),
    ]
    if squeezenet:
        lines += rows("SqueezeNet 1.0, 227x227", squeezenet)
        lines += ["", f"SqueezeNet runs on {squeezenet['count']} photographs, which also calibrate it."]
    return "\n".join([*lines, END])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "build/release/treville", type=pathlib.Path, help="the program to measure")
    parser.add_argument("--models", default=ROOT.parent / "shared/models", type=pathlib.Path, help="folder of test models")
    parser.add_argument("--print", action="store_true", dest="show", help="print the block instead of writing README.md")
    options = parser.parse_args()
    if not options.program.exists():
        sys.exit(f"readme_figures: {options.program} is not built; run ./dev build first")

    readme = ROOT / "README.md"
    text = readme.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"readme_figures: README.md must hold {BEGIN} and {END} once each")
    screen, digit = digit_runs(options.program)
    written = block(screen, digit, squeezenet_run(options.program, options.models))
    if options.show:
        print(written)
        return
    readme.write_text(re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: written, text, flags=re.DOTALL))
    print("readme_figures: README.md updated")


if __name__ == "__main__":
    main()
