// `plimsoll watch` with a driver library of our own: its metrics, which GPU is which rank, what is refused, and its server, treated badly.
#include <arpa/inet.h>
#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <map>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <regex>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::ordered_json;

constexpr std::uint64_t kGiB = 1ULL << 30U;

Outcome watch(std::vector<std::string> arguments, const std::string& machine = "", std::vector<std::string> environment = {}) {
  Invocation one;
  one.arguments = {"watch", "--nvml", PLIMSOLL_FAKE_NVML};
  one.arguments.insert(one.arguments.end(), arguments.begin(), arguments.end());
  one.environment = std::move(environment);
  one.environment.push_back("FAKE_NVML=" + machine);
  return run(one);
}

// The plan of a small model on two cards of 80 GB, as a file.
const std::string& plan_path() {
  static const std::string kPath = [] {
    const Outcome plan = run({"plan", data_path("llama"), "--devices", "2xH100", "--format", "json"});
    return write_scratch("watched.json", plan.out);
  }();
  return kPath;
}

// Samples by name and labels; every line is one, or a comment that has its place.
std::map<std::string, std::uint64_t> samples(const std::string& text) {
  static const std::regex kSample(R"re(([a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*)\} ([0-9]+))re");
  std::map<std::string, std::uint64_t> out;
  std::string family;
  std::size_t begin = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; begin = end + 1, end = text.find('\n', begin)) {
    const std::string line = text.substr(begin, end - begin);
    std::smatch part;
    if (line.starts_with("# HELP ") || line.starts_with("# TYPE ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      continue;
    }
    if (!std::regex_match(line, part, kSample)) {
      ADD_FAILURE() << "no sample: " << line;
      continue;
    }
    EXPECT_EQ(part[1].str(), family) << line;
    EXPECT_TRUE(out.emplace(part[1].str() + "{" + part[2].str() + "}", std::stoull(part[3].str())).second) << line;
  }
  EXPECT_EQ(begin, text.size()); // the last line ends, too
  return out;
}

std::string gpu_labels(int gpu, int rank) {
  const std::string index = std::to_string(gpu);
  return "gpu=\"" + index + "\",uuid=\"GPU-" + index + "a0-ff\",name=\"NVIDIA H100 80GB HBM3\",rank=\"" + std::to_string(rank) + "\"";
}

TEST(CliWatch, PlannedAndUsedOfEveryGpu) {
  const Outcome outcome = watch({"--plan", plan_path(), "--once"}, "gpus=2 used=32212254720");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto found = samples(outcome.out);
  const Json plan = Json::parse(read_text(plan_path()));
  for (int gpu = 0; gpu < 2; ++gpu) {
    const std::string labels = gpu_labels(gpu, gpu);
    const Json& device = plan["devices"][static_cast<std::size_t>(gpu)];
    std::uint64_t sum = 0;
    for (const char* part : {"weights", "activation", "signal_buffer", "vision_cache", "overhead", "kv_cache"}) {
      const std::uint64_t bytes = device[std::string(part) + "_bytes"];
      EXPECT_EQ(found.at("plimsoll_planned_bytes{" + labels + ",category=\"" + part + "\"}"), bytes);
      sum += bytes;
    }
    const std::uint64_t used = (30 - static_cast<std::uint64_t>(gpu)) * kGiB;
    EXPECT_EQ(found.at("plimsoll_planned_sum_bytes{" + labels + "}"), sum);
    EXPECT_EQ(found.at("plimsoll_budget_bytes{" + labels + "}"), device["budget_bytes"].get<std::uint64_t>());
    EXPECT_EQ(found.at("plimsoll_memory_bytes{" + labels + "}"), 80 * kGiB);
    EXPECT_EQ(found.at("plimsoll_used_bytes{" + labels + "}"), used);
    EXPECT_EQ(found.at("plimsoll_reserved_bytes{" + labels + "}"), kGiB);
    EXPECT_EQ(found.at("plimsoll_free_bytes{" + labels + "}"), 79 * kGiB - used);
    EXPECT_EQ(found.at("plimsoll_over_bytes{" + labels + "}"), used > sum ? used - sum : 0);
    EXPECT_EQ(found.at("plimsoll_gpu_up{" + labels + "}"), 1u);
  }
  EXPECT_THAT(outcome.out, HasSubstr("plimsoll_plan_info{model=\"" + data_path("llama") + "\",engine=\"max@"));
}

TEST(CliWatch, WhatIsUsedBeyondThePlanIsOver) {
  const Outcome outcome = watch({"--plan", plan_path(), "--once"}, "used=85899345920 gpus=2");
  const auto found = samples(outcome.out);
  const std::string labels = gpu_labels(0, 0);
  EXPECT_EQ(found.at("plimsoll_over_bytes{" + labels + "}"), 80 * kGiB - found.at("plimsoll_planned_sum_bytes{" + labels + "}"));
}

TEST(CliWatch, OldDriversAreAskedInTheirWay) {
  const auto found = samples(watch({"--plan", plan_path(), "--once"}, "old used=21474836480").out);
  EXPECT_EQ(found.at("plimsoll_used_bytes{" + gpu_labels(0, 0) + "}"), 21 * kGiB);
  EXPECT_EQ(found.at("plimsoll_reserved_bytes{" + gpu_labels(0, 0) + "}"), 0u);
}

TEST(CliWatch, AGpuThatDoesNotAnswerIsDownAndHasNoFigures) {
  const Outcome outcome = watch({"--plan", plan_path(), "--once"}, "memory");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(samples(outcome.out).at("plimsoll_gpu_up{" + gpu_labels(0, 0) + "}"), 0u);
  EXPECT_THAT(outcome.out, Not(HasSubstr("plimsoll_used_bytes{")));
}

TEST(CliWatch, LabelsAreEscaped) {
  const Outcome outcome = watch({"--plan", plan_path(), "--once"}, "odd");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  samples(outcome.out);
  EXPECT_THAT(outcome.out, HasSubstr(R"(name="A \"card\"\\\n")"));
}

TEST(CliWatch, RanksAreGpusInTheOrderThatIsGiven) {
  const auto used_by_rank = [](const Outcome& outcome) {
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    std::map<std::string, std::uint64_t> out;
    for (const auto& [name, value] : samples(outcome.out))
      if (name.starts_with("plimsoll_used_bytes{") && name.find("rank=") != std::string::npos)
        out[name.substr(name.find("rank=\"") + 6, 1)] = value / kGiB;
    return out;
  };
  using Used = std::map<std::string, std::uint64_t>;
  const std::string machine = "gpus=4 used=21474836480";
  EXPECT_EQ(used_by_rank(watch({"--plan", plan_path(), "--once"}, machine)), (Used{{"0", 20}, {"1", 19}}));
  EXPECT_EQ(used_by_rank(watch({"--plan", plan_path(), "--once", "--gpus", "3,1"}, machine)), (Used{{"0", 17}, {"1", 19}}));
  EXPECT_EQ(used_by_rank(watch({"--plan", plan_path(), "--once", "--gpus", "GPU-2,MIG-7"}, machine)), (Used{{"0", 18}, {"1", 13}}));
  EXPECT_EQ(used_by_rank(watch({"--plan", plan_path(), "--once"}, machine, {"CUDA_VISIBLE_DEVICES=2,0"})), (Used{{"0", 18}, {"1", 20}}));
}

TEST(CliWatch, OfSeveralMachinesThisOnesRanks) {
  const Outcome plan = run({"plan", data_path("llama"), "--devices", "2x2xH100", "--tp", "2", "--dp", "2", "--format", "json"});
  ASSERT_EQ(plan.code, 0) << plan.out;
  const std::string path = write_scratch("nodes.json", plan.out);
  const Outcome second = watch({"--plan", path, "--once", "--first-rank", "2"});
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_THAT(second.out, HasSubstr("gpu=\"0\",uuid=\"GPU-0a0-ff\",name=\"NVIDIA H100 80GB HBM3\",rank=\"2\""));
  EXPECT_THAT(second.out, Not(HasSubstr("rank=\"0\"")));
}

TEST(CliWatch, AModelIsPlannedForTheGpusThatAreHere) {
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--devices", "auto"}, {"--devices", "2xH100"}}) {
    std::vector<std::string> arguments{data_path("llama"), "--once", "--engine", "vllm"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = watch(arguments);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_GT(samples(outcome.out).at("plimsoll_planned_bytes{" + gpu_labels(1, 1) + ",category=\"weights\"}"), 5 * kGiB);
  }
}

TEST(CliWatch, WhatIsWrongIsNamed) {
  const std::string good = read_text(plan_path());
  const auto changed = [&](const std::string& name, const std::string& what, const std::string& with) {
    std::string text = good;
    text.replace(text.find(what), what.size(), with);
    return write_scratch(name, text);
  };
  struct Row {
    std::vector<std::string> arguments;
    std::string machine, says;
  };
  const std::vector<Row> rows{
      {{"--once"}, "", "no plan; give --plan FILE"},
      {{"--plan", plan_path(), "--once"}, "gpus=0", "this machine has no GPU"},
      {{"--plan", plan_path(), "--once"}, "init", "driver does not answer: Driver Not Loaded"},
      {{"--plan", plan_path(), "--once"}, "count", "cannot be counted"},
      {{"--plan", plan_path(), "--once"}, "name", "GPU 0 does not answer"},
      {{"--plan", plan_path(), "--once"}, "gpus=1", "the plan has 2 ranks for this machine, and 1 GPUs are watched"},
      {{"--plan", plan_path(), "--once", "--first-rank", "2"}, "", "none is 2"},
      {{"--plan", plan_path(), "--once", "--gpus", "0,0"}, "", "is named twice"},
      {{"--plan", plan_path(), "--once", "--gpus", "0,9"}, "", "there is no GPU 9"},
      {{"--plan", plan_path(), "--once", "--gpus", "0,"}, "", "'' is no GPU"},
      {{"--plan", plan_path(), "--once", "--gpus", "GPU-"}, "", "2 GPUs have a UUID that begins with"},
      {{"--plan", plan_path(), "--once", "--gpus", "GPU-zzz"}, "", "here are GPU-0a0-ff, GPU-1a0-ff"},
      {{"--plan", plan_path(), "--once", "--devices", "2xH100"}, "", "leave out one of them"},
      {{"--plan", plan_path(), data_path("llama"), "--once"}, "", "leave out one of them"},
      {{"--plan", "no-such.json", "--once"}, "", "cannot be opened"},
      {{"--plan", scratch_folder(), "--once"}, "", "no JSON object"},
      {{"--plan", write_scratch("none.json", "{"), "--once"}, "", "no JSON object"},
      {{"--plan", write_scratch("deep.json", std::string(100'000, '[')), "--once"}, "", "no JSON object"},
      {{"--plan", write_scratch("other.json", "{\"schema\": \"plimsoll.fit/1\"}"), "--once"}, "", "'schema' is not plimsoll.plan/1"},
      {{"--plan", changed("error.json", "\"verdict\": \"", "\"verdict\": \"error\", \"x\": \""), "--once"}, "", "no plan"},
      {{"--plan", changed("text.json", "\"weights_bytes\": ", "\"weights_bytes\": -"), "--once"}, "", "text.json#/devices/0"},
      {{"--plan", changed("large.json", "\"activation_bytes\": ", "\"activation_bytes\": 18446744073709551615, \"y\": "), "--once"},
       "",
       "more than any memory"},
      {{"--plan", plan_path(), "--metrics", "here"}, "", "'here' is no address"},
      {{"--plan", plan_path(), "--metrics", "::1:9400"}, "", "is no address"},
      {{"--plan", plan_path(), "--metrics", ":65536"}, "", "is no address"},
      {{"--plan", plan_path(), "--metrics", "203.0.113.7:9400"}, "", "cannot be listened to"},
  };
  for (const Row& row : rows) {
    const Outcome outcome = watch(row.arguments, row.machine);
    EXPECT_EQ(outcome.code, 2) << row.says << "\n" << outcome.out << outcome.err;
    EXPECT_THAT(outcome.err, StartsWith("plimsoll: error: "));
    EXPECT_THAT(outcome.err, HasSubstr(row.says));
  }
  const Outcome without = run({"watch", "--plan", plan_path(), "--nvml", "/no/such/library.so", "--format", "json"});
  EXPECT_EQ(without.code, 2);
  EXPECT_EQ(Json::parse(without.out)["schema"], "plimsoll.watch/1");
  EXPECT_THAT(without.out, HasSubstr("cannot be loaded"));
}

// ---- the server ----------------------------------------------------------------------------------------------

class WatchServer {
public:
  WatchServer() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    std::vector<std::string> words{PLIMSOLL_PROGRAM, "watch", "--nvml", PLIMSOLL_FAKE_NVML, "--plan", plan_path(), "--metrics", ":0"};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn(&child_, PLIMSOLL_PROGRAM, &actions, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    for (char c = 0; read(ends[0], &c, 1) == 1 && c != '\n';) said_ += c;
    ::close(ends[0]);
    const std::size_t colon = said_.rfind(':', said_.find("/metrics"));
    port_ = static_cast<std::uint16_t>(std::atoi(said_.c_str() + colon + 1));
  }
  ~WatchServer() {
    if (child_ > 0) end(SIGKILL);
  }
  WatchServer(const WatchServer&) = delete;
  WatchServer& operator=(const WatchServer&) = delete;

  const std::string& said() const { return said_; }
  int connected() const {
    const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{30, 0}; // a server that hangs answers nothing
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) ADD_FAILURE() << "no server at " << said_;
    return socket;
  }
  // What it answers to these bytes, until it closes; `ends`: nothing comes behind them.
  std::string ask(const std::string& bytes, bool ends = true) const {
    const int socket = connected();
    ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (ends) ::shutdown(socket, SHUT_WR);
    std::string out;
    char chunk[4096];
    for (ssize_t got = 0; (got = ::recv(socket, chunk, sizeof chunk, 0)) > 0;) out.append(chunk, static_cast<std::size_t>(got));
    ::close(socket);
    return out;
  }
  std::string get(const std::string& path) const { return ask("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false); }
  // The exit code, or minus the signal.
  int end(int signal) {
    kill(child_, signal);
    int status = 0;
    waitpid(child_, &status, 0);
    child_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

private:
  pid_t child_ = 0;
  std::uint16_t port_ = 0;
  std::string said_;
};

TEST(CliWatchServer, AnswersUntilItIsToldToEnd) {
  for (const int signal : {SIGTERM, SIGINT}) {
    WatchServer server;
    EXPECT_THAT(server.said(), StartsWith("plimsoll: http://127.0.0.1:"));
    const std::string metrics = server.get("/metrics");
    EXPECT_THAT(metrics, StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(metrics, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8"));
    EXPECT_FALSE(samples(metrics.substr(metrics.find("\r\n\r\n") + 4)).empty());
    EXPECT_THAT(server.get("/healthz"), HasSubstr("\r\n\r\nok\n"));
    EXPECT_THAT(server.get("/no-such-page"), StartsWith("HTTP/1.1 404 "));
    EXPECT_EQ(server.end(signal), 0);
  }
}

TEST(CliWatchServer, BadClientsDoNotKeepOthersWaiting) {
  WatchServer server;
  std::vector<int> hanging;
  for (int i = 0; i < 40; ++i) {
    hanging.push_back(server.connected());
    if (i % 2 == 1) ::send(hanging.back(), "GET /met", 8, MSG_NOSIGNAL);
  }
  for (const std::string& bytes :
       {std::string("\r\n\r\n"), std::string("NONSENSE\r\n\r\n"), "GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nX: " + std::string(100'000, 'b') + "\r\n\r\n", std::string(64, '\0'),
        std::string("POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"),
        std::string("GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")})
    EXPECT_THAT(server.ask(bytes), Not(HasSubstr("root:"))) << bytes.substr(0, 40);
  EXPECT_THAT(server.get("/metrics"), StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(server.end(SIGTERM), 0);
  for (const int socket : hanging) ::close(socket);
}

} // namespace
} // namespace plimsoll::cli_test
