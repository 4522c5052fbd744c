// plimsoll/weight_sources.hpp - where the weights of a model lie: for every tensor that a plan counts, the files and byte ranges that fill
// it, by the patterns that its planners declared and no second list of names. Made by Context::program; read by loaders, the runtime's
// and others'. Values; nothing in it refers to a model. Threads: immutable once made.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plimsoll/unpacking.hpp"

namespace plimsoll {

// One tensor of a quantised matrix, [matrices][rows][columns] elements in one run of bytes.
struct StoredArray {
  std::string name;  // as its file has it
  std::string dtype; // "int32"; empty: there is none
  std::uint32_t file = 0;
  std::uint64_t offset_bytes = 0, rows = 0, columns = 0; // of one matrix
  bool is_there() const { return !dtype.empty(); }
};

// Stored tensors that together are matrices of float32, [matrices][rows][columns]: outputs are rows, inputs columns, whatever the order
// that they are stored in. Worked example, GPTQ with 4 bits and groups of 128 of 256 outputs and 512 inputs: quants [64][256] int32, scales
// [4][256] float16, zeros [4][32] int32, index [1][512] int32.
struct QuantizedMatrices {
  std::string format; // "gptq_int4_g128"
  Unpacking how;
  std::uint64_t matrices = 1, rows = 0, columns = 0;
  StoredArray quants, scales, zeros, second, index;
  StoredArray shape; // two numbers, which must be `rows` and `columns`
};

// Elements of a piece along one dimension, and how far apart they lie in the tensor. Of those in the file a rank may take a part.
struct WeightAxis {
  std::uint64_t extent = 0, to_stride_elements = 0;
  std::uint64_t first = 0, taken = 0; // [first, first + taken) go into the tensor; taken 0: all
  bool takes_all() const { return taken == 0 || taken == extent; }
  std::uint64_t n() const { return taken == 0 ? extent : taken; }
};

// A run of bytes of one file. The pieces of a tensor do not overlap and fill it, but for rows that a vocabulary is padded by: zeros.
// GGUF files store some tensors in another order than the checkpoint that a config.json belongs to. Worked example, a projection of 4
// heads of 16 rows and 64 columns whose halves of a head alternate there: axes {4, 1024}, {8, 64}, {2, 512}, {64, 1}.
struct WeightPiece {
  std::uint32_t file = 0; // of WeightSources::files
  std::uint64_t offset_bytes = 0, bytes = 0;
  std::uint64_t to_bytes = 0;   // where in the tensor the first element that is taken goes
  std::vector<WeightAxis> axes; // of the stored elements, outermost first; empty: they follow one another in the tensor too
  std::string block_type;       // "q4_k": what it is stored as, where the tensor is float32 and it is not. `bytes` are then those of
                                // the file, all else counts float32
  bool minus_one = false;       // they are stored with 1 added: gains of norms that multiply by 1 + g
  bool logarithm = false;       // they are stored as -exp(x): what a state decays by, of which x is the logarithm
  // Where it is not null the run is one of the float32 that these are once they are unpacked: `offset_bytes` and `bytes` count those, and
  // `file` has the quants.
  std::shared_ptr<const QuantizedMatrices> quantized;
};

// One tensor as it lies in memory of one rank: a class of weights in one layer, all its experts. What is tied to another tensor has none.
struct WeightTensor {
  std::string label;
  std::uint32_t layer = UINT32_MAX; // UINT32_MAX: belongs to no layer
  std::string dtype;                // "float32", "bfloat16", "float16": as stored, or float32 where a class is packed or quantised
  std::uint64_t experts = 0;        // outermost dimension before dims; 0: none
  std::vector<std::uint64_t> dims;  // as declared, cut for the rank: [out, in], or [in, out] where in_dim is 0
  std::uint32_t in_dim = 1;
  std::vector<std::uint64_t> parts; // extents of its parts along the output dimension; empty: one
  std::uint64_t bytes = 0;
  std::vector<WeightPiece> pieces;
};

struct WeightSources {
  std::vector<std::string> files;
  std::vector<WeightTensor> tensors; // by label, then layer; no two are alike in both
  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const WeightTensor& tensor : tensors) sum += tensor.bytes;
    return sum;
  }
};

} // namespace plimsoll
