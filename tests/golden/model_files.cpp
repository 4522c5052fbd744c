// Reads the model files of tests/data: see model_files.hpp.
#include "golden/model_files.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "plugin/planner_tree.hpp"
#include "plugin/registry.hpp"

namespace plimsoll::testing {
namespace {

const std::string kData = PLIMSOLL_TEST_DATA;

const Registry& built_plugins() {
  static const Registry registry({std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/plugins"}, Trust::kOpen, {});
  return registry;
}

// The checkpoint's type, from the configuration or its text part; bfloat16 where it does not say.
Dtype dtype_of(const Json& config) {
  for (const char* key : {"torch_dtype", "dtype"})
    for (const char* part : {"", "text_config", "llm_config"}) {
      const Json& node = *part == '\0' || !config.contains(part) ? config : config[part];
      if (!node.contains(key) || !node[key].is_string()) continue;
      if (const auto dtype = find_dtype(node[key].get<std::string>())) return *dtype;
    }
  return *find_dtype("bfloat16");
}

} // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kData + "/models"))
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

Json read_model_file(const std::string& name) {
  std::ifstream in(kData + "/models/" + name + ".json");
  Json file = Json::parse(in, nullptr, false);
  EXPECT_TRUE(file.is_object()) << name << ".json is no JSON object";
  return file.is_object() ? file : Json();
}

const std::map<std::string, Exception>& exceptions() {
  static const auto table = [] {
    std::map<std::string, Exception> rows;
    for (const auto& row : YAML::LoadFile(kData + "/exceptions.yaml"))
      rows[row.first.Scalar()] = {row.second["parameters"].as<std::int64_t>(), row.second["reason"].Scalar()};
    return rows;
  }();
  return table;
}

Result<DeclaredModel> declare_model(const Json& file) {
  const Json& config = file["config"];
  PLIMSOLL_ASSIGN(auto tree, PlannerTree::create(built_plugins(), std::make_shared<const Json>(config), "config.json"));
  const Json* second = file.contains("hf_quant_config") ? &file["hf_quant_config"] : nullptr;
  PLIMSOLL_ASSIGN(auto quantization, Quantization::parse(config, second, "config.json"));
  const auto kept = std::make_shared<std::pair<std::unique_ptr<PlannerTree>, Quantization>>(std::move(tree), std::move(quantization));
  PLIMSOLL_ASSIGN(auto declared, declare(*kept->first, kept->second, dtype_of(config)));
  return DeclaredModel{kept, std::move(declared)};
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

} // namespace plimsoll::testing
