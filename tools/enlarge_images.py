#!/usr/bin/env python3
"""Makes many images of a few photographs: random crops, mirrored half of the time, with noise.

The images are NOT independent photographs. They show how often fixed point decides as float does on inputs that look
like photographs (edges, textures, skies); they say nothing about how often either is right. Results on them are to be
labelled "enlarged from N photographs". Calibrate on some photographs and evaluate on others:

    tools/enlarge_images.py astronaut.png coffee.png --count 64   --size 227 --out calibration/
    tools/enlarge_images.py chelsea.png rocket.jpg   --count 3000 --size 227 --out evaluation/

A crop has 20 % to 100 % of the photograph's area and sides in a proportion of 3:4 to 4:3, like those that image
networks are trained with; it is resized to the size asked for. The noise is Gaussian with a deviation that is drawn
for each image from 0 to --noise (of 255). The photographs take turns. The seed fixes every pixel.

--out with .npy writes one array instead of a folder of .png files, in a model's input layout, for models whose input is
no image file: values are (pixel - mean) * scale.

    tools/enlarge_images.py photos/*.png --count 200 --size 32 --layout nchw --mean 127.5 --scale 0.0078431 --out in.npy

A text file beside the result (ENLARGED.txt in the folder, NAME.npy.txt beside an array) says how it was made.
Needs pillow and numpy.
"""
import argparse
import math
import pathlib
import sys

import numpy as np
from PIL import Image

KINDS = (".png", ".jpg", ".jpeg", ".bmp")
SMALLEST_AREA, LARGEST_AREA = 0.2, 1.0
MOST_PROPORTION = 4 / 3


def photographs(paths):
    """The photographs named, or those in the folders named, as RGB with their names."""
    files = []
    for path in map(pathlib.Path, paths):
        files += sorted(f for f in path.iterdir() if f.suffix.lower() in KINDS) if path.is_dir() else [path]
    if not files:
        sys.exit("enlarge_images: no photographs (.png, .jpg, .bmp) there")
    return [(file.name, Image.open(file).convert("RGB")) for file in files]


def random_box(width, height, random):
    """The corner and sides of a crop that fits a photograph."""
    while True:
        area = random.uniform(SMALLEST_AREA, LARGEST_AREA) * width * height
        proportion = math.exp(random.uniform(-math.log(MOST_PROPORTION), math.log(MOST_PROPORTION)))
        w, h = round(math.sqrt(area * proportion)), round(math.sqrt(area / proportion))
        if 0 < w <= width and 0 < h <= height:
            left, top = random.integers(0, width - w + 1), random.integers(0, height - h + 1)
            return int(left), int(top), int(left) + w, int(top) + h


def enlarged(photograph, size, noise, random):
    """One image of a photograph: bytes of shape [size, size, 3]."""
    box = random_box(*photograph.size, random)
    pixels = np.asarray(photograph.resize((size, size), Image.BICUBIC, box=box), dtype=np.float64)
    if random.random() < 0.5:
        pixels = pixels[:, ::-1]
    pixels = pixels + random.normal(0, random.uniform(0, noise), pixels.shape)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def as_input(image, options):
    """One image in the layout and scale of a model's input."""
    if options.order == "bgr":
        image = image[:, :, ::-1]
    values = (image.astype(np.float32) - np.float32(options.mean)) * np.float32(options.scale)
    if options.grey:
        values = values.mean(axis=2, keepdims=True)
    return values.transpose(2, 0, 1) if options.layout == "nchw" else values


def story(options, names):
    """What the text file beside the result says."""
    how = f"of {options.size}x{options.size} pixels"
    if options.out.suffix == ".npy":
        how += f", {options.layout}, {'grey' if options.grey else options.order}, (pixel - {options.mean}) * {options.scale}"
    return (
        f"{options.count} images {how}, enlarged from {len(names)} photograph{'s' if len(names) > 1 else ''}: "
        f"{', '.join(names)}.\n"
        f"Random crops of {SMALLEST_AREA:.0%} to {LARGEST_AREA:.0%} of the area, mirrored half of the time, Gaussian noise "
        f"of deviation 0 to {options.noise:g} of 255, seed {options.seed}.\n"
        "They are no independent photographs: use them for agreement between two ways of computing, not for accuracy.\n"
        "Made by tools/enlarge_images.py.\n"
    )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photographs", nargs="+", help="image files, or folders of them")
    parser.add_argument("--count", type=int, required=True, help="how many images to make")
    parser.add_argument("--size", type=int, required=True, help="height and width of the images")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="a folder for .png files, or NAME.npy")
    parser.add_argument("--noise", type=float, default=8, help="largest deviation of the noise, of 255 (default 8)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layout", choices=["nhwc", "nchw"], default="nhwc", help="of an array (default nhwc)")
    parser.add_argument("--order", choices=["rgb", "bgr"], default="rgb", help="of an array's channels (default rgb)")
    parser.add_argument("--grey", action="store_true", help="one channel, the mean of three")
    parser.add_argument("--mean", type=lambda text: [float(x) for x in text.split(":")], default=[0.0],
                        help="subtracted from the pixels of an array: one number, or one per channel A:B:C")
    parser.add_argument("--scale", type=float, default=1, help="multiplies an array's values (default 1)")
    options = parser.parse_args()
    if options.count < 1 or options.size < 1:
        parser.error("--count and --size are at least 1")
    return options


def main():
    options = arguments()
    random = np.random.Generator(np.random.PCG64(options.seed))
    sources = photographs(options.photographs)
    images = (
        enlarged(sources[i % len(sources)][1], options.size, options.noise, random) for i in range(options.count)
    )
    text = story(options, [name for name, _ in sources])
    if options.out.suffix == ".npy":
        np.save(options.out, np.stack([as_input(image, options) for image in images]))
        pathlib.Path(f"{options.out}.txt").write_text(text)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(options.out / f"{i:05}.png", compress_level=1)
    (options.out / "ENLARGED.txt").write_text(text)


if __name__ == "__main__":
    main()
