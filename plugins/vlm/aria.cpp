// Aria: a SigLIP relative whose patches 256 queries look at once, behind it two matrices. Made by the planner's constructor.
#include "encoders.hpp"
#include "listed.hpp"
#include "tensors.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

} // namespace

// 980 pixels: 4,900 patches, 256 rows.
std::unique_ptr<Tower> make_aria(const PartKeys& keys, std::uint64_t text) {
  const Encoder encoder = Encoder::siglip(keys, "vision_tower.");
  const std::uint64_t queries = keys.model().positive("/max_value_projector_patch_to_query_dict");
  const auto list = [=](const Sink& out) {
    encoder.weights(out);
    const Bytes width = encoder.width();
    const Tensors projector(out, "projector.", "multi_modal_projector.");
    projector.tensor("query", {queries, width});
    for (const char* name : {"q_proj", "k_proj", "v_proj"}) projector.linear(std::string("cross_attn.") + name, width, width, false);
    projector.tensor("cross_attn.multihead_attn.in_proj_weight", {width * 3, width});
    projector.tensor("cross_attn.multihead_attn.in_proj_bias", {width * 3});
    projector.linear("cross_attn.multihead_attn.out_proj", width, width);
    projector.linear("cross_attn.linear", width, width);
    for (const char* norm : {"cross_attn.layer_norm", "cross_attn.layer_norm_kv", "layer_norm"}) projector.norm(norm, width, true);
    projector.by_rows("feed_forward.linear_in", text, width, false);
    projector.by_columns("feed_forward.linear_out", text, text, false);
  };
  return listed(list, {queries, encoder.positions(), encoder.width()});
}

} // namespace vlm
