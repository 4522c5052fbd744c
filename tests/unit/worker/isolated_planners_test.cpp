// Planners in a worker: they say what they say here, whatever they do to their process is an error that names plugin and call, and the next
// call finds a worker again. The plugin is the zoo's `disturber`.
#include "worker/isolated_planners.hpp"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <regex>
#include <set>
#include <thread>

#include "model/declare.hpp"
#include "plan/ledger.hpp"
#include "process/child_side.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
constexpr std::chrono::milliseconds kLong{60'000};
#else
constexpr bool kSanitized = false;
constexpr std::chrono::milliseconds kLong{20'000};
#endif

const std::string kZooFolder = PLIMSOLL_BUILD_DIR "/lib/plimsoll/zoo";

// The zoo, its plugins strangers to this process.
struct Strangers {
  explicit Strangers(std::chrono::milliseconds timeout = kLong)
      : registry({{kZooFolder}, Trust::kOpen, {}, Isolation::kStrangers, timeout},
                 [this](LogLevel, std::string_view line) { lines.emplace_back(line); }) {}
  Result<std::unique_ptr<Planners>> planners(const Json& config) {
    return make_planners(registry, std::make_shared<const Json>(config), "config.json", {});
  }
  Result<std::unique_ptr<Planners>> disturber(const std::string& fault, const std::string& call) {
    return planners({{"architectures", {"disturber"}}, {"fault", fault}, {"call", call}});
  }
  std::vector<std::string> lines;
  Registry registry;
};

struct Request {
  std::vector<std::uint64_t> bytes{1, 2};
  std::vector<std::uint32_t> stages{0, 0};
  Json values = Json::object();
  plimsoll_view engine;
  plimsoll_request raw{};
  explicit Request(std::uint64_t max_length = 1024) {
    engine.node = &values;
    raw.struct_size = whole_size();
    raw.aspects = PLIMSOLL_ASPECT_ALL;
    raw.n_ranks = 2;
    raw.tp = 2;
    raw.max_length = max_length;
    raw.max_batch_input_tokens = 3;
    raw.free_bytes = raw.used_bytes = bytes.data();
    raw.stage_of_layer = stages.data();
    raw.n_layers = stages.size();
    raw.engine = &engine;
  }
  static std::uint32_t whole_size() { return PLIMSOLL_SIZE_THROUGH(plimsoll_request, engine); }
};

// All that planners are asked once a model is loaded; the first error.
std::string first_error(const Planners& planners, const Request& request = Request()) {
  struct Taker : Collector {
    Result<void> on_weight(const PlannerNode&, const plimsoll_weight&) override { return {}; }
    Result<void> on_kv(const PlannerNode&, const plimsoll_kv_group&) override { return {}; }
    Result<void> on_entry(const PlannerNode&, const plimsoll_entry&) override { return {}; }
    Result<void> on_item(const PlannerNode&, const plimsoll_item&) override { return {}; }
  } taker;
  if (const auto result = planners.weights(taker); !result) return result.error().message;
  if (const auto result = planners.kv(taker); !result) return result.error().message;
  if (const auto result = planners.facts(); !result) return result.error().message;
  if (const auto result = planners.entries(taker); !result) return result.error().message;
  if (const auto result = planners.max_batch(request.raw); !result) return result.error().message;
  if (const auto result = planners.activations(request.raw, taker); !result) return result.error().message;
  return "";
}

std::uint64_t activations(const Planners& planners, const Request& request) {
  ItemCollector collector(2, 1);
  Ledger ledger(2);
  if (!planners.activations(request.raw, collector) || !collector.settle(ledger)) return 0;
  return ledger.sum(Category::kActivation, 1);
}

TEST(Isolated, SayWhatTheyDeclareAndPrice) {
  Strangers zoo;
  const auto planners = zoo.disturber("", "");
  ASSERT_TRUE(planners) << planners.error().message;
  EXPECT_NE(dynamic_cast<const IsolatedPlanners*>(planners->get()), nullptr);
  EXPECT_EQ((*planners)->architecture(), "disturber");
  EXPECT_EQ((*planners)->root().id(), "disturber");
  EXPECT_TRUE((*planners)->root().has_facts);
  EXPECT_FALSE((*planners)->root().has_signal_buffers);
  EXPECT_TRUE((*planners)->has_pipeline());
  EXPECT_EQ(first_error(**planners), "");
  EXPECT_EQ((*planners)->facts()->vocab_tokens, 100U);
  EXPECT_EQ((*planners)->max_batch(Request().raw).value_or(0), 4U);
  Request request;
  EXPECT_EQ(activations(**planners, request), 3072U);
  request.raw.max_batch_input_tokens = 5;
  EXPECT_EQ(activations(**planners, request), 5120U);
}

struct Fault {
  const char *fault, *call, *says;
  bool sanitizers_change_it = false;
};
void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.fault << " in " << fault.call; }

class Faults : public ::testing::TestWithParam<Fault> {};

TEST_P(Faults, NameThePluginAndTheCall) {
  const auto [fault, call, says, changed] = GetParam();
  if (std::string_view(says).find("SIGSYS") != std::string_view::npos && !ChildSide::is_filtered())
    GTEST_SKIP() << "a kernel without filters";
  const bool waits = std::string_view(says).find("answer within") != std::string_view::npos;
  Strangers zoo(waits ? std::chrono::milliseconds(kSanitized ? 4000 : 400) : kLong);
  const std::string cwd = std::filesystem::current_path().string();
  const auto planners = zoo.disturber(fault, call);
  const std::string error = planners ? first_error(**planners) : planners.error().message;
  EXPECT_THAT(error, HasSubstr("disturber"));
  if (!(changed && kSanitized)) {
    EXPECT_THAT(error, HasSubstr(says));
    EXPECT_THAT(error, HasSubstr("plugin disturber (" + kZooFolder + "/disturber)"));
  }
  if (!planners) {
    EXPECT_EQ(planners.error().code, ErrorCode::kPluginFailed);
  }
  EXPECT_EQ(std::filesystem::current_path().string(), cwd);
  // Nobody else notices.
  const auto good = zoo.disturber("", "");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(first_error(**good), "");
}

INSTANTIATE_TEST_SUITE_P(
    Table, Faults,
    ::testing::Values(Fault{"abort", "create", "died of SIGABRT in create()"}, Fault{"abort", "weights", "died of SIGABRT in weights()"},
                      Fault{"segv", "kv", "died of SIGSEGV in kv()"}, Fault{"stack", "facts", "died of SIGSEGV in facts()"},
                      Fault{"kill", "entries", "died of SIGKILL in entries()"},
                      Fault{"exit", "weights", "ended the process with exit(0) in weights()", true},
                      Fault{"_exit", "activations", "ended the process with exit(7) in activations()"},
                      Fault{"hang", "activations", "did not answer within", true}, Fault{"sleep", "create", "did not answer within", true},
                      Fault{"endless", "", "did not answer within", true},
                      Fault{"fork", "weights", "died of SIGSYS in weights(): it started"},
                      Fault{"thread", "create", "died of SIGSYS in create(): it started", true},
                      Fault{"shell", "kv", "died of SIGSYS in kv(): it started"},
                      Fault{"parent", "weights", "died of SIGSYS in weights(): it started"},
                      Fault{"socket", "max_batch", "died of SIGSYS in max_batch(): it started"},
                      Fault{"print", "facts", "printed 7 bytes in facts(), which rule R-14 forbids"},
                      Fault{"complain", "create", "printed 12 bytes in create(), which rule R-14 forbids"},
                      Fault{"flood", "activations", "bytes in activations(), which rule R-14 forbids"},
                      Fault{"chdir", "weights", "changed the working folder of the process in weights(), which rule R-14 forbids"},
                      Fault{"umask", "activations", "changed the umask of the process in activations(), which rule R-14 forbids"},
                      Fault{"close", "weights", "closed or misused the descriptors of the process in weights()"},
                      Fault{"dup", "kv", "closed or misused the descriptors of the process in kv()"},
                      Fault{"memory", "weights", "died of SIGABRT in weights()", true},
                      Fault{"forge_huge", "weights", "closed or misused the descriptors of the process"},
                      Fault{"forge_empty", "kv", "closed or misused the descriptors of the process"},
                      Fault{"forge_kind", "weights", "closed or misused the descriptors of the process"},
                      Fault{"forge_short", "weights", "closed or misused the descriptors of the process"},
                      Fault{"forge_short", "activations", "closed or misused the descriptors of the process"},
                      Fault{"forge_logs", "weights", "closed or misused the descriptors of the process"},
                      Fault{"forge_cut", "weights", "ended the process with exit(0) in weights()"}),
    [](const auto& row) { return std::string(row.param.fault) + "_in_" + (row.param.call[0] == '\0' ? "none" : row.param.call); });

TEST(Isolated, ForgedErrorsAreErrors) {
  Strangers zoo;
  const auto planners = zoo.disturber("forge_error", "weights");
  ASSERT_FALSE(planners);
  EXPECT_EQ(planners.error().code, ErrorCode::kPluginFailed);
  EXPECT_NE(planners.error().message, "");
}

// What the process would do at its end never happens.
TEST(Isolated, HandlersForTheEndOfTheProcessChangeNothing) {
  Strangers zoo;
  const auto planners = zoo.disturber("atexit", "weights");
  ASSERT_TRUE(planners) << planners.error().message;
  EXPECT_EQ(first_error(**planners), "");
}

TEST(Isolated, LogLinesAreShownUpToTheLimit) {
  Strangers zoo;
  const auto planners = zoo.disturber("log", "kv");
  ASSERT_TRUE(planners) << planners.error().message;
  EXPECT_EQ(first_error(**planners), "");
  const auto said = std::count(zoo.lines.begin(), zoo.lines.end(), "plugin disturber: a word");
  EXPECT_EQ(said, PLIMSOLL_MAX_LOG_LINES);
}

// A worker that died of one request is there again for the next.
TEST(Isolated, ComeBackAfterADeath) {
  Strangers zoo;
  const auto planners = zoo.disturber("abort", "activations");
  ASSERT_TRUE(planners) << planners.error().message;
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(first_error(**planners), "");
    EXPECT_EQ(activations(**planners, Request(77)), 3072U); // the one length for which it does nothing wrong
  }
}

TEST(Isolated, AnswerManyThreads) {
  Strangers zoo;
  const auto planners = zoo.disturber("", "");
  ASSERT_TRUE(planners) << planners.error().message;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (std::uint64_t t = 1; t <= 8; ++t)
    threads.emplace_back([&, t] {
      Request request;
      request.raw.max_batch_input_tokens = t;
      for (int i = 0; i < 50; ++i) wrong += activations(**planners, request) == 1024 * t ? 0 : 1;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Isolated, OnlyStrangersUnlessAllAre) {
  const Json llama =
      Json::parse(R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "vocab_size": 100, "intermediate_size": 128})");
  const auto isolated = [&](Isolation isolation) {
    const Registry registry({{}, Trust::kOpen, {}, isolation, kLong}, {});
    const auto planners = make_planners(registry, std::make_shared<const Json>(llama), "config.json", {});
    EXPECT_TRUE(planners) << planners.error().message;
    return planners && dynamic_cast<const IsolatedPlanners*>(planners->get()) != nullptr;
  };
  EXPECT_FALSE(isolated(Isolation::kOff));
  EXPECT_FALSE(isolated(Isolation::kStrangers));
  EXPECT_TRUE(isolated(Isolation::kAll));
}

// What a planner in a worker may look at of a checkpoint is what one here may.
TEST(Isolated, SeeTheStoredTensors) {
  Strangers zoo;
  const Json config = {{"architectures", {"planner"}}, {"fault", "tensor"}, {"tensor", "b.weight"}};
  const auto planners = make_planners(zoo.registry, std::make_shared<const Json>(config), "config.json", [] {
    return std::vector<StoredTensor>{{"b.weight", "bfloat16", {2, 3}, 12}, {"a.weight", "float32", {}, 4}};
  });
  ASSERT_FALSE(planners); // it tells what it saw by failing
  EXPECT_THAT(planners.error().message, HasSubstr("bfloat16 2x3 12 of 2"));
}

// Everything that the zoo's planner does wrong is said of it in the same words, wherever it runs.
TEST(Isolated, PassTheSameGate) {
  std::ifstream source(PLIMSOLL_SOURCE_DIR "/tests/zoo/planner.c");
  std::set<std::string> faults{""};
  const std::regex named(R"re((?:is\(self, |strcmp\(self->fault, )"([a-z_0-9]+)"\))re");
  for (std::string line; std::getline(source, line);)
    for (std::sregex_iterator it(line.begin(), line.end(), named), end; it != end; ++it) faults.insert((*it)[1]);
  ASSERT_GT(faults.size(), 80U);
  Strangers zoo;
  const Registry here({{kZooFolder}, Trust::kOpen}, {});
  std::size_t n = 0, refused = 0;
  for (const std::string& fault : faults) {
    if (fault.starts_with("keeps_") || (kSanitized && n++ % 8 != 0)) continue; // what one call keeps for another shows in the other
    const auto said = [&](const Registry& registry) {
      const Json config = {{"architectures", {"planner"}},
                           {"fault", fault},
                           {"tensor", "x"},
                           {"as", "planner"},
                           {"part", {{"architectures", {"planner"}}, {"model_type", "planner"}, {"answer", 1}, {"n", -3}}}};
      const auto planners = make_planners(registry, std::make_shared<const Json>(config), "config.json", {});
      if (!planners) return planners.error().message + planners.error().where;
      const auto declared = declare(**planners, Quantization(), *find_dtype("bfloat16"));
      if (!declared) return declared.error().message + declared.error().where;
      std::string out;
      for (const WeightClass& c : declared->weights) out += c.label + c.pattern + std::to_string(c.declared_bytes().saturated());
      for (const KvGroup& g : declared->kv) out += g.label + std::to_string(g.kv_heads * (g.k_elements + g.v_elements) * g.layers.size());
      for (const MediaEntry& e : declared->entries) out += e.label + std::to_string(e.rows * e.row_elements);
      Request request;
      request.raw.max_batch_size = 3;
      ItemCollector collector(2, 3);
      for (const auto call : {&Planners::activations, &Planners::signal_buffers})
        if (call == &Planners::activations || (*planners)->root().has_signal_buffers)
          if (const auto priced = ((**planners).*call)(request.raw, collector); !priced) return out + priced.error().message;
      Ledger ledger(2);
      if (const auto settled = collector.settle(ledger); !settled) return out + settled.error().message;
      for (const Item& item : ledger.items()) out += item.label + item.formula + std::to_string(item.bytes[1]);
      return out;
    };
    const std::string mine = said(here);
    EXPECT_EQ(said(zoo.registry), mine) << "fault '" << fault << "'";
    if (mine.find("planner '") != std::string::npos) ++refused;
  }
  EXPECT_GT(refused, kSanitized ? 6U : 60U);
}

TEST(OpeningAPlugin, HappensInAWorkerWhereItIsAStranger) {
  Strangers zoo;
  Plugin* const good = zoo.registry.plugin_in(std::filesystem::canonical(kZooFolder + "/disturber").string());
  ASSERT_NE(good, nullptr);
  EXPECT_TRUE(open_plugin(zoo.registry, *good));
  EXPECT_TRUE(good->descriptor.has_value() && *good->descriptor == nullptr) << "it was opened here";
  Plugin* const bad = zoo.registry.plugin_in(std::filesystem::canonical(kZooFolder + "/init_fails").string());
  ASSERT_NE(bad, nullptr);
  const Result<void> opened = open_plugin(zoo.registry, *bad);
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message, HasSubstr("init failed"));
}

} // namespace
} // namespace plimsoll::testing
