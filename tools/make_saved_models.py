#!/usr/bin/env python3
"""Make the small models of test/saved_models: SavedModels of both versions of TensorFlow with what they answer, and one
network in every format.

A SavedModel NAME/ has NAME.in.<i>.npy, inputs by name, and NAME.<signature>.out.<i>.npy, outputs by name. Seeds are
fixed. Needs TensorFlow 2.15, h5py and onnx; the tests need only the files.
Usage: make_saved_models.py writes all, make_saved_models.py --check compares what is made now with the files.
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile
import zipfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import numpy as np  # noqa: E402
import onnx  # noqa: E402
import tensorflow as tf  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402
from tensorflow.core.protobuf import saved_model_pb2  # noqa: E402
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2  # noqa: E402

OUT = pathlib.Path(__file__).resolve().parent.parent / "test" / "saved_models"
v1 = tf.compat.v1
layers = tf.keras.layers
random = np.random.default_rng(21)


def draw(*shape, scale=1.0):
    return (random.uniform(-1, 1, size=shape) * scale).astype(np.float32)


def variable(*shape):
    return tf.Variable(draw(*shape))


def spec(name, *shape):
    return tf.TensorSpec(shape, tf.float32, name=name)


def tidy(folder):
    """Leave what describes the graph and its variables: no fingerprints, no origins, maps in one order."""
    path = folder / "saved_model.pb"
    model = saved_model_pb2.SavedModel()
    model.ParseFromString(path.read_bytes())
    for meta in model.meta_graphs:
        functions = meta.graph_def.library.function
        for nodes in [meta.graph_def.node] + [function.node_def for function in functions]:
            for node in nodes:
                node.ClearField("experimental_debug_info")
        meta.meta_info_def.ClearField("stripped_op_list")
    path.write_bytes(model.SerializeToString(deterministic=True))
    for extra in ("fingerprint.pb", "keras_metadata.pb"):
        (folder / extra).unlink(missing_ok=True)
    shutil.rmtree(folder / "assets", ignore_errors=True)
    shutil.rmtree(folder / "debug", ignore_errors=True)


def answer(out, name, inputs):
    """Record inputs, and what TensorFlow answers for each signature after loading the model again."""
    for i, key in enumerate(sorted(inputs)):
        np.save(out / f"{name}.in.{i}.npy", inputs[key])
    loaded = tf.saved_model.load(str(out / name))
    for signature, function in loaded.signatures.items():
        needed = function.structured_input_signature[1]
        results = function(**{key: tf.constant(inputs[key]) for key in needed})
        for i, key in enumerate(sorted(results)):
            np.save(out / f"{name}.{signature}.out.{i}.npy", np.asarray(results[key].numpy(), np.float32))


def save(out, name, module, signatures, inputs):
    tf.saved_model.save(module, str(out / name), signatures)
    tidy(out / name)
    answer(out, name, inputs)


# --- TensorFlow 2 ----------------------------------------------------------------------------------------------------


class Nested(tf.Module):
    """Functions that call functions; both signatures read the same variables."""

    def __init__(self):
        self.kernel, self.bias, self.scale = variable(4, 3), variable(3), variable()

    @tf.function
    def linear(self, x):
        return x @ self.kernel + self.bias

    @tf.function
    def activated(self, x):
        return tf.nn.relu(self.linear(x))

    @tf.function(input_signature=[spec("x", None, 4)])
    def scores(self, x):
        return {"scores": self.activated(x) * self.scale}

    @tf.function(input_signature=[spec("x", None, 4)])
    def twice(self, x):
        return {"once": self.linear(x), "sum": self.linear(x) + self.linear(2.0 * x)}


def two_signatures(out):
    module = Nested()
    save(out, "two_signatures", module, {"serving_default": module.scores, "twice": module.twice}, {"x": draw(2, 4)})


def several(out):
    module = tf.Module()
    module.left, module.right = variable(3, 2), variable(5, 2)

    @tf.function(input_signature=[spec("second", 2, 5), spec("first", 2, 3)])
    def call(second, first):
        a, b = first @ module.left, second @ module.right
        return {"total": a + b, "gap": a - b, "best": tf.argmax(a, 1)}

    module.call = call
    save(out, "several", module, call, {"first": draw(2, 3), "second": draw(2, 5)})


def known_condition(out):
    """Conditions on a constant, one within the other."""
    module = tf.Module()
    module.kernel = variable(3, 3)

    @tf.function(input_signature=[spec("x", 2, 3)], autograph=False)
    def call(x):
        training = tf.constant(False)
        y = tf.cond(training, lambda: x, lambda: tf.cond(training, lambda: x, lambda: x @ module.kernel))
        return {"y": tf.cond(tf.logical_not(training), lambda: y + 1.0, lambda: y)}

    module.call = call
    save(out, "known_condition", module, call, {"x": draw(2, 3)})


def secret_condition(out):
    module = tf.Module()

    @tf.function(input_signature=[spec("x", 2, 3)], autograph=False)
    def call(x):
        return {"y": tf.cond(tf.reduce_sum(x) > 0.0, lambda: x, lambda: -x)}

    module.call = call
    save(out, "secret_condition", module, call, {"x": draw(2, 3)})


def loop(out):
    module = tf.Module()

    @tf.function(input_signature=[spec("x", 2, 3)], autograph=False)
    def call(x):
        return {"y": tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 0.5), [0, x])[1]}

    module.call = call
    save(out, "loop", module, call, {"x": draw(2, 3)})


def keras_model():
    """The network that is saved in every format."""
    x = image = tf.keras.Input((6, 6, 2), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    x = layers.BatchNormalization(epsilon=0.01, name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(5, name="scores")(x)
    model = tf.keras.Model(image, layers.Softmax(name="softmax")(x), name="network")
    values = [draw(*w.shape, scale=0.5) for w in model.weights]
    model.set_weights([np.abs(v) + 0.5 if "variance" in w.name else v for v, w in zip(values, model.weights)])
    return model


def exported(out):
    """Keras's own export, whose signature has a dynamic batch."""
    keras_model().export(str(out / "exported"))
    tidy(out / "exported")
    loaded = tf.saved_model.load(str(out / "exported"))
    key = list(loaded.signatures["serving_default"].structured_input_signature[1])[0]
    answer(out, "exported", {key: draw(2, 6, 6, 2)})


# --- TensorFlow 1 ----------------------------------------------------------------------------------------------------


def partitioned(out):
    """Variables in parts, as parameter servers held them."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 7], name="x")
        with v1.variable_scope("model", partitioner=v1.fixed_size_partitioner(3)):
            kernel = v1.get_variable("kernel", [7, 4], initializer=v1.random_uniform_initializer(-1, 1, seed=3))
            bias = v1.get_variable("bias", [4], initializer=v1.random_uniform_initializer(-1, 1, seed=4))
        y = tf.nn.relu(x @ tf.convert_to_tensor(kernel) + tf.convert_to_tensor(bias), name="y")
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(out / "partitioned"))
        signature = v1.saved_model.predict_signature_def({"x": x}, {"y": y})
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    tidy(out / "partitioned")
    answer(out, "partitioned", {"x": draw(2, 7)})


# --- One network in every format -------------------------------------------------------------------------------------


def write_frozen(model, path):
    function = tf.function(lambda x: model(x), input_signature=[spec("image", 1, 6, 6, 2)], autograph=False)
    frozen = convert_variables_to_constants_v2(function.get_concrete_function()).graph.as_graph_def()
    frozen.ClearField("library")
    for node in frozen.node:
        node.ClearField("experimental_debug_info")
    path.write_bytes(frozen.SerializeToString(deterministic=True))


def write_archive(model, path):
    """A .keras file without the time of its making."""
    model.save(path)
    with zipfile.ZipFile(path) as stored:
        entries = {entry: stored.read(entry) for entry in stored.namelist()}
    entries["metadata.json"] = json.dumps({"keras_version": tf.__version__}).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry, data in entries.items():
            packed.writestr(zipfile.ZipInfo(entry), data, zipfile.ZIP_DEFLATED)


def write_lite(model, path):
    function = tf.function(lambda x: model(x), input_signature=[spec("image", 1, 6, 6, 2)], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], model)
    path.write_bytes(converter.convert())


def write_tfjs(model, folder):
    """A layers-model: the configuration of the layers, and all weights in one shard."""
    folder.mkdir()
    shard = "group1-shard1of1.bin"
    manifest = [{"name": w.name.split(":")[0], "shape": list(w.shape), "dtype": "float32"} for w in model.weights]
    topology = {"keras_version": tf.__version__, "backend": "tensorflow", "model_config": json.loads(model.to_json())}
    text = {"format": "layers-model", "modelTopology": topology,
            "weightsManifest": [{"paths": [shard], "weights": manifest}]}
    (folder / "model.json").write_text(json.dumps(text))
    (folder / shard).write_bytes(b"".join(w.astype("<f4").tobytes() for w in model.get_weights()))


def write_onnx(model, path):
    """The same in ONNX's layout, between the transposes that converters write."""
    conv, norm, dense = (model.get_layer(name).get_weights() for name in ("conv", "norm", "scores"))
    stored = {"kernel": conv[0].transpose(3, 2, 0, 1), "bias": conv[1], "gamma": norm[0], "beta": norm[1],
              "mean": norm[2], "variance": norm[3], "matrix": dense[0], "offset": dense[1],
              "flat": np.array([1, -1], np.int64)}
    nodes = [
        helper.make_node("Transpose", ["image"], ["first"], "to_first", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "kernel", "bias"], ["conv"], "conv", kernel_shape=[3, 3], pads=[1] * 4),
        helper.make_node("BatchNormalization", ["conv", "gamma", "beta", "mean", "variance"], ["norm"], "norm",
                         epsilon=0.01),
        helper.make_node("Relu", ["norm"], ["relu"], "relu"),
        helper.make_node("MaxPool", ["relu"], ["pool"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Transpose", ["pool"], ["last"], "to_last", perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["last", "flat"], ["row"], "row"),
        helper.make_node("Gemm", ["row", "matrix", "offset"], ["scores"], "scores"),
        helper.make_node("Softmax", ["scores"], ["softmax"], "softmax", axis=1),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "network", [value("image", onnx.TensorProto.FLOAT, [1, 6, 6, 2])],
                              [value("softmax", onnx.TensorProto.FLOAT, [1, 5])],
                              [numpy_helper.from_array(array, name) for name, array in stored.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(made)
    path.write_bytes(made.SerializeToString(deterministic=True))


def every_format(out):
    folder = out / "every_format"
    folder.mkdir()
    model = keras_model()
    tf.saved_model.save(model, str(folder / "saved_model"))
    tidy(folder / "saved_model")
    write_frozen(model, folder / "network.pb")
    model.save(folder / "network.h5", save_format="h5", include_optimizer=False)
    write_archive(model, folder / "network.keras")
    write_lite(model, folder / "network.tflite")
    write_tfjs(model, folder / "tfjs")
    write_onnx(model, folder / "network.onnx")
    x = draw(1, 6, 6, 2)
    np.save(folder / "in.npy", x)
    np.save(folder / "out.npy", model(x).numpy())


def make(out):
    global random
    for seed, build in enumerate(
            (two_signatures, several, known_condition, secret_condition, loop, exported, partitioned, every_format)):
        random = np.random.default_rng(seed)
        tf.keras.utils.set_random_seed(seed)
        build(out)


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def same(made, kept):
    if "exported" in made.parts:  # Keras exports variables in another order each time; its answers are compared
        return True
    if made.suffix != ".npy":
        return made.read_bytes() == kept.read_bytes()
    a, b = np.load(made), np.load(kept)
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-6)


def check():
    with tempfile.TemporaryDirectory() as made:
        made = pathlib.Path(made)
        make(made)
        names = files_of(made) | files_of(OUT)
        both = files_of(made) & files_of(OUT)
        wrong = sorted(name for name in names if name not in both or not same(made / name, OUT / name))
    for name in wrong:
        print(f"{name} is not what TensorFlow {tf.__version__} gives")
    print(f"{len(names) - len(wrong)} of {len(names)} files are as made")
    return 1 if wrong else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(check())
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    make(OUT)
