// Engine profiles: any YAML is an engine that can be planned with, or an error with a message and a place. The seeds are the
// catalogue's engines.
#include "fuzz/fuzz.hpp"
#include "fuzz/plan_rules.hpp"
#include "fuzz/seed_files.hpp"

#include "plimsoll/host.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll::fuzz {
namespace {

const char* const kModels[] = {"Qwen/Qwen3-8B", "google/gemma-3-4b-it", "Qwen/Qwen3-Next-80B-A3B-Instruct",
                               "deepseek-ai/DeepSeek-V4-Flash"};

std::vector<Model> load_models() {
  std::vector<Model> out;
  for (const char* name : kModels)
    if (auto model = test::built_context().load(name); model) out.push_back(std::move(*model));
  if (out.empty()) std::abort();
  return out;
}

} // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> out;
  for (const auto& file : seed_files(PLIMSOLL_SOURCE_DIR "/core/catalogue/engines", ".yaml", 1U << 20)) out.push_back(read_seed(file));
  return out;
}

void fuzz_one(std::string_view input) {
  static const test::TemporaryDirectory folder;
  static const std::vector<Model> models = load_models();
  static std::uint64_t number = 0;
  // A context remembers profiles by the names of their files, so that each input needs one of its own.
  const std::string path = folder / ("engine" + std::to_string(number++) + ".yaml");
  test::write_text(path, input);
  PlanRequest request;
  request.engine = path;
  for (const char* devices : {"2xH100", "16GiB:12GiB", "4x24GiB"}) {
    request.devices = devices;
    request.num_draft_tokens = devices[0] == '4' ? 1 : 0;
    request.advise = devices[0] == '2'; // where little fits, a thousand plans are tried, which takes sanitizers seconds
    const auto plan = test::built_context().plan(models[number % models.size()], request);
    must_plan_or_speak(plan);
    if (!plan && plan.error().where.empty()) std::abort();
  }
  std::filesystem::remove(path);
}

} // namespace plimsoll::fuzz
