// Quantised matrices of a checkpoint, put together from the tensors that a format stores of each: quants, scales, zero points. What comes
// out is a StoredPiece of float32 that a loader unpacks (plimsoll/weight_sources.hpp). Called by weight_sources.cpp while it reads headers.
// Reads no tensor data; never guesses: what is missing, has another shape or another type is an error that names file, tensor and format.
// Threads: one.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/declared.hpp"
#include "model/matcher.hpp"
#include "model/stored_pieces.hpp"
#include "plimsoll/result.hpp"
#include "storage/stored_name.hpp"

namespace plimsoll {

class QuantizedPieces {
public:
  // Both outlive it.
  QuantizedPieces(const Declared& declared, std::span<const std::string> files) : declared_(declared), files_(files) {}

  // A tensor of a class that its layer keeps quantised, or has left as it was: the matrix itself or what a format appends to it. `name` is
  // as transformers writes it.
  void add(std::string_view name, StoredPiece piece, const StoredPlace& place);

  // Calls keep(place, piece) for every matrix, in the order of their names: one that is quantised, or one of floats where nothing is stored
  // beside it.
  using Keep = std::function<Result<void>(const StoredPlace& place, StoredPiece piece)>;
  Result<void> each(const Keep& keep) const;

private:
  struct Part {
    StoredPiece piece;
    StoredPlace place;
    StoredRole role = StoredRole::kWeight;
  };
  class Maker;

  const Declared& declared_;
  std::span<const std::string> files_;
  std::map<std::string, std::vector<Part>> matrices_; // by the name that they would have if they were not quantised
};

} // namespace plimsoll
