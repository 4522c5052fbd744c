// Convolutions between tower and language model, as Honeybee's C-Abstractor has them: HyperCLOVA X Vision behind SigLIP or CLIP, Kanana-V
// behind Qwen2-VL's tower. Made by the planner's constructor. Names and shapes: RegStage of the timm library, which both classes build.
#include <cmath>

#include "encoders.hpp"
#include "listed.hpp"
#include "qwen.hpp"
#include "tensors.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Error;
using plimsoll::Sink;

constexpr std::uint64_t kMostBlocks = 64;

// Blocks of a narrow, a depthwise and another narrow convolution, each with a norm, and a gate on channels in their midst. The gate is a
// quarter as wide as what comes in. 1152 to 1152: 1152 x 1152 x 2 + 1152 x 9 + 6 x 1152 + 2 x 288 x 1152 + 288 + 1152 = 3,336,480.
void declare_stage(const Sink& out, const std::string& prefix, std::uint64_t depth, std::uint64_t in, std::uint64_t width) {
  for (std::uint64_t i = 0; i < depth; ++i) {
    const std::uint64_t from = i == 0 ? in : width, gate = static_cast<std::uint64_t>(std::nearbyint(static_cast<double>(from) / 4));
    const Tensors block(out, "abstractor.", prefix + "b" + std::to_string(i + 1) + ".");
    block.convolution("conv1.conv", width, from, 1, false);
    block.norm("conv1.bn", width, true);
    block.convolution("conv2.conv", width, 1, 3, false);
    block.norm("conv2.bn", width, true);
    block.convolution("se.fc1", gate, width, 1, true);
    block.convolution("se.fc2", width, gate, 1, true);
    block.convolution("conv3.conv", width, width, 1, false);
    block.norm("conv3.bn", width, true);
    if (from == width) continue;
    block.convolution("downsample.conv", width, from, 1, false);
    block.norm("downsample.bn", width, true);
  }
}

void declare_readout(const Tensors& out, std::uint64_t depth, std::uint64_t in, std::uint64_t text) {
  for (std::uint64_t i = 0; i < depth; ++i) out.linear("readout." + std::to_string(2 * i), text, i == 0 ? in : text);
}

std::uint64_t few(const PartKeys& keys, std::string_view key, std::uint64_t usual) {
  return plimsoll::bounded(keys.number(key, usual), kMostBlocks, std::string("/projector_config").append(key));
}

} // namespace

// 3B: 27 x 27 patches, pooled to 9 x 9 rows; nine tiles in a column, a separator behind each line, and the whole image: 81 x 11 = 891.
std::unique_ptr<Tower> make_hcx_v1(const PartKeys& keys, std::uint64_t text) {
  constexpr std::uint64_t kDepth = 3, kReadout = 2; // of the class
  const plimsoll::Config& model = keys.model();
  const Encoder encoder = Encoder::of(keys, "vision_model.");
  const std::string kind(model.str("/mm_projector_type", "cabstractor"));
  if (kind != "cabstractor" && kind != "linear" && kind != "mlp" && kind != "inverted_mlp")
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/mm_projector_type",
                "'" + kind.substr(0, 64) + "' is no projector this planner knows; known: cabstractor, linear, mlp, inverted_mlp");
  const bool pools = kind == "cabstractor", positions = model.boolean("/proj_pos_emb", true), norm = model.boolean("/proj_prenorm", false);
  const bool tiles = model.boolean("/anyres", false);
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const std::uint64_t width = encoder.width();
    const Tensors projector(out, "projector.", "mm_projector.");
    if (pools) {
      if (positions) projector.tensor("pos_emb", {1, Bytes(encoder.side()) * encoder.side(), width});
      if (norm) projector.norm("prenorm", width, true);
      declare_stage(out, "mm_projector.net.0.", kDepth, width, width);
      declare_stage(out, "mm_projector.net.2.", kDepth, width, width);
      declare_readout(projector, kReadout, width, text);
    } else if (kind == "linear") {
      Tensors(out, "", "").linear("mm_projector", text, width);
    } else {
      const Bytes inner = Bytes(width) * (kind == "mlp" ? 1 : 2);
      projector.linear("fc1", inner, width);
      projector.linear("fc2", text, inner);
    }
    if (tiles) Tensors(out, "", "").tensor("image_newline", {text});
  };
  const std::uint64_t patches = encoder.side() * encoder.side();
  const Bytes rows = pools ? model.positive("/num_queries_vis_abstractor_image") : patches;
  if (!tiles) return listed(list, {rows.value(), encoder.positions(), encoder.width()});
  const Bytes grids = model.positive("/max_num_grids");
  const auto side = static_cast<std::uint64_t>(std::lround(std::sqrt(static_cast<double>(rows.value()))));
  const Bytes lines = model.boolean("/unpad", false) ? grids * side : Bytes(0);
  return listed(list, {(rows * (grids + 1) + lines).value(), (Bytes(encoder.positions()) * (grids + 1)).value(), encoder.width()});
}

// As many rows as Qwen2-VL gives.
std::unique_ptr<Tower> make_kanana_v(const PartKeys& keys, std::uint64_t text) {
  const std::shared_ptr<const Tower> tower = make_qwen2_tower(keys, 0, "vision_model.");
  const PartKeys projector(keys.model(), "/projector_config");
  const std::uint64_t seen = projector.positive("/encoder_hidden_size"), width = projector.positive("/hidden_size");
  const std::uint64_t merge = projector.positive("/merge_size"), depth = few(projector, "/depth", 2);
  const std::uint64_t readout = few(projector, "/mlp_depth", 2);
  const std::uint64_t places = projector.boolean("/pos_emb", true) ? projector.positive("/pos_emb_size") : 0;
  const Bytes joined = Bytes(merge) * merge * (depth == 0 ? seen : width);
  const auto list = [=](const Sink& out) {
    tower->weights(out);
    const Tensors top(out, "abstractor.", "abstractor.");
    if (places > 0) top.tensor("pos_emb", {1, places, seen});
    if (depth > 0) {
      declare_stage(out, "abstractor.net.0.", depth, seen, width);
      declare_stage(out, "abstractor.net.2.", depth, joined.value(), width);
    }
    declare_readout(top, readout, depth == 0 ? seen : width, text);
  };
  return listed(list, tower->largest_image());
}

} // namespace vlm
