#!/usr/bin/env python3
"""Writes test/onnx: node tests of operator sets 18 to 21, which Debian's libonnx-testdata (operator set 17) lacks.

The cases are the standard's own, as the generators of the Python package onnx (1.16) make them: a model of one
operation with inputs and the outputs of its reference, in the layout of libonnx-testdata. Only operations that are
numbers to numbers are taken, and only small cases; a folder's name ends with the operator set, since one name may
stand for different tests in both collections. Needs: pip install onnx==1.16.*

    python3 tools/make_onnx_cases.py [test/onnx]
"""
import fnmatch
import pathlib
import shutil
import sys

import numpy
import onnx
from onnx import numpy_helper
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
