#include "tensor/linear_map.h"

namespace treville {
namespace {

template <class... Fs>
struct Overload : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overload(Fs...) -> Overload<Fs...>;  // which clang before 17 does not find by itself

}  // namespace

Shape input_shape(const LinearMap& map) {
  return std::visit(Overload{[](const ConvGeometry& g) {
                               return Shape{g.batch, g.in_h, g.in_w, g.in_c};
                             },
                             [](const MatmulGeometry& g) {
                               return Shape{g.rows, g.inner};
                             },
                             [](const ChannelGeometry& g) {
                               return Shape{g.outer, g.channels};
                             }},
                    map);
}

Shape weight_shape(const LinearMap& map) {
  return std::visit(Overload{[](const ConvGeometry& g) {
                               return Shape{g.kernel_h, g.kernel_w, g.in_c / g.groups, g.out_c};
                             },
                             [](const MatmulGeometry& g) {
                               return Shape{g.inner, g.cols};
                             },
                             [](const ChannelGeometry& g) { return Shape{g.channels}; }},
                    map);
}

Shape output_shape(const LinearMap& map) {
  return std::visit(Overload{[](const ConvGeometry& g) {
                               return Shape{g.batch, g.out_h, g.out_w, g.out_c};
                             },
                             [](const MatmulGeometry& g) {
                               return Shape{g.rows, g.cols};
                             },
                             [](const ChannelGeometry& g) {
                               return Shape{g.outer, g.channels};
                             }},
                    map);
}

int64_t macs(const LinearMap& map) {
  return std::visit(Overload{[](const ConvGeometry& g) {
                               return g.batch * g.out_h * g.out_w * g.out_c * g.kernel_h * g.kernel_w *
                                      (g.in_c / g.groups);
                             },
                             [](const MatmulGeometry& g) { return g.rows * g.inner * g.cols; },
                             [](const ChannelGeometry& g) { return g.outer * g.channels; }},
                    map);
}

Shape input_shape(const PoolGeometry& g) { return {g.batch, g.in_h, g.in_w, g.channels}; }
Shape output_shape(const PoolGeometry& g) { return {g.batch, g.out_h, g.out_w, g.channels}; }

}  // namespace treville
