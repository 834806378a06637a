#!/usr/bin/env python3
"""Make the small frozen graphs of test/tensorflow, with inputs and what TensorFlow answers.

Each case is NAME.pb, NAME.in.<i>.npy and NAME.out.<i>.npy. The graph of a case has one operation, or the few that its
Python function becomes; what comes in is taken as secret by the tests, what weights() gives as the model's. Seeds are
fixed: running it again gives the same files. Needs TensorFlow 2.15; the tests need only the files.
Usage: make_tensorflow_cases.py [CASE ...] writes cases, make_tensorflow_cases.py --check compares all with the files.
"""
import os
import pathlib
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2  # noqa: E402

OUT = pathlib.Path(__file__).resolve().parent.parent / "test" / "tensorflow"
CASES = {}
raw = tf.raw_ops
v1 = tf.compat.v1
keras = tf.keras.layers
random = np.random.default_rng(0)


def case(name, make, *shapes, **options):
    """Register a function of inputs with these shapes. Options: low and high bound the inputs' values, whole=True makes
    them integers, values gives them; v1=True builds the graph as TensorFlow 1 did; answer computes what is expected
    where TensorFlow has no kernel for the graph."""
    assert name not in CASES, name
    CASES[name] = (make, shapes, options)


def weights(*shape, low=-1.0, high=1.0):
    return tf.constant(random.uniform(low, high, size=shape).astype(np.float32))


def indices(*values):
    return tf.constant(values, tf.int32)


def seed_of(name):
    return sum((i + 1) * ord(letter) for i, letter in enumerate(name))


def listed(results):
    return list(results) if isinstance(results, (list, tuple)) else [results]


def inputs_of(shapes, options):
    if "values" in options:
        return [np.asarray(value, np.float32) for value in options["values"]]
    low, high = options.get("low", -2.0), options.get("high", 2.0)
    drawn = [random.uniform(low, high, size=shape).astype(np.float32) for shape in shapes]
    return [np.round(x) for x in drawn] if options.get("whole") else drawn


def freeze(make, inputs):
    """The graph as TensorFlow 2 writes it, and its answers."""
    specs = [tf.TensorSpec(x.shape, tf.float32, name=f"x{i}") for i, x in enumerate(inputs)]
    function = tf.function(make, input_signature=specs, autograph=False)
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    return frozen.graph.as_graph_def(), [y.numpy() for y in listed(frozen(*[tf.constant(x) for x in inputs]))]


def freeze_v1(make, inputs):
    """The graph as TensorFlow 1 writes it, and its answers."""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        v1.set_random_seed(1)
        places = [v1.placeholder(tf.float32, x.shape, name=f"x{i}") for i, x in enumerate(inputs)]
        outputs = [tf.identity(y, name=f"out_{i}") for i, y in enumerate(listed(make(*places)))]
        session.run(v1.global_variables_initializer())
        definition = v1.graph_util.convert_variables_to_constants(
            session, graph.as_graph_def(), [y.op.name for y in outputs])
        return definition, session.run(outputs, dict(zip(places, inputs)))


def without_origin(definition):
    """Nothing of the machine that made it stays in the file, and nodes are in one order."""
    definition.ClearField("library")
    for node in definition.node:
        node.ClearField("device")
        node.ClearField("experimental_debug_info")
        for key in [key for key in node.attr if key.startswith("_")]:
            del node.attr[key]
    nodes = sorted(definition.node, key=lambda node: (node.op != "Placeholder", node.op != "Const", node.name))
    definition.ClearField("node")
    definition.node.extend(nodes)
    return definition.SerializeToString(deterministic=True)


def write(name, folder):
    global random
    make, shapes, options = CASES[name]
    random = np.random.default_rng(seed_of(name))
    inputs = inputs_of(shapes, options)
    if "answer" in options:
        specs = [tf.TensorSpec(x.shape, tf.float32, name=f"x{i}") for i, x in enumerate(inputs)]
        state = random.bit_generator.state
        function = tf.function(make, input_signature=specs, autograph=False)
        definition = function.get_concrete_function().graph.as_graph_def()
        random.bit_generator.state = state
        results = [y.numpy() for y in listed(options["answer"](*[tf.constant(x) for x in inputs]))]
    else:
        definition, results = (freeze_v1 if options.get("v1") else freeze)(make, inputs)
    (folder / f"{name}.pb").write_bytes(without_origin(definition))
    for kind, tensors in (("in", inputs), ("out", results)):
        for i, tensor in enumerate(tensors):
            np.save(folder / f"{name}.{kind}.{i}.npy", np.asarray(tensor))


# --- Elementwise, two operands ---------------------------------------------------------------------------------------

SHAPES = {"same": ((4, 4), (4, 4)), "vector": ((2, 2), (1,)), "both": ((3, 1, 2, 1), (2, 1, 4)), "scalar": ((2, 2), ())}
BINARY = {"add": lambda x, y: raw.Add(x=x, y=y), "subtract": tf.subtract, "multiply": tf.multiply, "addv2": tf.add}
for op_name, op in BINARY.items():
    for shape_name, (a, b) in SHAPES.items():
        case(f"{op_name}_{shape_name}", op, a, b)
        case(f"{op_name}_{shape_name}_constant", lambda x, op=op, b=b: op(x, weights(*b)), a)
        case(f"{op_name}_constant_{shape_name}", lambda x, op=op, a=a: op(weights(*a), x), b)

case("bias_add", lambda x: tf.nn.bias_add(x, weights(4)), (4, 1, 4))
case("bias_add_nhwc", lambda x: tf.nn.bias_add(x, weights(4), "N..C"), (4, 1, 4))
case("bias_add_nchw", lambda x: tf.nn.bias_add(x, weights(3), "NC.."), (2, 3, 4))
case("bias_add_nchw_image", lambda x: tf.nn.bias_add(x, weights(3), "NCHW"), (2, 3, 4, 2))
case("bias_add_secret", tf.nn.bias_add, (2, 3), (3,))
case("bias_add_v1", lambda x: v1.nn.bias_add(x, v1.get_variable("b", [3], initializer=v1.random_normal_initializer(
    seed=1))), (2, 3), v1=True)
case("add_n", lambda x, y: tf.add_n([x, y, x * 2.0]), (2, 3), (2, 3))
case("squared_difference", tf.math.squared_difference, (2, 3), (1, 3))
case("maximum", tf.maximum, (2, 3), (3,))
case("minimum", tf.minimum, (2, 3), (2, 1))
case("maximum_constant", lambda x: tf.maximum(x, 0.25), (2, 3))
case("minimum_constant", lambda x: tf.minimum(weights(2, 3), x), (2, 3))

# --- Division --------------------------------------------------------------------------------------------------------

SEVENS = [[[7.0, -7.0], [7.5, -6.5]]]
case("div_constant", lambda x: tf.divide(x, 5.0), values=SEVENS)
case("truediv_constant", lambda x: tf.truediv(x, 5.0), values=SEVENS)
case("floordiv_constant", lambda x: tf.math.floordiv(x, 5.0), values=SEVENS)
case("floordiv_negative_constant", lambda x: tf.math.floordiv(x, -2.0), values=SEVENS)
case("div_no_nan_constant", lambda x: tf.math.divide_no_nan(x, tf.constant([4.0, 0.0])), values=SEVENS)
case("floormod_constant", lambda x: tf.math.floormod(x, 3.0), (2, 4), low=-8, high=8)
case("div_constants", lambda x: x / weights(3, low=0.5, high=3), (2, 3))
case("div_by_secret", lambda x: 3.0 / x, (2, 3), low=0.5, high=4)
case("div_by_negative_secret", lambda x: weights(2, 3) / x, (2, 3), low=-4, high=-0.5)
case("div_secrets", tf.divide, (2, 3), (2, 3), low=0.5, high=4)
case("div_v1", lambda x, y: raw.Div(x=x, y=y), (2, 3), (3,), low=0.5, high=4)
case("reciprocal", tf.math.reciprocal, (2, 3), low=0.25, high=4)
case("inv_v1", lambda x: raw.Inv(x=x), (2, 3), low=0.5, high=4, v1=True)
INTEGERS = indices(7, -7, 8, -8)
case("div_integers", lambda x: x + tf.cast(INTEGERS / 5, tf.float32), (4,))
case("floordiv_integers", lambda x: x + tf.cast(INTEGERS // 5, tf.float32), (4,))
case("truncatediv_integers", lambda x: x + tf.cast(tf.truncatediv(INTEGERS, 5), tf.float32), (4,))
case("floormod_integers", lambda x: x + tf.cast(INTEGERS % 5, tf.float32), (4,))

# --- Products of matrices --------------------------------------------------------------------------------------------

case("matmul_3x2_2x3", lambda x: x @ weights(2, 3), (3, 2))
case("matmul_vector", lambda x: x @ weights(2, 3), (1, 2))
case("matmul_constant_first", lambda x: weights(3, 2) @ x, (2, 3))
case("matmul_secrets", tf.matmul, (3, 2), (2, 3))
case("matmul_transposed", lambda x: tf.matmul(x, weights(3, 4), transpose_a=True, transpose_b=True), (4, 2))
case("matmul_secrets_transposed", lambda x, y: tf.matmul(x, y, transpose_a=True, transpose_b=True), (4, 2), (3, 4))
case("matmul_v1", lambda x: v1.matmul(x, v1.get_variable("w", [3, 2], initializer=v1.random_normal_initializer(
    seed=2))), (2, 3), v1=True)
case("batch_matmul", lambda x: tf.matmul(x, weights(2, 4, 3)), (2, 3, 4))
case("batch_matmul_secrets", lambda x, y: tf.matmul(x, y, transpose_b=True), (2, 3, 4), (2, 5, 4))
case("batch_matmul_broadcast", lambda x: tf.matmul(x, weights(3, 2, 4)), (2, 1, 2, 2))
case("batch_matmul_v1", lambda x, y: raw.BatchMatMul(x=x, y=y, adj_x=True), (2, 4, 3), (2, 4, 2))
case("tensordot", lambda x: tf.tensordot(x, weights(4, 2, 3), [[2, 1], [0, 1]]), (3, 2, 4))
case("einsum_dense", lambda x: tf.einsum("bti,ihd->bhtd", x, weights(4, 2, 3)), (2, 3, 4))
case("einsum_secrets", lambda x, y: tf.einsum("bqd,bkd->bqk", x, y), (2, 3, 4), (2, 2, 4))
case("einsum_sum", lambda x: tf.einsum("ij->j", x), (3, 4))
case("einsum_transpose", lambda x: tf.einsum("abc->cab", x), (2, 3, 4))

# --- Comparisons and choices -----------------------------------------------------------------------------------------

COMPARISONS = {"equal": tf.equal, "not_equal": tf.not_equal, "less": tf.less, "less_equal": tf.less_equal,
               "greater": tf.greater, "greater_equal": tf.greater_equal}
for op_name, op in COMPARISONS.items():
    case(op_name, op, (4, 4), (4, 4), whole=True)
    case(f"{op_name}_cast", lambda x, op=op: tf.cast(op(x, 1.0), tf.float32), (2, 6), whole=True)
case("equal_broadcast", tf.equal, (3, 1, 2, 1), (2, 1, 4), whole=True)
case("where", lambda x, y: tf.where(x > y, x, 2.0 * y), (2, 6), (2, 6))
case("where_broadcast", lambda x: tf.where(x < 0.1, x, 0.5), (2, 6))
case("where_constant", lambda x: tf.where(tf.constant([True, False, True]), x, -1.0), (2, 3))
case("select_v1", lambda x, y: v1.where(x > 0, x, y), (2, 6), (2, 6), v1=True)
case("select_rows_square_v1", lambda x, y: v1.where(tf.constant([True, False, True]), x, y), (3, 3), (3, 3), v1=True)
case("select_rows_secret_v1", lambda x, y: v1.where(x[:, 0] > 0, x, y), (3, 3), (3, 3), v1=True)
case("select_rows_v1", lambda x, y: v1.where(tf.constant([True, False, True]), x, y), (3, 2), (3, 2), v1=True)
case("logical", lambda x: tf.cast(tf.logical_or(tf.logical_and(x > -1, x < 0.5), tf.logical_not(x < 1)), tf.float32),
     (2, 8))

# --- Elementwise, one operand ----------------------------------------------------------------------------------------

UNARY_SHAPES = {"4x4": (4, 4), "1": (1,), "scalar": ()}
SMOOTH = {
    "sqrt": (tf.sqrt, 0.1, 4), "rsqrt": (tf.math.rsqrt, 0.25, 4), "sigmoid": (tf.sigmoid, -4, 4),
    "tanh": (tf.tanh, -3, 3), "relu": (tf.nn.relu, -2, 2), "elu": (tf.nn.elu, -3, 2), "selu": (tf.nn.selu, -3, 2),
    "softplus": (tf.nn.softplus, -4, 4), "softsign": (tf.nn.softsign, -4, 4), "exp": (tf.exp, -2, 2),
    "log": (tf.math.log, 0.25, 4), "abs": (tf.abs, -2, 2), "erf": (tf.math.erf, -3, 3), "sin": (tf.sin, -4, 4),
    "cos": (tf.cos, -4, 4), "log1p": (tf.math.log1p, -0.5, 4), "expm1": (tf.math.expm1, -2, 2),
    "relu6": (lambda x: tf.nn.relu6(4.0 * x), -2, 2), "leaky_relu": (lambda x: tf.nn.leaky_relu(x, 0.3), -2, 2),
    "leaky_relu_default": (tf.nn.leaky_relu, -2, 2), "sign": (tf.sign, -2, 2), "ceil": (tf.math.ceil, -4, 4),
    "swish": (tf.nn.silu, -4, 4), "gelu": (lambda x: tf.nn.gelu(x), -3, 3),
    "gelu_tanh": (lambda x: tf.nn.gelu(x, approximate=True), -3, 3),
    "mish": (lambda x: x * tf.tanh(tf.nn.softplus(x)), -4, 4),
    "hard_sigmoid": (tf.keras.activations.hard_sigmoid, -4, 4),
    "hard_swish": (lambda x: x * tf.nn.relu6(x + 3.0) / 6.0, -4, 4),
    "log_sigmoid": (tf.math.log_sigmoid, -4, 4),
}
for op_name, (op, low, high) in SMOOTH.items():
    for shape_name, shape in UNARY_SHAPES.items():
        if shape_name == "4x4" or op_name in ("sqrt", "rsqrt", "sigmoid", "tanh", "relu"):
            case(f"{op_name}_{shape_name}", op, shape, low=low, high=high)
case("relu_rank5", tf.nn.relu, (1, 2, 2, 3, 2))

UNARY = {"square": tf.square, "negative": tf.negative, "floor": tf.floor, "identity": tf.identity,
         "zeros_like": lambda x: raw.ZerosLike(x=x), "ones_like": lambda x: raw.OnesLike(x=x),
         "shape": lambda x: raw.Shape(input=x), "size": lambda x: raw.Size(input=x),
         "rank": lambda x: raw.Rank(input=x), "cast_same": lambda x: raw.Cast(x=x, DstT=tf.float32)}
for op_name, op in UNARY.items():
    case(f"{op_name}_2x2", op, (2, 2))
    case(f"{op_name}_scalar", op, ())
case("zeros_like_used", lambda x: x + tf.zeros_like(x) - tf.ones_like(x), (2, 2))
case("shape_used", lambda x: tf.reshape(x, tf.concat([tf.shape(x)[1:], [-1]], 0)), (2, 3, 4))
case("round", tf.round, (2, 6), low=-4, high=4)
case("rint", tf.math.rint, (2, 6), low=-4, high=4)
case("clip", lambda x: tf.clip_by_value(x, -0.5, 1.25), (2, 6))
case("clip_op", lambda x: raw.ClipByValue(t=x, clip_value_min=-0.5, clip_value_max=1.25), (2, 6))
case("clip_rows", lambda x: tf.clip_by_value(x, [-0.5, 0.0, -1.0], [0.5, 1.0, 1.0]), (2, 3))
for exponent in (2.0, 3.0, 0.5, -0.5, -1.0, 1.7):
    case(f"pow_{exponent}".replace("-", "minus_").replace(".", "_"), lambda x, e=exponent: tf.pow(x, e), (2, 4),
         low=0.5, high=2)
case("pow_of_constant", lambda x: tf.pow(2.0, x), (2, 4))
case("prelu", lambda x: tf.nn.relu(x) - weights(3, low=0.1, high=0.5) * tf.nn.relu(-x), (2, 4, 3))
case("prelu_layer", lambda x: PRELU(x), (2, 4, 3))
PRELU = keras.PReLU(alpha_initializer=tf.keras.initializers.RandomUniform(0.1, 0.5, seed=3), shared_axes=[1])
PRELU.build((None, 4, 3))
case("cast_half", lambda x: tf.cast(tf.cast(x, tf.float16), tf.float32) * 2.0, (2, 4), whole=True)
case("stop_gradient", tf.stop_gradient, (2, 2))
case("check_numerics", lambda x: tf.debugging.check_numerics(x, "bad"), (2, 2))
case("placeholder_with_default_v1", lambda x: x * v1.placeholder_with_default(2.0, []), (2, 2), v1=True)
case("dropout_v1", lambda x: v1.nn.dropout(x, rate=v1.placeholder_with_default(0.0, [])) * 2.0, (2, 2), v1=True)

# --- Constants -------------------------------------------------------------------------------------------------------

case("fill", lambda x: x + tf.fill([2, 2], 9.2), (2, 2))
case("fill_scalar", lambda x: x + tf.fill([], 9.2), ())
case("fill_integers", lambda x: x + tf.cast(tf.fill([2, 2], 1), tf.float32), (2, 2))
case("fill_alone", lambda x: (tf.fill([2, 2], 9.2), x * 2.0), (2, 2))
case("range", lambda x: x * tf.range(0.0, 4.0, 1.0), (3, 4))

# --- Convolutions ----------------------------------------------------------------------------------------------------

for pad in ("SAME", "VALID"):
    end = pad.lower()
    case(f"conv2d_{end}", lambda x, p=pad: tf.nn.conv2d(x, weights(2, 2, 1, 2), 1, p), (1, 5, 5, 1))
    case(f"conv2d_strided_{end}", lambda x, p=pad: tf.nn.conv2d(x, weights(3, 2, 3, 4), [2, 3], p), (2, 8, 7, 3))
    case(f"conv2d_dilated_{end}", lambda x, p=pad: tf.nn.conv2d(x, weights(3, 2, 2, 2), 1, p, dilations=2),
         (1, 7, 8, 2))
    case(f"atrous_conv2d_{end}", lambda x, p=pad: tf.nn.atrous_conv2d(x, weights(3, 2, 2, 2), 2, p), (1, 7, 8, 2))
    case(f"conv1d_{end}", lambda x, p=pad: tf.nn.conv1d(x, weights(3, 2, 4), 2, p), (2, 9, 2))
    case(f"conv1d_dilated_{end}", lambda x, p=pad: tf.nn.conv1d(x, weights(3, 2, 4), 1, p, dilations=2), (2, 9, 2))
    case(f"conv3d_{end}", lambda x, p=pad: tf.nn.conv3d(x, weights(2, 2, 2, 1, 2), [1] * 5, p), (1, 5, 5, 5, 1))
    case(f"conv3d_strided_{end}", lambda x, p=pad: tf.nn.conv3d(x, weights(2, 3, 2, 2, 2), [1, 2, 1, 2, 1], p),
         (1, 5, 4, 6, 2))
    for channels, multiplier in ((1, 3), (3, 2)):
        case(f"depthwise_{channels}_{end}",
             lambda x, p=pad, c=channels, m=multiplier: tf.nn.depthwise_conv2d(x, weights(2, 2, c, m), [1] * 4, p),
             (1, 5, 5, channels))
    case(f"depthwise_strided_{end}",
         lambda x, p=pad: tf.nn.depthwise_conv2d(x, weights(3, 3, 2, 2), [1, 2, 2, 1], p), (1, 6, 7, 2))
    case(f"depthwise_dilated_{end}",
         lambda x, p=pad: tf.nn.depthwise_conv2d(x, weights(2, 2, 2, 1), [1] * 4, p, dilations=[2, 2]), (1, 6, 7, 2))
    case(f"conv_transpose2d_{end}",
         lambda x, p=pad: tf.nn.conv2d_transpose(x, weights(3, 3, 2, 3), [1, 8, 10, 2] if p == "SAME" else
                                                 [1, 9, 11, 2], 2, p), (1, 4, 5, 3))
    case(f"conv_transpose2d_wide_{end}",
         lambda x, p=pad: tf.nn.conv2d_transpose(x, weights(2, 2, 2, 1), [1, 12, 12, 2], 3, p), (1, 4, 4, 1))
    case(f"conv_transpose3d_{end}",
         lambda x, p=pad: tf.nn.conv3d_transpose(x, weights(2, 2, 2, 1, 2), [1, 4, 4, 4, 1] if p == "SAME" else
                                                 [1, 5, 5, 5, 1], 1, p), (1, 4, 4, 4, 2))
    case(f"conv_transpose3d_strided_{end}",
         lambda x, p=pad: tf.nn.conv3d_transpose(x, weights(3, 2, 2, 2, 1), [1, 4, 3, 6, 2] if p == "SAME" else
                                                 [1, 5, 4, 6, 2], [2, 1, 2], p),
         (1, 2, 3, 3, 1))
    case(f"conv_transpose1d_{end}",
         lambda x, p=pad: tf.nn.conv1d_transpose(x, weights(3, 2, 3), [1, 8 if p == "SAME" else 9, 2], 2, p),
         (1, 4, 3))
case("conv2d_explicit", lambda x: tf.nn.conv2d(x, weights(3, 3, 2, 2), 2, [[0, 0], [1, 0], [2, 1], [0, 0]]),
     (1, 5, 6, 2))
case("conv2d_grouped", lambda x: tf.nn.conv2d(x, weights(3, 3, 2, 6), 1, "SAME"), (1, 5, 5, 4))
case("conv2d_batch", lambda x: tf.nn.relu(tf.nn.conv2d(x, weights(3, 3, 2, 3), 1, "SAME") + weights(3)), (3, 4, 4, 2))
case("conv2d_v1", lambda x: v1.nn.relu(v1.nn.conv2d(x, v1.get_variable(
    "w", [3, 3, 2, 3], initializer=v1.random_normal_initializer(seed=4)), [1, 2, 2, 1], "SAME")), (1, 5, 5, 2), v1=True)
case("separable_conv2d", lambda x: tf.nn.separable_conv2d(x, weights(3, 3, 2, 2), weights(1, 1, 4, 3), [1] * 4, "SAME"),
     (1, 5, 5, 2))


def first_to_last(x):
    return tf.transpose(x, [0, 2, 3, 1])


def last_to_first(x):
    return tf.transpose(x, [0, 3, 1, 2])


case("conv2d_nchw", lambda x: tf.nn.conv2d(x, weights(3, 3, 2, 3), [1, 1, 2, 2], "SAME", "NCHW"), (1, 2, 6, 5),
     answer=lambda x: last_to_first(tf.nn.conv2d(first_to_last(x), weights(3, 3, 2, 3), 2, "SAME")))
case("conv2d_explicit_nchw", lambda x: tf.nn.conv2d(x, weights(3, 3, 2, 3), 1, [[0, 0], [0, 0], [1, 0], [2, 1]],
                                                    "NCHW"), (1, 2, 6, 5),
     answer=lambda x: last_to_first(tf.nn.conv2d(first_to_last(x), weights(3, 3, 2, 3), 1,
                                                 [[0, 0], [1, 0], [2, 1], [0, 0]])))
case("depthwise_nchw", lambda x: tf.nn.depthwise_conv2d(x, weights(3, 3, 2, 2), [1] * 4, "SAME", "NCHW"), (1, 2, 6, 5),
     answer=lambda x: last_to_first(tf.nn.depthwise_conv2d(first_to_last(x), weights(3, 3, 2, 2), [1] * 4, "SAME")))
case("max_pool_nchw", lambda x: tf.nn.max_pool2d(x, 2, [1, 2], "SAME", "NCHW"), (1, 2, 5, 5),
     answer=lambda x: last_to_first(tf.nn.max_pool2d(first_to_last(x), 2, [1, 2], "SAME")))
case("avg_pool_nchw", lambda x: tf.nn.avg_pool2d(x, 2, 2, "SAME", "NCHW"), (1, 2, 5, 5),
     answer=lambda x: last_to_first(tf.nn.avg_pool2d(first_to_last(x), 2, 2, "SAME")))
case("conv_transpose2d_nchw", lambda x: tf.nn.conv2d_transpose(x, weights(3, 3, 2, 3), [1, 2, 8, 10], 2, "SAME",
                                                               "NCHW"), (1, 3, 4, 5),
     answer=lambda x: last_to_first(tf.nn.conv2d_transpose(first_to_last(x), weights(3, 3, 2, 3), [1, 8, 10, 2], 2,
                                                           "SAME")))
case("bias_add_nchw_volume", lambda x: raw.BiasAdd(value=x, bias=weights(3), data_format="NCHW"), (1, 3, 2, 2, 2))
case("depth_to_space_nchw", lambda x: tf.nn.depth_to_space(x, 2, "NCHW"), (1, 8, 2, 3),
     answer=lambda x: last_to_first(tf.nn.depth_to_space(first_to_last(x), 2)))

# --- Normalisations --------------------------------------------------------------------------------------------------


def batch_norm(op, order="NHWC", channels=3, **more):
    return lambda x: op(x=x, scale=weights(channels, low=0.5, high=2), offset=weights(channels), mean=weights(channels),
                        variance=weights(channels, low=0.5, high=2), epsilon=0.01, data_format=order,
                        is_training=False, **more)[0]


case("fused_batch_norm", batch_norm(raw.FusedBatchNorm), (2, 4, 4, 3))
case("fused_batch_norm_v2", batch_norm(raw.FusedBatchNormV2), (2, 4, 4, 3))
case("fused_batch_norm_v3", batch_norm(raw.FusedBatchNormV3), (2, 4, 4, 3))
case("fused_batch_norm_after_conv", lambda x: tf.nn.relu(batch_norm(raw.FusedBatchNormV3)(
    tf.nn.conv2d(x, weights(3, 3, 2, 3), 1, "SAME"))), (1, 4, 4, 2))
case("fused_batch_norm_nchw", batch_norm(raw.FusedBatchNormV3, "NCHW"), (2, 3, 4, 4),
     answer=lambda x: last_to_first(batch_norm(raw.FusedBatchNormV3)(first_to_last(x))))
case("fused_batch_norm_volume", batch_norm(raw.FusedBatchNormV3, "NDHWC"), (1, 2, 3, 4, 3))
case("fused_batch_norm_training", lambda x: raw.FusedBatchNormV3(
    x=x, scale=weights(3), offset=weights(3), mean=tf.constant([], tf.float32), variance=tf.constant([], tf.float32),
    is_training=True)[0], (2, 4, 4, 3))
case("batch_norm_written_out", lambda x: tf.nn.batch_normalization(
    x, weights(3), weights(3, low=0.5, high=2), weights(3), weights(3, low=0.5, high=2), 0.01), (2, 4, 3))
case("lrn", lambda x: tf.nn.lrn(x, 2, 1.0, 0.1, 0.75), (1, 3, 4, 6))
case("lrn_default", tf.nn.lrn, (1, 2, 3, 8))
case("l2_normalize", lambda x: tf.math.l2_normalize(x, 2), (2, 3, 4))
case("norm", lambda x: tf.norm(x, axis=1), (2, 6))
case("euclidean_norm", lambda x: tf.math.reduce_euclidean_norm(x, 1, keepdims=True), (2, 6))
case("l2_loss", tf.nn.l2_loss, (2, 6))


def layer_norm(x):
    mean, variance = tf.nn.moments(x, [2], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 0.01) * weights(6, low=0.5, high=2) + weights(6)


case("layer_norm", layer_norm, (2, 3, 6))
case("layer_norm_division", lambda x: (x - tf.reduce_mean(x, -1, True)) / tf.sqrt(tf.math.reduce_variance(
    x, -1, True) + 0.01), (2, 3, 6))
LAYER_NORM = keras.LayerNormalization(epsilon=0.01)
LAYER_NORM.build((None, 3, 6))
case("layer_norm_layer", lambda x: LAYER_NORM(x), (2, 3, 6))
case("instance_norm", lambda x: tf.nn.batch_normalization(
    x, *tf.nn.moments(x, [1, 2], keepdims=True), weights(3), weights(3, low=0.5, high=2), 0.01), (2, 4, 4, 3))
GROUP_NORM = keras.GroupNormalization(groups=2, epsilon=0.01)
GROUP_NORM.build((None, 4, 4, 4))
case("group_norm_layer", lambda x: GROUP_NORM(x), (2, 4, 4, 4))

# --- Pools -----------------------------------------------------------------------------------------------------------

for kind, pool, pool3d in (("max", tf.nn.max_pool2d, tf.nn.max_pool3d), ("avg", tf.nn.avg_pool2d, tf.nn.avg_pool3d)):
    for pad in ("SAME", "VALID"):
        end = f"{kind}_pool_{pad.lower()}"
        case(end, lambda x, pool=pool, p=pad: pool(x, 2, 2, p), (1, 5, 5, 1))
        case(f"{end}_negative", lambda x, pool=pool, p=pad: pool(x, 3, 2, p), (2, 5, 6, 2), low=-3, high=-1)
        case(f"{end}_overlapping", lambda x, pool=pool, p=pad: pool(x, [3, 2], [1, 2], p), (1, 6, 5, 2))
        case(f"{end}_volume", lambda x, pool=pool3d, p=pad: pool(x, 2, 2, p), (1, 3, 4, 5, 2))
case("max_pool_explicit", lambda x: tf.nn.max_pool2d(x, 3, 2, [[0, 0], [1, 0], [1, 1], [0, 0]]), (1, 5, 5, 2), low=-3,
     high=-1)
case("max_pool_v1", lambda x: v1.nn.max_pool(x, [1, 3, 3, 1], [1, 2, 2, 1], "SAME"), (1, 6, 6, 2), v1=True)
case("max_pool_v2_op", lambda x: raw.MaxPoolV2(input=x, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding="VALID"),
     (1, 4, 4, 2))
case("max_pool1d", lambda x: tf.nn.max_pool1d(x, 3, 2, "SAME"), (1, 7, 2))
case("relu_max_pool_twice_read", lambda x: (lambda y: (tf.nn.max_pool2d(y, 2, 2, "VALID"), y))(tf.nn.relu(x)),
     (1, 4, 4, 2))

# --- Reductions ------------------------------------------------------------------------------------------------------

REDUCTIONS = {"mean": tf.reduce_mean, "sum": tf.reduce_sum, "max": tf.reduce_max, "min": tf.reduce_min}
AXES = {"all": None, "0": 0, "1": 1, "last": -1, "two": [2, 1]}
for op_name, op in REDUCTIONS.items():
    for axes_name, axes in AXES.items():
        for kept in (False, True):
            case(f"reduce_{op_name}_{axes_name}{'_kept' if kept else ''}",
                 lambda x, op=op, axes=axes, kept=kept: op(x, axes, kept), (2, 3, 4))
case("reduce_prod_constant", lambda x: x * tf.reduce_prod(weights(2, 3), 0), (2, 3))
case("reduce_prod", lambda x: tf.reduce_prod(x, 1), (2, 3))
case("reduce_nothing", lambda x: tf.reduce_sum(x, []), (2, 3))
case("reduce_variance", lambda x: tf.math.reduce_variance(x, 1), (2, 6))
case("reduce_std", lambda x: tf.math.reduce_std(x, 1), (2, 6))
case("reduce_logsumexp", lambda x: tf.reduce_logsumexp(x, 1), (2, 6))
case("reduce_any", lambda x: tf.cast(tf.reduce_any(x > 1.0, 1), tf.float32), (4, 3))
case("reduce_all", lambda x: tf.cast(tf.reduce_all(x > -1.0, 1), tf.float32), (4, 3))
case("global_average", lambda x: tf.reduce_mean(x, [1, 2]), (1, 7, 7, 3))
case("cumsum", lambda x: tf.cumsum(x, 1), (2, 5))
case("cumsum_last", lambda x: tf.cumsum(x, -1), (2, 3, 4))
case("cumsum_vector", tf.cumsum, (5,))
case("cumsum_exclusive", lambda x: tf.cumsum(x, 1, exclusive=True), (2, 5, 2))
case("cumsum_reverse", lambda x: tf.cumsum(x, 1, reverse=True), (2, 5))
case("cumsum_exclusive_reverse", lambda x: tf.cumsum(x, 0, exclusive=True, reverse=True), (3, 4))
for op_name, op in (("argmax", tf.argmax), ("argmin", tf.argmin)):
    for axis in (0, 1, 2, -1):
        case(f"{op_name}_{axis}".replace("-1", "last"), lambda x, op=op, a=axis: op(x, a), (2, 3, 4))
    case(f"{op_name}_vector", lambda x, op=op: op(x, 0), (5,))
    case(f"{op_name}_ties", lambda x, op=op: op(x, 1, tf.int32), (4, 5), whole=True, low=-1, high=1)
case("argmax_image", lambda x: tf.argmax(x, 3), (1, 2, 2, 5))
case("top_k", lambda x: tf.math.top_k(x, 3), (2, 7))
case("top_k_values", lambda x: tf.math.top_k(x, 2).values, (2, 7))
case("top_k_ties", lambda x: tf.math.top_k(x, 4), (2, 6), whole=True, low=-1, high=1)
case("softmax", tf.nn.softmax, (2, 5), low=-4, high=4)
case("softmax_axis", lambda x: tf.nn.softmax(x, 1), (2, 3, 4))
case("softmax_scaled", lambda x: tf.nn.softmax(x) * weights(5), (2, 5))
case("softmax_then_product", lambda x: tf.nn.softmax(x) @ weights(5, 3), (2, 5), low=-4, high=4)
case("attention", lambda q, k, v: tf.nn.softmax(tf.matmul(q, k, transpose_b=True) * 0.5) @ v, (2, 3, 4), (2, 3, 4),
     (2, 3, 2), low=-1, high=1)

# --- Shapes ----------------------------------------------------------------------------------------------------------

RESHAPES = {"vector": ((4, 4), (16,)), "rows": ((2, 3), (3, 2)), "deep": ((2, 6), (2, 3, 2)),
            "flat": ((2, 3, 4), (-1,)), "infer": ((2, 3, 4), (2, -1)), "one": ((1,), ()), "scalar": ((), (1, 1))}
for name, (a, b) in RESHAPES.items():
    case(f"reshape_{name}", lambda x, b=b: tf.reshape(x, b), a)
case("flatten_product", lambda x: tf.reshape(x, [2, -1]) @ weights(12, 3), (2, 2, 3, 2))
case("transpose_default", tf.transpose, (2, 3))
case("transpose_computed", lambda x: tf.transpose(tf.nn.relu(x), tf.concat([[1], tf.range(2, 3), [0]], 0)), (2, 4, 3))
case("transpose_021", lambda x: tf.transpose(x, [0, 2, 1]), (2, 4, 3))
case("transpose_four", lambda x: tf.transpose(x, [3, 0, 2, 1]), (2, 4, 3, 2))
case("squeeze_all", tf.squeeze, (1, 2, 1, 3))
case("squeeze_axes", lambda x: tf.squeeze(x, [0, -2]), (1, 2, 1, 3))
case("squeeze_one", lambda x: tf.squeeze(x, [2]), (1, 2, 1, 3))
for axis in (0, 1, -1):
    case(f"expand_dims_{axis}".replace("-1", "last"), lambda x, a=axis: tf.expand_dims(x, a), (2, 3))
case("tile", lambda x: tf.tile(x, [2, 3]), (2, 3))
case("tile_one", lambda x: tf.tile(x, [1, 1, 2]), (2, 1, 3))
case("broadcast_to", lambda x: tf.broadcast_to(x, [3, 2, 4]), (2, 1))
case("split_equal", lambda x: tf.split(x, 5, 1), (2, 10))
case("split_sizes", lambda x: tf.split(x, [2, 5, 3], 1), (2, 10))
case("split_rest", lambda x: tf.split(x, [2, -1, 3], 1), (2, 10))
case("split_rest_first", lambda x: tf.split(x, [-1, 2, 0, 3], 1), (2, 10))
case("split_rest_last", lambda x: tf.split(x, [2, 3, -1], 1), (2, 10))
case("split_some", lambda x: tf.split(x, 5, -1)[3], (2, 10))
case("slice_row", lambda x: tf.slice(x, [1, 0, 0], [1, 1, 3]), (3, 2, 3))
case("slice_rows", lambda x: tf.slice(x, [1, 0, 0], [1, 2, 3]), (3, 2, 3))
case("slice_two", lambda x: tf.slice(x, [1, 0, 0], [2, 1, 3]), (3, 2, 3))
case("slice_rest", lambda x: tf.slice(x, [1, 0, 1], [-1, 1, -1]), (3, 2, 3))
case("concat_rows", lambda x, y: tf.concat([x, y], 0), (2, 3), (3, 3))
case("concat_images", lambda x, y: tf.concat([x, y], 1), (2, 3, 2, 1), (2, 6, 2, 1))
case("concat_constant", lambda x: tf.concat([x, weights(2, 3), x], -1), (2, 2))
case("concat_v1", lambda x, y: raw.Concat(concat_dim=1, values=[x, y]), (2, 3), (2, 1))
case("stack", lambda x, y: tf.stack([x, y, x], 1), (2, 3), (2, 3))
case("stack_last", lambda x, y: tf.stack([x, y], -1), (2, 3), (2, 3))
case("unstack", lambda x: tf.unstack(x, axis=1), (2, 3, 4))
case("unstack_last", lambda x: tf.unstack(x, axis=-1)[1], (2, 3, 4))
case("shape_of_another", lambda x, y: tf.reshape(x, raw.Shape(input=y)), (2, 3), (3, 2))
case("reverse", lambda x: tf.reverse(x, [1, 0]), (2, 3, 4))
case("roll", lambda x: tf.roll(x, 2, 1), (2, 5))
case("gather", lambda x: tf.gather(x, [2, 0, 0, 1], axis=1), (2, 3, 4))
case("gather_rows", lambda x: tf.gather(x, [[1, 0], [2, 2]]), (3, 2))
case("gather_batched", lambda x: tf.gather(x, [[1, 0], [2, 2]], axis=1, batch_dims=1), (2, 3, 2))
case("gather_v1", lambda x: raw.Gather(params=x, indices=[1, 0, 1]), (3, 2))
case("gather_nd", lambda x: tf.gather_nd(x, [[0, 1], [2, 0]]), (3, 2, 2))
case("one_hot_constant", lambda x: x @ tf.one_hot([2, 0, 1, 3], 4), (2, 4))
case("channel_shuffle", lambda x: tf.reshape(tf.transpose(tf.reshape(x, [1, 2, 2, 2, 3]), [0, 1, 2, 4, 3]),
                                             [1, 2, 2, 6]), (1, 2, 2, 6))
case("strided_slice", lambda x: x[:, 1:4:2, ::-2], (2, 5, 6))
case("strided_slice_shrink", lambda x: x[1, :, -1], (2, 5, 6))
case("strided_slice_new_axis", lambda x: x[:, tf.newaxis, 2:, ..., tf.newaxis], (2, 5, 6))
case("strided_slice_ellipsis", lambda x: x[..., 1:3], (2, 3, 4, 5))
case("strided_slice_negative", lambda x: x[:-1, -3:-1], (3, 5))
case("strided_slice_mixed", lambda x: x[0, ..., ::2, tf.newaxis, 1], (2, 3, 4, 5))
case("strided_slice_beyond", lambda x: x[:, 2:100], (2, 5))

PADDINGS = {"image": ((1, 2, 2, 1), [[0, 0], [1, 2], [2, 1], [0, 0]]), "matrix": ((2, 3), [[1, 1], [2, 2]]),
            "volume": ((1, 2, 2, 3, 2), [[0, 0], [1, 0], [0, 1], [1, 1], [0, 0]])}
for name, (shape, paddings) in PADDINGS.items():
    case(f"pad_{name}", lambda x, p=paddings: tf.pad(x, p), shape)
    case(f"pad_{name}_value", lambda x, p=paddings: tf.pad(x, p, constant_values=1.2), shape)
    case(f"pad_{name}_negative_value", lambda x, p=paddings: tf.pad(x, p, constant_values=-3.0), shape)
case("pad_reflect", lambda x: tf.pad(x, [[1, 1], [2, 2]], "REFLECT"), (2, 3))
case("pad_symmetric", lambda x: tf.pad(x, [[1, 1], [2, 2]], "SYMMETRIC"), (2, 3))
case("pad_reflect_image", lambda x: tf.pad(x, [[0, 0], [2, 1], [1, 2], [0, 0]], "REFLECT"), (1, 3, 4, 2))
case("pad_symmetric_image", lambda x: tf.pad(x, [[0, 0], [2, 1], [1, 2], [0, 0]], "SYMMETRIC"), (1, 3, 4, 2))
case("pad_channels", lambda x: tf.pad(x, [[0, 0], [0, 0], [0, 0], [1, 2]]), (1, 2, 3, 2))
case("pad_then_conv", lambda x: tf.nn.conv2d(tf.pad(x, [[0, 0], [1, 0], [1, 2], [0, 0]]), weights(3, 3, 2, 2), 2,
                                             "VALID"), (1, 5, 5, 2))

# --- Images ----------------------------------------------------------------------------------------------------------

for kind, op in (("nearest", raw.ResizeNearestNeighbor), ("bilinear", raw.ResizeBilinear)):
    for size_name, size in (("up", (8, 9)), ("double", (6, 8)), ("down", (2, 3))):
        for how, flags in (("", {}), ("_align", {"align_corners": True}), ("_half", {"half_pixel_centers": True})):
            case(f"resize_{kind}_{size_name}{how}",
                 lambda x, op=op, size=size, flags=flags: op(images=x, size=list(size), **flags), (1, 3, 4, 2))
case("resize_v1", lambda x: v1.image.resize_bilinear(x, [6, 8], align_corners=True), (1, 3, 4, 2), v1=True)
case("upsample_layer", lambda x: keras.UpSampling2D(2)(x), (1, 3, 4, 2))
case("space_to_depth", lambda x: tf.nn.space_to_depth(x, 2), (1, 4, 6, 3))
case("depth_to_space", lambda x: tf.nn.depth_to_space(x, 2), (1, 2, 3, 8))
case("space_to_batch", lambda x: tf.space_to_batch(x, [2, 3], [[0, 1], [1, 0]]), (1, 7, 5, 2))
case("batch_to_space", lambda x: tf.batch_to_space(x, [2, 2], [[0, 1], [1, 0]]), (4, 3, 3, 2))
case("space_to_batch_op", lambda x: raw.SpaceToBatch(input=x, paddings=[[0, 1], [1, 0]], block_size=2), (1, 3, 5, 2))
case("batch_to_space_op", lambda x: raw.BatchToSpace(input=x, crops=[[0, 1], [1, 0]], block_size=2), (4, 3, 3, 2))

# --- Recurrent layers, unrolled --------------------------------------------------------------------------------------

UNIFORM = dict(kernel_initializer=tf.keras.initializers.RandomUniform(-0.5, 0.5, seed=5),
               recurrent_initializer=tf.keras.initializers.RandomUniform(-0.5, 0.5, seed=6),
               bias_initializer=tf.keras.initializers.RandomUniform(-0.5, 0.5, seed=7), unroll=True)
RECURRENT = {"lstm": keras.LSTM(3, **UNIFORM), "gru": keras.GRU(3, **UNIFORM),
             "gru_reset_before": keras.GRU(3, reset_after=False, **UNIFORM), "rnn": keras.SimpleRNN(3, **UNIFORM),
             "lstm_sequences": keras.LSTM(2, return_sequences=True, **UNIFORM)}
for name, layer in RECURRENT.items():
    layer.build((2, 4, 3))
    case(name, lambda x, layer=layer: layer(x), (2, 4, 3))


# --- Networks --------------------------------------------------------------------------------------------------------


def small_network(x):
    y = tf.nn.relu(tf.nn.conv2d(x, weights(3, 3, 2, 4, low=-0.4, high=0.4), 1, "SAME") + weights(4))
    y = tf.nn.max_pool2d(y, 2, 2, "VALID")
    y = tf.reshape(y, [-1, 36]) @ weights(36, 5, low=-0.3, high=0.3) + weights(5)
    return tf.nn.softmax(y)


case("network", small_network, (1, 6, 6, 2))
case("network_logits_and_label", lambda x: (lambda y: (y, tf.argmax(y, 1)))(x @ weights(6, 4)), (2, 6))


def check():
    """Compare what is made now with the files: graphs and inputs to the byte, outputs but for rounding."""
    with tempfile.TemporaryDirectory() as made:
        made = pathlib.Path(made)
        for name in CASES:
            write(name, made)
        names = {path.name for path in made.iterdir()} | {path.name for path in OUT.iterdir()}
        wrong = [name for name in sorted(names) if not same(made / name, OUT / name)]
    for name in wrong:
        print(f"{name} is not what TensorFlow {tf.__version__} gives")
    print(f"{len(names) - len(wrong)} of {len(names)} files are as made")
    return 1 if wrong else 0


def same(made, kept):
    if not made.exists() or not kept.exists():
        return False
    if ".out." not in made.name:
        return made.read_bytes() == kept.read_bytes()
    a, b = np.load(made), np.load(kept)
    return a.shape == b.shape and a.dtype == b.dtype and np.allclose(a, b, rtol=1e-5, atol=1e-6)


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(check())
    OUT.mkdir(exist_ok=True)
    for chosen in sys.argv[1:] or CASES:
        write(chosen, OUT)
