// Plugin folders: any plugin.yaml, with a file of names beside it and a real library under every name that it gives, is a plugin
// that plans, or a refusal with a reason; and the plugins beside it still plan. An input is the manifest, and after a line of
// three dashes and a name the other file.
#include "fuzz/fuzz.hpp"
#include "fuzz/plan_rules.hpp"
#include "fuzz/seed_files.hpp"

#include <algorithm>
#include <sstream>

#include "plimsoll/host.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kNext = "\n--- models.json\n";
const char* const kConfig = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
  "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "max_position_embeddings": 256,
  "torch_dtype": "bfloat16"})";

// A folder of plugins that holds one, with the dense family's library.
class Place {
public:
  Place() {
    fs::create_directories(folder_ / "plugins/one");
    fs::copy_file(PLIMSOLL_BUILD_DIR "/lib/plimsoll/plugins/dense/libplimsoll_dense.so", folder_ / "plugins/one/libplimsoll_dense.so");
  }
  std::string fill(std::string_view input) const {
    const std::size_t end = std::min(input.find(kNext), input.size());
    test::write_text(folder_ / "plugins/one/plugin.yaml", input.substr(0, end));
    test::write_text(folder_ / "plugins/one/models.json", input.substr(std::min(end + kNext.size(), input.size())));
    return folder_ / "plugins";
  }

private:
  test::TemporaryDirectory folder_;
};

void plan_with(const Context& context) {
  const auto model = context.load_config(kConfig, "config.json");
  if (!model) return must_speak(model.error());
  PlanRequest request;
  request.devices = "2x24GiB";
  must_plan_or_speak(context.plan(*model, request));
}

// A header of one comment, then directives and what continues them, whatever the manifest says; or a refusal.
void identity_must_be_clean(const std::string& folder) {
  const auto header = plugin_identity(folder);
  if (!header) return must_speak(header.error());
  std::istringstream lines(*header);
  std::string line;
  std::getline(lines, line);
  if (!line.starts_with("/* ") || line.find("*/") != line.size() - 2) std::abort();
  bool continued = false;
  while (std::getline(lines, line)) {
    const bool in_pairs = std::count(line.begin(), line.end(), '"') % 2 == 0;
    if (!in_pairs || (!continued && !line.empty() && line.front() != '#')) std::abort();
    continued = line.ends_with('\\');
  }
}

} // namespace

std::vector<std::string> seeds() {
  const std::string dense = PLIMSOLL_SOURCE_DIR "/plugins/dense/";
  std::vector<std::string> out{read_seed(dense + "plugin.yaml") + std::string(kNext) + read_seed(dense + "models.json")};
  out.push_back("schema: plimsoll.plugin/1\nid: dense\nversion: 1.0.0\nvendor: tests\nabi: {major: 1, minor: 0, min_host_minor: 0}\n"
                "library: libplimsoll_dense.so\nfamilies:\n  - id: dense\n    aspects: [embedding, attention, ffn, head]\n"
                "    signal_buffers: never\n    architectures: [{name: LlamaForCausalLM, signal_buffers: always}, AcmeForCausalLM]\n"
                "    model_types: [llama, acme]\n    class_defaults: {llama: {head_dim: 16, rope_theta: 1.5}, acme: {}}\n");
  out.push_back(out.back() +
                "    signal_sites: 3\n    signal_bytes: 65536\n"
                "aliases: {acme_text: llama, AcmeTextForCausalLM: qwen3}\ntypes: {acme_lat5: {block: 64, bytes: 42}, acme_b3: {bytes: 3}}\n"
                "formats:\n  acme_q3:\n    bits_per_element: 3\n    block: 128\n    along: input\n    packed: uint8\n    scales:\n"
                "      - {type: float16, inputs: 128}\n      - {type: acme_lat5, outputs: all, inputs: all, name: acme_zeros}\n");
  out.push_back("schema: plimsoll.plugin/1\nid: com.acme.names\nversion: 1.0.0\nvendor: Acme\nreplaces: [dense]\n"
                "aliases: {LlamaForCausalLM: qwen3, llama: qwen3, NimbusForCausalLM: llama}\n");
  for (const char* family : {"mla", "moe", "hybrid", "vlm", "draft"}) out.push_back(read_seed(dense + "../" + family + "/plugin.yaml"));
  return out;
}

void fuzz_one(std::string_view input) {
  static const Place place;
  const std::string plugins = place.fill(input);
  if (const auto info = test::built_context().inspect_plugin(plugins + "/one"); !info) must_speak(info.error());
  else if (info->status == PluginStatus::kRefused && info->reason.empty()) std::abort();
  identity_must_be_clean(plugins + "/one");
  ContextOptions options;
  options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
  options.plugin_paths = {plugins, PLIMSOLL_BUILD_DIR "/lib/plimsoll/plugins"};
  options.isolation = Isolation::kOff; // the library is ours, and every input would start a process
  options.trust = Trust::kOpen;
  const auto context = Context::create(options);
  if (!context) return must_speak(context.error());
  plan_with(*context);
  if (plugins_to_json(context->plugins()).empty()) std::abort();
}

} // namespace plimsoll::fuzz
