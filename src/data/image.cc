#include "data/image.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <memory>

#include "base/error.h"
#include "base/suggest.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <stb/stb_image.h>
#include <stb/stb_image_resize.h>
#pragma GCC diagnostic pop

namespace treville {
namespace {

constexpr int kMaxSide = 16384;
constexpr int64_t kMaxPixels = int64_t{1} << 26;  // a file of some bytes may claim any size

double parse_number(std::string_view key, std::string_view text) {
  const size_t slash = text.find('/');
  const auto one = [&](std::string_view part) {
    double value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || end != part.data() + part.size() || !std::isfinite(value)) {
      throw UserError("--preprocess: {}={} is not a number", key, text);
    }
    return value;
  };
  if (slash == std::string_view::npos) return one(text);
  const double divisor = one(text.substr(slash + 1));
  if (divisor == 0) throw UserError("--preprocess: {}={} divides by zero", key, text);
  return one(text.substr(0, slash)) / divisor;
}

std::vector<double> parse_list(std::string_view key, std::string_view text) {
  std::vector<double> values;
  while (true) {
    const size_t colon = text.find(':');
    values.push_back(parse_number(key, text.substr(0, colon)));
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
  }
  if (values.size() != 1 && values.size() != 3) {
    throw UserError("--preprocess: {} needs one value or three (a:b:c), got {}", key, values.size());
  }
  return values;
}

int parse_side(std::string_view text) {
  int side = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), side);
  if (error != std::errc() || end != text.data() + text.size() || side < 1 || side > kMaxSide) {
    throw UserError("--preprocess: resize={} is not a number of pixels (1 to {}), or WIDTHxHEIGHT", text, kMaxSide);
  }
  return side;
}

void set_resize(Preprocess& result, std::string_view value) {
  const size_t cross = value.find('x');
  result.resize_width = parse_side(value.substr(0, cross));
  if (cross != std::string_view::npos) result.resize_height = parse_side(value.substr(cross + 1));
}

bool choice(std::string_view key, std::string_view value, std::string_view yes, std::string_view no) {
  if (value == yes) return true;
  if (value == no) return false;
  throw UserError("--preprocess: {}={} is not known; write {}={} or {}={}", key, value, key, yes, key, no);
}

struct Pixels {
  int width = 0, height = 0, channels = 0;
  std::vector<uint8_t> data;
};

void check_pixels(const std::filesystem::path& path, int64_t width, int64_t height, const char* what) {
  if (width * height <= kMaxPixels) return;
  throw UserError("{}: {} has {}x{} pixels, at most {} million are supported. Give a smaller image.", path.string(),
                  what, width, height, kMaxPixels / 1'000'000);
}

Pixels load(const std::filesystem::path& path, int channels) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) throw UserError("{}: there is no such file", path.string());
  if (std::filesystem::file_size(path) == 0) throw UserError("{}: the image file is empty", path.string());
  Pixels pixels;
  int width = 0, height = 0, original = 0;
  if (!stbi_info(path.c_str(), &width, &height, &original)) {
    throw UserError("{}: not a readable PNG, JPEG or BMP image ({})", path.string(), stbi_failure_reason());
  }
  if (width < 1 || height < 1 || width > kMaxSide || height > kMaxSide) {
    throw UserError("{}: {}x{} pixels; an image may have up to {} on a side", path.string(), width, height, kMaxSide);
  }
  check_pixels(path, width, height, "the image");
  const std::unique_ptr<uint8_t, void (*)(void*)> data(stbi_load(path.c_str(), &width, &height, &original, channels),
                                                       stbi_image_free);
  if (!data) {
    throw UserError("{}: the image is damaged or cut short ({})", path.string(), stbi_failure_reason());
  }
  pixels = {width, height, channels, {}};
  pixels.data.assign(data.get(), data.get() + static_cast<size_t>(width) * height * channels);
  return pixels;
}

Pixels resized(const Pixels& in, int width, int height) {
  if (in.width == width && in.height == height) return in;
  Pixels out{width, height, in.channels, std::vector<uint8_t>(static_cast<size_t>(width) * height * in.channels)};
  // The library's triangle filter stops the process at some ratios (an assertion on its weights); its default never
  // did.
  const int done = stbir_resize_uint8_generic(in.data.data(), in.width, in.height, 0, out.data.data(), width, height, 0,
                                              in.channels, STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP,
                                              STBIR_FILTER_DEFAULT, STBIR_COLORSPACE_LINEAR, nullptr);
  CHECK(done == 1, "resizing failed");
  return out;
}

Pixels center_crop(const Pixels& in, int width, int height, const std::filesystem::path& path) {
  if (in.width < width || in.height < height) {
    throw UserError("{}: {}x{} pixels after resizing cannot be cropped to the model's {}x{}; use a larger resize=",
                    path.string(), in.width, in.height, width, height);
  }
  Pixels out{width, height, in.channels, std::vector<uint8_t>(static_cast<size_t>(width) * height * in.channels)};
  const int top = (in.height - height) / 2, left = (in.width - width) / 2;
  const size_t row = static_cast<size_t>(width) * in.channels;
  for (int y = 0; y < height; ++y) {
    const auto* from = in.data.data() + (static_cast<size_t>(y + top) * in.width + left) * in.channels;
    std::copy(from, from + row, out.data.data() + y * row);
  }
  return out;
}

double channel_value(const std::vector<double>& values, int64_t channel, double otherwise) {
  if (values.empty()) return otherwise;
  return values.size() == 1 ? values[0] : values[static_cast<size_t>(channel)];
}

Pixels fit(Pixels pixels, const ImageExtent& extent, const Preprocess& preprocess, const std::filesystem::path& path) {
  const int width = static_cast<int>(extent.width), height = static_cast<int>(extent.height);
  if (preprocess.resize_height > 0) {
    check_pixels(path, preprocess.resize_width, preprocess.resize_height, "after resizing, the image");
    pixels = resized(pixels, preprocess.resize_width, preprocess.resize_height);
  } else if (preprocess.resize_width > 0) {
    const double ratio = static_cast<double>(preprocess.resize_width) / std::min(pixels.width, pixels.height);
    const int64_t new_width = std::max<int64_t>(1, std::lround(pixels.width * ratio));
    const int64_t new_height = std::max<int64_t>(1, std::lround(pixels.height * ratio));
    check_pixels(path, new_width, new_height, "after resizing, the image");
    pixels = resized(pixels, static_cast<int>(new_width), static_cast<int>(new_height));
  }
  if (preprocess.crop_center) return center_crop(pixels, width, height, path);
  return resized(pixels, width, height);
}

}  // namespace

Preprocess parse_preprocess(std::string_view text) {
  Preprocess result;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    const size_t equals = item.find('=');
    if (equals == std::string_view::npos) throw UserError("--preprocess: '{}' is not KEY=VALUE", item);
    const std::string_view key = item.substr(0, equals), value = item.substr(equals + 1);
    if (key == "resize") {
      set_resize(result, value);
    } else if (key == "crop") {
      result.crop_center = choice(key, value, "center", "none");
    } else if (key == "order") {
      result.bgr = choice(key, value, "bgr", "rgb");
    } else if (key == "invert") {
      result.invert = choice(key, value, "1", "0");
    } else if (key == "mean") {
      result.mean = parse_list(key, value);
    } else if (key == "std") {
      result.std = parse_list(key, value);
      for (double std : result.std) {
        if (std == 0) throw UserError("--preprocess: std=0 divides by zero");
      }
    } else if (key == "scale") {
      result.scale = parse_number(key, value);
    } else {
      throw UserError("--preprocess: unknown key '{}'{}", key,
                      did_you_mean(key, {"resize", "crop", "order", "invert", "mean", "std", "scale"}));
    }
  }
  return result;
}

std::optional<ImageExtent> image_extent(const Shape& shape) {
  const int first = shape.rank() == 4 ? 1 : 0;
  if (shape.rank() != 3 && shape.rank() != 4) return std::nullopt;
  const auto is_channels = [](int64_t n) { return n == 1 || n == 3; };
  if (is_channels(shape[first + 2])) return ImageExtent{shape[first], shape[first + 1], shape[first + 2], false};
  if (is_channels(shape[first])) return ImageExtent{shape[first + 1], shape[first + 2], shape[first], true};
  return std::nullopt;
}

bool is_image(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg" || extension == ".bmp";
}

FloatTensor read_image(const std::filesystem::path& path, const ImageExtent& extent, const Preprocess& preprocess) {
  CHECK(extent.channels == 1 || extent.channels == 3, "an image has 1 or 3 channels, not {}", extent.channels);
  const Pixels pixels = fit(load(path, static_cast<int>(extent.channels)), extent, preprocess, path);
  const int64_t h = extent.height, w = extent.width, c = extent.channels;
  FloatTensor tensor(extent.channels_first ? Shape{1, c, h, w} : Shape{1, h, w, c});
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) {
      for (int64_t channel = 0; channel < c; ++channel) {
        const int64_t source = preprocess.bgr ? c - 1 - channel : channel;
        double value = pixels.data[static_cast<size_t>((y * w + x) * c + source)];
        if (preprocess.invert) value = 255 - value;
        value = (value - channel_value(preprocess.mean, channel, 0)) / channel_value(preprocess.std, channel, 1);
        const int64_t at = extent.channels_first ? (channel * h + y) * w + x : (y * w + x) * c + channel;
        tensor.values[static_cast<size_t>(at)] = static_cast<float>(value * preprocess.scale);
      }
    }
  }
  return tensor;
}

std::pair<double, double> value_interval(const Preprocess& preprocess) {
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (int64_t channel = 0; channel < 3; ++channel) {
    for (double pixel : {0.0, 255.0}) {
      const double value = (pixel - channel_value(preprocess.mean, channel, 0)) /
                           channel_value(preprocess.std, channel, 1) * preprocess.scale;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  return {low, high};
}

}  // namespace treville
