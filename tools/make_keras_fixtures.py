#!/usr/bin/env python3
"""Write the small Keras models of test/keras with what Keras answers for them.

Needs TensorFlow 2.15 (with its Keras 2.15), h5py and numpy; the tests need none of these. Each model has random weights,
an .h5 and a .keras file, inputs NAME.in.N.npy and outputs NAME.out.N.npy.
"""
import io
import json
import os
import pathlib
import sys
import zipfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import h5py
import numpy as np
import tensorflow as tf

layers = tf.keras.layers
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "test" / "keras"


def randomise(model, seed):
    """Give every weight random values, those of normalisations too."""
    random = np.random.default_rng(seed)
    values = []
    for weight in model.weights:
        draw = random.uniform(-0.6, 0.6, weight.shape)
        values.append(np.abs(draw) + 0.3 if "variance" in weight.name or "gamma" in weight.name else draw)
    model.set_weights(values)


def save(name, model, inputs, run=None):
    """Save the model in both formats. `run` computes the outputs where Keras cannot run the model itself."""
    model.save(FOLDER / f"{name}.h5", save_format="h5", include_optimizer=False)
    archive = FOLDER / f"{name}.keras"
    model.save(archive)
    with zipfile.ZipFile(archive) as stored:
        entries = {entry: stored.read(entry) for entry in stored.namelist()}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry, data in entries.items():
            if entry == "metadata.json":
                data = json.dumps({"keras_version": tf.__version__})
            packed.writestr(zipfile.ZipInfo(entry), data, zipfile.ZIP_DEFLATED)
    outputs = run(inputs) if run else model(inputs if len(inputs) > 1 else inputs[0])
    outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    for i, value in enumerate(inputs):
        np.save(FOLDER / f"{name}.in.{i}.npy", value)
    for i, value in enumerate(outputs):
        np.save(FOLDER / f"{name}.out.{i}.npy", np.asarray(value, np.float32))


def functional():
    """Two inputs, a model inside the model, a layer called twice, two outputs, a norm without scale."""
    image = tf.keras.Input((6, 6, 2), name="image")
    extra = tf.keras.Input((3,), name="extra")
    body = tf.keras.Sequential(
        [
            layers.Conv2D(3, 3, padding="same", input_shape=(6, 6, 2)),
            layers.BatchNormalization(scale=False, epsilon=0.02),
            layers.ReLU(max_value=1.5),
        ],
        name="body",
    )
    shared = layers.Dense(4, activation="relu", name="shared")
    features = body(image)
    pooled = layers.GlobalAveragePooling2D()(features)
    joined = layers.Concatenate()([shared(pooled), shared(extra)])
    score = layers.Dense(2, name="score")(joined)
    peak = layers.GlobalMaxPooling2D(name="peak")(features)
    return tf.keras.Model([image, extra], [score, peak]), [(2, 6, 6, 2), (2, 3)]


def convolutions():
    """Kinds of convolution, padding and cropping, and an average at the edges."""
    x = image = tf.keras.Input((8, 8, 2), name="image")
    x = layers.ZeroPadding2D(((1, 0), (0, 2)))(x)
    x = layers.SeparableConv2D(3, 3, depth_multiplier=2, activation="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, use_bias=False)(x)
    x = layers.LeakyReLU(0.2)(x)
    x = layers.Conv2D(4, (3, 2), strides=2, padding="same", groups=2)(x)
    x = layers.BatchNormalization(center=False)(x)
    x = layers.AveragePooling2D(2, strides=1, padding="same")(x)
    x = layers.Cropping2D(((0, 1), (1, 0)))(x)
    x = layers.Permute((3, 1, 2))(x)
    x = layers.Flatten()(x)
    return tf.keras.Model(image, layers.Dense(3, name="score")(x)), [(2, 8, 8, 2)]


def transposed():
    """Transposed convolutions: strides beyond the kernel, output padding, dilation."""
    x = image = tf.keras.Input((2, 3, 2), name="image")
    x = layers.Conv2DTranspose(3, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(2, (2, 3), strides=(3, 2), padding="valid")(x)
    x = layers.Conv2DTranspose(1, 3, strides=2, padding="same", output_padding=1)(x)
    x = layers.AveragePooling2D(4)(x)
    return tf.keras.Model(image, layers.UpSampling2D(2, interpolation="bilinear")(x)), [(1, 2, 3, 2)]


def recurrent():
    """GRU with both kinds of reset, LSTM both ways, a simple one backwards, a layer for each step."""
    x = steps = tf.keras.Input((5, 3), name="steps")
    x = layers.GRU(4, return_sequences=True, reset_after=True)(x)
    x = layers.GRU(3, return_sequences=True, reset_after=False, recurrent_activation="sigmoid")(x)
    x = layers.Bidirectional(layers.LSTM(2, return_sequences=True))(x)
    x = layers.TimeDistributed(layers.Dense(3, activation="relu"))(x)
    last = layers.SimpleRNN(3, go_backwards=True)(x)
    return tf.keras.Model(steps, [last, layers.LSTM(2, name="state", unit_forget_bias=False)(x)]), [(2, 5, 3)]


def linear_gates():
    """The same cells with linear gates, which need no smooth functions."""
    gates = {"activation": "linear", "recurrent_activation": "linear", "return_sequences": True}
    steps = tf.keras.Input((4, 3), name="steps")
    each = layers.TimeDistributed(layers.Dense(3))(steps)
    both = layers.Bidirectional(layers.LSTM(2, **gates))(layers.GRU(3, reset_after=True, **gates)(each))
    old = layers.GRU(3, reset_after=False, use_bias=False, **gates)(steps)
    last = layers.SimpleRNN(3, activation="linear", go_backwards=True)(steps)
    return tf.keras.Model(steps, [both, old, last]), [(2, 4, 3)]


def norms():
    """Layer, group and instance normalisation, with and without their weights."""
    x = image = tf.keras.Input((4, 4, 6), name="image")
    x = layers.LayerNormalization(epsilon=0.01)(x)
    x = layers.GroupNormalization(groups=2, epsilon=0.02)(x)
    x = layers.PReLU(shared_axes=[1, 2])(x)
    x = layers.GroupNormalization(groups=-1, center=False)(x)
    x = layers.Flatten()(x)
    return tf.keras.Model(image, layers.Dense(3, activation="tanh", name="score")(x)), [(2, 4, 4, 6)]


def channels_first(order="channels_first"):
    shape = (2, 6, 6) if order == "channels_first" else (6, 6, 2)
    axis = 1 if order == "channels_first" else -1
    x = image = tf.keras.Input(shape, name="image")
    x = layers.Conv2D(3, 3, padding="same", data_format=order, activation="relu")(x)
    x = layers.BatchNormalization(axis=axis)(x)
    x = layers.MaxPooling2D(2, data_format=order)(x)
    x = layers.Flatten(data_format=order)(x)
    return tf.keras.Model(image, layers.Dense(2, name="score")(x)), [(2, *shape)]


def containers():
    """An HDF5 file with every kind of storage that the reader knows, and one in the newest format."""
    data = np.arange(60, dtype=np.float32).reshape(5, 4, 3)
    for name, version in (("containers", "earliest"), ("containers_new", "latest")):
        with h5py.File(FOLDER / f"{name}.h5", "w", libver=version) as file:
            group = file.create_group("group")
            group.attrs["text"] = "variable"
            group.attrs["fixed"] = np.bytes_("fixed")
            group.attrs["names"] = [b"one", b"two", b"three"]
            group.attrs["none"] = []
            group.attrs["number"] = 3
            group["plain"] = data
            group["double"] = data.astype(np.float64)
            group["half"] = data.astype(np.float16)
            group["whole"] = data.astype(np.int16)
            group["scalar"] = np.float32(7)
            group["text"] = "no numbers"
            if version == "earliest":
                group.create_dataset("packed", data=data, chunks=(2, 3, 3), compression="gzip", shuffle=True)
                group.create_dataset("checked", data=data, chunks=(5, 2, 2), fletcher32=True)
                group.create_dataset("other", data=np.zeros((50, 4)), chunks=(50, 4), compression="lzf")
                file["elsewhere"] = h5py.ExternalLink("other.h5", "/data")
                file["alias"] = h5py.SoftLink("/group/plain")
                many = file.create_group("many")
                for i in range(40):
                    many[f"n{i}"] = np.float32(i)


def corpus():
    """The smallest model files, for the fuzz targets."""
    folder = FOLDER.parent.parent / "fuzz" / "corpus" / "keras_file"
    folder.mkdir(parents=True, exist_ok=True)
    dense = {"class_name": "Dense", "config": {"name": "d", "units": 2, "batch_input_shape": [None, 3]}}
    config = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": [dense]}})
    kernel, bias = np.ones((3, 2), np.float32), np.ones(2, np.float32)
    with h5py.File(folder / "dense.h5", "w") as file:
        file.attrs["model_config"] = config
        file.attrs["keras_version"] = "2.15.0"
        group = file.create_group("model_weights/d")
        group.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
        group["kernel:0"] = kernel
        group.create_dataset("bias:0", data=bias, chunks=(2,), compression="gzip")
    packed = io.BytesIO()
    with h5py.File(packed, "w") as file:
        file["layers/dense/vars/0"] = kernel
        file["layers/dense/vars/1"] = bias
    for name, method in (("dense.keras", zipfile.ZIP_DEFLATED), ("stored.keras", zipfile.ZIP_STORED)):
        with zipfile.ZipFile(folder / name, "w", method) as archive:
            for entry, data in (
                ("metadata.json", json.dumps({"keras_version": "3.3.3"})),
                ("config.json", config),
                ("model.weights.h5", packed.getvalue()),
            ):
                archive.writestr(zipfile.ZipInfo(entry), data, method)


def main():
    FOLDER.mkdir(exist_ok=True)
    tf.keras.utils.set_random_seed(1)
    for seed, build in enumerate((functional, convolutions, transposed, recurrent, norms, linear_gates)):
        model, shapes = build()
        randomise(model, seed)
        random = np.random.default_rng(100 + seed)
        save(build.__name__, model, [random.uniform(-1, 1, shape).astype(np.float32) for shape in shapes])
    # TensorFlow runs no channels_first on a CPU: the same network with the channels last says what is right.
    first, shapes = channels_first()
    last, _ = channels_first("channels_last")
    randomise(first, 9)
    last.set_weights(first.get_weights())
    x = np.random.default_rng(109).uniform(-1, 1, shapes[0]).astype(np.float32)
    save("channels_first", first, [x], lambda inputs: last(np.moveaxis(inputs[0], 1, -1)))
    containers()
    corpus()
    return 0


if __name__ == "__main__":
    sys.exit(main())
