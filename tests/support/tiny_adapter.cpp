#include "support/tiny_adapter.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "support/sparse_checkpoint.hpp"
#include "support/tiny_gguf_tensors.hpp"
#include "support/tiny_random.hpp"

namespace plimsoll::test {
namespace {

constexpr std::string_view kWeightSuffix = ".weight";

bool is_adapted(const TinyTensor& tensor, const std::vector<std::string>& targets) {
  if (tensor.shape.size() != 2 || !tensor.name.ends_with(kWeightSuffix) || tensor.name.find("expert") != std::string::npos) return false;
  const std::string module = tensor.name.substr(0, tensor.name.size() - kWeightSuffix.size());
  return std::any_of(targets.begin(), targets.end(), [&](const std::string& target) { return module.ends_with("." + target); });
}

TinyTensor random_matrix(std::string name, std::uint64_t rows, std::uint64_t columns, float half_width, std::uint64_t seed) {
  std::vector<float> values = draw_uniform(seed, name, rows * columns, half_width);
  return {std::move(name), {rows, columns}, std::move(values)};
}

} // namespace

TinyAdapter tiny_adapter(const TinyModel& model, const TinyAdapterOptions& options) {
  TinyAdapter out;
  const auto rank = static_cast<double>(options.rank);
  for (const TinyTensor& tensor : model.tensors) {
    if (!is_adapted(tensor, options.targets)) continue;
    const std::string module = tensor.name.substr(0, tensor.name.size() - kWeightSuffix.size());
    const std::string name = "base_model.model." + module;
    const float half_width = 1 / std::sqrt(static_cast<float>(tensor.shape[1]));
    out.tensors.push_back(random_matrix(name + ".lora_A.weight", options.rank, tensor.shape[1], half_width, options.seed));
    out.tensors.push_back(random_matrix(name + ".lora_B.weight", tensor.shape[0], options.rank, 0.5F, options.seed));
    out.modules.push_back(module);
    out.scales.push_back(options.alpha / (options.rslora ? std::sqrt(rank) : rank));
  }
  out.config = nlohmann::ordered_json{{"peft_type", "LORA"},
                                      {"task_type", "CAUSAL_LM"},
                                      {"base_model_name_or_path", "tiny"},
                                      {"r", options.rank},
                                      {"lora_alpha", options.alpha},
                                      {"lora_dropout", 0.05},
                                      {"use_rslora", options.rslora},
                                      {"use_dora", false},
                                      {"bias", "none"},
                                      {"init_lora_weights", true},
                                      {"fan_in_fan_out", false},
                                      {"modules_to_save", nullptr},
                                      {"rank_pattern", nlohmann::ordered_json::object()},
                                      {"alpha_pattern", nlohmann::ordered_json::object()},
                                      {"target_modules", options.targets}}
                   .dump(2);
  return out;
}

TinyModel merged(const TinyModel& model, const TinyAdapter& adapter) {
  TinyModel out = model;
  for (std::size_t n = 0; n < adapter.modules.size(); ++n) {
    const TinyTensor &a = adapter.tensors[2 * n], &b = adapter.tensors[2 * n + 1];
    const std::string name = adapter.modules[n] + std::string(kWeightSuffix);
    TinyTensor& w = *std::find_if(out.tensors.begin(), out.tensors.end(), [&](const TinyTensor& tensor) { return tensor.name == name; });
    const std::uint64_t rank = a.shape[0], in = a.shape[1];
    for (std::uint64_t row = 0; row < w.shape[0]; ++row)
      for (std::uint64_t column = 0; column < in; ++column) {
        double sum = 0;
        for (std::uint64_t r = 0; r < rank; ++r)
          sum += static_cast<double>(b.values[row * rank + r]) * static_cast<double>(a.values[r * in + column]);
        float& value = w.values[row * in + column];
        value = static_cast<float>(static_cast<double>(value) + adapter.scales[n] * sum);
      }
  }
  return out;
}

void write_tiny_adapter(const TinyAdapter& adapter, const std::string& folder, TinyFormat format) {
  write_text(folder + "/adapter_config.json", adapter.config);
  std::vector<SparseTensor> entries;
  std::string data;
  for (const TinyTensor& tensor : adapter.tensors) {
    entries.push_back({tensor.name, format == TinyFormat::kF32 ? "F32" : format == TinyFormat::kF16 ? "F16" : "BF16", tensor.shape});
    data += tiny_bytes(tensor.values, format);
  }
  std::uint64_t file_bytes = 0;
  write_text(folder + "/adapter_model.safetensors", safetensors_start(entries, file_bytes) + data);
}

// B goes the way of the weight that it changes: renamed, its rows in the same order. A stays, once for each tensor that B becomes.
void write_tiny_adapter_gguf(const TinyModel& model, const TinyAdapter& adapter, const std::string& path) {
  const nlohmann::json config = nlohmann::json::parse(adapter.config);
  GgufWriter file;
  file.text("general.architecture", nlohmann::json::parse(model.config).at("model_type").get<std::string>());
  file.text("general.type", "adapter").text("adapter.type", "lora").f32("adapter.lora.alpha", config.at("lora_alpha").get<float>());
  std::string data;
  const auto add = [&](const std::string& name, const TinyTensor& tensor) {
    const std::string bytes = tiny_bytes(tensor.values, TinyFormat::kF32);
    file.tensor(name, 0, {tensor.shape[1], tensor.shape[0]}, bytes.size());
    data += bytes;
    data.resize((data.size() + 31) / 32 * 32, '\0');
  };
  for (std::size_t n = 0; n < adapter.modules.size(); ++n) {
    TinyTensor b = adapter.tensors[2 * n + 1];
    b.name = adapter.modules[n] + std::string(kWeightSuffix);
    for (const TinyTensor& converted : tiny_gguf_tensors({model.config, {b}})) {
      if (!converted.name.starts_with("blk.")) continue;
      add(converted.name + ".lora_a", adapter.tensors[2 * n]);
      add(converted.name + ".lora_b", converted);
    }
  }
  write_text(path, file.start() + data);
}

} // namespace plimsoll::test
