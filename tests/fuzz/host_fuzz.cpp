// The C API in any order: creating, planning, asking and freeing, with objects that are there, freed ones left out, NULLs and
// numbers that name nothing. An input is a list of steps, a byte and its argument each; what it hands out is freed once at the end.
#include "fuzz/fuzz.hpp"
#include "fuzz/plan_rules.hpp"

#include <array>

#include "plimsoll/host.h"

namespace plimsoll::fuzz {
namespace {

const char* const kContexts[] = {R"({"catalogue_path": ")" PLIMSOLL_SOURCE_DIR R"(/core/catalogue", "plugin_paths": [")" PLIMSOLL_BUILD_DIR
                                 R"(/lib/plimsoll/plugins"], "trust": "open"})",
                                 R"({"catalogue_path": "/nonexistent"})",
                                 R"({"trust": "never"})",
                                 R"([])",
                                 R"({"plugin_paths": [1]})",
                                 "",
                                 nullptr};

const char* const kRequests[] = {
    R"({"model": "Qwen/Qwen3-8B", "devices": "2xH100"})",
    R"({"model": "meta-llama/Llama-3.2-11B-Vision-Instruct", "devices": "1xH100", "engine": "sglang"})",
    R"({"model": "google/recurrentgemma-2b", "devices": "2x24GiB:20GiB", "engine": "vllm", "explain": true})",
    R"({"model": "Qwen/Qwen3-8B", "devices": "1x4GiB", "max_length": "auto"})",
    R"({"model": "openai/gpt-oss-20b", "devices": "24GiB:12GiB", "engine": "llama.cpp", "frontier": true})",
    R"({"config": {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}, "devices": "1x1GiB", "engine": "tensorrt-llm"})",
    R"({"model": "Qwen/Qwen3-8B", "devices": "0xH100"})",
    R"({"model": 1})",
    R"({"devices": [{"free_bytes": 85899345920}], "sizes": {"weights_bytes": 16060522240}, "max_length": 8192, "kv_cache": {"caches":
        [{"label": "main", "kind": "mha", "dtype": "bfloat16", "layers": 32, "kv_heads": 8, "head_dim": 128}]}})",
    "{",
    "",
    nullptr};

template <class T, std::size_t N>
T pick(T const (&from)[N], std::uint8_t which) {
  return from[which % N];
}

void count_lines(void* user, int level, const char* message) {
  if (message == nullptr || level < PLIMSOLL_HOST_DEBUG || level > PLIMSOLL_HOST_ERROR) std::abort();
  ++*static_cast<std::uint64_t*>(user);
}

class Host {
public:
  Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host() {
    for (plimsoll_context* context : contexts_) plimsoll_free(context);
    for (plimsoll_plan* plan : plans_) plimsoll_free(plan);
  }

  void step(std::uint8_t what, std::uint8_t argument) {
    switch (what % 10) {
    case 0: create_context(argument); break;
    case 1: create_plan(argument); break;
    case 2: plan_json(argument, plimsoll_plan_json); break;
    case 3: plan_json(argument, plimsoll_weights_json); break;
    case 4: estimate(argument); break;
    case 5: ask(argument); break;
    case 6: document(argument); break;
    case 7: drop(contexts_, argument); break;
    case 8: drop(plans_, argument); break;
    default: refuse(argument);
    }
  }

private:
  // One of the objects, or NULL.
  template <class T>
  static T* some(const std::vector<T*>& from, std::uint8_t which) {
    const std::size_t at = which % (from.size() + 1);
    return at == from.size() ? nullptr : from[at];
  }
  template <class T>
  static void drop(std::vector<T*>& from, std::uint8_t which) {
    T* object = some(from, which);
    plimsoll_free(object);
    std::erase(from, object);
  }
  // A text that was handed out: there for every code, or for a failure only, and freed.
  static void take(char* text, bool expected) {
    if ((text != nullptr) != expected || (text != nullptr && *text != '{')) std::abort();
    plimsoll_free(text);
  }

  void create_context(std::uint8_t argument) {
    if (contexts_.size() == 4) return;
    plimsoll_context* context = nullptr;
    char* error = nullptr;
    const int code = plimsoll_context_create(pick(kContexts, argument), argument % 2 == 0 ? count_lines : nullptr, &lines_, &context,
                                             argument % 3 == 0 ? nullptr : &error);
    if ((code == PLIMSOLL_HOST_OK) != (context != nullptr)) std::abort();
    take(error, code != PLIMSOLL_HOST_OK && argument % 3 != 0);
    if (context != nullptr) contexts_.push_back(context);
  }

  void create_plan(std::uint8_t argument) {
    if (plans_.size() == 4) return;
    plimsoll_plan* plan = nullptr;
    char* error = nullptr;
    const int code = plimsoll_plan_create(some(contexts_, argument / 16), pick(kRequests, argument), &plan, &error);
    if ((code == PLIMSOLL_HOST_OK) != (plan != nullptr)) std::abort();
    take(error, code != PLIMSOLL_HOST_OK);
    if (plan == nullptr) return;
    must_add_up(plan);
    plans_.push_back(plan);
  }

  void plan_json(std::uint8_t argument, int (*function)(const plimsoll_context*, const char*, char**)) const {
    char* text = nullptr;
    const int code = function(some(contexts_, argument / 16), pick(kRequests, argument), &text);
    if (code < PLIMSOLL_HOST_OK || code > PLIMSOLL_HOST_INTERNAL) std::abort();
    take(text, true);
  }

  static void estimate(std::uint8_t argument) {
    char* text = nullptr;
    plimsoll_estimate_json(pick(kRequests, argument), &text);
    take(text, true);
  }

  void ask(std::uint8_t argument) const {
    const plimsoll_plan* plan = some(plans_, argument % 4);
    const std::uint32_t number = argument / 2 % 4;
    const int which = argument / 4 - 16;
    std::int64_t bytes = 42;
    std::uint64_t value = 42;
    const bool byte_known = plimsoll_plan_rank_bytes(plan, number, which, &bytes) == PLIMSOLL_HOST_OK;
    if (!byte_known && bytes != 42) std::abort();
    if (plimsoll_plan_limit(plan, which, &value) != PLIMSOLL_HOST_OK && value != 42) std::abort();
    value = 42;
    if (plimsoll_plan_kv_group(plan, number, which, &value) != PLIMSOLL_HOST_OK && value != 42) std::abort();
    if ((plimsoll_plan_verdict(plan) < 0) != (plan == nullptr)) std::abort();
    if (byte_known && plan == nullptr) std::abort();
  }

  void document(std::uint8_t argument) const {
    const plimsoll_plan* plan = some(plans_, argument);
    char* text = nullptr;
    const int code = plimsoll_plan_document(plan, argument - 128, &text);
    if ((code == PLIMSOLL_HOST_OK) != (plan != nullptr)) std::abort();
    take(text, plan != nullptr);
  }

  // Nothing to write to is refused, and nothing happens.
  void refuse(std::uint8_t argument) const {
    const plimsoll_plan* plan = some(plans_, argument);
    const std::array<int, 8> codes{plimsoll_plan_json(some(contexts_, argument), pick(kRequests, argument), nullptr),
                                   plimsoll_weights_json(some(contexts_, argument), pick(kRequests, argument), nullptr),
                                   plimsoll_estimate_json(pick(kRequests, argument), nullptr),
                                   plimsoll_plan_create(some(contexts_, argument), pick(kRequests, argument), nullptr, nullptr),
                                   plimsoll_plan_document(plan, 0, nullptr),
                                   plimsoll_plan_rank_bytes(plan, 0, 0, nullptr),
                                   plimsoll_plan_limit(plan, 0, nullptr),
                                   plimsoll_plan_kv_group(plan, 0, 0, nullptr)};
    for (const int code : codes)
      if (code != PLIMSOLL_HOST_BAD_REQUEST) std::abort();
    plimsoll_free(nullptr);
  }

  // The getters' figures of every rank.
  static void must_add_up(const plimsoll_plan* plan) {
    const int verdict = plimsoll_plan_verdict(plan);
    const std::uint32_t ranks = plimsoll_plan_rank_count(plan);
    if (ranks == 0 || verdict < PLIMSOLL_HOST_FITS || verdict > PLIMSOLL_HOST_DOES_NOT_FIT) std::abort();
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      const auto bytes = [&](int category) {
        std::int64_t out = 0;
        if (plimsoll_plan_rank_bytes(plan, rank, category, &out) != PLIMSOLL_HOST_OK) std::abort();
        return static_cast<Sum>(out);
      };
      Sum parts = 0;
      for (int category = PLIMSOLL_HOST_WEIGHTS_BYTES; category <= PLIMSOLL_HOST_KV_CACHE_BYTES; ++category) parts += bytes(category);
      if (parts + bytes(PLIMSOLL_HOST_UNUSED_BYTES) != bytes(PLIMSOLL_HOST_BUDGET_BYTES)) std::abort();
      if (verdict != PLIMSOLL_HOST_DOES_NOT_FIT && parts > bytes(PLIMSOLL_HOST_FREE_BYTES)) std::abort();
    }
  }

  std::vector<plimsoll_context*> contexts_;
  std::vector<plimsoll_plan*> plans_;
  std::uint64_t lines_ = 0;
};

} // namespace

std::vector<std::string> seeds() {
  // A context ("P" and a byte that names the first); for each request a plan, both documents; questions; all freed.
  std::vector<std::string> out;
  for (const char request : {'$', '%', '&', '\'', '(', ')'})
    out.push_back(std::string("P\x0eQ") + request + "R" + request + "S" + request + "U@UDUHUTU`UlV@V\xffWAX@");
  out.push_back("P\x0ePAPBPCPDPEPFQ*Q+Q,Q-Q.Q/T,T-T.T/[0[1[2Y@YA");
  return out;
}

void fuzz_one(std::string_view input) {
  Host host;
  const std::string_view steps = input.substr(0, 48); // a plan takes milliseconds
  for (std::size_t at = 0; at + 1 < steps.size(); at += 2)
    host.step(static_cast<std::uint8_t>(steps[at]), static_cast<std::uint8_t>(steps[at + 1]));
}

} // namespace plimsoll::fuzz
