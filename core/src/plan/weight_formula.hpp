// The formula of a weight class with its values put in, such that it multiplies out to the bytes of a rank:
// "58 layers x 256 experts / 8 ranks x [2048 x 7168] fp8_block_128x128 of 14683648 B". Called by place_weights.cpp for plans that explain
// themselves. Prices nothing: the factors are placement's. Threads: plain values.
#pragma once

#include <string>

#include "placement/placement.hpp"

namespace plimsoll {

struct WeightFormula {
  const WeightClass& c;
  const RankLayout& layout;
  RunTimeTypes types;
  const StoredClass* stored; // may be null

  // Fills `item`, whose bytes are known: one formula, or one for each rank where those that hold bytes differ.
  Result<void> put_on(Item& item) const;
  // Of what lies in host memory; empty where nothing does.
  Result<std::string> of_host() const;

private:
  std::string text(const std::vector<WeightTerm>& terms, bool whole) const;
  std::string term_text(const WeightTerm& term, bool whole) const;
};

} // namespace plimsoll
