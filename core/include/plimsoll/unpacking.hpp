// plimsoll/unpacking.hpp - how the numbers of a quantised matrix become float32: (quant - zero) * scale, each in float32. A scale and a
// zero belong to a block of rows (outputs) and columns (inputs), and where the matrix has a second scale, the first are changed by it
// beforehand. Said by a storage format (storage/storage_formats.cpp), followed by loaders (base/quants.hpp). What a format keeps of
// activations plays no part: they stay float32. Values. Threads: immutable once made.
//
// Sources of the layouts: transformers' fine-grained fp8 and MXFP4, compressed-tensors 0.12 (pack_quantized, naive_quantized,
// fp4_quantized), AutoGPTQ 0.7, AutoAWQ 0.2 (packing_utils), modelopt's and quark's exports.
#pragma once

#include <cstdint>

namespace plimsoll {

struct Unpacking {
  enum class Element : std::uint8_t {
    kFloat8,  // a byte each: e4m3 or e5m2, by the type that is stored
    kFloat4,  // e2m1, two in a byte, the lower half first
    kInteger, // of `bits`: in words of int32 without a sign, lower bits first; or an int8 each
  };
  enum class Order : std::uint8_t {
    kByOutput,       // [out][in], words hold inputs
    kByInput,        // [in][out], words hold inputs: GPTQ
    kByInputOutputs, // [in][out], words hold eight outputs in the order 0, 2, 4, 6, 1, 3, 5, 7: AWQ
  };
  enum class Zero : std::uint8_t {
    kNone,       // 0; of words without a sign the middle, 2^(bits - 1)
    kStored,     // as the quants are, words hold outputs
    kStoredLess, // stored with 1 taken off, modulo 2^bits: GPTQ's first format
  };
  enum class Second : std::uint8_t { kNone, kTimes, kDivides };
  enum class Index : std::uint8_t { kNone, kMayBe, kMust };

  Element element = Element::kFloat8;
  std::uint8_t bits = 8; // of one quant
  Order order = Order::kByOutput;
  Zero zero = Zero::kNone;
  Second second = Second::kNone;
  Index index = Index::kNone;                // whether an int32 for each input says of which block of inputs it is
  std::uint32_t block_out = 0, block_in = 0; // outputs and inputs of a scale; 0: all
  bool exponents = false;                    // scales are bytes: 2^(byte - 127), 255 is no number

  // Scales and zeros stand [blocks of inputs][blocks of outputs]; otherwise the other way round.
  bool scales_by_input() const { return order != Order::kByOutput; }
  friend bool operator==(const Unpacking&, const Unpacking&) = default;
};

} // namespace plimsoll
