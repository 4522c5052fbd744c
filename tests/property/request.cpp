#include "property/request.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

namespace plimsoll::property {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kGiB = 1ULL << 30;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// What the first group of `pattern` matches, everywhere in `text`, sorted, each once.
std::set<std::string> all_matches(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  std::set<std::string> out;
  for (std::sregex_iterator it(text.begin(), text.end(), expression), end; it != end; ++it) out.insert((*it)[1].str());
  return out;
}

std::vector<fs::path> files_of(const fs::path& folder, const std::string& extension) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == extension) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

fs::path catalogue() { return PLIMSOLL_SOURCE_DIR "/core/catalogue"; }

std::vector<std::string> read_models() {
  std::vector<std::string> out;
  for (const fs::path& file : files_of(catalogue() / "models", ".json")) {
    std::string name = file.stem().string();
    name.replace(name.find("__"), 2, "/");
    out.push_back(std::move(name));
  }
  return out;
}

// Every engine four times as it is, and once for each release at which one of its rules changes.
std::vector<std::string> read_engines() {
  std::vector<std::string> out;
  for (const fs::path& file : files_of(catalogue() / "engines", ".yaml")) {
    const std::string name = file.stem().string(), text = read(file);
    out.insert(out.end(), 4, name);
    for (const std::string& release : all_matches(text, R"re((?:release_from|release_before|oldest): "?([\w.]+))re"))
      out.push_back(name + "@" + release);
  }
  return out;
}

std::vector<std::string> read_cards() {
  const auto names = all_matches(read(catalogue() / "devices.yaml"), R"re(\{"name": "([^"]+)")re");
  return {names.begin(), names.end()};
}

std::string quoted(const std::string& text) {
  const bool plain = !text.empty() &&
                     text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,=@+") == std::string::npos;
  return plain ? text : "'" + text + "'";
}

// Digits, with a point or without: what the options that take numbers are given, and no other.
bool is_number(const std::string& value) {
  return value.find_first_not_of("0123456789.") == std::string::npos && std::count(value.begin(), value.end(), '.') <= 1;
}

} // namespace

std::optional<std::string> Request::option(std::string_view name) const {
  for (const auto& [key, value] : options)
    if (key == name) return value;
  return std::nullopt;
}

Request Request::without(std::string_view name) const {
  Request out = *this;
  std::erase_if(out.options, [&](const auto& option) { return option.first == name; });
  return out;
}

Request Request::with(std::string_view name, std::string_view value) const {
  Request out = without(name);
  out.options.emplace_back(name, value);
  return out;
}

std::string Request::json() const {
  nlohmann::ordered_json out;
  out["model"] = model;
  for (const auto& [name, value] : options) {
    if (name == "set") out[name].push_back(value);
    else if (name == "frontier") out[name] = value == "true";
    else out[name] = is_number(value) ? nlohmann::ordered_json::parse(value) : nlohmann::ordered_json(value);
  }
  return out.dump();
}

std::vector<std::string> Request::arguments() const {
  std::vector<std::string> out{"plan", model};
  for (const auto& [name, value] : options) {
    std::string dashed = "--" + name;
    std::replace(dashed.begin(), dashed.end(), '_', '-');
    out.push_back(std::move(dashed));
    if (name != "frontier") out.push_back(value);
  }
  return out;
}

std::string Request::command() const {
  std::string out = "plimsoll";
  for (const std::string& argument : arguments()) out += " " + quoted(argument);
  return out;
}

const std::vector<std::uint64_t>& rule_sizes() {
  static const std::vector<std::uint64_t> sizes = [] {
    std::set<std::uint64_t> found;
    for (const fs::path& file : files_of(catalogue() / "engines", ".yaml"))
      for (const std::string& size : all_matches(read(file), R"re(card_(?:from|below): (\d+)GiB)re"))
        found.insert(std::stoull(size) * kGiB);
    return std::vector<std::uint64_t>(found.begin(), found.end());
  }();
  return sizes;
}

Generator::Generator(std::uint64_t seed) : random_(seed), models_(read_models()), engines_(read_engines()), cards_(read_cards()) {}

// From a phone's memory to more than any card has; every second with less free than it has.
std::string Generator::sized_device() {
  const std::uint64_t bytes = once_in(8)    ? (64ULL << 20) << below(20)
                              : once_in(10) ? kGiB + below(512 * kGiB)
                                            : one_of(std::vector<std::uint64_t>{8, 16, 24, 32, 40, 48, 80, 96, 141, 192, 288}) * kGiB;
  std::string out = bytes % kGiB == 0 ? std::to_string(bytes / kGiB) + "GiB" : std::to_string(bytes);
  if (once_in(2)) out += ":" + std::to_string(bytes / 100 * (10 + below(91)));
  return once_in(4) ? "gpu=" + out : out;
}

std::string Generator::device() {
  if (!once_in(3)) return sized_device();
  const std::string& card = one_of(cards_);
  return once_in(4) ? card + ":" + std::to_string((8 + below(64)) * kGiB) : card;
}

std::string Generator::devices(std::uint64_t count) {
  const auto times = [](std::uint64_t n) { return n == 1 ? std::string() : std::to_string(n) + "x"; };
  if (count == 1 || !once_in(5)) return std::to_string(count) + "x" + device();
  const std::uint64_t first = 1 + below(count - 1);
  return times(first) + device() + "," + times(count - first) + device();
}

void Generator::add_layout(Request& request) {
  const std::uint64_t count = one_of(std::vector<std::uint64_t>{1, 1, 1, 2, 2, 4, 4, 8, 8, 8, 3, 6, 16});
  request.options.emplace_back("devices", devices(count));
  std::uint64_t rest = count;
  const auto degree = [&](const char* name) {
    std::vector<std::uint64_t> divisors;
    for (std::uint64_t d = 1; d <= rest; ++d)
      if (rest % d == 0) divisors.push_back(d);
    const std::uint64_t value = one_of(divisors);
    if (value > 1) request.options.emplace_back(name, std::to_string(value));
    rest /= value;
    return value;
  };
  std::uint64_t pp = 1;
  if (once_in(5)) pp = degree("pp");
  if (once_in(4)) degree("dp");
  if (once_in(6)) {
    request.options.emplace_back("tp", std::to_string(rest));
    if (once_in(10)) request.options.back().second = std::to_string(rest + 1); // a layout that is none
  }
  if (once_in(4)) request.options.emplace_back("ep", std::to_string(once_in(2) ? count / pp : 1 + below(count)));
}

void Generator::add_engine(Request& request) {
  request.options.emplace_back("engine", one_of(engines_));
  if (once_in(12)) request.options.emplace_back("accounting", "pooled");
  if (!once_in(6)) return;
  request.options.emplace_back(
      "set", one_of(std::vector<std::string>{"engine.prefix_caching=false", "engine.prefix_caching=true", "engine.state_dtype=float32",
                                             "engine.decode_context_parallel=2", "engine.decode_context_parallel=3",
                                             "engine.decode_context_parallel=1000", "engine.kv_unified=true", "engine.swa_full=true",
                                             "engine.mla_cache=heads", "engine.mla_cache=latent+v", "engine.kv.demand_limited=false",
                                             "engine.kv.null_pages=0", "engine.kv.windows=false"}));
}

void Generator::add_limits(Request& request) {
  const auto number = [&](const char* name, std::vector<std::uint64_t> from) {
    const std::uint64_t value = one_of(from);
    request.options.emplace_back(name, std::to_string(value > 16 && once_in(3) ? value - 1 + below(3) : value));
  };
  if (once_in(6)) request.options.emplace_back("max_length", once_in(2) ? "auto" : "auto:" + std::to_string(256 << below(14)));
  else if (once_in(2)) number("max_length", {1, 16, 128, 256, 1024, 2048, 4096, 8192, 32768, 131072, 1048576, 10000000});
  if (once_in(3)) number("max_batch_size", {1, 1, 2, 8, 16, 64, 256, 1024, 8192, 100000});
  if (once_in(4)) number("max_batch_input_tokens", {1, 64, 512, 2048, 8192, 32768, 1048576});
  if (once_in(12)) number("max_batch_total_tokens", {1, 4096, 65536, 1048576});
  if (once_in(5))
    request.options.emplace_back("device_memory_utilization",
                                 one_of(std::vector<std::string>{"0.01", "0.3", "0.5", "0.8", "0.85", "0.92", "0.95", "0.99", "1"}));
  if (once_in(8)) // most of them are pages that engines have
    request.options.emplace_back("page_tokens",
                                 one_of(std::vector<std::string>{"16", "32", "64", "64", "128", "128", "256", "1", "100", "1024"}));
  if (once_in(12)) request.options.emplace_back("kv_cache_bytes", std::to_string((1 + below(1000)) << (16 + below(20))));
  if (once_in(12)) request.options.emplace_back("frontier", "true");
}

void Generator::add_types(Request& request) {
  if (once_in(4))
    request.options.emplace_back(
        "kv_dtype", one_of(std::vector<std::string>{"bfloat16", "bfloat16", "float16", "float32", "float8_e4m3fn", "float8_e4m3fn",
                                                    "float8_e4m3fn", "float8_e5m2", "q8_0", "q8_0/q4_0", "int8"}));
  if (once_in(8))
    request.options.emplace_back("dtype", one_of(std::vector<std::string>{"bfloat16", "float16", "float32", "float8_e4m3fn"}));
  if (once_in(10)) request.options.emplace_back("phase", one_of(std::vector<std::string>{"prefill", "decode", "both"}));
}

void Generator::add_rare(Request& request) {
  if (once_in(20)) request.options.emplace_back("weights_bytes", std::to_string((1 + below(1000)) << (20 + below(12))));
  if (once_in(10))
    request.options.emplace_back("vision_cache_utilization",
                                 one_of(std::vector<std::string>{"0", "0.00001", "0.01", "0.05", "0.3", "0.5", "0.9", "1"}));
  if (once_in(12)) request.options.emplace_back("num_draft_tokens", std::to_string(1 + below(4)));
  if (once_in(30)) request.options.emplace_back("draft", one_of(models_));
  if (once_in(15)) request.options.emplace_back("images_per_request", std::to_string(1 + below(20)));
  if (once_in(30)) request.options.emplace_back("nodes", std::to_string(1 + below(2)));
  if (once_in(30)) request.options.emplace_back("redundant_experts", std::to_string(1 + below(32)));
}

// Drawn apart: other requests stay as they were.
void Generator::add_placement(Request& request) {
  const std::mt19937_64 kept = random_;
  if (once_in(10)) request.options.emplace_back("host", std::to_string((1 + below(1000)) << (20 + below(12))));
  const bool deals = request.option("engine").value_or("").starts_with("llama.cpp");
  if (deals || once_in(100)) {
    const auto layers = [&] { return once_in(3) ? "auto" : std::to_string(below(70)); };
    if (once_in(3)) request.options.emplace_back("gpu_layers", layers());
    if (once_in(3)) request.options.emplace_back("n_cpu_moe", layers());
    if (once_in(5)) request.options.emplace_back("split_mode", one_of(std::vector<std::string>{"layer", "row", "none", "tensor"}));
    if (once_in(5)) request.options.emplace_back("tensor_split", one_of(std::vector<std::string>{"1", "3,1", "0,1", "0.25,0.5,0.25"}));
  }
  random_ = kept;
}

Request Generator::next() {
  Request request;
  request.model = one_of(models_);
  add_layout(request);
  add_engine(request);
  add_limits(request);
  add_types(request);
  add_rare(request);
  add_placement(request);
  return request;
}

} // namespace plimsoll::property
