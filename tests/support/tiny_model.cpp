#include "support/tiny_model.hpp"

#include <bit>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <utility>

#include <nlohmann/json.hpp>

#include "support/sparse_checkpoint.hpp"
#include "support/tiny_configs.hpp"
#include "support/tiny_weights.hpp"

namespace plimsoll::test {
namespace {

const TinyConfig& find(std::string_view name) {
  for (const TinyConfig& config : tiny_configs())
    if (config.name == name) return config;
  throw std::runtime_error("no tiny model is named " + std::string(name));
}

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream out;
  out << file.rdbuf();
  if (!file) throw std::runtime_error("cannot read " + path);
  return out.str();
}

std::uint64_t number(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

const char* format_name(TinyFormat format) {
  switch (format) {
  case TinyFormat::kF32: return "F32";
  case TinyFormat::kF16: return "F16";
  case TinyFormat::kBF16: return "BF16";
  }
  return "F32";
}

std::string shard_name(std::size_t shard, std::uint32_t shards) {
  if (shards == 1) return "model.safetensors";
  char name[64];
  std::snprintf(name, sizeof name, "model-%05zu-of-%05u.safetensors", shard + 1, shards);
  return name;
}

const char* torch_name(TinyFormat format) {
  switch (format) {
  case TinyFormat::kF32: return "float32";
  case TinyFormat::kF16: return "float16";
  case TinyFormat::kBF16: return "bfloat16";
  }
  return "float32";
}

} // namespace

// Of Kimi-Linear that is what decays, and corrections are rounded.
TinyFormat stored_format(std::string_view name, TinyFormat wanted) {
  const auto has = [&](std::string_view part) { return name.find(part) != std::string_view::npos; };
  if (has(".self_attn.A_log") || has(".self_attn.dt_bias")) return TinyFormat::kF32;
  if (has("block_sparse_moe.gate.")) return wanted;
  return name.ends_with("e_score_correction_bias") || name.ends_with(".expert_bias") ? TinyFormat::kF32 : wanted;
}

std::vector<std::string> tiny_model_names() {
  std::vector<std::string> out;
  for (const TinyConfig& config : tiny_configs()) out.emplace_back(config.name);
  return out;
}

TinyModel tiny_model(std::string_view name) { return tiny_model(name, find(name).seed); }

TinyModel tiny_model(std::string_view name, std::uint64_t seed) { return tiny_model_of(std::string(find(name).json), seed); }

TinyModel tiny_model_of(std::string config, std::uint64_t seed) {
  std::vector<TinyTensor> tensors = tiny_weights(nlohmann::json::parse(config), seed);
  return {std::move(config), std::move(tensors)};
}

TinyModel read_tiny_folder(const std::string& folder) {
  TinyModel out{read_bytes(folder + "/config.json"), {}};
  const std::string bytes = read_bytes(folder + "/model.safetensors");
  const std::string_view file = bytes;
  const std::uint64_t header_bytes = number(file.substr(0, 8));
  const auto header = nlohmann::ordered_json::parse(file.substr(8, header_bytes));
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    if (entry.at("dtype") != "F32") throw std::runtime_error(folder + ": " + name + " is not F32");
    TinyTensor tensor{name, entry.at("shape"), {}};
    const std::uint64_t begin = entry.at("data_offsets")[0], end = entry.at("data_offsets")[1];
    for (std::uint64_t at = begin; at < end; at += 4)
      tensor.values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(number(file.substr(8 + header_bytes + at, 4)))));
    out.tensors.push_back(std::move(tensor));
  }
  return out;
}

void write_tiny_folder(const TinyModel& model, const std::string& folder, TinyFormat format, std::uint32_t shards) {
  auto config = nlohmann::ordered_json::parse(model.config);
  config["torch_dtype"] = torch_name(format);
  write_text(folder + "/config.json", config.dump(2) + "\n");
  std::map<std::string, std::string> weight_map;
  std::uint64_t total_bytes = 0;
  for (std::size_t shard = 0; shard < shards; ++shard) {
    std::vector<SparseTensor> entries;
    std::string data;
    for (std::size_t i = model.tensors.size() * shard / shards; i < model.tensors.size() * (shard + 1) / shards; ++i) {
      const TinyTensor& tensor = model.tensors[i];
      const TinyFormat stored = stored_format(tensor.name, format);
      entries.push_back({tensor.name, format_name(stored), tensor.shape});
      weight_map[tensor.name] = shard_name(shard, shards);
      data += tiny_bytes(tensor.values, stored);
    }
    std::uint64_t file_bytes = 0;
    write_text(folder + "/" + shard_name(shard, shards), safetensors_start(entries, file_bytes) + data);
    total_bytes += data.size();
  }
  if (shards > 1) write_text(folder + "/model.safetensors.index.json", index_text(weight_map, total_bytes));
}

} // namespace plimsoll::test
