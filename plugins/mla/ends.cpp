// Weight classes at both ends of the model. Never decides what is loaded, only says what a tensor is for. Pure function, any
// thread.
//
// DeepSeek-V3 stores embedding and head twice: its layer 61 has copies (2 x 129280 x 7168 parameters more). GLM-5
// stores none. LongCat-Flash's module has an embedding of its own and shares the head.
#include "ends.hpp"

namespace mla {
namespace {

using plimsoll::Sink;
using plimsoll::Weight;

void declare_draft_ends(const Shape& s, const Sink& out) {
  if (s.draft_layers.empty()) return;
  if (s.draft_naming == DraftNaming::kModule) {
    out.weight(Weight(PLIMSOLL_ASPECT_EMBED, "draft.embedding", "model.mtp.embed_tokens.weight", {s.vocab, s.hidden})
                   .vocab()
                   .role(PLIMSOLL_ROLE_DRAFT)
                   .stage(PLIMSOLL_STAGE_LAST));
    out.weight(Weight(PLIMSOLL_ASPECT_HEAD, "draft.final_norm", "model.mtp.norm.weight", {s.hidden})
                   .role(PLIMSOLL_ROLE_DRAFT)
                   .stage(PLIMSOLL_STAGE_LAST));
    return;
  }
  const auto draft = [&](std::uint32_t aspect, const char* label, const char* name, std::initializer_list<plimsoll::Bytes> dims) {
    Weight w(aspect, label, std::string("model.layers.{layer}.") + name, dims);
    w.layers(s.draft_layers).role(PLIMSOLL_ROLE_DRAFT).stage(PLIMSOLL_STAGE_LAST);
    return w;
  };
  out.weight(draft(PLIMSOLL_ASPECT_HEAD, "draft.final_norm", "shared_head.norm.weight", {s.hidden}));
  if (!s.draft_stores_embedding) return;
  out.weight(draft(PLIMSOLL_ASPECT_EMBED, "draft.embedding", "embed_tokens.weight", {s.vocab, s.hidden}).vocab());
  out.weight(draft(PLIMSOLL_ASPECT_HEAD, "draft.head", "shared_head.head.weight", {s.vocab, s.hidden}).linear().vocab());
}

} // namespace

void declare_ends(const Shape& s, const Sink& out) {
  out.weight(Weight(PLIMSOLL_ASPECT_EMBED, "embedding", "model.embed_tokens.weight", {s.vocab, s.hidden}).vocab());
  out.weight(Weight(PLIMSOLL_ASPECT_HEAD, "final_norm", "model.norm.weight", {s.hidden}).stage(PLIMSOLL_STAGE_LAST));
  out.weight(Weight(PLIMSOLL_ASPECT_HEAD, "head", "lm_head.weight", {s.vocab, s.hidden})
                 .linear()
                 .vocab()
                 .stage(PLIMSOLL_STAGE_LAST)
                 .role(s.tied ? PLIMSOLL_ROLE_TIED : PLIMSOLL_ROLE_MODEL));
  declare_draft_ends(s, out);
}

} // namespace mla
