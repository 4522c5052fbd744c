#include "host_device.hpp"

#include <algorithm>
#include <cstdint>
#include <fmt/format.h>
#include <fstream>
#include <optional>
#include <string_view>

namespace plimsoll::cli {
namespace {

// "MemAvailable:   12345 kB" of /proc/meminfo, in bytes.
std::optional<std::uint64_t> memory_figure(std::string_view name) {
  std::ifstream file("/proc/meminfo");
  std::string word, unit;
  std::uint64_t number = 0;
  while (file >> word >> number) {
    std::getline(file, unit);
    if (word == std::string(name) + ":") return number * 1024;
  }
  return std::nullopt;
}

// A number in a file of a control group; nothing where there is none or it says "max".
std::optional<std::uint64_t> group_figure(const char* path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

} // namespace

Result<HostMemory> host_memory_figures() {
  const std::optional<std::uint64_t> total = memory_figure("MemTotal"), available = memory_figure("MemAvailable");
  if (!total || !available)
    return fail(ErrorCode::kBadRequest, "how much memory this machine has cannot be read from /proc/meminfo; say it, as in --devices 16GiB",
                "--devices");
  std::uint64_t all = *total, free = *available;
  if (const auto limit = group_figure("/sys/fs/cgroup/memory.max")) {
    const std::uint64_t used = group_figure("/sys/fs/cgroup/memory.current").value_or(0);
    all = std::min(all, *limit);
    free = std::min(free, *limit - std::min(*limit, used));
  }
  return HostMemory{all, free};
}

Result<std::string> host_devices(std::uint32_t ranks) {
  PLIMSOLL_ASSIGN(const HostMemory memory, host_memory_figures());
  std::string devices;
  for (std::uint32_t rank = 0; rank < ranks; ++rank)
    devices += fmt::format("{}host={}:{}", rank == 0 ? "" : ",", memory.total_bytes / ranks, memory.free_bytes / 10 * 9 / ranks);
  return devices;
}

Result<OpenBackend> wanted_backend(const std::string& name, const Processes* processes) {
  if (name.empty() || name == "cpu") return OpenBackend();
  if (name != "cuda")
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is nothing that can be computed on; give cpu or cuda", name.substr(0, 64)),
                "--device-backend");
  PLIMSOLL_TRY(open_gpu(processes != nullptr ? processes->rank() : 0)); // said before anything is loaded
  return OpenBackend([](std::uint32_t rank) { return open_gpu(rank); });
}

Result<void> fill_in_machine(const CommandLine& line, PlanRequest& request, Processes* processes, bool on_gpus) {
  bool engine = false, devices = false;
  for (const OptionValue& option : line.given_options()) {
    engine = engine || option.name == "engine";
    devices = devices || option.name == "devices";
  }
  if (!engine) request.engine = "reference";
  if (!devices && on_gpus && processes != nullptr)
    return fail(ErrorCode::kBadRequest,
                fmt::format("processes on GPUs make one plan, and each would hear other figures of the driver; name what the machine has, "
                            "for example --devices {}xH200",
                            processes->size()),
                "--devices");
  if (!devices && on_gpus) {
    request.devices = "auto";
    return {};
  }
  if (!devices) {
    PLIMSOLL_ASSIGN(request.devices, host_devices(processes != nullptr ? processes->size() : 1));
  }
  if (!devices && processes != nullptr) {
    PLIMSOLL_ASSIGN(const std::vector<std::string> of_all, processes->gather(request.devices));
    request.devices = of_all.front();
  }
  return {};
}

} // namespace plimsoll::cli
