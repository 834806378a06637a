#!/usr/bin/env python3
"""Writes test/onnx: node tests of operator sets 18 to 21, which Debian's libonnx-testdata (operator set 17) lacks, and
the cases of earlier compilers for secure computation, answered by ONNX Runtime.

The cases are the standard's own, as the generators of the Python package onnx (1.16) make them: a model of one
operation with inputs and the outputs of its reference, in the layout of libonnx-testdata. Only operations that are
numbers to numbers are taken, and only small cases; a folder's name ends with the operator set, since one name may
stand for different tests in both collections. Needs: pip install onnx==1.16.* onnxruntime

    python3 tools/make_onnx_cases.py [test/onnx]
"""
import fnmatch
import pathlib
import shutil
import sys

import numpy
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

OLDEST = 18
MOST_BYTES = 16 * 1024  # of one case

# What is taken, as shell patterns. The "expanded" cases are an operation written out by the standard's function.
TAKEN = """
averagepool_* constant_pad* edge_pad reflect_pad wrap_pad
reduce_*_default_axes_keepdims_example reduce_*_do_not_keepdims_random reduce_*_negative_axes_keepdims_random
reduce_*_keep_dims_example reduce_*_empty_set reduce_log_sum_* reduce_*_bool_inputs
reduce_l1_default_axes_keepdims_example_expanded reduce_l2_do_not_keepdims_random_expanded
reduce_sum_square_negative_axes_keepdims_random_expanded reduce_log_sum_default_expanded
reduce_log_sum_exp_do_not_keepdims_random_expanded
resize_* split_* gelu_* lppool_* center_crop_pad_* equal equal_bcast isinf isnan
layer_normalization_*_expanded_ver18 group_normalization_* softmax_*_expanded_ver18 logsoftmax_*_expanded_ver18
elu_*_expanded_ver18 hardsigmoid_*_expanded_ver18 leakyrelu_*_expanded_ver18 selu_*_expanded_ver18
prelu_*_expanded thresholdedrelu_*_expanded_ver18 softsign_*_expanded_ver18 softplus_*_expanded_ver18
relu_expanded_ver18 clip_*_expanded mvn_expanded_ver18
scatter_elements_* scatternd* quantizelinear* dequantizelinear* qlinearmatmul_*_float32
cast_FLOAT_to_FLOAT16 cast_FLOAT16_to_FLOAT cast_DOUBLE_to_FLOAT castlike_FLOAT_to_DOUBLE* castlike_DOUBLE_to_FLOAT*
affine_grid_2d affine_grid_2d_expanded
constant flatten_axis1 flatten_negative_axis2 identity reshape_reordered_all_dims reshape_negative_dim shape size
squeeze squeeze_negative_axes transpose_default transpose_all_permutations_1 unsqueeze_axis_1 unsqueeze_two_axes
""".split()

# Element types that no importer here reads; products whose reference wraps around where the standard saturates.
LEFT_OUT = "*e4m3* *e5m2* *FLOAT8* *int4* *string* qlinearmatmul_*_int8_*".split()


# What CrypTFlow's unit tests ran or skipped: a name, the operation, the shapes of the secret input and of the constants,
# and the attributes.
CHECKLIST_SET = 13
CHECKLIST = [
    ("add", "Add", [4, 4, 4, 4], [[4, 4, 4, 4]], {}),
    ("sub", "Sub", [4, 4, 4, 4], [[4, 4, 4, 4]], {}),
    ("mul", "Mul", [4, 4, 4, 4], [[4, 4, 4, 4]], {}),
    ("div", "Div", [4, 4, 4, 4], [[4, 4, 4, 4]], {}),
    ("matmul", "MatMul", [3, 4], [[4, 3]], {}),
    ("gemm_matrix_bias", "Gemm", [3, 6], [[6, 4], [3, 4]], {}),
    ("gemm_single_bias", "Gemm", [3, 7], [[7, 3], [1]], {}),
    ("gemm_vector_bias", "Gemm", [2, 7], [[7, 4], [1, 4]], {}),
    ("gemm_scalar_bias", "Gemm", [2, 3], [[3, 4], []], {}),
    ("gemm_no_bias", "Gemm", [2, 10], [[10, 3]], {}),
    ("gemm_alpha", "Gemm", [3, 5], [[5, 4], [1, 4]], {"alpha": 0.5}),
    ("gemm_beta", "Gemm", [2, 7], [[7, 4], [1, 4]], {"beta": 0.5}),
    ("gemm_transposed_a", "Gemm", [6, 3], [[6, 4], [1, 4]], {"transA": 1}),
    ("gemm_transposed_b", "Gemm", [3, 6], [[4, 6], [1, 4]], {"transB": 1}),
    ("conv_padded", "Conv", [1, 1, 5, 5], [[1, 1, 3, 3]], {"pads": [1, 1, 1, 1]}),
    ("conv_unpadded", "Conv", [1, 1, 5, 5], [[1, 1, 3, 3]], {"pads": [0, 0, 0, 0]}),
    ("conv_strided_padded", "Conv", [1, 1, 7, 5], [[1, 1, 3, 3]], {"pads": [1, 1, 1, 1], "strides": [2, 2]}),
    ("conv_strided_unpadded", "Conv", [1, 1, 7, 5], [[1, 1, 3, 3]], {"strides": [2, 2]}),
    ("conv_strided_asymmetric", "Conv", [1, 1, 7, 5], [[1, 1, 3, 3]], {"pads": [1, 0, 1, 0], "strides": [2, 2]}),
    ("conv_top_and_right", "Conv", [1, 1, 7, 5], [[1, 1, 3, 3]], {"pads": [2, 0, 0, 1]}),
    ("conv_grouped", "Conv", [1, 3, 10, 10], [[6, 1, 2, 2], [6]], {"group": 3, "strides": [2, 2]}),
    ("conv3d_padded", "Conv", [1, 2, 4, 16, 16], [[2, 2, 3, 3, 3]], {"pads": [1] * 6}),
    ("conv3d_unpadded", "Conv", [1, 2, 4, 16, 16], [[2, 2, 3, 3, 3]], {}),
    ("conv3d_strided_padded", "Conv", [1, 2, 4, 16, 16], [[2, 2, 3, 3, 3]], {"pads": [1] * 6, "strides": [2] * 3}),
    ("conv3d_strided_unpadded", "Conv", [1, 2, 4, 16, 16], [[2, 2, 3, 3, 3]], {"strides": [2] * 3}),
    ("conv3d_strided_asymmetric", "Conv", [1, 2, 4, 16, 16], [[2, 2, 3, 3, 3]],
     {"pads": [1, 0, 1, 1, 0, 1], "strides": [2] * 3}),
    ("conv_transposed_unpadded", "ConvTranspose", [1, 1, 3, 3], [[1, 2, 3, 3]], {}),
    ("conv_transposed_padded", "ConvTranspose", [1, 1, 3, 3], [[1, 2, 3, 3]], {"pads": [1, 1, 1, 1]}),
    ("conv_transposed_bias", "ConvTranspose", [1, 1, 3, 3], [[1, 2, 3, 3], [2]], {}),
    ("conv_transposed_output_padding", "ConvTranspose", [1, 1, 3, 3], [[1, 2, 3, 3]],
     {"strides": [3, 2], "output_padding": [1, 1]}),
    ("conv_transposed_3d_unpadded", "ConvTranspose", [1, 1, 3, 4, 5], [[1, 2, 3, 3, 3]], {}),
    ("conv_transposed_3d_padded", "ConvTranspose", [1, 1, 3, 4, 5], [[1, 2, 3, 3, 3]], {"pads": [1] * 6}),
    ("batch_norm", "BatchNormalization", [1, 2, 2, 1], [[2], [2], [2], [2]], {}),
    ("batch_norm_epsilon", "BatchNormalization", [1, 24, 10, 10], [[24], [24], [24], [24]], {"epsilon": 1e-2}),
    ("relu", "Relu", [4, 4, 4, 4], [], {}),
    ("relu_3d", "Relu", [2, 3, 4], [], {}),
    ("reduce_mean", "ReduceMean", [3, 2, 2, 4], [], {"axes": [2, 3], "keepdims": 0}),
    ("reduce_mean_wide", "ReduceMean", [1, 64, 7, 7], [], {"axes": [2, 3], "keepdims": 0}),
    ("global_average_pool", "GlobalAveragePool", [1, 3, 5, 5], [], {}),
    ("average_pool_1d", "AveragePool", [1, 3, 32], [], {"kernel_shape": [2]}),
    ("average_pool_default", "AveragePool", [1, 3, 32, 32], [], {"kernel_shape": [2, 2]}),
    ("average_pool_strided", "AveragePool", [1, 3, 32, 32], [], {"kernel_shape": [5, 5], "strides": [3, 3]}),
    ("average_pool_padded", "AveragePool", [1, 3, 28, 28], [], {"kernel_shape": [3, 3], "pads": [2, 2, 2, 2]}),
    ("average_pool_same_upper", "AveragePool", [1, 3, 32, 32], [],
     {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER"}),
    ("average_pool_same_lower", "AveragePool", [1, 3, 32, 32], [],
     {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"}),
    ("average_pool_3d", "AveragePool", [1, 3, 8, 8, 8], [], {"kernel_shape": [2, 2, 2]}),
    ("max_pool_default", "MaxPool", [1, 3, 32, 32], [], {"kernel_shape": [2, 2]}),
    ("max_pool_padded", "MaxPool", [1, 1, 5, 5], [], {"kernel_shape": [5, 5], "pads": [2, 2, 2, 2]}),
    ("max_pool_strided", "MaxPool", [1, 3, 32, 32], [], {"kernel_shape": [5, 5], "strides": [3, 3]}),
]


def checklist_case(name, op, shape, constants, attributes):
    """One node whose first operand is secret and whose others are constants, and ONNX Runtime's answer."""
    random = numpy.random.default_rng(len(name) + sum(map(ord, name)))
    values = [random.uniform(0.5, 1.5, size).astype(numpy.float32) * (1 if op == "BatchNormalization" else
              random.choice([-1.0, 1.0], size).astype(numpy.float32)) for size in constants]
    x = random.uniform(-1, 1, shape).astype(numpy.float32)
    names = [f"c{i}" for i in range(len(values))]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], ["y"], name=name, **attributes)], name,
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, n) for value, n in zip(values, names)])
    opset = helper.make_opsetid("", CHECKLIST_SET)
    model = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=[opset], ir_version=7))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y = session.run(None, {"x": x})[0]
    return {"model.onnx": model.SerializeToString(),
            "test_data_set_0/input_0.pb": numpy_helper.from_array(x, "x").SerializeToString(),
            "test_data_set_0/output_0.pb": numpy_helper.from_array(y, "y").SerializeToString()}


def operator_set(model):
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def to_proto(value, info):
    """A tensor of the test data; bfloat16 and the like keep the element type that the model declares."""
    if isinstance(value, onnx.TensorProto):
        return value
    return numpy_helper.from_array(numpy.asarray(value), info.name)


def is_taken(name):
    return any(fnmatch.fnmatch(name, p) for p in TAKEN) and not any(fnmatch.fnmatch(name, p) for p in LEFT_OUT)


def files_of(case):
    """The files of a case by path, or nothing where it holds more than tensors."""
    files = {"model.onnx": case.model.SerializeToString()}
    inputs, outputs = case.data_sets[0]
    for kind, values, infos in (("input", inputs, case.model.graph.input), ("output", outputs, case.model.graph.output)):
        for i, (value, info) in enumerate(zip(values, infos)):
            if not info.type.HasField("tensor_type") or value is None:
                return {}
            files[f"test_data_set_0/{kind}_{i}.pb"] = to_proto(value, info).SerializeToString()
    return files


def main():
    target = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "test" / "onnx")
    numpy.random.seed(0)
    cases = {}
    for case in collect_testcases(None):
        name = case.name.removeprefix("test_")
        version = operator_set(case.model)
        if version < OLDEST or not is_taken(name):
            continue
        files = files_of(case)
        if files and sum(len(data) for data in files.values()) <= MOST_BYTES:
            cases[f"test_{name}_opset{version}"] = files
    for case in CHECKLIST:
        cases[f"test_checklist_{case[0]}_opset{CHECKLIST_SET}"] = checklist_case(*case)
    shutil.rmtree(target, ignore_errors=True)
    for name, files in cases.items():
        for path, data in files.items():
            file = target / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    total = sum(len(data) for files in cases.values() for data in files.values())
    print(f"{len(cases)} cases, {total} bytes in {target}")


if __name__ == "__main__":
    main()
