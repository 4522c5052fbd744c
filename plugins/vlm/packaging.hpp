// How a vision model is put together: where the language model's configuration lies, what its tensors are called there, and
// which tower it has. One row per outer model_type in packaging.cpp. Threads: constant data.
#pragma once

#include <string_view>

#include "tower.hpp"

namespace vlm {

struct Packaging {
  std::string_view model_type; // or the class, where one model_type has several packagings
  MakeTower make_tower;
  std::string_view text;        // JSON pointer of the language model's configuration; "" where the keys lie flat
  std::string_view text_family; // who plans a flat one; otherwise the host finds out
  // The first prefix of the language model's own names becomes the second.
  std::string_view own_names, stored_names;
  std::string_view dialect = {}; // the language model's model_type where its own, or none, says nothing
};

// The row of a model, of its class before its model_type; E_UNSUPPORTED where there is none. A flat row gives way to the nested one where
// /text_config is there.
const Packaging& packaging_of(const plimsoll::Config& config);

} // namespace vlm
