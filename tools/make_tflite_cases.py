#!/usr/bin/env python3
"""Make the small TensorFlow Lite models of test/tflite, with inputs and what the TensorFlow Lite interpreter answers.

Each case is a folder: model.tflite, in_<i>.npy and out_<i>.npy, real numbers all (quantised tensors are de-quantised).
Needs TensorFlow 2.15; the tests need only the files. Usage: make_tflite_cases.py [CASE ...]
"""
import os
import pathlib
import shutil
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

OUT = pathlib.Path(__file__).resolve().parent.parent / "test" / "tflite"
CASES = {}
random = np.random.default_rng(11)


def case(*shapes, low=-1.0, high=1.0, **options):
    """Register a function of inputs with these shapes; options choose the quantisation and how it is converted."""
    def register(make):
        CASES[make.__name__] = (make, shapes, low, high, options)
        return make
    return register


def weights(*shape, scale=None):
    fan = float(np.prod(shape[:-1])) or 1.0
    return tf.constant(random.normal(size=shape, scale=scale or fan ** -0.5).astype(np.float32))


def samples(shapes, low, high, count):
    return [[random.uniform(low, high, size=[d or 2 for d in s]).astype(np.float32) for s in shapes] for _ in range(count)]


def convert(make, shapes, low, high, options):
    names = options.get("names")
    specs = [tf.TensorSpec(s, tf.float32, name=f"x{i}") for i, s in enumerate(shapes)]
    function = tf.function(make, input_signature=specs)
    if names:
        module = tf.Module()
        module.call = function
        folder = tempfile.mkdtemp()
        tf.saved_model.save(module, folder, signatures=module.call)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    else:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    kind = options.get("quantise")
    if kind:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if kind in ("int8", "uint8", "int16", "float_ends"):
        converter.representative_dataset = lambda: iter(samples(shapes, low, high, 50))
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8 if kind == "int16"
            else tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if kind != "float_ends":
            converter.inference_input_type = converter.inference_output_type = tf.as_dtype(kind)
    return converter.convert()


def run(model, inputs):
    interpreter = tf.lite.Interpreter(model_content=model,
                                      experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF)
    given = []
    for detail, x in zip(interpreter.get_input_details(), inputs):
        if -1 in detail["shape_signature"]:
            interpreter.resize_tensor_input(detail["index"], x.shape)
    interpreter.allocate_tensors()
    for detail, x in zip(interpreter.get_input_details(), inputs):
        scale, zero = detail["quantization"]
        if scale:
            info = np.iinfo(detail["dtype"])
            q = np.clip(np.round(x / scale) + zero, info.min, info.max).astype(detail["dtype"])
            interpreter.set_tensor(detail["index"], q)
            x = ((q.astype(np.float64) - zero) * scale).astype(np.float32)
        else:
            interpreter.set_tensor(detail["index"], x)
        given.append(x)
    interpreter.invoke()
    results = []
    for detail in interpreter.get_output_details():
        y = interpreter.get_tensor(detail["index"])
        scale, zero = detail["quantization"]
        results.append(((y.astype(np.float64) - zero) * scale if scale else y).astype(np.float32))
    return given, results


def write(name):
    make, shapes, low, high, options = CASES[name]
    global random
    random = np.random.default_rng(abs(hash_of(name)))
    model = convert(make, shapes, low, high, options)
    given, results = run(model, samples(shapes, low, high, 1)[0])
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "model.tflite").write_bytes(model)
    for i, x in enumerate(given):
        np.save(folder / f"in_{i}.npy", x)
    for i, y in enumerate(results):
        np.save(folder / f"out_{i}.npy", y)
    print(f"{name}: {len(model)} bytes, {len(given)} inputs, {len(results)} outputs")


def hash_of(name):
    return sum((i + 1) * ord(letter) for i, letter in enumerate(name))


@case((1, 9, 8, 3))
def convolutions(x):
    y = tf.nn.relu(tf.nn.conv2d(x, weights(3, 3, 3, 6), 2, "SAME") + weights(6, scale=0.3))
    z = tf.nn.relu6(tf.nn.depthwise_conv2d(x, weights(3, 2, 3, 2), [1, 1, 1, 1], "VALID") + weights(6, scale=0.3))
    d = tf.nn.conv2d(x, weights(3, 3, 3, 2), 1, "VALID", dilations=2)
    g = tf.nn.conv2d(y, weights(1, 1, 3, 4), 1, "VALID")
    return y, z, d, g


@case((2, 8, 7, 3))
def pools(x):
    a = tf.nn.avg_pool2d(x, [3, 2], [2, 1], "SAME")
    m = tf.nn.max_pool2d(x, 2, 2, "VALID")
    return a, m, tf.reduce_mean(x, [1, 2]), tf.reduce_sum(x, 3, keepdims=True)


@case((2, 3, 4))
def dense(x):
    flat = tf.reshape(x, [2, 12])
    y = tf.nn.relu(flat @ weights(12, 5) + weights(5, scale=0.3))
    kept = tf.tensordot(x, weights(4, 3), 1) + weights(3, scale=0.3)
    return y, kept, tf.matmul(x, weights(5, 4), transpose_b=True)


@case((2, 3, 4), (2, 5, 4))
def batch_matmul(x, y):
    return tf.matmul(x, y, transpose_b=True), tf.matmul(x, weights(2, 4, 3))


@case((1, 3, 4, 2))
def pad_value(x):
    return tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], constant_values=0.5)


@case((2, 4, 6, 2))
def shapes(x):
    a, b = tf.split(x, 2, axis=2)
    c, d, e = tf.split(x, [1, 3, 2], axis=2)
    padded = tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]])
    moved = tf.transpose(x, [0, 3, 1, 2])
    first, second = tf.unstack(x, axis=3)
    packed = tf.stack([second, first], axis=1)
    joined = tf.concat([b, a, tf.slice(x, [0, 0, 1, 0], [2, -1, 2, 2])], axis=2)
    stepped = x[:, 1:4:2, ::-2, tf.newaxis, 1]
    squeezed = tf.squeeze(tf.expand_dims(moved, 2), [2])
    return padded, packed, joined, stepped, squeezed, c - e[:, :, :1], d


@case((2, 5), (2, 5))
def arithmetic(x, y):
    summed = tf.nn.relu(x + y)
    clipped = tf.nn.relu6(x * 8.0 - 1.0)
    return summed, clipped, tf.nn.relu(x - 2.0 * y), x / 4.0, -y, tf.nn.leaky_relu(x, 0.3)


@case((1, 7, 5, 2))
def space_and_batch(x):
    blocks = tf.space_to_batch(x, [2, 3], [[0, 1], [1, 0]])
    y = tf.nn.conv2d(blocks, weights(2, 2, 2, 3), 1, "SAME")
    return tf.batch_to_space(y, [2, 3], [[0, 1], [1, 0]])


@case((2, 6), low=-3, high=3)
def classifier(x):
    return tf.nn.softmax(0.5 * (x @ weights(6, 4)) + weights(4, scale=0.2))


@case((1, 3), (1, 3), names=True)
def signature(left, right):
    return {"total": left + right, "gap": left - right}


@case((2, 12), low=-3, high=3)
def activations(x):
    slope = tf.constant(random.uniform(0.1, 0.5, size=(12,)).astype(np.float32))
    prelu = tf.nn.relu(x) + slope * -tf.nn.relu(-x)
    return (x * tf.nn.relu6(x + 3.0) / 6.0, tf.nn.gelu(x, approximate=True),
            tf.sigmoid(x), tf.tanh(x), prelu, tf.minimum(tf.maximum(x, -1.0), 1.0))


@case((2, 6), low=0.5, high=3)
def functions(x):
    return (tf.exp(x), tf.math.log(x), tf.sqrt(x), tf.math.rsqrt(x), tf.square(x), tf.abs(x - 1.5),
            tf.pow(x, 3.0), tf.math.squared_difference(x, 1.25))


@case((2, 6), low=-4, high=4)
def roundings(x):
    return (tf.floor(x),)


@case((2, 6), (2, 6))
def comparisons(x, y):
    chosen = tf.where(x > y, x, 2.0 * y)
    rows = tf.where(x < 0.1, x, tf.zeros_like(x))
    return tf.maximum(x, y), tf.minimum(x, 0.3), chosen, rows, tf.cast(x >= y, tf.float32)


@case((2, 4, 3), low=-2, high=2)
def extrema(x):
    return (tf.reduce_max(x, 1), tf.reduce_min(x, 2, keepdims=True), tf.cast(tf.argmax(x, 2), tf.int32),
            tf.argmin(x, 2, tf.int32))


@case((2, 7))
def largest(x):
    values, indices = tf.math.top_k(x, 3)
    return values, indices


@case((1, 5, 6, 4, 2))
def volumes(x):
    return tf.nn.relu(tf.nn.conv3d(x, weights(3, 2, 2, 2, 3), [1, 1, 2, 1, 1], "SAME") + weights(3, scale=0.3))


@case((1, 4, 5, 3))
def transposed_convolutions(x):
    same = tf.nn.conv2d_transpose(x, weights(3, 3, 2, 3), [1, 8, 10, 2], 2, "SAME") + weights(2, scale=0.3)
    valid = tf.nn.conv2d_transpose(x, weights(2, 3, 4, 3), [1, 9, 7, 4], [2, 1], "VALID")
    return same, valid


@case((1, 4, 6, 4))
def images(x):
    raw = tf.raw_ops
    sizes = [8, 9]
    return (raw.ResizeBilinear(images=x, size=sizes, half_pixel_centers=True),
            raw.ResizeBilinear(images=x, size=sizes, align_corners=True),
            raw.ResizeBilinear(images=x, size=sizes),
            raw.ResizeNearestNeighbor(images=x, size=sizes, half_pixel_centers=True),
            raw.ResizeNearestNeighbor(images=x, size=sizes, align_corners=True),
            raw.ResizeNearestNeighbor(images=x, size=[3, 5]),
            tf.nn.space_to_depth(x, 2), tf.nn.depth_to_space(x, 2),
            tf.pad(x, [[0, 0], [2, 1], [1, 2], [0, 0]], "REFLECT"),
            tf.pad(x, [[0, 0], [2, 1], [1, 2], [0, 0]], "SYMMETRIC"))


# Local response normalisation has no golden here: the interpreter's reference kernel leaves out the last channel of each
# window, TensorFlow and the optimised kernel do not.
@case((1, 3, 4, 6), low=-2, high=2)
def normalisations(x):
    return tf.math.l2_normalize(x, 3)


@case((2, 3, 4))
def moves(x):
    return (tf.gather(x, [2, 0, 0, 1], axis=1), tf.tile(x, [1, 2, 3]), tf.broadcast_to(x[:, :1], [2, 5, 4]),
            tf.reverse(x, [1]), tf.reverse(x, [2]))


def small_network(x):
    y = tf.nn.relu(tf.nn.conv2d(x, weights(3, 3, 3, 8), 1, "SAME") + weights(8, scale=0.2))
    y = tf.nn.relu6(tf.nn.depthwise_conv2d(y, weights(3, 3, 8, 1), [1, 2, 2, 1], "SAME") + weights(8, scale=0.2))
    z = tf.nn.conv2d(y, weights(1, 1, 8, 8), 1, "SAME")
    y = tf.nn.relu(y + z)
    y = tf.reshape(tf.nn.avg_pool2d(y, 4, 4, "VALID"), [1, 8])
    return y @ weights(8, 4) + weights(4, scale=0.2)


@case((1, 8, 8, 3), quantise="int8")
def network_int8(x):
    return small_network(x)


@case((1, 8, 8, 3), low=0, high=255, quantise="uint8")
def network_uint8(x):
    return small_network(x / 127.5 - 1.0)


@case((1, 8, 8, 3), quantise="int16")
def network_int16(x):
    return small_network(x)


@case((1, 8, 8, 3), quantise="float_ends")
def network_float_ends(x):
    return small_network(x)


@case((1, 6, 6, 2), quantise="int8", low=-2, high=2)
def smooth_int8(x):
    y = tf.nn.conv2d(x, weights(3, 3, 2, 4), 1, "SAME")
    y = y * tf.sigmoid(y)
    y = tf.reduce_mean(tf.tanh(y), [1, 2])
    return tf.nn.softmax(y @ weights(4, 3))


@case((1, 8, 8, 3), quantise="float16")
def network_float16(x):
    return small_network(x)


@case((1, 64), quantise="weights")
def dense_int8_weights(x):
    return tf.nn.relu(x @ weights(64, 32)) @ weights(32, 4)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or CASES:
        write(chosen)
