// `mpirun -np N plimsoll run` and `verify --run`: what N processes generate is what one generates, each within its plan; a rank with
// another plan is refused, and one that is killed ends the others, who say which. Skips where this build has no MPI.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/program.hpp"
#include "support/tiny_adapter.hpp"
#include "support/tiny_encoders.hpp"
#include "support/tiny_heads.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using MpiJson = nlohmann::ordered_json;

std::string tiny_path(const std::string& name) { return std::string(PLIMSOLL_TEST_DATA "/tiny/") + name; }

// As root and on fewer cores than ranks, without what containers forbid.
Invocation mpirun(std::vector<std::string> arguments) {
  Invocation of;
  of.program = "mpirun";
  of.arguments = {"--allow-run-as-root", "--oversubscribe", "--mca", "btl", "self,vader"};
  of.arguments.insert(of.arguments.end(), arguments.begin(), arguments.end());
  of.environment = {"OMPI_MCA_btl_vader_single_copy_mechanism=none", "OMPI_MCA_rmaps_base_oversubscribe=1", "OPENBLAS_NUM_THREADS=1",
                    "TMPDIR=" + scratch_folder()};
  return of;
}

class Mpirun : public ::testing::Test {
protected:
  void SetUp() override {
#ifndef PLIMSOLL_HAS_MPI
    GTEST_SKIP() << "this build found no MPI: libopenmpi-dev was not there";
#else
    if (kSanitized) GTEST_SKIP() << "MPI itself is not clean under sanitizers";
    if (std::system("command -v mpirun >/dev/null") != 0) GTEST_SKIP() << "there is no mpirun: install openmpi-bin"; // NOLINT
#endif
  }

  // The documents of one process with threads, and of processes.
  static MpiJson alone(std::vector<std::string> arguments) {
    const Outcome outcome = run(std::move(arguments));
    EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
    return MpiJson::parse(outcome.out, nullptr, false);
  }
  static MpiJson together(std::uint32_t processes, const std::vector<std::string>& arguments) {
    std::vector<std::string> all{"-np", std::to_string(processes), PLIMSOLL_PROGRAM};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Outcome outcome = run(mpirun(all));
    EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
    return MpiJson::parse(outcome.out, nullptr, false); // one document: rank 0 alone prints
  }
};

struct RankLayout {
  const char* model;
  std::uint32_t processes;
  std::vector<std::string> options;
};

TEST_F(Mpirun, ProcessesGenerateWhatThreadsDoWithinTheirPlans) {
  for (const RankLayout& of : {RankLayout{"kjv", 2, {"--tp", "2"}},
                               {"kjv", 2, {"--pp", "2"}},
                               {"kjv", 4, {"--tp", "2", "--pp", "2"}},
                               {"mla", 2, {"--tp", "2", "--ep", "2"}},
                               {"mla", 4, {"--tp", "4", "--ep", "4"}}}) {
    std::vector<std::string> arguments{"run",
                                       tiny_path(of.model),
                                       "--prompt-ids",
                                       "5,9,30,41",
                                       "--logprobs",
                                       "3",
                                       "--format",
                                       "json",
                                       "--devices",
                                       fmt::format("{}x64MiB", of.processes),
                                       "--max-new-tokens",
                                       "12"};
    arguments.insert(arguments.end(), of.options.begin(), of.options.end());
    SCOPED_TRACE(::testing::PrintToString(arguments));
    const MpiJson threads = alone(arguments), processes = together(of.processes, arguments);
    ASSERT_TRUE(processes.is_object());
    EXPECT_EQ(processes["outputs"], threads["outputs"]); // to the bit: sums are added in the same order
    EXPECT_EQ(processes["usage"], threads["usage"]);
    for (const MpiJson& usage : processes["usage"]) EXPECT_EQ(usage["peak_bytes"], usage["planned_bytes"]) << usage;
  }
}

// Ranks and replicas that are processes draft with the head as threads do.
TEST_F(Mpirun, HeadsThatDraftAreThoseOfThreads) {
  const std::string folder = scratch_folder() + "/headed";
  test::write_tiny_folder(test::tiny_head("head_deepseek_v3", {.knows = true, .of_layers = 0.25F}), folder);
  std::string lines;
  for (int i = 0; i < 5; ++i) lines += fmt::format("{{\"prompt_ids\": [{}, 9, 30], \"max_new_tokens\": {}}}\n", 5 + 11 * i, 6 + 3 * i);
  const std::string requests = write_scratch("headed.jsonl", lines);
  for (const RankLayout& of : {RankLayout{"", 2, {"--tp", "2"}}, {"", 4, {"--dp", "2", "--tp", "2"}}}) {
    std::vector<std::string> arguments{"run",
                                       folder,
                                       "--requests",
                                       requests,
                                       "--format",
                                       "json",
                                       "--devices",
                                       fmt::format("{}x64MiB", of.processes),
                                       "--num-draft-tokens",
                                       "3",
                                       "--max-length",
                                       "64"};
    arguments.insert(arguments.end(), of.options.begin(), of.options.end());
    SCOPED_TRACE(::testing::PrintToString(arguments));
    const MpiJson threads = alone(arguments), processes = together(of.processes, arguments);
    ASSERT_TRUE(processes.is_object());
    EXPECT_EQ(processes["outputs"], threads["outputs"]);
    EXPECT_EQ(processes["usage"], threads["usage"]);
    std::uint64_t accepted = 0;
    for (const MpiJson& output : processes["outputs"]) accepted += output["accepted_tokens"].get<std::uint64_t>();
    EXPECT_GT(accepted, 0U);
  }
}

// Replicas with requests of their own, of one rank and of several, with a draft and with an adapter.
TEST_F(Mpirun, ReplicasAndDraftsAreThoseOfThreads) {
  const std::string adapter = scratch_folder() + "/adapter";
  test::write_tiny_adapter(test::tiny_adapter(test::read_tiny_folder(tiny_path("kjv"))), adapter);
  std::string lines;
  for (int i = 0; i < 7; ++i)
    lines += fmt::format("{{\"prompt_ids\": [{}, 9, 30], \"max_new_tokens\": {}, \"logprobs\": {}}}\n", 5 + 11 * i, 4 + 3 * i, i % 3);
  const std::string requests = write_scratch("replicas.jsonl", lines);
  for (const RankLayout& of : {RankLayout{"mla", 2, {"--dp", "2", "--quiet"}},
                               {"kjv", 4, {"--dp", "2", "--tp", "2"}},
                               {"mla", 4, {"--dp", "2", "--pp", "2"}},
                               {"kjv", 2, {"--pp", "2", "--draft", tiny_path("mla"), "--num-draft-tokens", "2"}},
                               {"kjv", 4, {"--dp", "2", "--pp", "2", "--draft", tiny_path("kjv"), "--num-draft-tokens", "3"}},
                               {"mla", 2, {"--dp", "2", "--ep", "2"}},
                               {"mla", 2, {"--dp", "2", "--ep", "2", "--draft", tiny_path("kjv"), "--num-draft-tokens", "2"}},
                               {"mla", 4, {"--dp", "2", "--tp", "2", "--ep", "4"}},
                               {"mla", 4, {"--dp", "2", "--pp", "2", "--ep", "2"}},
                               {"mla", 4, {"--dp", "2", "--tp", "2", "--draft", tiny_path("mla"), "--num-draft-tokens", "2"}},
                               {"kjv", 2, {"--dp", "2", "--lora", "a=" + adapter, "--max-lora-rank", "8"}}}) {
    std::vector<std::string> arguments{
        "run", tiny_path(of.model), "--requests", requests, "--format", "json", "--devices", fmt::format("{}x64MiB", of.processes)};
    arguments.insert(arguments.end(), of.options.begin(), of.options.end());
    if (of.options[2] == "--lora") arguments.insert(arguments.end(), {"--adapter", "a"});
    SCOPED_TRACE(::testing::PrintToString(arguments));
    const MpiJson threads = alone(arguments), processes = together(of.processes, arguments);
    ASSERT_TRUE(processes.is_object());
    EXPECT_EQ(processes["outputs"], threads["outputs"]);
    EXPECT_EQ(processes["usage"], threads["usage"]);
    for (const MpiJson& usage : processes["usage"]) EXPECT_EQ(usage["peak_bytes"], usage["planned_bytes"]) << usage;
  }
}

// One request for two replicas that share experts: one of them has nothing to compute.
TEST_F(Mpirun, AReplicaWithoutRequestsDoesItsPartOfTheExperts) {
  const std::vector<std::string> arguments{
      "run",       tiny_path("mla"), "--prompt-ids", "5,9,30,41", "--max-new-tokens", "12",  "--dp", "2", "--ep", "2",
      "--devices", "2x64MiB",        "--logprobs",   "1",         "--format",         "json"};
  const MpiJson threads = alone(arguments), processes = together(2, arguments);
  ASSERT_TRUE(processes.is_object());
  EXPECT_EQ(processes["outputs"], threads["outputs"]);
  EXPECT_EQ(processes["usage"], threads["usage"]);
}

TEST_F(Mpirun, VerifiesReplicasTogether) {
  for (const RankLayout& of :
       {RankLayout{"kjv", 2, {"--dp", "2"}}, {"mla", 2, {"--dp", "2", "--ep", "2"}}, {"mla", 4, {"--dp", "2", "--tp", "2", "--ep", "4"}}}) {
    std::vector<std::string> arguments{"verify",
                                       tiny_path(of.model),
                                       "--run",
                                       "--devices",
                                       fmt::format("{}x16MiB", of.processes),
                                       "--max-length",
                                       "64",
                                       "--max-batch-size",
                                       "4",
                                       "--format",
                                       "json"};
    arguments.insert(arguments.end(), of.options.begin(), of.options.end());
    SCOPED_TRACE(::testing::PrintToString(arguments));
    const MpiJson document = together(of.processes, arguments);
    ASSERT_TRUE(document.is_object());
    EXPECT_EQ(document["verdict"], "within_plan") << document.dump(1);
    ASSERT_EQ(document["devices"].size(), of.processes);
    for (const MpiJson& device : document["devices"])
      for (const MpiJson& category : device["categories"]) {
        EXPECT_EQ(category["peak_bytes"], category["planned_bytes"]) << device["rank"] << category["category"];
      }
    std::vector<std::string> all{"-np", std::to_string(of.processes), PLIMSOLL_PROGRAM};
    all.insert(all.end(), arguments.begin(), arguments.end());
    all.insert(all.end(), {"--inject", "leak"});
    const Outcome injected = run(mpirun(all));
    EXPECT_EQ(injected.code, 1);
    EXPECT_THAT(injected.out, HasSubstr("over_plan"));
  }
}

// Each replica's processes read their part of the texts and tell the others.
TEST_F(Mpirun, ReplicasEmbedWhatThreadsDo) {
  const std::string folder = scratch_folder() + "/encoder";
  test::write_tiny_folder(test::tiny_encoder("bert"), folder);
  for (const RankLayout& of : {RankLayout{"", 2, {"--dp", "2"}}, {"", 4, {"--dp", "2", "--tp", "2"}}}) {
    std::vector<std::string> arguments{"run", folder, "--format", "json", "--devices", fmt::format("{}x64MiB", of.processes)};
    for (const char* ids : {"2,4,3", "2,4,5,6,7,3", "2,7,6,3", "2,5,3", "2,6,6,6,6,3"})
      arguments.insert(arguments.end(), {"--embed-ids", ids});
    arguments.insert(arguments.end(), of.options.begin(), of.options.end());
    SCOPED_TRACE(::testing::PrintToString(arguments));
    const MpiJson threads = alone(arguments), processes = together(of.processes, arguments);
    ASSERT_TRUE(processes.is_object());
    EXPECT_EQ(processes, threads);
  }
}

TEST_F(Mpirun, OneRankSaysTheSame) {
  std::vector<std::string> arguments{"run", tiny_path("kjv"), "--prompt", "And the LORD said unto ", "--max-new-tokens", "24", "--quiet"};
  const Outcome one = run(arguments);
  std::vector<std::string> all{"-np", "2", PLIMSOLL_PROGRAM};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const Outcome two = run(mpirun(all)); // each has half of the machine's memory, and tensor parallelism is what is usual
  EXPECT_EQ(two.code, 0) << two.err;
  EXPECT_EQ(two.out, one.out);
}

TEST_F(Mpirun, VerifiesEachRank) {
  const std::vector<std::string> arguments{"verify", tiny_path("kjv"),   "--run", "--devices", "2x16MiB", "--max-length",
                                           "64",     "--max-batch-size", "4",     "--tp",      "2",       "--max-loras",
                                           "2",      "--format",         "json"};
  const MpiJson document = together(2, arguments);
  ASSERT_TRUE(document.is_object());
  EXPECT_EQ(document["verdict"], "within_plan") << document.dump(1);
  EXPECT_EQ(document["devices"].size(), 2U);
  std::vector<std::string> all{"-np", "2", PLIMSOLL_PROGRAM};
  all.insert(all.end(), arguments.begin(), arguments.end());
  all.insert(all.end(), {"--inject", "double"});
  const Outcome injected = run(mpirun(all));
  EXPECT_EQ(injected.code, 1);
  EXPECT_THAT(injected.out, HasSubstr("over_plan"));
}

TEST_F(Mpirun, AnotherPlanIsRefused) {
  const std::vector<std::string> command{"run", tiny_path("kjv"), "--prompt", "a", "--tp", "2", "--devices"};
  std::vector<std::string> all;
  for (const char* devices : {"2x64MiB", "2x65MiB"}) {
    all.insert(all.end(), {"-np", "1", PLIMSOLL_PROGRAM});
    all.insert(all.end(), command.begin(), command.end());
    all.insert(all.end(), {devices, ":"});
  }
  all.pop_back();
  const Outcome outcome = run(mpirun(all));
  EXPECT_EQ(outcome.code, 2) << outcome.out;
  EXPECT_THAT(outcome.err, HasSubstr("rank 1 has another plan than rank 0"));
}

TEST_F(Mpirun, AsManyRanksAsProcesses) {
  const Outcome outcome = run(mpirun({"-np", "2", PLIMSOLL_PROGRAM, "run", tiny_path("kjv"), "--prompt", "a", "--devices", "64MiB"}));
  EXPECT_EQ(outcome.code, 2) << outcome.out;
  EXPECT_THAT(outcome.err, HasSubstr("the plan has 1 ranks and mpirun started 2 processes"));
}

// A rank is killed in the middle of a long run. Behind a shell that lives on mpirun does not see it, so the others end by themselves.
class KilledRank : public Mpirun {
protected:
  // Requests for a minute.
  static std::string long_run() {
    std::string requests;
    for (int i = 0; i < 20'000; ++i) requests += fmt::format("{{\"prompt_ids\": [{}, 9, 30], \"max_new_tokens\": 90}}\n", 5 + i % 200);
    return write_scratch("long.jsonl", requests);
  }
  // What rank `killed` of two runs in place of the program: it says its number to a file, and is killed in a second.
  static std::string killed_in_a_second(const std::string& command, bool behind_shell) {
    const std::string pid = scratch_folder() + "/pid";
    if (behind_shell) return fmt::format("{} & echo $! > {}; sleep 3; kill -KILL $!; sleep 30", command, pid);
    return fmt::format("(sleep 3; kill -KILL $$) >/dev/null 2>&1 & exec {}", command);
  }
  static Outcome kill_rank(std::uint32_t killed, bool behind_shell, double& seconds, const char* model = "kjv",
                           const char* layout = "--tp 2") {
    const std::string command =
        fmt::format("{} run {} --requests {} {} --devices 2x64MiB --quiet", PLIMSOLL_PROGRAM, tiny_path(model), long_run(), layout);
    std::vector<std::string> all;
    for (std::uint32_t rank = 0; rank < 2; ++rank) {
      if (rank > 0) all.emplace_back(":");
      all.insert(all.end(), {"-np", "1", "bash", "-c", rank == killed ? killed_in_a_second(command, behind_shell) : "exec " + command});
    }
    const auto begin = std::chrono::steady_clock::now();
    Outcome outcome = run(mpirun(all));
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return outcome;
  }
};

TEST_F(KilledRank, EndsTheOthersWhoSayWhich) {
  for (const std::uint32_t killed : {1U, 0U}) {
    double seconds = 0;
    const Outcome outcome = kill_rank(killed, true, seconds);
    EXPECT_EQ(outcome.code, 6) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(fmt::format("rank {} (process", killed)));
    EXPECT_THAT(outcome.err, HasSubstr("has ended before the work was done"));
    EXPECT_LT(seconds, 3 + 10);
  }
}

// Of two replicas that share experts.
TEST_F(KilledRank, EndsTheOtherReplicas) {
  double seconds = 0;
  const Outcome outcome = kill_rank(1, true, seconds, "mla", "--dp 2 --ep 2");
  EXPECT_EQ(outcome.code, 6) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("rank 1 (process"), HasSubstr("has ended before the work was done")));
  EXPECT_LT(seconds, 3 + 10);
}

// mpirun sees that one was killed and ends the others itself; they say it all the same. The exit code is mpirun's own.
TEST_F(KilledRank, SaysItWhereMpirunEndsThemToo) {
  double seconds = 0;
  const Outcome outcome = kill_rank(1, false, seconds);
  EXPECT_NE(outcome.code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("rank 1 (process"));
  EXPECT_LT(seconds, 3 + 10);
}

} // namespace
} // namespace plimsoll::cli_test
