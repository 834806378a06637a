// Inputs as the command line names them: NAME=FILE for each, a plain FILE where there is one input, or one .npz archive
// (or a folder with a .npy file for each) that holds all of them; and samples of all inputs, for calibration and
// evaluation. Files are read in the order in which they are given.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/image.h"
#include "graph/graph.h"
#include "program/program.h"
#include "tensor/float_tensor.h"
#include "tensor/ring_tensor.h"

namespace treville::cli {

// NamedShape is one input of a model or a program.
struct NamedShape {
  std::string name;
  Shape shape;
};

// inputs_of lists a model's inputs in its order. Throws UserError for one whose shape is open, naming it.
std::vector<NamedShape> inputs_of(const Graph& graph, const std::string& model);
// inputs_of lists a program's inputs in the order of its steps: those of one party, or all.
std::vector<NamedShape> inputs_of(const Program& program, std::optional<PartyId> owner = std::nullopt);

// batch_of is how many samples one inference takes: the leading dimension where all inputs have the same one, else 1.
int64_t batch_of(const std::vector<NamedShape>& inputs);
// describe lists inputs for people: "image [1,6,6,2], extra [1,3]".
std::string describe(const std::vector<NamedShape>& inputs);

// split_name cuts "NAME=REST" where NAME is one of the known names (which may themselves hold '='); nothing when the
// text begins with none of them.
std::optional<std::pair<std::string, std::string>> split_name(const std::string& text,
                                                              const std::vector<std::string>& known);
// suggest_name is the end of a message about an unknown name: "; did you mean 'image'?", or the known ones.
std::string suggest_name(std::string_view name, const std::vector<std::string>& known);

// Inference is what one inference takes, and what its files are called: "image.npy[0], extra.npy[0]".
struct Inference {
  std::string name;
  std::vector<FloatTensor> values;  // by input, of exactly its shape
};

// read_inferences reads all values of --input, at least one file. A file with more samples than the batch becomes
// several inferences. Throws UserError for an unknown name, for inputs that are missing (all of them), and where one
// input is given more often than another.
std::vector<Inference> read_inferences(const std::vector<std::string>& given, const std::vector<NamedShape>& inputs,
                                       const Preprocess& preprocess);

// encode_inputs encodes what `inputs` names as the program wants it, by name. Errors begin with the inference's name.
std::map<std::string, RingTensor> encode_inputs(const Inference& inference, const std::vector<NamedShape>& inputs,
                                                const Program& program);

// is_archive tells by the name whether a file holds several arrays.
bool is_archive(const std::string& path);
// read_arrays reads one array for each input, all with equally many samples: from a .npz archive whose keys are the
// inputs' names, or from a folder with NAME.npy for each (slashes and colons in a name are underscores there). Every
// array has its input's rank and the first dimension as it comes.
std::vector<FloatTensor> read_arrays(const std::string& path, const std::vector<NamedShape>& inputs);

// read_samples reads samples of every input, by input. Of a model with one input: a .npy file (batch first), an image,
// a folder of either in the order of their names, or an archive; of several: as read_arrays does.
std::vector<std::vector<FloatTensor>> read_samples(const std::string& path, const std::vector<NamedShape>& inputs,
                                                   const Preprocess& preprocess);
// read_file_samples reads one .npy file or image for one input, with the first dimension as it comes.
FloatTensor read_file_samples(const std::string& path, const NamedShape& input, const Preprocess& preprocess);

// files_of gives the .npy files and images of a folder in the order of their names; a file stands for itself. Throws
// UserError where there is nothing.
std::vector<std::string> files_of(const std::string& path);

// rows gives `count` steps along the leading dimension of an array, from `first` on.
FloatTensor rows(const FloatTensor& array, int64_t first, int64_t count);

}  // namespace treville::cli
