// The figures of a plan document, added up over its devices: all that two plans are compared by. Called by diff.cpp.
// Never trusts the document: every key it needs is there, of its type and small enough that no sum overflows. Threads: plain values.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/device_figures.hpp"
#include "plimsoll/diff.hpp"

namespace plimsoll {

struct ItemFigure {
  Category category = Category::kWeights;
  bool on_host = false; // in host memory, beside the devices
  std::string label;
  std::int64_t bytes = 0; // of all ranks
};

struct PlanFigures {
  DiffSide side;
  bool planned = false;           // else the document of a plan that could not be made: nothing below but the error
  std::vector<std::string> cards; // name, total and free of each device
  std::string engine_name;
  std::vector<std::pair<std::string, DiffValue>> request; // in the document's order
  double utilization = 0;
  std::array<std::int64_t, kDeviceFigures.size()> bytes{}; // of all devices, in the order of kDeviceFigures
  std::vector<ItemFigure> items;                           // one for each category and label
  std::int64_t host_bytes = 0;
  std::vector<std::pair<std::string, DiffValue>> capacity, limits; // of kv_cache and limits
  std::string error_code, error_message;                           // empty: none
};

// kBadRequest as diff_documents() says.
Result<PlanFigures> read_plan_figures(const PlanDocument& document);

// The document as values; kBadRequest where it is neither JSON nor YAML.
Result<Json> parse_document(const PlanDocument& document);

} // namespace plimsoll
