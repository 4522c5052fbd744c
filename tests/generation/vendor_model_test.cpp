// A model that nobody but its vendor knows (sdk/examples/hybrid): described by a plugin, it says what its mathematics says, which stands
// here once more, in loops; on one rank and on several, inside its plan.
#include <cmath>
#include <filesystem>
#include <gtest/gtest.h>
#include <map>
#include <nlohmann/json.hpp>

#include "generation/tiny_models.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_model.hpp"
#include "support/tiny_random.hpp"

namespace plimsoll::testing {
namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

constexpr const char* kConfig = R"({"architectures": ["AcmeHybridForCausalLM"], "model_type": "acme_hybrid", "hidden_size": 64,
  "num_attention_heads": 4, "head_dim": 16, "state_size": 12, "intermediate_size": 96, "vocab_size": 128, "num_hidden_layers": 4,
  "max_position_embeddings": 256, "hidden_act": "silu", "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2,
  "audio_config": {"max_frames": 4}})";
constexpr std::size_t kHidden = 64, kHeads = 4, kHead = 16, kState = 12, kFfn = 96, kVocab = 128, kLayers = 4;

double silu(double x) { return x / (1 + std::exp(-x)); }

// The model, and the logits of the last of some tokens.
class Acme {
public:
  Acme() {
    add("model.embed_tokens.weight", {kVocab, kHidden}, 1.7F);
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
      const std::string at = "model.layers." + std::to_string(layer) + ".";
      add(at + "norm.weight", {kHidden}, 1.5F);
      if (layer % 4 == 3) {
        add(at + "self_attn.qkv_proj.weight", {3 * kHidden, kHidden}, 0.5F);
        add(at + "self_attn.o_proj.weight", {kHidden, kHidden}, 0.3F);
      } else {
        add(at + "mixer.in_proj.weight", {2 * kHidden, kHidden}, 0.3F);
        add(at + "mixer.out_proj.weight", {kHidden, kHidden}, 0.3F);
        add(at + "mixer.decay.weight", {kHeads}, 1.5F);
      }
      add(at + "mlp.gate_proj.weight", {kFfn, kHidden}, 0.3F);
      add(at + "mlp.up_proj.weight", {kFfn, kHidden}, 0.3F);
      add(at + "mlp.down_proj.weight", {kHidden, kFfn}, 0.2F);
    }
    add("model.norm.weight", {kHidden}, 1.5F);
    add("lm_head.weight", {kVocab, kHidden}, 0.6F);
  }

  const test::TinyModel& model() const { return model_; }

  Row logits(const std::vector<Token>& tokens) const {
    Rows stream;
    for (const Token token : tokens) {
      const auto begin =
          weight("model.embed_tokens.weight").begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(token) * kHidden);
      stream.emplace_back(begin, begin + kHidden);
    }
    for (std::size_t layer = 0; layer < kLayers; ++layer) {
      const std::string at = "model.layers." + std::to_string(layer) + ".";
      const Rows x = each(stream, [&](const Row& row) { return normed(row, at + "norm.weight"); });
      const Rows mixed = layer % 4 == 3 ? attended(x, at + "self_attn.") : recurred(x, at + "mixer.");
      for (std::size_t t = 0; t < stream.size(); ++t) {
        Row inner = times(at + "mlp.gate_proj.weight", x[t]);
        const Row up = times(at + "mlp.up_proj.weight", x[t]);
        for (std::size_t i = 0; i < kFfn; ++i) inner[i] = silu(inner[i]) * up[i];
        const Row ffn = times(at + "mlp.down_proj.weight", inner);
        for (std::size_t i = 0; i < kHidden; ++i) stream[t][i] += mixed[t][i] + ffn[i];
      }
    }
    return times("lm_head.weight", normed(stream.back(), "model.norm.weight"));
  }

private:
  void add(const std::string& name, std::vector<std::uint64_t> shape, float half_width) {
    std::uint64_t elements = 1;
    for (const std::uint64_t dim : shape) elements *= dim;
    model_.tensors.push_back({name, shape, test::draw_uniform(5, name, elements, half_width)});
    weights_[name] = {model_.tensors.back().values.begin(), model_.tensors.back().values.end()};
  }
  const Row& weight(const std::string& name) const { return weights_.at(name); }
  Row times(const std::string& name, const Row& x) const {
    const Row& w = weight(name);
    Row out(w.size() / x.size());
    for (std::size_t i = 0; i < w.size(); ++i) out[i / x.size()] += w[i] * x[i % x.size()];
    return out;
  }
  Row normed(const Row& x, const std::string& gain) const {
    double squares = 0;
    for (const double value : x) squares += value * value;
    Row out = x;
    for (std::size_t i = 0; i < x.size(); ++i) out[i] *= weight(gain)[i] / std::sqrt(squares / static_cast<double>(x.size()) + 1e-5);
    return out;
  }
  template <class Of>
  static Rows each(const Rows& rows, const Of& of) {
    Rows out;
    for (const Row& row : rows) out.push_back(of(row));
    return out;
  }
  Rows attended(const Rows& x, const std::string& at) const {
    const Rows qkv = each(x, [&](const Row& row) { return times(at + "qkv_proj.weight", row); });
    Rows out;
    for (std::size_t t = 0; t < x.size(); ++t) {
      Row context(kHidden);
      for (std::size_t h = 0; h < kHeads; ++h) {
        double total = 0;
        Row sum(kHead);
        for (std::size_t s = 0; s <= t; ++s) {
          double score = 0;
          for (std::size_t i = h * kHead; i < (h + 1) * kHead; ++i) score += qkv[t][i] * qkv[s][kHidden + i];
          const double share = std::exp(score / std::sqrt(static_cast<double>(kHead)));
          total += share;
          for (std::size_t i = 0; i < kHead; ++i) sum[i] += share * qkv[s][2 * kHidden + h * kHead + i];
        }
        for (std::size_t i = 0; i < kHead; ++i) context[h * kHead + i] = sum[i] / total;
      }
      out.push_back(times(at + "o_proj.weight", context));
    }
    return out;
  }
  Rows recurred(const Rows& x, const std::string& at) const {
    const Rows both = each(x, [&](const Row& row) { return times(at + "in_proj.weight", row); });
    Rows values(x.size(), Row(kHidden));
    for (std::size_t h = 0; h < kHeads; ++h) {
      Rows state(kHead, Row(kState));
      for (std::size_t t = 0; t < x.size(); ++t) {
        const double* const u = both[t].data() + h * kHead;
        const double* const gate = both[t].data() + kHidden + h * kHead;
        const double step = std::log(1 + std::exp(gate[kHead - 1]));
        const double kept = std::exp(-step * std::exp(weight(at + "decay.weight")[h]));
        for (std::size_t p = 0; p < kHead; ++p) {
          double sum = 0;
          for (std::size_t s = 0; s < kState; ++s) {
            state[p][s] = kept * state[p][s] + step * u[p] * u[s];
            sum += state[p][s] * gate[s];
          }
          values[t][h * kHead + p] = silu(gate[p]) * sum;
        }
      }
    }
    return each(values, [&](const Row& row) { return times(at + "out_proj.weight", row); });
  }

  test::TinyModel model_{kConfig, {}};
  std::map<std::string, Row> weights_;
};

TEST(VendorModel, RunsAsItsPluginDescribesIt) {
  const Acme acme;
  const test::TemporaryDirectory folder;
  test::write_tiny_folder(acme.model(), folder.path());
  if (!std::filesystem::exists(PLIMSOLL_BUILD_DIR "/lib/plimsoll/examples/com.acme.hybrid")) GTEST_SKIP() << "examples are not built";
  ContextOptions options;
  options.plugin_paths = {PLIMSOLL_BUILD_DIR "/lib/plimsoll/examples"};
  const Context with = Context::create(options).value();
  const Model model = with.load(folder.path()).value();
  EXPECT_EQ(model.info().family, "com.acme.hybrid");
  TextGenerationRequest prompt;
  prompt.prompt_tokens = {1, 9, 30, 41, 77, 120, 5, 64, 3};
  prompt.max_new_tokens = 20;
  prompt.ignore_end = true;
  prompt.log_probabilities = 2;
  for (const std::uint32_t tp : {1U, 2U, 4U}) {
    SCOPED_TRACE(tp);
    PlanRequest request = request_of(64);
    request.devices = std::to_string(tp) + "x64MiB";
    request.tp = tp;
    PipelineOptions by_ids;
    by_ids.load_tokenizer = false;
    auto pipeline = TextGenerationPipeline::create(with, model, request, by_ids);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    const TextGenerationOutput output = pipeline->generate(prompt).value();
    ASSERT_FALSE(output.error) << output.error->message;
    std::vector<Token> tokens(prompt.prompt_tokens.begin(), prompt.prompt_tokens.end());
    for (std::size_t step = 0; step < output.tokens.size(); ++step) {
      const Row logits = acme.logits(tokens);
      const auto best = std::max_element(logits.begin(), logits.end());
      double sum = 0;
      for (const double logit : logits) sum += std::exp(logit - *best);
      ASSERT_EQ(output.tokens[step], best - logits.begin()) << step;
      EXPECT_NEAR(output.log_probabilities->top[step].front().second, -std::log(sum), 1e-3) << step;
      tokens.push_back(output.tokens[step]);
    }
    for (const Arena& arena : pipeline->model().arenas())
      for (const Usage& usage : arena.usage()) EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << arena.rank() << usage.label;
  }
}

} // namespace
} // namespace plimsoll::testing
