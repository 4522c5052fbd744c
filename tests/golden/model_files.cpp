// Reads the model files of tests/data and of the catalogue: see model_files.hpp.
#include "golden/model_files.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "plugin/planner_tree.hpp"
#include "plugin/registry.hpp"

namespace plimsoll::testing {
namespace {

const std::string kData = PLIMSOLL_TEST_DATA;
const std::string kCatalogue = PLIMSOLL_SOURCE_DIR "/core/catalogue/models";

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

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

Json read_json(const std::string& path) {
  std::ifstream in(path);
  Json file = Json::parse(in, nullptr, false);
  EXPECT_TRUE(file.is_object()) << path << " is no JSON object";
  return file.is_object() ? file : Json();
}

} // namespace

std::vector<std::string> model_names() { return names_in(kData + "/models"); }
std::vector<std::string> catalogue_names() { return names_in(kCatalogue); }

// By the key in the text: every test of every model asks, each in a process of its own, and parsing takes ten times as long.
std::vector<std::string> models_that_state(std::initializer_list<const char*> facts) {
  std::vector<std::string> names = model_names();
  std::erase_if(names, [&](const std::string& name) {
    std::ifstream in(kData + "/models/" + name + ".json");
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    return std::none_of(facts.begin(), facts.end(),
                        [&](const char* fact) { return text.find('"' + std::string(fact) + "\":") != std::string::npos; });
  });
  return names;
}

Json read_model_file(const std::string& name) {
  Json file = read_json(kData + "/models/" + name + ".json");
  if (file.is_object() && !file.contains("config")) {
    const Json entry = read_json(kCatalogue + "/" + name + ".json");
    for (const char* key : {"config", "hf_quant_config"})
      if (entry.contains(key)) file[key] = entry[key];
  }
  return file;
}

Json read_catalogue_file(const std::string& name) { return read_json(kCatalogue + "/" + name + ".json"); }

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
