#!/usr/bin/env python3
"""Writes test/onnx_quantised: one small convolutional network that ONNX Runtime quantised in both of its ways.

Each folder has model.onnx, in.npy (a few images) and out.npy, what ONNX Runtime answers. "qdq" has pairs of
QuantizeLinear and DequantizeLinear around float operations, "qoperator" has QLinearConv and QLinearMatMul. The network
has two activations that the quantiser leaves out where integers begin at the zero point, and one maximum on integers.
Needs: pip install onnx==1.16.* onnxruntime
"""
import pathlib
import shutil
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

OUT = pathlib.Path(__file__).resolve().parent.parent / "test" / "onnx_quantised"
random = np.random.default_rng(5)


def weight(name, *shape):
    fan = float(np.prod(shape[1:]))
    return numpy_helper.from_array(random.normal(size=shape, scale=fan ** -0.5).astype(np.float32), name)


def network():
    """Convolution, activation, maximum, convolution, activation, matrix product."""
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], name="conv1"),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2], name="pool1"),
        helper.make_node("Conv", ["p1", "w2", "b2"], ["c2"], kernel_shape=[3, 3], name="conv2"),
        helper.make_node("Relu", ["c2"], ["r2"], name="relu2"),
        helper.make_node("Flatten", ["r2"], ["f"], name="flatten"),
        helper.make_node("MatMul", ["f", "w3"], ["y"], name="matmul"),
    ]
    weights = [weight("w1", 4, 2, 3, 3), weight("b1", 4), weight("w2", 6, 4, 3, 3), weight("b2", 6), weight("w3", 24, 5)]
    graph = helper.make_graph(
        nodes, "quantised",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


class Samples(CalibrationDataReader):
    def __init__(self, images):
        self.images = iter(images)

    def get_next(self):
        image = next(self.images, None)
        return None if image is None else {"x": image}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    images = [random.uniform(-1, 1, size=(1, 2, 8, 8)).astype(np.float32) for _ in range(24)]
    ways = {"qdq": (QuantFormat.QDQ, QuantType.QInt8), "qoperator": (QuantFormat.QOperator, QuantType.QUInt8)}
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "float.onnx"
        onnx.save(network(), source)
        for name, (how, type_of_activations) in ways.items():
            target = OUT / name
            target.mkdir(parents=True)
            quantize_static(str(source), str(target / "model.onnx"), Samples(images), quant_format=how,
                            activation_type=type_of_activations, weight_type=QuantType.QInt8,
                            per_channel=name == "qdq")
            session = onnxruntime.InferenceSession(str(target / "model.onnx"), providers=["CPUExecutionProvider"])
            np.save(target / "in.npy", np.concatenate(images[:4]))
            np.save(target / "out.npy", np.concatenate([session.run(None, {"x": image})[0] for image in images[:4]]))


if __name__ == "__main__":
    main()
