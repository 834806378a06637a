// The fields of every step, in the order of the text form: one function a step, for the printer and the parser alike,
// so that what is printed is what is read. Io has the members key, key_unless, slot, slots, constant, flag, terms,
// tables, product.
#pragma once

#include "program/program.h"

namespace treville {

template <class Io, class Pool>
void pool_fields(Io& io, Pool& pool) {
  io.key("batch", pool.batch);
  io.keys("in", {&pool.in_h, &pool.in_w});
  io.keys("out", {&pool.out_h, &pool.out_w});
  io.key("channels", pool.channels);
  io.keys("kernel", {&pool.kernel_h, &pool.kernel_w});
  io.keys("stride", {&pool.stride_h, &pool.stride_w});
  io.keys("dilation", {&pool.dilation_h, &pool.dilation_w});
  io.keys("pad", {&pool.pad_top, &pool.pad_left});
}

template <class Io, class S>
void truncated_fields(Io& io, S& s) {
  io.slot(s.x);
  io.key("truncate", s.truncate);
  io.key("k", s.k);
}

// Fields is called with a step's body (constant for the printer).
template <class Io>
struct Fields {
  Io& io;

  template <class S>
  void operator()(S& s) const {
    using Body = std::remove_const_t<S>;
    if constexpr (std::is_same_v<Body, InputStep>) {
      io.key("owner", s.owner);
      io.key("name", s.name);
      io.key("shape", s.shape);
      io.key("ring", s.ring);
      io.key("scale", s.scale);
    } else if constexpr (std::is_same_v<Body, LinearStep>) {
      io.terms(s.terms);
      io.optional_constant("bias", s.bias);
      io.key("modulus", s.modulus);
    } else if constexpr (std::is_same_v<Body, ReluStep> || std::is_same_v<Body, RescaleStep> ||
                         std::is_same_v<Body, ArgMaxStep> || std::is_same_v<Body, NonNegativeStep>) {
      truncated_fields(io, s);
    } else if constexpr (std::is_same_v<Body, ProductStep>) {
      io.slot(s.a);
      io.slot(s.b);
      io.product(s.geometry);
    } else if constexpr (std::is_same_v<Body, LookUpStep>) {
      io.slot(s.x);
      io.key("truncate", s.truncate);
      io.key("n", s.n);
      io.tables(s.tables);
    } else if constexpr (std::is_same_v<Body, ClipStep>) {
      truncated_fields(io, s);
      io.key("upper", s.upper);
    } else if constexpr (std::is_same_v<Body, LeakyReluStep>) {
      truncated_fields(io, s);
      io.key("slope", s.slope);
      io.key("slope_bits", s.slope_bits);
    } else if constexpr (std::is_same_v<Body, MaxPoolStep>) {
      truncated_fields(io, s);
      pool_fields(io, s.pool);
    } else if constexpr (std::is_same_v<Body, AddStep>) {
      io.slot(s.a);
      io.slot(s.b);
      io.key("shift_a", s.shift_a);
      io.key("shift_b", s.shift_b);
    } else if constexpr (std::is_same_v<Body, ConcatStep>) {
      io.slots(s.parts);
      io.key("shifts", s.shifts);
      io.key("axis", s.axis);
    } else {
      io.slot(s.x);
      more(s);
    }
  }

 private:
  // more gives the fields after x of the steps that move or sum.
  template <class S>
  void more(S& s) const {
    using Body = std::remove_const_t<S>;
    if constexpr (std::is_same_v<Body, AddConstantStep>) {
      io.constant(s.constant);
    } else if constexpr (std::is_same_v<Body, ScaleStep>) {
      io.key("factor", s.factor);
      io.key("bits", s.bits);
    } else if constexpr (std::is_same_v<Body, SumPoolStep>) {
      pool_fields(io, s.pool);
      io.key("divide_bits", s.divide_bits);
      io.key("divisor", s.divisor);
    } else if constexpr (std::is_same_v<Body, SumAxesStep>) {
      io.key("axes", s.axes);
      io.key("divisor", s.divisor);
    } else if constexpr (std::is_same_v<Body, ReshapeStep>) {
      io.key("shape", s.shape);
    } else if constexpr (std::is_same_v<Body, TransposeStep>) {
      io.key("permutation", s.permutation);
    } else if constexpr (std::is_same_v<Body, PadStep>) {
      io.key("before", s.before);
      io.key("after", s.after);
    } else if constexpr (std::is_same_v<Body, SliceStep>) {
      io.key("starts", s.starts);
      io.key("steps", s.steps);
      io.key("shape", s.shape);
    } else if constexpr (std::is_same_v<Body, GatherStep>) {
      io.key("axis", s.axis);
      io.key("indices", s.indices);
    } else {
      static_assert(std::is_same_v<Body, OutputStep>);
      io.key("recipient", s.recipient);
      io.key("name", s.name);
      io.key("policy", s.policy);
      io.key("post", s.post);
      io.key_unless("top", s.top, 0);
      io.key_unless("axis", s.axis, -1);
    }
  }
};

template <class Io, class Map>
void map_fields(Io& io, Map& map) {
  using Geometry = std::remove_const_t<Map>;
  if constexpr (std::is_same_v<Geometry, ConvGeometry>) {
    io.key("batch", map.batch);
    io.keys("in", {&map.in_h, &map.in_w, &map.in_c});
    io.keys("out", {&map.out_h, &map.out_w, &map.out_c});
    io.keys("kernel", {&map.kernel_h, &map.kernel_w});
    io.keys("stride", {&map.stride_h, &map.stride_w});
    io.keys("dilation", {&map.dilation_h, &map.dilation_w});
    io.keys("pad", {&map.pad_top, &map.pad_left});
    io.key("groups", map.groups);
  } else if constexpr (std::is_same_v<Geometry, MatmulGeometry>) {
    io.key("rows", map.rows);
    io.key("inner", map.inner);
    io.key("cols", map.cols);
  } else {
    static_assert(std::is_same_v<Geometry, ChannelGeometry>);
    io.key("outer", map.outer);
    io.key("channels", map.channels);
  }
}

template <class Io, class Product>
void product_fields(Io& io, Product& product) {
  if constexpr (std::is_same_v<std::remove_const_t<Product>, Elementwise>) {
    io.key("shape", product.shape);
  } else {
    io.key("batch", product.batch);
    io.key("rows", product.rows);
    io.key("inner", product.inner);
    io.key("cols", product.cols);
  }
}

template <class Io, class Type>
void type_fields(Io& io, Type& type) {
  io.bare(type.shape);
  io.key("scale", type.scale);
  io.key("ring", type.ring);
  io.word(type.form);
  io.key("mod", type.modulus);
  io.key_unless("div", type.divisor, 1);
  io.flag("index", type.is_index);
  io.key("bound", type.bound);
}

}  // namespace treville
