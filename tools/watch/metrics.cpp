// See metrics.hpp.
#include "metrics.hpp"

#include <fmt/format.h>
#include <functional>

#include "plimsoll/host.h"

namespace plimsoll::watch {
namespace {

struct Now {
  const Watched* watched = nullptr;
  std::optional<GpuMemory> memory;
  std::string labels;
};

std::string labels_of(const Watched& one) {
  std::string out = fmt::format("gpu=\"{}\",uuid=\"{}\",name=\"{}\"", one.gpu.index, label_text(one.gpu.uuid), label_text(one.gpu.name));
  if (one.planned) out += fmt::format(",rank=\"{}\"", one.planned->rank);
  return out;
}

class Text {
public:
  void family(std::string_view name, std::string_view help) {
    out_ += fmt::format("# HELP {} {}\n# TYPE {} gauge\n", name, help, name);
    name_ = name;
  }
  void sample(const std::string& labels, std::uint64_t value) { out_ += fmt::format("{}{{{}}} {}\n", name_, labels, value); }
  std::string take() { return std::move(out_); }

private:
  std::string out_, name_;
};

} // namespace

std::string label_text(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto first = static_cast<unsigned char>(text[at]);
    const std::size_t length = first < 0x80                    ? 1
                               : first >= 0xC2 && first < 0xE0 ? 2
                               : first >= 0xE0 && first < 0xF0 ? 3
                               : first >= 0xF0 && first < 0xF5 ? 4
                                                               : 0;
    bool whole = length > 0 && at + length <= text.size();
    for (std::size_t i = 1; whole && i < length; ++i) whole = (static_cast<unsigned char>(text[at + i]) & 0xC0U) == 0x80U;
    if (!whole) {
      ++at;
      continue;
    }
    if (first == '\\' || first == '"') out += '\\';
    if (first == '\n') out += "\\n";
    else out += text.substr(at, length);
    at += length;
  }
  return out;
}

std::string metrics_text(const Nvml& nvml, const Planned& planned, const std::vector<Watched>& watched) {
  std::vector<Now> all;
  for (const Watched& one : watched) all.push_back({&one, nvml.memory(one.gpu), labels_of(one)});
  Text text;
  text.family("plimsoll_plan_info", "The plan that is watched; always 1.");
  text.sample(fmt::format("model=\"{}\",engine=\"{}\",verdict=\"{}\",version=\"{}\"", label_text(planned.model), label_text(planned.engine),
                          label_text(planned.verdict), plimsoll_version()),
              1);
  text.family("plimsoll_gpu_up", "Whether the driver says what the GPU holds.");
  for (const Now& now : all) text.sample(now.labels, now.memory ? 1 : 0);
  text.family("plimsoll_planned_bytes", "Bytes that the plan sets aside on this GPU, by what they are for.");
  for (const Now& now : all)
    if (now.watched->planned)
      for (const auto& [part, bytes] : now.watched->planned->parts) text.sample(fmt::format("{},category=\"{}\"", now.labels, part), bytes);
  text.family("plimsoll_planned_sum_bytes", "Bytes that the plan sets aside on this GPU, in all.");
  for (const Now& now : all)
    if (now.watched->planned) text.sample(now.labels, now.watched->planned->sum_bytes);
  text.family("plimsoll_budget_bytes", "Bytes that the engine may take of this GPU.");
  for (const Now& now : all)
    if (now.watched->planned) text.sample(now.labels, now.watched->planned->budget_bytes);
  const auto measured = [&](std::string_view name, std::string_view help, std::uint64_t GpuMemory::*figure) {
    text.family(name, help);
    for (const Now& now : all)
      if (now.memory) text.sample(now.labels, (*now.memory).*figure);
  };
  measured("plimsoll_memory_bytes", "Bytes of the GPU's memory.", &GpuMemory::total_bytes);
  measured("plimsoll_used_bytes", "Bytes that all processes hold on this GPU.", &GpuMemory::used_bytes);
  measured("plimsoll_free_bytes", "Bytes that are free on this GPU.", &GpuMemory::free_bytes);
  measured("plimsoll_reserved_bytes", "Bytes that the driver keeps for itself.", &GpuMemory::reserved_bytes);
  text.family("plimsoll_over_bytes", "Bytes used beyond the plan's sum; 0 where the plan holds.");
  for (const Now& now : all)
    if (now.memory && now.watched->planned) {
      const std::uint64_t sum = now.watched->planned->sum_bytes, used = now.memory->used_bytes;
      text.sample(now.labels, used > sum ? used - sum : 0);
    }
  return text.take();
}

} // namespace plimsoll::watch
