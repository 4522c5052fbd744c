// The rules behind weights.hpp. Worked example: blk.0.attn_q.weight [4096, 4096] to blk.31 of Llama 3 8B is one class of 32 layers, cut
// in 32 heads; blk.0.ffn_gate_exps.weight [8, 14336, 4096] of Mixtral one of 8 experts, each cut along its 14336 rows.
#include "weights.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace gguf {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Error;
using plimsoll::Part;
using plimsoll::Role;
using plimsoll::Sink;
using plimsoll::Stage;
using plimsoll::Weight;

namespace {

constexpr std::size_t kMostClasses = 8192, kMostName = 96;

bool starts_with_any(std::string_view name, std::initializer_list<std::string_view> starts) {
  return std::any_of(starts.begin(), starts.end(), [&](std::string_view start) { return name.substr(0, start.size()) == start; });
}

// "dec.blk.3.attn_q.weight": 3, and what stands before and behind it. False where the name is of no layer.
bool split_layer(std::string_view name, std::uint32_t& layer, std::string_view& before, std::string_view& behind) {
  const std::size_t at = starts_with_any(name, {"enc.blk.", "dec.blk."}) ? 8 : starts_with_any(name, {"blk."}) ? 4 : 0;
  if (at == 0) return false;
  const auto [end, error] = std::from_chars(name.data() + at, name.data() + name.size(), layer);
  if (error != std::errc() || end == name.data() + name.size() || *end != '.') return false;
  before = name.substr(0, at);
  behind = name.substr(static_cast<std::size_t>(end - name.data()) + 1);
  return !behind.empty();
}

// What the host counts by itself: tables of rotary frequencies, and the scale of a matrix's inputs beside it.
bool is_of_host(std::string_view name) {
  constexpr std::string_view kScale = ".input_scale";
  const bool scale = name.size() > kScale.size() && name.substr(name.size() - kScale.size()) == kScale;
  return scale || starts_with_any(name, {"rope_freqs.", "rope_factors_", "attn_rot_embd."});
}

void check_name(std::string_view name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < '\x7f' && c != '{' && c != '}'; });
  if (name.empty() || name.size() > kMostName || !plain)
    throw Error(PLIMSOLL_E_CONFIG, "", "a tensor's name is not of 1 to 96 plain characters; check the file");
}

Aspect aspect_of(std::string_view name) {
  if (starts_with_any(name, {"ssm_", "shortconv.", "time_mix_", "channel_mix_"})) return Aspect::kState;
  if (name.find("norm") == std::string_view::npos && starts_with_any(name, {"ffn", "exp_probs_b", "vis_up", "vis_down", "vis_gate"}))
    return Aspect::kFfn;
  return Aspect::kAttention;
}

bool is_input(std::string_view name) {
  return starts_with_any(name, {"token_embd.weight", "position_embd.weight", "token_types.weight", "per_layer_token_embd.weight"});
}

bool is_of_experts(std::string_view name) { return name.find("exps.") != std::string_view::npos; }

// How a tensor of a layer is cut.
class Cut {
public:
  Cut(const Stored& stored, const Model& model, Weight& weight) : stored_(stored), model_(model), weight_(weight) {
    heads_ = model.heads_of(stored.layers.front());
    kv_heads_ = model.kv_heads_of(stored.layers.front());
  }
  void make() {
    const std::string_view name = stored_.name;
    if (starts_with_any(name, {"attn_q.", "attn_q_b.", "attn_kv_b.", "attn_k_b.", "attn_v_b."})) return in_heads(0, heads_, false);
    if (starts_with_any(name, {"attn_k.", "attn_v."})) return in_heads(0, kv_heads_, true);
    if (starts_with_any(name, {"attn_qkv."})) return fused();
    if (starts_with_any(name, {"attn_output.weight"})) return in_heads(1, heads_, false);
    by_shape();
  }

private:
  const std::vector<std::uint64_t>& dims() const { return stored_.dims; }
  void in_heads(std::uint32_t dim, std::uint64_t units, bool replicate) {
    if (dim >= dims().size() || units == 0 || dims()[dim] % units != 0) return; // copied
    weight_.heads(dim, units, replicate);
  }
  // Queries, keys and values, where the rows are theirs.
  void fused() {
    if (heads_ == 0 || kv_heads_ == 0) return;
    const std::uint64_t units = heads_ + 2 * kv_heads_, rows = dims().front();
    if (rows % units != 0) return;
    const std::uint64_t head = rows / units;
    weight_.parts(0, {Part{heads_ * head, heads_}, Part{kv_heads_ * head, kv_heads_, true}, Part{kv_heads_ * head, kv_heads_, true}});
  }
  // A matrix of which one side is the model's width is cut along the other, where that is no narrower.
  void by_shape() {
    if (dims().size() != 2) return;
    const std::uint32_t other = dims()[0] == model_.hidden ? 1 : 0;
    if (dims()[1 - other] == model_.hidden && dims()[other] >= model_.hidden) weight_.split(other);
  }

  const Stored& stored_;
  const Model& model_;
  Weight& weight_;
  std::uint64_t heads_ = 0, kv_heads_ = 0;
};

Weight weight_of(Aspect aspect, const Stored& stored, std::size_t lead) {
  const auto& d = stored.dims;
  const auto at = [&](std::size_t i) { return Bytes(d[lead + i]); };
  std::string label = stored.name;
  if (label.size() > 7 && label.compare(label.size() - 7, 7, ".weight") == 0) label.resize(label.size() - 7);
  switch (d.size() - lead) {
  case 0: return Weight(aspect, label, stored.pattern, {});
  case 1: return Weight(aspect, label, stored.pattern, {at(0)});
  case 2: return Weight(aspect, label, stored.pattern, {at(0), at(1)}).linear();
  case 3: return Weight(aspect, label, stored.pattern, {at(0), at(1), at(2)});
  default: return Weight(aspect, label, stored.pattern, {at(0), at(1), at(2), at(3)});
  }
}

// Tensors of no layer.
Weight of_model(const Stored& stored) {
  if (is_input(stored.name)) {
    Weight weight = weight_of(Aspect::kEmbed, stored, 0);
    if (stored.name == "token_embd.weight" && stored.dims.size() == 2) weight.vocab();
    return weight.stage(Stage::kFirst);
  }
  Weight weight = weight_of(Aspect::kHead, stored, 0);
  if (stored.name == "output.weight" && stored.dims.size() == 2) weight.vocab();
  return weight.stage(starts_with_any(stored.name, {"token_embd", "per_layer", "altup_proj", "enc."}) ? Stage::kFirst : Stage::kLast);
}

Weight of_layers(const Stored& stored, const Model& model) {
  const Aspect aspect = aspect_of(stored.name);
  if (is_of_experts(stored.name) && stored.dims.size() >= 2) {
    Weight weight = weight_of(aspect, stored, 1);
    const bool matrix = stored.dims.size() == 3;
    const bool down = stored.name.find("_down_") != std::string::npos;
    weight.experts(stored.dims.front(), matrix ? (down ? 1 : 0) : PLIMSOLL_WHOLE, plimsoll::ExpertStorage::kStacked);
    return weight.layers(stored.layers);
  }
  Weight weight = weight_of(aspect, stored, 0);
  Cut(stored, model, weight).make();
  return weight.layers(stored.layers);
}

} // namespace

std::vector<Stored> read_stored(const Config& config, const Model& model) {
  std::vector<Stored> out;
  std::map<std::string, std::vector<std::size_t>> by_pattern; // into `out`
  config.each_tensor([&](const plimsoll_tensor& tensor) {
    const std::string_view whole = plimsoll::to_view(tensor.name);
    check_name(whole);
    Stored found{std::string(whole), std::string(whole), {tensor.dims, tensor.dims + tensor.n_dims}, {}, false};
    std::uint32_t layer = 0;
    std::string_view before, behind;
    const bool in_layer = split_layer(whole, layer, before, behind) && layer < model.n_layers;
    if (in_layer) {
      found.pattern = std::string(before) + "{layer}." + std::string(behind);
      found.name = std::string(behind);
      found.draft = layer >= model.n_trunk && before == "blk.";
    }
    if (is_of_host(found.name)) return;
    if (tensor.n_dims > 4) throw Error(PLIMSOLL_E_CONFIG, "", found.name + " has more than 4 dimensions; check the file");
    for (const std::size_t at : by_pattern[found.pattern]) {
      Stored& like = out[at];
      if (!in_layer || like.dims != found.dims || like.draft != found.draft || model.heads_of(like.layers.front()) != model.heads_of(layer))
        continue;
      like.layers.push_back(layer);
      return;
    }
    if (in_layer) found.layers.push_back(layer);
    by_pattern[found.pattern].push_back(out.size());
    out.push_back(std::move(found));
    if (out.size() > kMostClasses)
      throw Error(PLIMSOLL_E_CONFIG, "", "the file has more than 8192 kinds of tensors; no model has, check the file");
  });
  if (out.empty()) throw Error(PLIMSOLL_E_CONFIG, "", "no tensor is known; a model of this kind is planned from its GGUF file, give that");
  for (Stored& stored : out) std::sort(stored.layers.begin(), stored.layers.end());
  return out;
}

void declare(const std::vector<Stored>& stored, const Model& model, const Sink& out) {
  bool output = false;
  std::vector<std::uint64_t> embedding;
  for (const Stored& one : stored) {
    output = output || one.name == "output.weight";
    if (one.name == "token_embd.weight") embedding = one.dims;
    Weight weight = one.layers.empty() ? of_model(one) : of_layers(one, model);
    if (one.draft && !model.loads_drafts) weight.role(Role::kUnused);
    out.weight(weight);
  }
  if (!model.tied || output || embedding.size() != 2) return;
  Weight head(Aspect::kHead, "output", "output.weight", {Bytes(embedding[0]), Bytes(embedding[1])});
  out.weight(head.vocab().linear().stage(Stage::kLast).role(Role::kTied));
}

} // namespace gguf
