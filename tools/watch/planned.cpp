// See planned.hpp.
#include "planned.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "plimsoll/device_figures.hpp"

namespace plimsoll::watch {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostRanks = 65'536;

tl::unexpected<Error> no_plan(const std::string& what, const std::string& where) {
  return fail(ErrorCode::kBadRequest, fmt::format("{}; a document of `plimsoll plan --format json` was expected", what), where);
}

Result<std::uint64_t> number_in(const Json& object, std::string_view key, const std::string& where) {
  const auto it = object.find(std::string(key));
  if (it == object.end() || !it->is_number_unsigned()) return no_plan(fmt::format("'{}' is no number of bytes", key), where);
  return it->get<std::uint64_t>();
}

std::string text_in(const Json& object, const char* key) {
  if (!object.is_object()) return {};
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

std::string_view without_unit(std::string_view key) { return key.substr(0, key.size() - std::string_view("_bytes").size()); }

Result<PlannedRank> read_rank(const Json& device, const std::string& where) {
  PlannedRank out;
  PLIMSOLL_ASSIGN(const std::uint64_t rank, number_in(device, "rank", where));
  if (rank >= kMostRanks) return no_plan(fmt::format("rank {} is none", rank), where);
  out.rank = static_cast<std::uint32_t>(rank);
  out.device = text_in(device, "name");
  PLIMSOLL_ASSIGN(out.budget_bytes, number_in(device, "budget_bytes", where));
  for (const DeviceFigure& figure : kDeviceFigures) {
    if (!figure.category || (figure.category == Category::kWorkspace && !device.contains(std::string(figure.key)))) continue;
    PLIMSOLL_ASSIGN(const std::uint64_t bytes, number_in(device, figure.key, where));
    out.parts.emplace_back(without_unit(figure.key), bytes);
    if (__builtin_add_overflow(out.sum_bytes, bytes, &out.sum_bytes)) return no_plan("the parts are more than any memory", where);
  }
  return out;
}

} // namespace

Result<Planned> read_planned(const std::string& json, const std::string& where) {
  const Json document = Json::parse(json, nullptr, false);
  if (document.is_discarded() || !document.is_object()) return no_plan("this is no JSON object", where);
  if (text_in(document, "schema") != "plimsoll.plan/1") return no_plan("'schema' is not plimsoll.plan/1", where);
  Planned out;
  out.verdict = text_in(document, "verdict");
  const auto devices = document.find("devices");
  if (out.verdict == "error" || devices == document.end() || !devices->is_array())
    return no_plan("this is the document of an error, and no plan", where);
  if (const auto model = document.find("model"); model != document.end()) out.model = text_in(*model, "path");
  if (const auto engine = document.find("engine"); engine != document.end()) {
    out.engine = text_in(*engine, "name");
    if (const std::string version = text_in(*engine, "version"); !version.empty()) out.engine += "@" + version;
  }
  if (const auto request = document.find("request"); request != document.end() && request->is_object() && request->contains("nodes")) {
    PLIMSOLL_ASSIGN(out.nodes, number_in(*request, "nodes", where + "#/request/nodes"));
  }
  if (devices->size() > kMostRanks) return no_plan(fmt::format("{} devices are more than any plan has", devices->size()), where);
  for (std::size_t i = 0; i < devices->size(); ++i) {
    const Json& device = (*devices)[i];
    const std::string place = fmt::format("{}#/devices/{}", where, i);
    if (!device.is_object()) return no_plan("a device is no object", place);
    if (device.contains("rank") && device["rank"].is_null()) continue; // the host
    PLIMSOLL_ASSIGN(PlannedRank rank, read_rank(device, place));
    out.ranks.push_back(std::move(rank));
  }
  if (out.ranks.empty()) return no_plan("there is no device", where);
  std::sort(out.ranks.begin(), out.ranks.end(), [](const auto& a, const auto& b) { return a.rank < b.rank; });
  return out;
}

Result<std::vector<Gpu>> chosen_gpus(const Nvml& nvml, const std::vector<Gpu>& all, std::string_view list, const std::string& where) {
  if (list.empty()) return all;
  std::vector<Gpu> out;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t comma = std::min(list.find(',', begin), list.size());
    const std::string_view word = list.substr(begin, comma - begin);
    begin = comma + 1;
    unsigned index = 0;
    const auto [end, wrong] = std::from_chars(word.data(), word.data() + word.size(), index);
    if (!word.empty() && wrong == std::errc() && end == word.data() + word.size()) {
      if (index >= all.size())
        return fail(ErrorCode::kBadRequest, fmt::format("there is no GPU {}; this machine has {}, counted from 0", index, all.size()),
                    where);
      out.push_back(all[index]);
    } else if (word.starts_with("GPU-") || word.starts_with("MIG-")) {
      auto gpu = nvml.by_uuid(std::string(word), all);
      if (!gpu) return fail(ErrorCode::kBadRequest, gpu.error().message, where);
      out.push_back(std::move(*gpu));
    } else {
      return fail(ErrorCode::kBadRequest,
                  fmt::format("'{}' is no GPU; give indices and UUIDs with commas between them", word.substr(0, 60)), where);
    }
    const Gpu& added = out.back();
    if (std::count_if(out.begin(), out.end(), [&](const Gpu& gpu) { return gpu.uuid == added.uuid; }) > 1)
      return fail(ErrorCode::kBadRequest, fmt::format("GPU {} is named twice", added.uuid), where);
  }
  return out;
}

Result<std::vector<Watched>> matched(const std::vector<Gpu>& gpus, const Planned& planned, std::uint32_t first_rank) {
  const std::size_t ranks = planned.ranks.size();
  if (first_rank >= ranks)
    return fail(ErrorCode::kBadRequest, fmt::format("the plan has ranks 0 to {}, and none is {}", ranks - 1, first_rank), "--first-rank");
  const std::size_t here =
      std::min<std::size_t>(ranks - first_rank, planned.nodes > 1 ? std::max<std::size_t>(ranks / planned.nodes, 1) : ranks);
  if (gpus.size() < here)
    return fail(
        ErrorCode::kBadRequest,
        fmt::format("the plan has {} ranks for this machine, and {} GPUs are watched; name all with --gpus, or give the plan of this "
                    "deployment",
                    here, gpus.size()),
        "--gpus");
  std::vector<Watched> out;
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    Watched watched{gpus[i], std::nullopt};
    if (i < here) watched.planned = planned.ranks[first_rank + i];
    out.push_back(std::move(watched));
  }
  return out;
}

std::string devices_of(const Nvml& nvml, const std::vector<Gpu>& gpus) {
  std::string out;
  for (const Gpu& gpu : gpus) {
    std::string name;
    for (const char c : gpu.name) name += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ? c : ' ';
    const GpuMemory memory = nvml.memory(gpu).value_or(GpuMemory{});
    const std::uint64_t bytes = memory.total_bytes - std::min(memory.reserved_bytes, memory.total_bytes);
    out += fmt::format("{}{}={}MiB", out.empty() ? "" : ",", name, bytes >> 20U);
  }
  return out;
}

} // namespace plimsoll::watch
