// Adapters: any adapter_config.json and any start of adapter_model.safetensors is an adapter with a place for each of its matrices, or an
// error with a message and a place.
#include <cmath>
#include <cstdlib>
#include <optional>

#include "fuzz/fuzz.hpp"
#include "plimsoll/host.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_adapter.hpp"

namespace plimsoll::fuzz {
namespace {

constexpr std::string_view kNext = "\n--\n"; // between configuration and tensors

// A model with room for adapters, and an adapter for it: the parts of the input that the input leaves out.
struct Base {
  test::TemporaryDirectory folder;
  test::TinyAdapter adapter;
  std::optional<Model> model;
  AdapterSlots slots;

  Base() {
    const test::TinyModel tiny = test::tiny_model("llama");
    test::write_tiny_folder(tiny, folder / "base");
    adapter = test::tiny_adapter(tiny, {.rank = 2, .targets = {"q_proj"}});
    test::write_tiny_adapter(adapter, folder / "adapter");
    model.emplace(test::built_context().load(folder / "base").value());
    PlanRequest request;
    request.engine = "reference";
    request.devices = "64MiB";
    request.max_loras = 1;
    request.max_lora_rank = 4;
    slots = test::built_context().program(*model, request).value().adapters;
  }
};

const Base& base() {
  static const Base made;
  return made;
}

void check_placed(const AdapterSources& sources) {
  const AdapterSlots& slots = base().slots;
  if (sources.pairs.empty() || sources.rank == 0 || sources.rank > slots.max_rank) std::abort();
  for (const AdapterPair& pair : sources.pairs) {
    if (pair.rank == 0 || pair.rank > sources.rank || !std::isfinite(pair.scale)) std::abort();
    if (pair.target >= slots.targets.size() || pair.part >= slots.targets[pair.target].parts.size()) std::abort();
  }
}

} // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> out{base().adapter.config};
  out.emplace_back(R"({"peft_type":"LORA","r":2,"lora_alpha":8,"target_modules":["q_proj"],"use_rslora":true,"bias":"none",)"
                   R"("rank_pattern":{"layers.0.self_attn.q_proj":2},"alpha_pattern":{"q_proj":3.5},"use_dora":false})");
  std::uint64_t bytes = 0;
  const std::string tensors = test::safetensors_start({{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "F32", {2, 64}},
                                                       {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", "F32", {64, 2}}},
                                                      bytes);
  out.push_back(R"({"peft_type":"LORA","r":2})" + std::string(kNext) + tensors + std::string(1024, '\0'));
  return out;
}

// A configuration beside sound tensors, or both.
void fuzz_one(std::string_view input) {
  const std::size_t next = input.find(kNext);
  const std::string at = base().folder / "adapter";
  test::write_text(at + "/adapter_config.json", input.substr(0, next));
  if (next != std::string_view::npos) test::write_text(at + "/adapter_model.safetensors", input.substr(next + kNext.size()));
  const auto found = test::built_context().adapter(*base().model, base().slots, at);
  if (found) check_placed(*found);
  else if (found.error().message.empty() || found.error().where.empty()) std::abort();
  if (next != std::string_view::npos) test::write_tiny_adapter(base().adapter, at);
}

} // namespace plimsoll::fuzz
