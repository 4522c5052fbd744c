// plimsoll/weight_sources.hpp - where the weights of a model lie: for every tensor that a plan counts, the files and byte ranges that fill
// it, by the patterns that its planners declared and no second list of names. Made by Context::program; read by loaders, the runtime's
// and others'. Values; nothing in it refers to a model. Threads: immutable once made.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace plimsoll {

// How elements of a stored piece become those of the tensor.
enum class PieceOrder : std::uint8_t {
  kAsStored, // the same bytes
  // Rows of each head as GGUF's llama-like architectures store projections that a rotary embedding follows: the halves of a head alternate.
  // Row 2i of a stored head is row i of the tensor's, row 2i + 1 is row i + n / 2.
  kRopePairs,
  kMinusOne,       // elements are stored with 1 added: gains of norms that multiply by 1 + g
  kTransposedHeads // of each head the rows and columns are exchanged: a latent's key up-projection
};

// A run of bytes of one file. Runs of a tensor do not overlap and fill it.
struct WeightPiece {
  std::uint32_t file = 0; // of WeightSources::files
  std::uint64_t offset_bytes = 0, bytes = 0;
  std::uint64_t to_bytes = 0; // where in the tensor
  PieceOrder order = PieceOrder::kAsStored;
  std::uint64_t heads = 0;   // kRopePairs, kTransposedHeads: in this piece
  std::uint64_t columns = 0; // likewise: elements of a stored row
  // Rows of the tensor that this piece's rows are spread over, where they do not follow one another (halves of heads): 0 otherwise.
  std::uint64_t row_bytes = 0, to_row_stride_bytes = 0;
};

// One tensor as it lies in memory: a class of weights in one layer, all its experts.
struct WeightTensor {
  std::string label;
  std::uint32_t layer = UINT32_MAX; // UINT32_MAX: belongs to no layer
  std::string dtype;                // "float32", "bfloat16", "float16"
  std::uint64_t experts = 0;        // outermost dimension before dims; 0: none
  std::vector<std::uint64_t> dims;  // as declared: [out, in], or [in, out] where in_dim is 0
  std::uint32_t in_dim = 1;
  std::vector<std::uint64_t> parts; // extents of its parts along the output dimension; empty: one
  std::uint64_t bytes = 0;
  std::vector<WeightPiece> pieces; // none where tied
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
