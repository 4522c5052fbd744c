// The model catalogue: every entry is named after its file, says nothing that no planner reads, loads by name through the
// public interface and gets a plan whose parts add up to the budget. Every family has entries.
#include <gmock/gmock.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <set>

#include "base/words.hpp"
#include "golden/model_files.hpp"
#include "plimsoll/host.hpp"

namespace plimsoll::testing {
namespace {

// Without lists, which grow with the model: exclusions, layer kinds, blocks.
constexpr std::size_t kMaxEntryBytes = 4096;

const Context& shipped() {
  static const Context context = [] {
    setenv("HF_HUB_CACHE", "/nonexistent", 1); // what a machine has downloaded must not answer for the catalogue
    ContextOptions options;
    options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
    options.plugin_paths = {PLIMSOLL_BUILD_DIR "/lib/plimsoll/plugins"};
    options.trust = Trust::kOpen;
    return Context::create(options).value();
  }();
  return context;
}

// The rows of model_names.json.
const Json& other_names() {
  static const Json names = read_catalogue_file("../model_names");
  return names["names"];
}

std::string model_name(std::string file) {
  const std::size_t at = file.find("__");
  return at == std::string::npos ? file : file.replace(at, 2, "/");
}

// Calls `seen` with every key below `node`, but for names of tensors.
template <class Seen>
void each_key(const Json& node, const Seen& seen) {
  if (!node.is_structured()) return;
  for (const auto& [key, value] : node.items()) {
    if (node.is_object()) seen(key);
    each_key(value, seen);
  }
}

std::size_t bytes_without_lists(Json node) {
  const std::function<void(Json&)> empty = [&](Json& part) {
    for (auto& [key, value] : part.items())
      if (value.is_array() || key == "quantized_layers") value = Json::array();
      else if (value.is_object()) empty(value);
  };
  empty(node);
  return node.dump().size();
}

class Entry : public ::testing::TestWithParam<std::string> {};

TEST_P(Entry, HoldsOnlyWhatPlannersRead) {
  const Json entry = read_catalogue_file(GetParam());
  EXPECT_EQ(entry.value("schema", ""), "plimsoll.model/1");
  EXPECT_EQ(entry.value("name", ""), model_name(GetParam()));
  EXPECT_NE(entry.value("evidence", ""), "");
  static const std::set<std::string> known{"schema", "name", "evidence", "config", "hf_quant_config"};
  for (const auto& [key, value] : entry.items()) EXPECT_TRUE(known.contains(key)) << key;
  EXPECT_LE(bytes_without_lists(entry), kMaxEntryBytes);
  each_key(entry, [](const std::string& key) {
    for (const char* junk : {"rope_theta", "rope_scaling", "rope_parameters", "dropout", "token_id", "initializer", "transformers",
                             "auto_map", "task_", "use_cache", "_eps", "epsilon"})
      EXPECT_EQ(key.find(junk), std::string::npos) << key;
  });
  const auto& config = entry["config"];
  EXPECT_TRUE(config.contains("architectures") || config.contains("model_type"));
}

// The fewest cards on which it fits.
Result<Plan> plan_on_enough_cards(const Model& model) {
  PlanRequest request;
  request.accounting = Accounting::kPerDevice;
  for (const char* devices : {"1xB200", "2xB200", "4xB200", "8xB200"}) {
    request.devices = devices;
    const auto plan = shipped().plan(model, request);
    if (!plan || plan->verdict == Verdict::kFits || plan->verdict == Verdict::kTight) return plan;
  }
  request.devices = "16xB200";
  return shipped().plan(model, request);
}

TEST_P(Entry, LoadsByNameAndPlans) {
  const auto model = shipped().load(model_name(GetParam()));
  ASSERT_TRUE(model) << model.error().where << ": " << model.error().message;
  EXPECT_GT(model->info().parameters, 0U);
  const auto plan = plan_on_enough_cards(*model);
  ASSERT_TRUE(plan) << plan.error().where << ": " << plan.error().message;
  EXPECT_EQ(plan->verdict, Verdict::kFits) << (plan->error ? plan->error->message : "");
  EXPECT_GT(plan->limits.max_length, 0U);
  EXPECT_GT(plan->kv_cache.capacity_requests, 0.9); // the default length is cut to what one request can have
  ASSERT_FALSE(plan->devices.empty());
  for (const DevicePlan& d : plan->devices) {
    const std::uint64_t parts = d.weights_bytes + d.activation_bytes + d.signal_buffer_bytes + d.workspace_bytes + d.vision_cache_bytes +
                                d.overhead_bytes + d.kv_cache_bytes;
    EXPECT_GT(d.weights_bytes, 0U);
    EXPECT_EQ(static_cast<std::int64_t>(parts) + d.unused_bytes, static_cast<std::int64_t>(d.budget_bytes)) << "rank " << d.rank;
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogue, Entry, ::testing::ValuesIn(catalogue_names()), test_name);

TEST(Catalogue, ListsEveryEntryOfEveryFamily) {
  const auto models = shipped().models("");
  ASSERT_TRUE(models) << models.error().where << ": " << models.error().message;
  EXPECT_EQ(models->size(), catalogue_names().size() + other_names().size());
  EXPECT_GE(models->size(), 600U);
  EXPECT_EQ(read_catalogue_file("../model_names").value("schema", ""), "plimsoll.model_names/1");
  std::set<std::string> families;
  for (const CatalogueModel& model : *models) {
    families.insert(model.family);
    EXPECT_GT(model.parameters, 0U) << model.name;
    EXPECT_GT(model.weights_bytes, 0U) << model.name;
    if (model.family != "hybrid" && !model.family.starts_with("encoder")) { // of the former some keep nothing but state
      EXPECT_GT(model.kv_bytes_per_token, 0U) << model.name;
    }
  }
  for (const char* family : {"dense", "mla", "moe", "vlm", "hybrid", "draft", "encoder", "encoder_pair", "pooling"})
    EXPECT_TRUE(families.contains(family)) << family;
}

// Rows of model_names.json, a part of them each, as one process for every row would take longer than the rows.
constexpr int kParts = 8;
class OtherNames : public ::testing::TestWithParam<int> {};

// Another name is of a model that has an entry or of a variant, and then it is called so; a variant keeps its name. Without regard to case,
// and without the organisation where no other has a model of that name.
TEST_P(OtherNames, AreFoundAndPlan) {
  std::map<std::string, std::set<std::string>> meant; // by what stands behind the slash
  for (const std::string& file : catalogue_names()) meant[lower_case(file.substr(file.find("__") + 2))].insert(model_name(file));
  std::map<std::string, std::string> called;
  for (const Json& row : other_names()) {
    const std::string name = row.value("name", "");
    called[name] = row.contains("quantization") || row.contains("config") ? name : row.value("model", "");
    meant[lower_case(name.substr(name.find('/') + 1))].insert(called[name]);
  }
  for (std::size_t i = static_cast<std::size_t>(GetParam()); i < other_names().size(); i += kParts) {
    const Json& row = other_names()[i];
    const std::string name = row.value("name", "");
    SCOPED_TRACE(name);
    EXPECT_NE(row.value("source", ""), "");
    const auto found = shipped().load(lower_case(name));
    ASSERT_TRUE(found) << found.error().where << ": " << found.error().message;
    EXPECT_EQ(found->info().path, called[name]);
    const std::string alone = name.substr(name.find('/') + 1);
    if (meant[lower_case(alone)].size() == 1) {
      const auto short_name = shipped().load(alone);
      ASSERT_TRUE(short_name) << short_name.error().message;
      EXPECT_EQ(short_name->info().path, called[name]);
    }
    if (called[name] != name) continue; // its model has a test of its own
    const auto plan = plan_on_enough_cards(*found);
    ASSERT_TRUE(plan) << plan.error().where << ": " << plan.error().message;
    EXPECT_EQ(plan->verdict, Verdict::kFits) << (plan->error ? plan->error->message : "");
    for (const Warning& warning : plan->warnings)
      EXPECT_TRUE(warning.code != WarningCode::kQuantizationAssumed || row.contains("assumed")) << warning.message;
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogue, OtherNames, ::testing::Range(0, kParts));

TEST(Catalogue, SaysWhatIsNearAName) {
  const auto near = shipped().load("qwen3-8b-fp9");
  ASSERT_FALSE(near);
  EXPECT_THAT(near.error().message, ::testing::HasSubstr("did you mean Qwen/Qwen3-8B-FP8"));
  const auto several = shipped().load("qwen3-8b-nvfp4");
  ASSERT_FALSE(several);
  EXPECT_THAT(several.error().message, ::testing::HasSubstr("it may be RedHatAI/Qwen3-8B-NVFP4 or nvidia/Qwen3-8B-NVFP4"));
}

TEST(Catalogue, AnswersForNamesThatPeopleType) {
  for (const char* name :
       {"deepseek-ai/DeepSeek-V3", "openai/gpt-oss-120b", "Qwen/Qwen3-235B-A22B", "mistralai/Mixtral-8x7B-v0.1", "google/gemma-3-27b-it"})
    EXPECT_TRUE(shipped().load(name)) << name;
  PlanRequest request;
  request.devices = "8xH200";
  request.ep = 8;
  const auto plan = shipped().plan(shipped().load("deepseek-ai/DeepSeek-V3").value(), request);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->devices.size(), 8U);
  EXPECT_EQ(plan->verdict, Verdict::kFits);
}

} // namespace
} // namespace plimsoll::testing
