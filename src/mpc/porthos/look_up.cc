// D shares the indicators of r, so E and H have XOR shares of every bit b of the entry at x^ - r without a word between
// them. They open b^ = b xor a, a drawn by both, and D has shared a as a number: b = b^ + (1 - 2 b^) a.
#include "mpc/porthos/look_up.h"

#include "kernels/bit_planes.h"
#include "kernels/elementwise.h"
#include "kernels/elementwise_loops.h"
#include "kernels/select_loops.h"
#include "kernels/table_planes.h"
#include "mpc/porthos/comparison.h"

namespace treville::porthos {
namespace {

// OutputBit is one bit of one table: where it stands in the table's number.
struct OutputBit {
  int table;
  int shift;
  bool is_sign;  // it counts negative
};

// Layout says which planes a block's messages have.
struct Layout {
  Layout(Bits n, std::span<const LookUpTable* const> all, Ring of) : index_bits(n), ring(of), tables(all) {
    for (const LookUpTable* table : all) {
      const int number = bits.empty() ? 0 : bits.back().table + 1;
      for (int j = 0; j < table->bits.value(); ++j)
        bits.push_back({number, j, table->is_signed && j + 1 == table->bits.value()});
    }
    for (const OutputBit& bit : bits) dealt += width(bit);
  }
  // width of the number dealt for a bit: what matters of it below its shift.
  int width(const OutputBit& bit) const { return (bits_of(ring) - Bits(bit.shift)).value(); }
  int planes() const { return static_cast<int>(bits.size()); }
  int indicators() const { return indicator_planes(index_bits.value()); }

  Bits index_bits;
  Ring ring;
  std::span<const LookUpTable* const> tables;
  std::vector<OutputBit> bits;
  int dealt = 0;  // planes of numbers, after those of the indicators
};

// deal_block: D's half for one block: indicators of r, then for every bit its mask a as a number.
void deal_block(Pass& pass, const Layout& layout, const Block& block, const RingTensor& share) {
  const int n = layout.index_bits.value();
  const RingTensor r = open_dealer(pass, Purpose::kLookUpOpening, 0, block, share);
  BitPlanes message(block.count, layout.indicators() + layout.dealt, pass.is_dry());
  pass.fill_planes(Purpose::kIndicators, 0, block, message, 0, layout.indicators());
  BitPlanes masks = pass.planes(Purpose::kLookUpMaskE, 0, block, layout.planes());
  const BitPlanes masks_h = pass.planes(Purpose::kLookUpMaskH, 0, block, layout.planes());
  if (!pass.is_dry()) {
    BitPlanes index(block.count, n, false);
    dispatch(layout.ring, [&](auto zero) { to_planes<decltype(zero)>(r.as<decltype(zero)>(), 0, n, index); });
    flip_indicators(n, index, message);
    xor_planes(masks, 0, masks_h, 0, layout.planes());
  }
  int at = layout.indicators();
  for (int plane = 0; plane < layout.planes(); ++plane) {
    const int width = layout.width(layout.bits[static_cast<size_t>(plane)]);
    RingTensor half = pass.words(Purpose::kLookUpNumbers, plane, block, layout.ring).reshaped({block.count});
    const RingTensor mask = expanded(masks, plane, layout.ring);
    if (!pass.is_dry()) {
      add_in_place(half, mask);  // mask is -a
      negate_in_place(half);
      dispatch(layout.ring,
               [&](auto zero) { to_planes<decltype(zero)>(half.as<decltype(zero)>(), 0, width, message, at); });
    }
    at += width;
  }
  pass.send_planes(kH, Phase::kOffline, Message::kLookUpDealt, 0, block, std::move(message));
}

// add_bit adds this party's share of one bit's number to its table's sum: b^ (at E) + (1 - 2 b^) a, where `opened` is
// -b^ and `number` the share of a.
void add_bit(const OutputBit& bit, bool evaluator, const RingTensor& opened, RingTensor number, RingTensor& sums) {
  dispatch(sums.ring(), [&](auto zero) {
    using Word = decltype(zero);
    const int64_t n = number.elements();
    const Word weight = static_cast<Word>((bit.is_sign ? Word{0} - Word{1} : Word{1}) << bit.shift);
    select_loops<Word>().close_bit(evaluator, opened.as<Word>().data(), number.as<Word>().data(), weight,
                                   sums.as<Word>().data() + bit.table * n, n);
  });
}

// close_block gives this party's share of all tables' entries, [tables, block], from the opened bits; `number` gives
// its share of each bit's mask.
template <class Number>
RingTensor close_block(Pass& pass, const Layout& layout, const Block& block, const BitPlanes& opened,
                       const Number& number) {
  const Shape shape{static_cast<int64_t>(layout.tables.size()), block.count};
  RingTensor sums = pass.is_dry() ? RingTensor::dry(layout.ring, shape) : RingTensor::zeros(layout.ring, shape);
  for (int plane = 0; plane < layout.planes(); ++plane) {
    const RingTensor mask = expanded(opened, plane, layout.ring);
    RingTensor share = number(plane);
    if (!pass.is_dry())
      add_bit(layout.bits[static_cast<size_t>(plane)], pass.self() == kE, mask, std::move(share), sums);
  }
  return sums;
}

// set_rows writes [tables, block] to a block of every table's part of y.
void set_rows(RingTensor& y, const Block& block, const RingTensor& rows, bool adds) {
  if (y.is_dry()) return;
  dispatch(y.ring(), [&](auto zero) {
    using Word = decltype(zero);
    const int64_t tables = rows.shape()[0], elements = y.elements() / tables;
    const Word* from = rows.as<Word>().data();
    for (int64_t table = 0; table < tables; ++table) {
      Word* to = y.as<Word>().data() + table * elements + block.first;
      for (int64_t i = 0; i < block.count; ++i, ++from) to[i] = *from + (adds ? to[i] : 0);
    }
  });
}

// masked_bits: this party's shares of all bits, masked by its half of a.
BitPlanes masked_bits(Pass& pass, const Layout& layout, const TableBits& bits, const Block& block,
                      const BitPlanes& opened, const BitPlanes& dealt) {
  const bool evaluator = pass.self() == kE;
  BitPlanes result(block.count, layout.planes(), pass.is_dry());
  const BitPlanes mask =
      pass.planes(evaluator ? Purpose::kLookUpMaskE : Purpose::kLookUpMaskH, 0, block, layout.planes());
  if (pass.is_dry()) return result;
  look_up_planes(bits, opened, dealt, evaluator, result);
  xor_planes(result, 0, mask, 0, layout.planes());
  return result;
}

// E, first half of a block: x^ = yE' + rho + 2^(n-1) and its masked shares -> H; returns the shares.
BitPlanes ask_block(Pass& pass, const Layout& layout, const TableBits& bits, const Block& block,
                    const RingTensor& share) {
  const int n = layout.index_bits.value();
  RingTensor x = pass.words(Purpose::kLookUpOpening, 0, block, layout.ring);
  const BitPlanes dealt = pass.planes(Purpose::kIndicators, 0, block, layout.indicators());
  BitPlanes message(block.count, n + layout.planes(), pass.is_dry());
  if (!pass.is_dry()) {
    dispatch(layout.ring, [&](auto zero) {
      using Word = decltype(zero);
      const std::span<Word> out = x.as<Word>();
      loops<Word>().add_with(out.data(), part_of<Word>(share, block).data(), Word{1} << (n - 1), block.count);
      to_planes<Word>(out, 0, n, message);
    });
  }
  BitPlanes own = masked_bits(pass, layout, bits, block, message, dealt);
  if (!pass.is_dry()) copy_planes(message, n, own, 0, layout.planes());
  pass.send_planes(kH, Phase::kOnline, Message::kLookUpOpened, 0, block, std::move(message));
  return own;
}

// H for one block: its masked shares, and its share of the entries with lambda', -> E.
void answer_block(Pass& pass, const Layout& layout, const TableBits& bits, const Block& block) {
  const int n = layout.index_bits.value();
  const BitPlanes dealt =
      pass.receive_planes(kD, Phase::kOffline, Message::kLookUpDealt, 0, block, layout.indicators() + layout.dealt);
  const BitPlanes asked =
      pass.receive_planes(kE, Phase::kOnline, Message::kLookUpOpened, 0, block, n + layout.planes());
  BitPlanes own = masked_bits(pass, layout, bits, block, asked, dealt);
  BitPlanes opened(block.count, layout.planes(), pass.is_dry());
  if (!pass.is_dry()) {
    copy_planes(opened, 0, own, 0, layout.planes());
    xor_planes(opened, 0, asked, n, layout.planes());
  }
  pass.send_planes(kE, Phase::kOnline, Message::kLookUpShares, 0, block, std::move(own));
  int at = layout.indicators();
  RingTensor sums = close_block(pass, layout, block, opened, [&](int plane) {
    const int width = layout.width(layout.bits[static_cast<size_t>(plane)]);
    at += width;
    return unpacked(dealt, at - width, width, layout.ring);
  });
  add_in_place(sums, pass.words(Purpose::kLookUpMask, 0, block, layout.ring, static_cast<int>(layout.tables.size())));
  pass.send(kE, Phase::kOnline, Message::kLookUpClose, 0, block.index, std::move(sums.storage()));
}

// E, second half.
void finish_block(Pass& pass, const Layout& layout, const Block& block, BitPlanes own, RingTensor& masked) {
  const BitPlanes peer = pass.receive_planes(kH, Phase::kOnline, Message::kLookUpShares, 0, block, layout.planes());
  if (!pass.is_dry()) xor_planes(own, 0, peer, 0, layout.planes());
  const RingTensor sums = close_block(pass, layout, block, own, [&](int plane) {
    return pass.words(Purpose::kLookUpNumbers, plane, block, layout.ring);
  });
  set_rows(masked, block, sums, false);
  const Shape shape = sums.shape();
  const auto bytes = static_cast<size_t>(shape.elements() * bytes_of(layout.ring));
  set_rows(masked, block,
           RingTensor::adopt(layout.ring, shape,
                             pass.receive(kH, Phase::kOnline, Message::kLookUpClose, 0, block.index, bytes)),
           true);
}

}  // namespace

std::optional<RingTensor> look_up_offline(Pass& pass, Bits n, std::span<const LookUpTable* const> tables,
                                          const RingTensor* share, Ring ring, const Shape& shape) {
  if (pass.self() == kE) return std::nullopt;
  const Layout layout(n, tables, ring);
  RingTensor lambda = RingTensor::make(ring, look_up_shape(tables.size(), shape), pass.is_dry());
  for (const Block& block : blocks_of(shape.elements())) {
    if (pass.self() == kD) deal_block(pass, layout, block, *share);
    set_rows(lambda, block, pass.words(Purpose::kLookUpMask, 0, block, ring, static_cast<int>(tables.size())), false);
  }
  if (pass.self() == kD) negate_in_place(lambda);
  return lambda;
}

std::optional<RingTensor> look_up_online(Pass& pass, Bits n, std::span<const LookUpTable* const> tables,
                                         const RingTensor* share, Ring ring, const Shape& shape) {
  if (pass.self() == kD) return std::nullopt;
  const Layout layout(n, tables, ring);
  const TableBits bits(n.value(), tables);
  const std::vector<Block> blocks = blocks_of(shape.elements());
  if (pass.self() == kH) {
    for (const Block& block : blocks) answer_block(pass, layout, bits, block);
    return std::nullopt;
  }
  RingTensor masked = RingTensor::make(ring, look_up_shape(tables.size(), shape), pass.is_dry());
  std::vector<BitPlanes> own;
  for (const Block& block : blocks) own.push_back(ask_block(pass, layout, bits, block, *share));
  for (const Block& block : blocks)
    finish_block(pass, layout, block, std::move(own[static_cast<size_t>(block.index)]), masked);
  return masked;
}

}  // namespace treville::porthos
