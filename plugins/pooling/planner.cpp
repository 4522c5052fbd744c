// The planner of embedders and rerankers whose class is a generative model's with something else in place of its head. Another family
// counts that model; this one leaves its head out and adds what the class has. Where tokens attend to later ones too, a request is read in
// one pass and no cache is kept. Threads: immutable after construction.
#include <string>

#include "plimsoll/plugin_util.hpp"
#include "rows.hpp"

namespace pooling {
namespace {

using plimsoll::Ask;
using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::Sink;
using plimsoll::Stage;
using plimsoll::Weight;

constexpr std::uint64_t kMaxWidth = 1ULL << 24, kRankerWidth = 512;

// A sink in front of another that drops the matrix between hidden states and words, and its bias.
class Headless {
public:
  explicit Headless(const Sink& out) : out_(out) {
    raw_ = *out.raw();
    raw_.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_sink, item);
    raw_.ctx = this;
    raw_.weight = [](void* ctx, const plimsoll_weight* w) PLIMSOLL_NOEXCEPT {
      const bool head = w->aspect == PLIMSOLL_ASPECT_HEAD && w->placement == PLIMSOLL_PLACE_VOCAB;
      const plimsoll_sink* to = static_cast<const Headless*>(ctx)->out_.raw();
      return head ? plimsoll_status{PLIMSOLL_OK} : to->weight(to->ctx, w);
    };
  }
  Headless(const Headless&) = delete;
  Headless& operator=(const Headless&) = delete;
  Sink sink() const { return {&raw_, out_.aspects()}; }

private:
  const Sink& out_;
  plimsoll_sink raw_{};
};

const Row& row_of(const Config& config) {
  const std::string_view architecture = config.str("/architectures/0", "");
  if (const Row* row = find_row(architecture)) return *row;
  throw Error(PLIMSOLL_E_UNSUPPORTED, "/architectures/0",
              "'" + std::string(architecture.substr(0, 64)) + "' is no class of this planner's");
}

Ask ask_for(const Row& row) { return plimsoll::as(row.model_type).renamed("", row.prefix); }

class Planner : public plimsoll::DelegatingPlanner {
public:
  explicit Planner(const Config& config) : Planner(config, row_of(config)) {}

  void weights(const Sink& out) const override {
    DelegatingPlanner::weights(Headless(out).sink());
    const Bytes h = child().facts().hidden_elements;
    const std::string name(row_.projection_name);
    switch (row_.projection) {
    case Projection::kNone: break;
    case Projection::kTokens:
      if (width_ > 0) linear(out, name, width_, h, row_.bias);
      break;
    case Projection::kRanker:
      linear(out, name + ".0", h / 2, h, false);
      linear(out, name + ".2", width_, h / 2, false);
      break;
    case Projection::kScorer:
      linear(out, name + ".0", h, h, true);
      linear(out, name + ".2", width_, h, true);
      break;
    case Projection::kLabels: linear(out, name, width_, h, row_.bias); break;
    case Projection::kGates:
      linear(out, name, width_, h, false);
      for (const char* layer : {"weights.fc.0", "weights.fc.2"}) linear(out, layer, h, h, true);
      linear(out, "weights.fc.4", width_ / 2, h, true);
      break;
    }
  }
  void kv(const Sink& out) const override {
    if (!row_.both_ways) DelegatingPlanner::kv(out);
  }
  plimsoll_facts facts() const override {
    plimsoll_facts facts = child().facts();
    facts.vocab_tokens = 0; // nothing is sampled
    facts.draft_layers = 0;
    return facts;
  }

private:
  Planner(const Config& config, const Row& row)
      : DelegatingPlanner(config, row.part, ask_for(row)), row_(row), width_(width_of(config, row)) {}

  static std::uint64_t width_of(const Config& config, const Row& row) {
    switch (row.projection) {
    case Projection::kNone: return 0;
    case Projection::kRanker: return plimsoll::bounded(config.u64("/embedding_size", kRankerWidth), kMaxWidth, "/embedding_size");
    case Projection::kScorer: return 1;
    case Projection::kLabels:
    case Projection::kGates:
      if (row.labels.empty()) break;
      return plimsoll::bounded(config.positive(row.labels), kMaxWidth, row.labels);
    case Projection::kTokens: {
      const auto given = config.find_u64_of({"/embedding_dim", "/embed_dim", "/dims", "/dim", "/projection_dim", "/colbert_dim"});
      const auto stored = config.find_tensor(std::string(row.projection_name) + ".weight");
      if (!given && stored && stored->n_dims == 2) return stored->dims[0];
      return plimsoll::bounded(given.value_or(row.width), kMaxWidth, "/embed_dim");
    }
    }
    const std::uint64_t labels = config.u64("/num_labels", config.find_len("/id2label").value_or(0));
    return labels == 0 ? 2 : plimsoll::bounded(labels, kMaxWidth, "/num_labels");
  }
  static void linear(const Sink& out, const std::string& name, Bytes rows, Bytes columns, bool bias) {
    Weight weight(Aspect::kHead, name, name + ".weight", {rows, columns});
    out.weight(weight.stage(Stage::kLast), bias);
  }

  const Row& row_; // of the table
  std::uint64_t width_;
};

} // namespace
} // namespace pooling

PLIMSOLL_PLUGIN(pooling::Planner)
