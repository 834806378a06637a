#!/usr/bin/env python3
"""Makes ONNX files of well-known networks, with weights that are random but behave like trained ones.

    ./dev models                                    # all of them, into build/models
    ./dev models --only resnet50 --out /tmp/models  # one; --only may be repeated
    ./dev models --images DIR                       # where the photographs lie (default ../shared/models/images)

The cost of secure inference depends on a network's shapes and on the ranges of its values, not on what it has
learnt. The topologies are exact (their counts are asserted); the weights are drawn, with channels of unequal size and
heavier tails than a normal distribution, and then brought to where training brings them: the mean and variance of each
batch normalisation are measured on photographs, in one pass of a *measuring graph* that normalises by its own batch; a
layer without batch normalisation gets its scale and its bias the same way. The last layer recognises the photographs:
its rows for the first classes are fitted to their crops, the other rows are random.

Without photographs their place is taken by noise with the spectrum of natural images (amplitude ~ 1/frequency).

For each NAME three files: NAME.onnx, NAME.inputs.npy (10 preprocessed inputs, other crops than those measured on) and
NAME.golden.npy (what ONNX Runtime computes for them). The same seed gives the same files, up to rounding in the
measurement.
"""
import argparse
import pathlib
import sys
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parent.parent
MEASURED, INPUTS = 32, 10  # samples to measure on, samples to deliver
OPSET, IR_VERSION, EPSILON = 17, 8, 1e-5


# --- Samples ----------------------------------------------------------------------------------------------------------


def noise_image(rng, side=512):
    """A colour image whose amplitudes fall as 1/frequency, and whose channels are alike as in photographs."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    planes = [np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) / frequency) for _ in range(4)]
    planes = [plane / plane.std() for plane in planes]
    colour = [planes[0] + 0.3 * plane for plane in planes[1:]]
    return (np.clip(0.45 + 0.25 * np.stack(colour, -1), 0, 1) * 255).astype(np.uint8)


def photographs(folder, rng):
    names = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
    found = [folder / name for name in names if (folder / name).exists()]
    if found:
        return [np.asarray(Image.open(path).convert("RGB")) for path in found]
    return [noise_image(rng) for _ in names]


def crops(photos, count, side, rng):
    """Random crops and flips, normalised as torchvision does. Returns NCHW and which photograph each one is of."""
    batch = []
    for i in range(count):
        photo = photos[i % len(photos)]
        extent = int(min(photo.shape[:2]) * rng.uniform(0.6, 1.0))
        top, left = (int(rng.integers(0, total - extent + 1)) for total in photo.shape[:2])
        crop = Image.fromarray(photo[top : top + extent, left : left + extent])
        pixels = np.asarray(crop.resize((side, side), Image.Resampling.BILINEAR), np.float32) / 255
        batch.append(pixels[:, ::-1] if rng.random() < 0.5 else pixels)
    batch = (np.stack(batch) - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    return np.ascontiguousarray(batch.transpose(0, 3, 1, 2)), np.arange(count) % len(photos)


def digits(folder, photos, rng):
    """Two sets of ten 28x28 digits in [0, 1] with their labels; thresholded crops when there are none."""
    pixels, labels = folder / "opencv_digits20_u8_28x28.npy", folder / "opencv_digits20_labels.npy"
    if pixels.exists():
        images, classes = np.load(pixels).astype(np.float32)[:, None] / 255, np.load(labels)
        return (images[0::2], classes[0::2]), (images[1::2], classes[1::2])
    sets = [crops(photos, 10, 28, rng) for _ in range(2)]
    return [((batch[:, :1] > 0.5).astype(np.float32), classes) for batch, classes in sets]


# --- Layers -----------------------------------------------------------------------------------------------------------


class Builder:
    """Writes one graph. Without `statistics` it is the measuring graph, which has them as outputs."""

    def __init__(self, name, statistics=None):
        self.name, self.statistics, self.outputs = name, statistics, []
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes, self.initializers = [], []

    @property
    def measuring(self):
        return self.statistics is None

    def node(self, op, name, inputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name, values):
        self.initializers.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def measure(self, name):
        self.outputs.append(name)
        return name

    # Weights as of He et al., with unequal channels on both sides and the tails of a t distribution with 6 degrees.
    def weight(self, out_channels, in_channels, *kernel):
        shape = (out_channels, in_channels, *kernel)
        values = self.rng.standard_t(6, shape) / np.sqrt(6 / 4) * np.sqrt(2 / np.prod(shape[1:]))
        for axis in (0, 1):
            scales = np.exp(0.3 * self.rng.standard_normal(shape[axis]))
            values *= scales.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        return values

    def conv(self, x, name, in_channels, out_channels, kernel, stride=1, pad=0):
        weight = self.constant(f"{name}.weight", self.weight(out_channels, in_channels, kernel, kernel))
        return self.convolve(name, [x, weight], kernel, stride, pad)

    def convolve(self, name, inputs, kernel, stride, pad):
        pads = list(pad) if isinstance(pad, tuple) else [pad] * 4
        return self.node("Conv", name, inputs, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads)

    def mean(self, x, name, axes):
        return self.node("ReduceMean", name, [x], axes=axes, keepdims=0)

    def moments(self, x, name, channels, rank):
        """Mean and variance of each channel over batch and space: nodes when measuring, constants afterwards."""
        names = f"{name}.running_mean", f"{name}.running_var"
        if not self.measuring:
            return [self.constant(n, self.statistics[n]) for n in names]
        axes = [0] + list(range(2, rank))
        mean = self.mean(x, names[0], axes)
        shape = numpy_helper.from_array(np.array([1, channels] + [1] * (rank - 2), np.int64), f"{name}.shape")
        self.initializers.append(shape)
        centred = self.node("Sub", f"{name}.centred", [x, self.node("Reshape", f"{name}.column", [mean, shape.name])])
        variance = self.mean(self.node("Mul", f"{name}.square", [centred, centred]), names[1], axes)
        return [self.measure(mean), self.measure(variance)]

    def batch_norm(self, x, name, channels, gamma=(0.5, 1.5)):
        scale = self.constant(f"{name}.weight", self.rng.uniform(*gamma, channels))
        bias = self.constant(f"{name}.bias", 0.2 * self.rng.standard_normal(channels))
        moments = self.moments(x, name, channels, 4)
        return self.node("BatchNormalization", name, [x, scale, bias, *moments], epsilon=EPSILON)

    def relu(self, x):
        return self.node("Relu", f"{x}.relu", [x])

    def conv_bn(self, x, name, norm, in_channels, out_channels, kernel, stride=1, pad=0, gamma=(0.5, 1.5)):
        x = self.conv(x, name, in_channels, out_channels, kernel, stride, pad)
        return self.batch_norm(x, norm, out_channels, gamma)

    def scaled(self, x, name, in_channels, out_channels, kernel=None, stride=1, pad=0):
        """A layer with a bias and no batch norm: its output gets unit variance, each channel a mean near zero."""
        weight = self.weight(out_channels, in_channels, *([kernel] * 2 if kernel else []))
        bias = 0.2 * self.rng.standard_normal(out_channels)
        if self.measuring:
            inputs = [x, self.constant(f"{name}.weight", weight)]
            y = self.linear(name, inputs, kernel, stride, pad)
            # One scale for the layer: the channels keep their unequal sizes.
            mean, variance = self.moments(y, name, out_channels, 4 if kernel else 2)
            same = self.node("Mul", f"{name}.same", [variance, self.constant(f"{name}.zeros", np.zeros(out_channels))])
            joint = self.node("Add", f"{name}.joint", [same, self.mean(variance, f"{name}.variance", [0])])
            ones, offset = self.constant(f"{name}.ones", np.ones(out_channels)), self.constant(f"{name}.bias", bias)
            return self.node("BatchNormalization", f"{name}.norm", [y, ones, offset, mean, joint], epsilon=EPSILON)
        mean, variance = (self.statistics[f"{name}.running_{what}"] for what in ("mean", "var"))
        factor = 1 / np.sqrt(variance.mean() + EPSILON)
        bias -= mean * factor
        inputs = [x, self.constant(f"{name}.weight", weight * factor), self.constant(f"{name}.bias", bias)]
        return self.linear(name, inputs, kernel, stride, pad)

    def linear(self, name, inputs, kernel, stride=1, pad=0):
        if kernel:
            return self.convolve(name, inputs, kernel, stride, pad)
        return self.node("Gemm", name, inputs, transB=1)

    def max_pool(self, x, name, kernel, stride, pad=0, ceil=0):
        return self.node("MaxPool", name, [x], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4,
                         ceil_mode=ceil)

    def head(self, x, name, in_channels, classes, kernel=None):
        """The layer of the logits. The measuring graph ends before it, with what it reads."""
        if self.measuring:
            self.measure(self.mean(x, "features", [2, 3]) if kernel else self.node("Identity", "features", [x]))
            return x
        self.classes = classes
        features, labels = self.statistics["features"], self.statistics["labels"]
        centre = features.mean(0)
        centred = features - centre
        rows = self.weight(classes, in_channels)
        rows *= 2 / np.sqrt(np.mean((centred @ rows.T) ** 2))  # largest of 1000: about 6.5
        # Ridge regression, in its dual form: there are fewer samples than channels.
        gram = centred @ centred.T
        dual = np.linalg.solve(gram + np.mean(np.diag(gram)) * np.eye(len(gram)), centred)
        for label in np.unique(labels):
            rows[label] = (labels == label) @ dual
            rows[label] *= 15 / np.mean(centred[labels == label] @ rows[label])
        bias = 0.2 * self.rng.standard_normal(classes) - rows @ centre
        weight = rows.reshape(classes, in_channels, 1, 1) if kernel else rows
        inputs = [x, self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)]
        return self.linear(name, inputs, kernel)

    def model(self, output, input_shape):
        make = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        outputs = [(name, None) for name in self.outputs] if self.measuring else [(output, ["N", self.classes])]
        graph = helper.make_graph(self.nodes, self.name, [make("input", ["N", *input_shape])],
                                  [make(*each) for each in outputs], self.initializers)
        return helper.make_model(graph, producer_name="treville", ir_version=IR_VERSION,
                                 opset_imports=[helper.make_opsetid("", OPSET)])


# --- Networks, as torchvision has them; each returns the name of its logits -------------------------------------------


def resnet(blocks, bottleneck):
    """He et al. 2016; version 1.5, whose stride is in the 3x3 convolution."""

    def build(b):
        x = b.relu(b.conv_bn("input", "conv1", "bn1", 3, 64, 7, 2, 3))
        x = b.max_pool(x, "maxpool", 3, 2, 1)
        channels = 64
        for stage, count in enumerate(blocks):
            width = 64 << stage
            out = width * (4 if bottleneck else 1)
            for i in range(count):
                name, stride = f"layer{stage + 1}.{i}", 2 if stage > 0 and i == 0 else 1
                sizes = [(channels, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)] if bottleneck else [
                    (channels, width, 3, stride), (width, width, 3, 1)]
                y = x
                for j, (ins, outs, kernel, step) in enumerate(sizes, 1):
                    last = j == len(sizes)
                    y = b.conv_bn(y, f"{name}.conv{j}", f"{name}.bn{j}", ins, outs, kernel, step, kernel // 2,
                                  (0.2, 0.6) if last else (0.5, 1.5))
                    y = y if last else b.relu(y)
                if stride != 1 or channels != out:
                    x = b.conv_bn(x, f"{name}.downsample.0", f"{name}.downsample.1", channels, out, 1, stride)
                x = b.relu(b.node("Add", f"{name}.add", [y, x]))
                channels = out
        x = b.node("Flatten", "flatten", [b.node("GlobalAveragePool", "avgpool", [x])], axis=1)
        return b.head(x, "fc", channels, 1000)

    return build


def densenet121(b):
    """Huang et al. 2017: growth 32, bottlenecks of 128, transitions that halve the channels."""
    x = b.relu(b.conv_bn("input", "conv0", "norm0", 3, 64, 7, 2, 3))
    x = b.max_pool(x, "pool0", 3, 2, 1)
    channels = 64
    for block, layers in enumerate((6, 12, 24, 16), 1):
        parts = [x]
        for i in range(1, layers + 1):
            name = f"denseblock{block}.denselayer{i}"
            y = parts[0] if len(parts) == 1 else b.node("Concat", f"{name}.concat", parts, axis=1)
            y = b.relu(b.batch_norm(y, f"{name}.norm1", channels))
            y = b.relu(b.conv_bn(y, f"{name}.conv1", f"{name}.norm2", channels, 128, 1))
            parts.append(b.conv(y, f"{name}.conv2", 128, 32, 3, 1, 1))
            channels += 32
        x = b.node("Concat", f"denseblock{block}.concat", parts, axis=1)
        if block < 4:
            name = f"transition{block}"
            x = b.conv(b.relu(b.batch_norm(x, f"{name}.norm", channels)), f"{name}.conv", channels, channels // 2, 1)
            x = b.node("AveragePool", f"{name}.pool", [x], kernel_shape=[2, 2], strides=[2, 2])
            channels //= 2
    x = b.relu(b.batch_norm(x, "norm5", channels))
    x = b.node("Flatten", "flatten", [b.node("GlobalAveragePool", "avgpool", [x])], axis=1)
    return b.head(x, "classifier", channels, 1000)


def squeezenet(version):
    """Iandola et al. 2016. Version 1.1 has a smaller first layer and pools earlier."""

    def build(b):
        first, kernel, pool_before = (96, 7, (4, 8)) if version == "1_0" else (64, 3, (3, 5))
        x = b.relu(b.scaled("input", "conv1", 3, first, kernel, 2))
        x, channels = b.max_pool(x, "pool1", 3, 2, ceil=1), first
        for fire, (squeeze, expand) in enumerate(
                [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)], 2):
            name = f"fire{fire}"
            x = b.relu(b.scaled(x, f"{name}.squeeze", channels, squeeze, 1))
            parts = [b.relu(b.scaled(x, f"{name}.expand{k}x{k}", squeeze, expand, k, 1, k // 2)) for k in (1, 3)]
            x, channels = b.node("Concat", f"{name}.concat", parts, axis=1), 2 * expand
            if fire in pool_before:
                x = b.max_pool(x, f"pool{fire}", 3, 2, ceil=1)
        x = b.head(x, "classifier", channels, 1000, kernel=1)
        if b.measuring:
            return x
        return b.node("Flatten", "flatten", [b.node("GlobalAveragePool", "avgpool", [b.relu(x)])], axis=1)

    return build


def securenn_a(b):
    x = b.relu(b.scaled("input", "fc1", 784, 128))
    return b.head(b.relu(b.scaled(x, "fc2", 128, 128)), "fc3", 128, 10)


def securenn_conv(channels, hidden):
    """Networks B and C of Wagh et al. 2019 (SecureNN): two convolutions with pooling, two dense layers."""

    def build(b):
        x = b.max_pool(b.relu(b.scaled("input", "conv1", 1, channels[0], 5)), "pool1", 2, 2)
        x = b.max_pool(b.relu(b.scaled(x, "conv2", channels[0], channels[1], 5)), "pool2", 2, 2)
        x = b.relu(b.scaled(b.node("Flatten", "flatten", [x], axis=1), "fc1", 16 * channels[1], hidden))
        return b.head(x, "fc2", hidden, 10)

    return build


def securenn_d(b):
    x = b.relu(b.scaled("input", "conv1", 1, 5, 5, 2, (1, 1, 2, 2)))
    x = b.relu(b.scaled(b.node("Flatten", "flatten", [x], axis=1), "fc1", 980, 100))
    return b.head(x, "fc2", 100, 10)


# name: builder, input shape, then what must come out: parameters, multiply-accumulates of convolutions and of dense
# layers, elements under a ReLU (in the model's own order: 602,112 more than when the first pooling goes first in ResNet
# and DenseNet), windows of max pooling.
NETWORKS = {
    "resnet18": (resnet((2, 2, 2, 2), False), (3, 224, 224), 11689512, 1813561344, 512000, 2308096, 200704),
    "resnet34": (resnet((3, 4, 6, 3), False), (3, 224, 224), 21797672, 3663249408, 512000, 3562496, 200704),
    "resnet50": (resnet((3, 4, 6, 3), True), (3, 224, 224), 25557032, 4087136256, 2048000, 9608704, 200704),
    "resnet101": (resnet((3, 4, 23, 3), True), (3, 224, 224), 44549160, 7799357440, 2048000, 14726656, 200704),
    "resnet152": (resnet((3, 8, 36, 3), True), (3, 224, 224), 60192808, 11511578624, 2048000, 21048832, 200704),
    "densenet121": (densenet121, (3, 224, 224), 7978856, 2833137664, 1024000, 15667456, 200704),
    "squeezenet1_0": (squeezenet("1_0"), (3, 227, 227), 1248424, 832667936, 0, 4451272, 563552),
    "squeezenet1_1": (squeezenet("1_1"), (3, 227, 227), 1235496, 387747520, 0, 2763104, 351232),
    "securenn_a": (securenn_a, (784,), 118282, 0, 118016, 256, 0),
    "securenn_b": (securenn_conv((16, 16), 100), (1, 28, 28), 33542, 640000, 26600, 10340, 2560),
    "securenn_c": (securenn_conv((20, 50), 500), (1, 28, 28), 431080, 1888000, 405000, 15220, 3680),
    "securenn_d": (securenn_d, (1, 28, 28), 99240, 24500, 99000, 1080, 0),
}


# --- Making and checking ----------------------------------------------------------------------------------------------


def counts(model):
    """Parameters, convolution and dense multiply-accumulates, ReLU elements and max-pool windows of one input."""
    one = onnx.ModelProto()
    one.CopyFrom(model)
    one.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(one, strict_mode=True, data_prop=True).graph
    size = {v.name: int(np.prod([d.dim_value for d in v.type.tensor_type.shape.dim]))
            for v in [*graph.value_info, *graph.output]}
    weights = {i.name: list(i.dims) for i in graph.initializer}
    parameters = sum(int(np.prod(dims)) for name, dims in weights.items() if ".running_" not in name)
    total = {"Conv": 0, "Gemm": 0, "Relu": 0, "MaxPool": 0}
    for node in graph.node:
        if node.op_type in total:
            per_output = np.prod(weights[node.input[1]][1:]) if node.op_type in ("Conv", "Gemm") else 1
            total[node.op_type] += size[node.output[0]] * int(per_output)
    return (parameters, *total.values())


def run(model, batch):
    """All outputs of a model (a ModelProto or a file) by name."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return dict(zip((o.name for o in session.get_outputs()), session.run(None, {"input": batch})))


def make(name, folder, image_folder):
    build, shape, *expected = NETWORKS[name]
    rng = np.random.default_rng(1)
    photos = photographs(image_folder, rng)
    if name.startswith("securenn"):
        (measured, labels), (inputs, _) = digits(image_folder, photos, rng)
        measured, inputs = (batch.reshape(-1, *shape) for batch in (measured, inputs))
    else:
        measured, labels = crops(photos, MEASURED, shape[-1], rng)
        inputs, _ = crops(photos, INPUTS, shape[-1], rng)

    builder = Builder(name)
    statistics = run(builder.model(build(builder), shape), measured)
    builder = Builder(name, statistics | {"labels": labels})
    model = builder.model(build(builder), shape)
    onnx.checker.check_model(model, full_check=True)
    found = counts(model)
    if list(found) != expected:
        sys.exit(f"make_models: {name} has parameters, conv MACs, dense MACs, ReLUs, windows {list(found)}, "
                 f"expected {expected}: the topology is wrong")

    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    golden, = run(path, inputs).values()
    np.save(path.with_suffix(".inputs.npy"), inputs)
    np.save(path.with_suffix(".golden.npy"), golden)
    best = np.sort(golden, axis=1)[:, ::-1]
    classes = ",".join(map(str, golden.argmax(1)))
    print(f"{name}: {found[0]:,} parameters, {found[1]:,} + {found[2]:,} MACs, {found[3]:,} ReLUs, "
          f"{found[4]:,} pooling windows; logits {golden.min():.1f} to {golden.max():.1f}, top-1 {classes}, margins "
          + " ".join(f"{margin:.2f}" for margin in best[:, 0] - best[:, 1]), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=NETWORKS, metavar="NAME", help=", ".join(NETWORKS))
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/models")
    parser.add_argument("--images", type=pathlib.Path, default=ROOT.parent / "shared/models/images")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.only or NETWORKS:
        make(name, options.out, options.images)
    return 0


if __name__ == "__main__":
    sys.exit(main())
