// Weight classes at both ends of the model. Never decides what is loaded, only says what a tensor is for. Pure function, any
// thread.
//
// DeepSeek-V3 stores embedding and head twice: its layer 61 has copies (2 x 129280 x 7168 parameters more). GLM-5
// stores none. LongCat-Flash's module has an embedding of its own and shares the head.
#include "ends.hpp"

namespace mla {
namespace {

using plimsoll::Aspect;
using plimsoll::Role;
using plimsoll::Sink;
using plimsoll::Stage;
using plimsoll::Weight;

void declare_draft_ends(const Shape& s, const Sink& out) {
  if (s.draft_layers.empty()) return;
  if (s.draft_naming == DraftNaming::kModule) {
    out.weight(Weight(Aspect::kEmbed, "draft.embedding", "model.mtp.embed_tokens.weight", {s.vocab, s.hidden})
                   .vocab()
                   .role(Role::kDraft)
                   .stage(Stage::kLast));
    out.weight(Weight(Aspect::kHead, "draft.final_norm", "model.mtp.norm.weight", {s.hidden}).role(Role::kDraft).stage(Stage::kLast));
    return;
  }
  const auto draft = [&](Aspect aspect, const char* label, const char* name, std::initializer_list<plimsoll::Bytes> dims) {
    Weight w(aspect, label, std::string("model.layers.{layer}.") + name, dims);
    w.layers(s.draft_layers).role(Role::kDraft).stage(Stage::kLast);
    return w;
  };
  out.weight(draft(Aspect::kHead, "draft.final_norm", "shared_head.norm.weight", {s.hidden}));
  if (!s.draft_stores_embedding) return;
  out.weight(draft(Aspect::kEmbed, "draft.embedding", "embed_tokens.weight", {s.vocab, s.hidden}).vocab());
  out.weight(draft(Aspect::kHead, "draft.head", "shared_head.head.weight", {s.vocab, s.hidden}).linear().vocab());
}

// Tables of hashed n-grams, each two rows longer than the one before, and a projection of each to the model's width. Worked example:
// 12 tables of 131072 x 78 rows and more, 256 wide.
void declare_ngrams(const Shape& s, const Sink& out) {
  for (std::uint64_t i = 0; i < s.ngram_tables; ++i) {
    const std::string number = std::to_string(i) + ".weight";
    const plimsoll::Bytes width = s.hidden / s.ngram_tables, rows = plimsoll::Bytes(s.ngram_rows) + plimsoll::Bytes(2 * i);
    out.weight(Weight(Aspect::kEmbed, "embedding.ngrams", "model.ngram_embeddings.embedders." + number, {rows, width}).vocab());
    out.weight(Weight(Aspect::kEmbed, "embedding.ngrams_proj", "model.ngram_embeddings.post_projs." + number, {s.hidden, width}));
  }
}

} // namespace

void declare_ends(const Shape& s, const Sink& out) {
  declare_ngrams(s, out);
  out.weight(Weight(Aspect::kEmbed, "embedding", "model.embed_tokens.weight", {s.vocab, s.hidden}).vocab());
  out.weight(Weight(Aspect::kHead, "final_norm", "model.norm.weight", {s.hidden}).stage(Stage::kLast));
  out.weight(Weight(Aspect::kHead, "head", "lm_head.weight", {s.vocab, s.hidden})
                 .linear()
                 .vocab()
                 .stage(Stage::kLast)
                 .role(s.tied ? Role::kTied : Role::kModel));
  declare_draft_ends(s, out);
}

} // namespace mla
