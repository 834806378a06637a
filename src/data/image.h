// Images as model inputs: reading PNG and JPEG files and the preprocessing a model was trained with.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/float_tensor.h"

namespace treville {

// Preprocess turns an 8-bit image into a model input. The text form, for --preprocess and compiled programs:
//   resize=227,crop=center,order=bgr,mean=104:117:123,scale=1,std=1:1:1,invert=1
//   resize   N: the shorter side becomes N (or WxH: exactly that, stretched); absent: the image must fit, or it is
//            resized to the model's extent
//   crop     center: the model's extent is cut from the middle
//   order    rgb (default) or bgr
//   mean     one value or one per channel, subtracted from values in 0..255
//   std      one value or one per channel, divides after the mean
//   scale    multiplies at the end (default 1; 1/255 is written scale=1/255)
//   invert   1: 255 - value first, for dark digits on light paper
struct Preprocess {
  int resize_width = 0, resize_height = 0;  // 0: not given; height 0 with width: the shorter side
  bool crop_center = false;
  bool bgr = false;
  bool invert = false;
  std::vector<double> mean, std;
  double scale = 1;
};

// parse_preprocess throws UserError naming the unknown key or the bad value. The empty text gives the defaults.
Preprocess parse_preprocess(std::string_view text);

// ImageExtent is what the model takes: height, width and 1 or 3 channels, from an input shape NHWC or NCHW.
struct ImageExtent {
  int64_t height = 0, width = 0, channels = 0;
  bool channels_first = false;
};
// image_extent reads [1,h,w,c] or [1,c,h,w] (or without the batch); nothing when the shape is no image.
std::optional<ImageExtent> image_extent(const Shape& shape);

// is_image tells by the file's extension (.png, .jpg, .jpeg, .bmp).
bool is_image(const std::filesystem::path& path);
// read_image gives the tensor of one image, of shape [1,h,w,c] or [1,c,h,w].
FloatTensor read_image(const std::filesystem::path& path, const ImageExtent& extent, const Preprocess& preprocess);
// value_interval gives the values a preprocessed pixel can take: {low, high}.
std::pair<double, double> value_interval(const Preprocess& preprocess);

}  // namespace treville
