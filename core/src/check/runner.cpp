#include "check/runner.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <regex>
#include <set>
#include <thread>
#include <tuple>

#include "base/regular_file.hpp"
#include "base/shell_word.hpp"
#include "check/case_program.hpp"
#include "check/cases.hpp"
#include "check/inputs.hpp"
#include "check/mutation.hpp"
#include "check/rules.hpp"
#include "plugin/trust.hpp"
#include "process/child_process.hpp"

namespace plimsoll::check {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kAtOnce = 2;
constexpr std::uint64_t kFuzzSteps = 300;
constexpr int kMostTries = 80;     // to make a configuration smaller
constexpr int kMostDeadlines = 60; // a case that goes on from input to input
constexpr std::uint64_t kMemoryBytes = 2ULL << 30U, kThreadsMemoryBytes = 8ULL << 30U;

// What a case came to.
struct Outcome {
  Finding finding;
  std::vector<bool> usable;
  std::vector<std::string> digests;
  std::string broke; // another rule that it could not do without
};

// A copy of a plugin's folder under a name that is hard to bear.
class MovedCopy {
public:
  explicit MovedCopy(const std::string& directory) {
    std::error_code failed;
    std::string name = (fs::temp_directory_path(failed) / "plimsoll_check_XXXXXX").string();
    if (failed || ::mkdtemp(name.data()) == nullptr) return;
    base_ = name;
    path_ = base_ / "a folder f\xc3\xbcr Pl\xc3\xa4ne" / fs::path(directory).filename();
    fs::create_directories(path_, failed);
    for (fs::directory_iterator it(directory, failed), end; !failed && it != end; it.increment(failed))
      if (it->is_regular_file(failed)) fs::copy_file(it->path(), path_ / it->path().filename(), failed);
  }
  ~MovedCopy() {
    std::error_code ignored;
    if (!base_.empty()) fs::remove_all(base_, ignored);
  }
  MovedCopy(const MovedCopy&) = delete;
  MovedCopy& operator=(const MovedCopy&) = delete;
  std::string path() const { return path_.string(); }

private:
  fs::path base_, path_;
};

std::optional<std::regex> pattern_of(const std::string& text) {
  try {
    return std::regex(text, std::regex::ECMAScript | std::regex::optimize);
  } catch (const std::regex_error&) {
    return std::nullopt;
  }
}

class Check {
public:
  Check(std::string directory, const CheckOptions& options, std::string program, std::string catalogue)
      : given_(directory), directory_(std::move(directory)), options_(options), program_(std::move(program)),
        catalogue_(std::move(catalogue)) {}

  Result<CheckReport> run();

private:
  Result<void> prepare();
  bool is_selected(const Rule& rule) const;
  CheckCase run_rule(const Rule& rule);
  std::optional<Finding> cannot_run(const Rule& rule);
  Outcome outcome_of(const Rule& rule);
  Outcome in_host(const Rule& rule);
  Outcome in_child(std::string_view rule, bool threads, const std::vector<Input>& inputs, std::uint64_t variant = 0);
  Outcome judge_death(std::string_view rule, const Death& death, const std::string& at, bool exits) const;
  Outcome twice(const Rule& rule);
  void make_smaller(const Rule& rule, Finding& finding);
  std::string repro_of(const Rule& rule, const Finding& finding) const;
  void must_be_known(std::string_view rule);

  std::string given_, directory_;
  const CheckOptions& options_;
  std::string program_, catalogue_, id_;
  Manifest manifest_;
  bool readable_ = false;
  std::vector<Input> inputs_;
  std::vector<StoredTensor> stored_;
  std::optional<std::regex> only_, skip_; // none: every rule of the level, and no rule
  std::optional<MovedCopy> moved_;
  std::mutex mutex_; // of what follows
  std::map<std::string, CheckCase, std::less<>> done_;
  std::map<std::string, Finding, std::less<>> broken_; // rules that another case found broken
  std::optional<Error> harness_;
};

Result<void> Check::prepare() {
  if (options_.level < 1 || options_.level > 3)
    return fail(ErrorCode::kBadRequest, fmt::format("{} is no level; give 1, 2 or 3", options_.level), "--level");
  for (const auto& [text, option, pattern] : {std::tuple(&options_.only, "--only", &only_), std::tuple(&options_.skip, "--skip", &skip_)}) {
    if (text->empty()) continue;
    *pattern = pattern_of(*text);
    if (!*pattern) return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no regular expression", *text), option);
  }
  PLIMSOLL_TRY(check_trust(Trust::kOpen, process_is_elevated()));
  PLIMSOLL_ASSIGN(const PathKind kind, path_kind(directory_));
  if (kind != PathKind::kDirectory || !fs::exists(fs::symlink_status(directory_ + "/plugin.yaml")))
    return fail(ErrorCode::kBadRequest, "is no plugin's folder: there is no plugin.yaml", given_);
  directory_ = real_path(directory_);
  if (auto manifest = read_manifest(directory_)) {
    manifest_ = std::move(*manifest);
    readable_ = true;
    id_ = manifest_.id;
    PLIMSOLL_ASSIGN(inputs_, collect_inputs(manifest_, options_.models, catalogue_));
  }
  if (!options_.headers.empty()) {
    PLIMSOLL_ASSIGN(stored_, read_stored(options_.headers));
  }
  return {};
}

bool Check::is_selected(const Rule& rule) const {
  const std::string id(rule.says.id);
  if (only_ ? !std::regex_search(id, *only_) : rule.says.level > options_.level) return false;
  return !skip_ || !std::regex_search(id, *skip_);
}

// Why a rule cannot be asked; the rules that it needs are known.
std::optional<Finding> Check::cannot_run(const Rule& rule) {
  if (!rule.in_host && !readable_) return skipped("the manifest cannot be read");
  if (!rule.in_host && manifest_.library.empty()) return skipped("it is a plugin without code");
  if (rule.needs.empty()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const CheckCase& needed = done_.find(rule.needs)->second;
  if (needed.status == CheckStatus::kPass || needed.status == CheckStatus::kWarn) return std::nullopt;
  if (needed.status == CheckStatus::kSkip) return skipped(needed.detail);
  return skipped(fmt::format("{} is broken", rule.needs));
}

Outcome Check::in_host(const Rule& rule) {
  CaseContext context;
  context.directory = directory_;
  return {find_case(rule.says.id)(context), {}, {}, {}};
}

Outcome Check::judge_death(std::string_view rule, const Death& death, const std::string& at, bool exits) const {
  const bool boxed = death.how == Death::How::kSignal && death.number == SIGSYS;
  const bool deaf = death.how == Death::How::kChannel || (death.how == Death::How::kExit && death.number == ChildSide::kChannelLost);
  const bool hung = death.how == Death::How::kDeadline || (death.how == Death::How::kSignal && death.number == SIGXCPU);
  if (exits && death.how == Death::How::kExit && death.number == kHostsStatus) return {passed(), {}, {}, {}};
  std::string detail = hung && death.how == Death::How::kSignal ? "used up the processor time of a case in " + death.what : death.words();
  if (exits) detail = fmt::format("the host ended with exit({}), and the process {}", kHostsStatus, death.words());
  if (!death.said.empty()) detail += fmt::format("; it printed: {}", death.said.substr(0, 200));
  Outcome out{{hung ? CheckStatus::kHang : CheckStatus::kCrash, std::move(detail), at}, {}, {}, {}};
  const std::string_view broke = boxed ? "BOX-01" : deaf ? "BOX-03" : "";
  if (!broke.empty() && broke != rule) out.broke = broke;
  return out;
}

Outcome Check::in_child(std::string_view rule, bool threads, const std::vector<Input>& inputs, std::uint64_t variant) {
  Json message{{"rule", rule},
               {"directory", directory_},
               {"catalogue", catalogue_},
               {"moved", rule == "LOAD-02" && moved_ ? moved_->path() : std::string()},
               {"seed", options_.seed.value_or(1)},
               {"variant", variant},
               {"steps", kFuzzSteps},
               {"inputs", Json::array()}};
  if (options_.parameters) message["parameters"] = *options_.parameters;
  if (!options_.headers.empty() && rule == "P-22") {
    message["stored"] = Json::array();
    for (const StoredTensor& tensor : stored_) message["stored"].push_back({tensor.name, tensor.dtype, tensor.dims, tensor.stored_bytes});
  }
  for (const Input& input : inputs) message["inputs"].push_back({{"name", input.name}, {"config", input.config}, {"own", input.own}});

  ChildProcess::Limits limits;
  limits.answer = options_.deadline;
  limits.memory_bytes = threads ? kThreadsMemoryBytes : kMemoryBytes;
  auto child = ChildProcess::start(program_, {std::string(kCaseRole), std::string(threads ? kWithThreads : kWithoutThreads)}, limits);
  if (!child) {
    const std::lock_guard lock(mutex_);
    if (!harness_) harness_ = child.error();
    return {skipped(child.error().message), {}, {}, {}};
  }
  std::string at;
  bool exits = false;
  const auto end = Clock::now() + options_.deadline * kMostDeadlines;
  (*child)->begin();
  (*child)->send(message.dump(-1, ' ', false, Json::error_handler_t::replace));
  for (;;) {
    const std::optional<std::string> answer = (*child)->receive();
    if (!answer) return judge_death(rule, *(*child)->death(), at, exits);
    const Json said = Json::parse(*answer, nullptr, false);
    if (!said.is_object()) {
      (*child)->give_up();
      return {failed("its process sent what is no answer", at), {}, {}, "BOX-03"};
    }
    if (said.contains("exits")) {
      exits = true;
      continue;
    }
    if (said.contains("at")) {
      at = said.value("at", std::string());
      if (Clock::now() > end) return {{CheckStatus::kHang, "went on for too long", at}, {}, {}, {}};
      (*child)->begin();
      (*child)->send("go on");
      continue;
    }
    Outcome out;
    out.finding.status = static_cast<CheckStatus>(std::clamp(said.value("status", 0), 0, static_cast<int>(CheckStatus::kSkip)));
    out.finding.detail = said.value("detail", std::string());
    out.finding.input = said.value("input", std::string());
    out.usable = said.value("usable", std::vector<bool>());
    out.digests = said.value("digests", std::vector<std::string>());
    if (out.finding.detail.find("printed ") != std::string::npos && !(*child)->output().empty())
      out.finding.detail += fmt::format(": {}", (*child)->output().substr(0, 200));
    return out;
  }
}

Outcome Check::twice(const Rule& rule) {
  Outcome first = in_child(rule.says.id, rule.threads, inputs_, 0), second = in_child(rule.says.id, rule.threads, inputs_, 1);
  if (is_failure(first.finding.status) || first.finding.status == CheckStatus::kSkip) return first;
  if (is_failure(second.finding.status)) return second;
  std::sort(first.digests.begin(), first.digests.end());
  std::sort(second.digests.begin(), second.digests.end());
  const auto [a, b] = std::mismatch(first.digests.begin(), first.digests.end(), second.digests.begin(), second.digests.end());
  if (a != first.digests.end() || b != second.digests.end())
    first.finding =
        failed(rule.says.id == "DET-02" ? "two processes get other answers" : "beside planners of other models it gets other answers",
               a == first.digests.end() ? std::string() : a->substr(0, a->rfind(": ")));
  return first;
}

// The configuration of a step, with as little in it as still shows what was found.
void Check::make_smaller(const Rule& rule, Finding& finding) {
  const std::size_t cut = finding.input.rfind('\n');
  if (cut == std::string::npos) return;
  const std::string name = finding.input.substr(0, cut);
  const std::uint64_t step = std::strtoull(finding.input.c_str() + cut + 1, nullptr, 10);
  const auto input = std::find_if(inputs_.begin(), inputs_.end(), [&](const Input& one) { return one.name == name; });
  finding.input = fmt::format("{}, step {} of seed {}", name, step, options_.seed.value_or(1));
  if (input == inputs_.end()) return;
  const auto mutation = rule.says.id == "FUZZ-01" ? with_any_value : mutated;
  Json smallest = mutation(input->config, options_.seed.value_or(1), step);
  int tries = 0;
  const auto still = [&](const Json& config) {
    return tries++ < kMostTries && is_failure(in_child("FUZZ-00", false, {Input{name, config, false}}).finding.status);
  };
  if (!still(smallest)) return;
  std::vector<std::string> keys;
  for (const auto& [key, value] : smallest.items()) keys.push_back(key);
  for (const std::string& key : keys) {
    if (key == "architectures" || key == "model_type") continue;
    Json other = smallest;
    if (input->config.contains(key) && input->config[key] != other[key]) {
      other[key] = input->config[key];
      if (still(other)) smallest = other;
    }
    other = smallest;
    other.erase(key);
    if (still(other)) smallest = std::move(other);
  }
  finding.detail += fmt::format("; with this configuration: {}", smallest.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Outcome Check::outcome_of(const Rule& rule) {
  if (auto cannot = cannot_run(rule)) return {std::move(*cannot), {}, {}, {}};
  if (rule.in_host) return in_host(rule);
  if (rule.says.id == "DET-02" || rule.says.id == "DET-06") return twice(rule);
  Outcome out = in_child(rule.says.id, rule.threads, inputs_);
  if (rule.says.id.starts_with("FUZZ-0") && is_failure(out.finding.status)) make_smaller(rule, out.finding);
  return out;
}

std::string Check::repro_of(const Rule& rule, const Finding& finding) const {
  std::string out = fmt::format("plimsoll check {} --only '^{}$'", shell_word(given_), rule.says.id);
  const auto input = std::find_if(inputs_.begin(), inputs_.end(),
                                  [&](const Input& one) { return finding.input.starts_with(one.name) && fs::exists(one.name); });
  if (rule.says.id == "P-21" && options_.parameters) out += fmt::format(" --params {}", *options_.parameters);
  if (rule.says.id == "P-22" && !options_.headers.empty()) out += " --headers " + shell_word(options_.headers);
  if (input != inputs_.end()) {
    out += " --model " + shell_word(input->name);
  } else {
    for (const std::string& model : options_.models) out += " --model " + shell_word(model);
  }
  if (options_.seed) out += fmt::format(" --seed {}", *options_.seed);
  return out;
}

CheckCase Check::run_rule(const Rule& rule) {
  const auto begin = Clock::now();
  Outcome outcome = outcome_of(rule);
  CheckCase out;
  out.rule = rule.says.id;
  out.title = rule.says.title;
  Finding& finding = outcome.finding;
  if (!outcome.broke.empty()) {
    const std::lock_guard lock(mutex_);
    broken_.emplace(outcome.broke, finding);
    finding = skipped(fmt::format("it broke {}: {}", outcome.broke, finding.detail));
  }
  out.status = finding.status;
  out.detail = finding.detail;
  out.input = finding.input;
  if (is_failure(out.status) || out.status == CheckStatus::kWarn) out.repro = repro_of(rule, finding);
  out.ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin).count());
  if (rule.says.id == "LIFE-02" && outcome.usable.size() == inputs_.size()) {
    std::vector<Input> usable;
    for (std::size_t i = 0; i < inputs_.size(); ++i)
      if (outcome.usable[i]) usable.push_back(std::move(inputs_[i]));
    inputs_ = std::move(usable);
  }
  return out;
}

// Runs a rule that others need, and what it needs itself, once.
void Check::must_be_known(std::string_view id) {
  if (id.empty() || done_.contains(id)) return;
  const Rule& rule = *find_rule(id);
  must_be_known(rule.needs);
  CheckCase one = run_rule(rule);
  done_.emplace(id, std::move(one));
}

Result<CheckReport> Check::run() {
  PLIMSOLL_TRY(prepare());
  std::vector<const Rule*> selected;
  for (const Rule& rule : rules())
    if (is_selected(rule)) selected.push_back(&rule);
  if (selected.empty()) return fail(ErrorCode::kBadRequest, "no rule is left; `plimsoll check --list` shows all", "--only");
  CheckReport report;
  report.plugin = id_.empty() ? given_ : id_;
  report.directory = directory_;
  report.level = options_.level;
  if (std::any_of(selected.begin(), selected.end(), [](const Rule* rule) { return rule->says.id == "LOAD-02"; }))
    moved_.emplace(directory_);

  // What others need is known first, in this thread; the rest runs side by side.
  for (const Rule* rule : selected) must_be_known(rule->needs);
  std::vector<const Rule*> rest;
  for (const Rule* rule : selected)
    if (!done_.contains(rule->says.id)) rest.push_back(rule);
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < rest.size(); i = next++) {
      CheckCase one = run_rule(*rest[i]);
      const std::lock_guard lock(mutex_);
      done_.emplace(one.rule, std::move(one));
    }
  };
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < kAtOnce; ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  if (harness_) return tl::unexpected(*harness_);

  for (const Input& input : inputs_) report.inputs.push_back(input.name);
  for (const Rule* rule : selected) {
    CheckCase& one = done_.find(rule->says.id)->second;
    if (const auto broken = broken_.find(one.rule); broken != broken_.end() && !is_failure(one.status)) {
      one.status = broken->second.status;
      one.detail = broken->second.detail;
      one.input = broken->second.input;
      one.repro = repro_of(*rule, broken->second);
    }
    report.cases.push_back(std::move(one));
    if (options_.done) options_.done(report.cases.back());
  }
  for (const char* id : {"MAN-01", "MAN-02", "MAN-03", "LOAD-01", "ABI-04", "ABI-03"})
    for (const CheckCase& one : report.cases)
      if (one.rule == id && is_failure(one.status)) report.loadable = false;
  return report;
}

} // namespace

Result<CheckReport> run_check(const std::string& directory, const CheckOptions& options, const std::string& program,
                              const std::string& catalogue) {
  return Check(directory, options, program, catalogue).run();
}

} // namespace plimsoll::check
