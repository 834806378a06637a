// The rows of ONNX's recurrent layers.
#pragma once

#include "import/onnx.h"

namespace treville::import {

void import_lstm(OnnxNode& node);
void import_gru(OnnxNode& node);
void import_rnn(OnnxNode& node);

}  // namespace treville::import
