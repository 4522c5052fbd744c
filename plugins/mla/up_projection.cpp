// Prefill over a cached prefix expands latents to full keys and values; their bytes are a bound over the longest context. Does
// no string work unless asked to explain. Any thread.
//
// Formula (MAX's DeepSeek-V3 planner, all devices): dp x 2 x tokens x heads x qk_nope_head_dim x cache bytes. Here per
// rank: a tensor-parallel rank expands its own heads, so dp groups of tp ranks add up to the documented total.
// Worked example, DeepSeek-V3, 8 ranks of data parallelism, 1,048,576 tokens, bf16 cache:
// 2 x 1048576 x 128 x 128 x 2 B = 68,719,476,736 B per rank, 549,755,813,888 B in all.
#include "up_projection.hpp"

namespace mla {

using plimsoll::Aspect;
using plimsoll::Basis;
using plimsoll::Bytes;
using plimsoll::Item;

UpProjection::UpProjection(const plimsoll::Config& config, const Shape& shape) : heads_(shape.heads), nope_elements_(shape.nope_elements) {
  const std::string_view type = config.model_type();
  if (!type.empty() && type.find_first_of("/~") == std::string_view::npos)
    tensors_pointer_ = "/models/" + std::string(type) + "/up_projection_tensors";
}

void UpProjection::price(const plimsoll::Request& request, const plimsoll::Sink& out) const {
  if (tensors_pointer_.empty() || request->phase == PLIMSOLL_PHASE_DECODE) return;
  const std::uint64_t tensors = request.engine(tensors_pointer_).value_or(0);
  if (tensors == 0) return;
  const std::uint64_t tokens = request->max_batch_total_tokens != 0 ? request->max_batch_total_tokens : request->max_length;
  const Bytes heads = plimsoll::ceil_div(heads_, request->tp == 0 ? 1 : request->tp);
  const Bytes bytes = request.kv_bytes(Bytes(tensors) * tokens * heads * nope_elements_);
  out.item(Item(Aspect::kAttention, "attention.up_projection", bytes, Basis::kBound)
               .transient("attention")
               .formula(request.formula(tensors, " tensors x ", tokens, " tokens x ", heads, " heads x ", nope_elements_, " elements x ",
                                        std::uint64_t{request->kv_bits}, " bits")));
}

} // namespace mla
