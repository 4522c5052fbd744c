// A model of a host's own in the runtime's pipeline: which byte follows which, counted in a text, without a cache and without a plugin. The
// pipeline batches, samples and stops; the arena holds the model to the plan that the host wrote down.
//   example_host_model TEXT PROMPT...
#include <algorithm>
#include <array>
#include <iostream>
#include <string>
#include <vector>

#include <plimsoll/runtime.hpp>

namespace {

using namespace plimsoll;

constexpr std::uint64_t kBytes = 256, kBatch = 4, kLongest = 64;
constexpr std::uint64_t kTokens = kBatch * kLongest; // of a step: without a cache a request's tokens are all computed anew

// What the model takes, so that the arena can hold it to it.
Plan plan_of_bigrams() {
  Plan plan;
  plan.model.architecture = "Bigrams";
  plan.request.dtype = "float32";
  plan.request.max_batch_input_tokens = kTokens;
  plan.limits.max_batch_size = kBatch;
  plan.limits.max_length = kLongest;
  plan.devices.resize(1);
  const auto add = [&](Category category, const char* label, std::uint64_t bytes) {
    Item& item = plan.items.emplace_back();
    item.category = category;
    item.label = label;
    item.bytes = {bytes};
  };
  add(Category::kWeights, "bigrams", kBytes * kBytes * 4);
  add(Category::kActivation, "logits", kBatch * kBytes * 4);
  add(Category::kActivation, "inputs", kTokens * 8 + (kBatch + 1) * 4);
  return plan;
}

// A byte is its own token.
class Bytes : public Tokenizer {
public:
  Result<std::vector<Token>> encode(std::string_view text) const override {
    std::vector<Token> tokens;
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
    return tokens;
  }
  Result<void> append_text(Token token, bool&, std::string& text) const override {
    text += static_cast<char>(token);
    return {};
  }
  std::string_view name() const override { return "bytes"; }
  std::uint32_t vocab_size() const override { return kBytes; }
  std::optional<Token> bos() const override { return std::nullopt; }
  std::span<const Token> stop_tokens() const override { return kStops; }

private:
  static constexpr std::array<Token, 1> kStops{'.'};
};

class BigramModel : public PipelineModel {
public:
  static Result<std::unique_ptr<BigramModel>> create(std::string_view text) {
    PipelineModelOptions options;
    options.plan = plan_of_bigrams();
    options.return_logits = ReturnLogits::kLastToken;
    PLIMSOLL_ASSIGN(const Arena arena, Arena::create(options.plan, 0));
    options.arenas = {arena};
    std::unique_ptr<BigramModel> model(new BigramModel(std::move(options)));
    PLIMSOLL_ASSIGN(model->counts_, model->take(Category::kWeights, "bigrams", ElementType::kFloat32, {kBytes, kBytes}));
    PLIMSOLL_ASSIGN(model->logits_, model->take(Category::kActivation, "logits", ElementType::kFloat32, {kBatch, kBytes}));
    PLIMSOLL_ASSIGN(model->tokens_, model->take(Category::kActivation, "inputs", ElementType::kInt64, {kTokens}));
    PLIMSOLL_ASSIGN(model->offsets_, model->take(Category::kActivation, "inputs", ElementType::kUint32, {kBatch + 1}));
    PLIMSOLL_ASSIGN(const std::span<float> counts, model->counts_.values<float>());
    for (std::size_t i = 1; i < text.size(); ++i)
      counts[static_cast<unsigned char>(text[i - 1]) * kBytes + static_cast<unsigned char>(text[i])] += 1;
    return model;
  }

  Result<std::unique_ptr<ModelInputs>> prepare_initial_token_inputs(std::span<const TextContext* const> batch, std::optional<KvCacheInputs>,
                                                                    std::uint64_t) override {
    PLIMSOLL_ASSIGN(const std::span<std::int64_t> tokens, tokens_.values<std::int64_t>());
    PLIMSOLL_ASSIGN(const std::span<std::uint32_t> offsets, offsets_.values<std::uint32_t>());
    std::uint32_t end = 0;
    for (std::size_t i = 0; i < batch.size(); ++i) { // no more than step_limits() says: the pipeline keeps to it
      for (const Token token : batch[i]->active_tokens()) tokens[end++] = token;
      offsets[i + 1] = end;
    }
    auto inputs = std::make_unique<TextInputs>();
    PLIMSOLL_ASSIGN(inputs->tokens, tokens_.first({end}));
    PLIMSOLL_ASSIGN(inputs->input_row_offsets, offsets_.first({batch.size() + 1}));
    return inputs;
  }

  Result<std::unique_ptr<ModelInputs>> prepare_next_token_inputs(const Tensor&, std::unique_ptr<ModelInputs>) override {
    return fail(ErrorCode::kBadRequest, "without a cache every step starts from all tokens");
  }

  Result<ModelOutputs> execute(const ModelInputs& inputs) override {
    PLIMSOLL_ASSIGN(const std::span<std::int64_t> tokens, inputs.find("tokens").values<std::int64_t>());
    PLIMSOLL_ASSIGN(const std::span<std::uint32_t> offsets, inputs.find("input_row_offsets").values<std::uint32_t>());
    PLIMSOLL_ASSIGN(const std::span<float> counts, counts_.values<float>());
    PLIMSOLL_ASSIGN(const std::span<float> logits, logits_.values<float>());
    const std::size_t batch = offsets.size() - 1;
    for (std::size_t i = 0; i < batch; ++i) {
      const auto last = static_cast<std::size_t>(tokens[offsets[i + 1] - 1]);
      std::copy_n(counts.begin() + static_cast<std::ptrdiff_t>(last * kBytes), kBytes,
                  logits.begin() + static_cast<std::ptrdiff_t>(i * kBytes));
    }
    PLIMSOLL_ASSIGN(const Tensor rows, logits_.first({batch, kBytes}));
    return ModelOutputs::create(rows, rows);
  }

  StepLimits step_limits() const override { return {kTokens, kBatch, kBatch, kBytes}; }

private:
  using PipelineModel::PipelineModel;
  Result<Tensor> take(Category category, std::string_view label, ElementType type, std::initializer_list<std::uint64_t> shape) {
    PLIMSOLL_ASSIGN(Buffer buffer, arenas().front().allocate(category, label, type, std::span(shape.begin(), shape.size())));
    return Tensor::of(std::move(buffer));
  }

  Tensor counts_, logits_, tokens_, offsets_;
};

Result<void> run(std::string_view text, const std::vector<std::string>& prompts) {
  PipelineParts parts;
  PLIMSOLL_ASSIGN(parts.model, BigramModel::create(text));
  parts.tokenizer = std::make_unique<Bytes>();
  PLIMSOLL_ASSIGN(TextGenerationPipeline pipeline, TextGenerationPipeline::create(std::move(parts)));
  std::vector<TextGenerationRequest> requests;
  for (const std::string& prompt : prompts) {
    TextGenerationRequest& request = requests.emplace_back();
    request.prompt = prompt;
    request.max_new_tokens = 20;
  }
  PLIMSOLL_ASSIGN(const std::vector<TextGenerationOutput> outputs, pipeline.generate(requests));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].error) return tl::unexpected(*outputs[i].error);
    std::cout << prompts[i] << outputs[i].text << " (" << status_name(outputs[i].status) << ")\n";
  }
  for (const Usage& usage : pipeline.usage())
    if (usage.peak_bytes != usage.planned_bytes) return fail(ErrorCode::kInternal, "not what was planned");
  return {};
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: example_host_model TEXT PROMPT...\n";
    return 2;
  }
  const auto done = run(argv[1], std::vector<std::string>(argv + 2, argv + argc));
  if (done) return 0;
  std::cerr << plimsoll::error_code_name(done.error().code) << ": " << done.error().message << "\n";
  return 1;
}
