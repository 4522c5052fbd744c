// Reads the model files of tests/data and of the catalogue: see model_files.hpp.
#include "golden/model_files.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "checkpoint/known_models.hpp"
#include "host/config_files.hpp"
#include "model/loaded_model.hpp"
#include "plugin/registry.hpp"

namespace plimsoll::testing {
namespace {

const std::string kData = PLIMSOLL_TEST_DATA;
const std::string kCatalogue = PLIMSOLL_SOURCE_DIR "/core/catalogue/models";

const Registry& built_plugins() {
  static const Registry registry({{std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/plugins"}, Trust::kOpen}, {});
  return registry;
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

Json read_named_config(const std::string& name) {
  static const Result<std::vector<OtherName>> others = read_other_names(kCatalogue);
  ConfigFiles config;
  std::string entry = name;
  for (const OtherName& other : others.value())
    if (other.name == name) {
      if (!other.is_variant()) return read_named_config(other.model);
      entry = other.model;
    }
  Json file = read_catalogue_file(entry.replace(entry.find('/'), 1, "__"));
  config.config = file.value("config", Json::object());
  if (file.contains("hf_quant_config")) config.hf_quant_config = file["hf_quant_config"];
  for (const OtherName& other : others.value())
    if (other.name == name) config.change(other.changes);
  Json out{{"config", std::move(config.config)}};
  if (config.hf_quant_config) out["hf_quant_config"] = std::move(*config.hf_quant_config);
  return out;
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
  const Json* second = file.contains("hf_quant_config") ? &file["hf_quant_config"] : nullptr;
  const std::shared_ptr<const Registry> plugins(std::shared_ptr<const void>(), &built_plugins()); // static: owned by nobody
  PLIMSOLL_ASSIGN(const std::shared_ptr<Model::Data> model, load_model(plugins, file["config"], second, "", "config.json"));
  return DeclaredModel{model, model->declared, model->load_warnings};
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

} // namespace plimsoll::testing
