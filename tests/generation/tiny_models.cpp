#include "generation/tiny_models.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "support/tiny_adapter.hpp"
#include "support/tiny_gguf.hpp"
#include "support/tiny_model.hpp"

namespace plimsoll::testing {
namespace {

namespace fs = std::filesystem;

const nlohmann::json& goldens() {
  static const nlohmann::json all = nlohmann::json::parse(std::ifstream(PLIMSOLL_TEST_DATA "/tiny/goldens.json"));
  return all;
}

// A folder of this process's own.
const fs::path& scratch() {
  struct Folder {
    fs::path path;
    Folder() {
      std::string name = (fs::temp_directory_path() / "plimsoll-tiny-XXXXXX").string();
      if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
      path = name;
    }
    ~Folder() {
      std::error_code failed;
      fs::remove_all(path, failed);
    }
  };
  static const Folder folder;
  return folder.path;
}

bool is_stored(const std::string& model) { return fs::is_directory(fs::path(PLIMSOLL_TEST_DATA "/tiny") / model); }

test::TinyModel weights_of(const std::string& model) {
  return is_stored(model) ? test::read_tiny_folder(PLIMSOLL_TEST_DATA "/tiny/" + model) : test::tiny_model(model);
}

} // namespace

std::vector<GoldenCase> golden_cases(const std::string& model, bool adapters) {
  std::vector<GoldenCase> out;
  for (const auto& c : goldens()["cases"]) {
    if (c["model"] != model || c.contains("adapter") != adapters) continue;
    GoldenCase& golden = out.emplace_back();
    golden.model = model;
    golden.max_length = c["max_length"];
    golden.adapter = c.value("adapter", std::uint64_t{0});
    golden.tolerance = c["tolerance"];
    golden.prompt = c["prompt"].get<std::vector<Token>>();
    golden.tokens = c["tokens"].get<std::vector<Token>>();
    for (const auto& row : c["top"])
      golden.top.push_back({row["step"], row["tokens"].get<std::vector<Token>>(), row["logprobs"].get<std::vector<double>>()});
  }
  return out;
}

std::vector<std::string> golden_models() {
  std::vector<std::string> out;
  for (const auto& c : goldens()["cases"])
    if (out.empty() || out.back() != c["model"]) out.push_back(c["model"]);
  return out;
}

std::string folder_of(const std::string& model) {
  if (is_stored(model)) return PLIMSOLL_TEST_DATA "/tiny/" + model;
  const fs::path folder = scratch() / model;
  if (!fs::exists(folder)) test::write_tiny_folder(test::tiny_model(model), folder.string());
  return folder.string();
}

bool has_gguf(const std::string& model) { return is_stored(model) || goldens()["models"][model].contains("gguf"); }

std::string gguf_of(const std::string& model) {
  const fs::path file = scratch() / (model + ".gguf");
  if (!fs::exists(file)) test::write_tiny_gguf(weights_of(model), file.string(), test::TinyFormat::kF32);
  return file.string();
}

std::string adapter_of(const std::string& model, std::uint64_t seed) {
  const fs::path folder = scratch() / (model + "-adapter-" + std::to_string(seed));
  if (!fs::exists(folder)) test::write_tiny_adapter(test::tiny_adapter(weights_of(model), {.seed = seed}), folder.string());
  return folder.string();
}

void write_mixtral(std::uint32_t experts, const std::string& folder) {
  nlohmann::json config = nlohmann::json::parse(test::tiny_model("mixtral").config);
  config["num_local_experts"] = experts;
  test::write_tiny_folder(test::tiny_model_of(config.dump(), 5), folder);
}

const Context& context() {
  static const Context made = Context::create({}).value();
  return made;
}

PlanRequest request_of(std::uint64_t max_length) {
  PlanRequest request;
  request.engine = "reference";
  request.devices = "256MiB";
  request.max_length = max_length;
  return request;
}

Result<TextGenerationPipeline> pipeline_of(const std::string& path, const PlanRequest& request, const PipelineOptions& options) {
  PLIMSOLL_ASSIGN(const Model model, context().load(path));
  PipelineOptions by_ids = options;
  by_ids.load_tokenizer = false;
  return TextGenerationPipeline::create(context(), model, request, by_ids);
}

TextGenerationRequest greedy(const GoldenCase& golden) {
  TextGenerationRequest request;
  request.prompt_tokens = golden.prompt;
  request.max_new_tokens = golden.tokens.size();
  request.ignore_end = true;
  request.log_probabilities = 5;
  return request;
}

} // namespace plimsoll::testing
