// KerasWeights hands out a layer's weights, wherever a format keeps them: under the layer's name in an .h5 file, under
// its kind and number in a .keras archive, in a flat list of names in a TensorFlow.js model. The importer knows a
// layer's weights by their order, which is the same in all.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "import/hdf5_file.h"
#include "tensor/float_tensor.h"

namespace treville::import {

// LayerKey is a layer among those of its model: its name, and its kind in snake case with a number from the second of
// a kind on ("conv2d", "conv2d_1", ...).
struct LayerKey {
  std::string name, kind_and_number;
};

// LayerAddress leads from the outermost model's layers to one layer; more than one step for layers of nested models.
using LayerAddress = std::vector<LayerKey>;

class KerasWeights {
 public:
  virtual ~KerasWeights() = default;
  // of returns the weights in the order of the layer's `weights`; none when the file has none for it.
  virtual std::vector<Constant> of(const LayerAddress& layer) const = 0;
};

// snake_case is how Keras turns a class into a key: "MaxPooling2D" into "max_pooling2d".
std::string snake_case(const std::string& class_name);

// LegacyWeights reads what Model.save and save_weights write into an .h5 file: for each layer a group with the names
// of its weights; a nested model is one layer with the weights of all its layers.
class LegacyWeights : public KerasWeights {
 public:
  // `root` is the group of the layers. `file` must outlive this.
  LegacyWeights(const Hdf5File& file, std::string root) : file_(file), root_(std::move(root)) {}
  std::vector<Constant> of(const LayerAddress& layer) const override;

 private:
  const Hdf5File& file_;
  std::string root_;
};

// ArchiveWeights reads model.weights.h5 of a .keras archive. `file` must outlive this.
class ArchiveWeights : public KerasWeights {
 public:
  explicit ArchiveWeights(const Hdf5File& file);
  std::vector<Constant> of(const LayerAddress& layer) const override;

 private:
  void collect(const std::string& group, int depth, std::vector<Constant>& found) const;

  const Hdf5File& file_;
  std::string layers_;  // the name of the groups that hold a model's layers
};

// NamedWeights holds a list of names and tensors: TensorFlow.js, and tests.
class NamedWeights : public KerasWeights {
 public:
  explicit NamedWeights(std::vector<std::pair<std::string, Constant>> weights) : weights_(std::move(weights)) {}
  std::vector<Constant> of(const LayerAddress& layer) const override;

 private:
  std::vector<std::pair<std::string, Constant>> weights_;
};

}  // namespace treville::import
