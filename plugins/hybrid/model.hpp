// What a hybrid model is made of, as declarations that the planner replays: each holds the sizes it needs and the layers it
// is for. Filled once by the functions of models.hpp, read by planner.cpp. Immutable afterwards; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/plugin.hpp"

namespace hybrid {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::KvGroup;
using plimsoll::Part;
using plimsoll::Sink;
using plimsoll::Weight;

using List = std::shared_ptr<const std::vector<std::uint32_t>>;
inline List list(std::vector<std::uint32_t> layers) { return std::make_shared<const std::vector<std::uint32_t>>(std::move(layers)); }

struct Model {
  std::vector<std::function<void(const Sink&)>> weights;
  std::vector<std::function<void(const Sink&)>> caches;
  plimsoll_facts facts{};
  std::uint64_t hidden = 0;
  std::uint32_t layers = 0;
  std::string state_dtype = "state"; // of recurrences: the checkpoint's wish, "state" where it has none

  // Every layer; and the layers of the draft, numbered on from the model's.
  List all() const { return numbered(0, layers); }
  List drafts() const { return numbered(layers, layers + static_cast<std::uint32_t>(facts.draft_layers)); }

private:
  static List numbered(std::uint32_t from, std::uint32_t to) {
    std::vector<std::uint32_t> out;
    for (std::uint32_t i = from; i < to; ++i) out.push_back(i);
    return list(std::move(out));
  }
};

// Layers that have a part of a model: how its tensors' names begin, and whose they are.
struct Place {
  Model& model;
  std::string prefix; // "model.layers.{layer}.self_attn."
  std::string label;  // "attention."
  std::uint32_t aspect = PLIMSOLL_ASPECT_ATTENTION;
  List layers;
  bool draft = false;

  Weight weight(std::string_view name, std::initializer_list<Bytes> dims) const {
    return Weight(aspect, (draft ? "draft." : "") + label + label_of(name), prefix + std::string(name), dims);
  }
  Weight linear(std::string_view name, Bytes out, Bytes in) const { return weight(std::string(name) + ".weight", {out, in}).linear(); }
  Weight norm(std::string_view name, Bytes width) const { return weight(std::string(name) + ".weight", {width}); }
  void add(Weight w, bool bias = false) const {
    if (layers->empty()) return;
    model.weights.push_back([w = std::move(w), bias, layers = layers, draft = draft](const Sink& out) {
      Weight placed = w;
      placed.layers(*layers);
      if (draft) placed.role(PLIMSOLL_ROLE_DRAFT).stage(PLIMSOLL_STAGE_LAST);
      out.weight(placed, bias);
    });
  }
  Place at(std::string_view more, std::string new_label, std::uint32_t new_aspect, List subset) const {
    return {model, prefix + std::string(more), std::move(new_label), new_aspect, std::move(subset), draft};
  }

private:
  static std::string label_of(std::string_view name) {
    constexpr std::string_view kEnd = ".weight", kExpert = "{expert}.";
    std::string out(name);
    if (out.size() > kEnd.size() && out.compare(out.size() - kEnd.size(), kEnd.size(), kEnd) == 0) out.resize(out.size() - kEnd.size());
    if (const std::size_t hole = out.find(kExpert); hole != std::string::npos) out.erase(hole, kExpert.size());
    return out;
  }
};

} // namespace hybrid
