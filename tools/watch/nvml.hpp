// The memory of NVIDIA GPUs as their driver's management library has it: NVML, loaded when `plimsoll watch` starts. Takes no context on a
// GPU and none of its memory. Called by main.cpp and planned.cpp. Threads: any; the library takes turns itself.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll::watch {

struct Gpu {
  unsigned index = 0; // of NVML: in the order of PCI addresses
  std::string uuid, name;
  void* handle = nullptr;
};

// Now. What the driver keeps for itself is `reserved`, where it says so, and in no other figure.
struct GpuMemory {
  std::uint64_t total_bytes = 0, reserved_bytes = 0, used_bytes = 0, free_bytes = 0;
};

class Nvml {
public:
  // kBadRequest where there is no such library, no driver or no GPU; the message says what to do.
  static Result<Nvml> open(const std::string& library);
  Nvml(Nvml&&) noexcept;
  Nvml& operator=(Nvml&&) noexcept;
  ~Nvml();

  // All GPUs of the machine; those that do not answer are an error.
  Result<std::vector<Gpu>> gpus() const;
  // A GPU, or a part of one (MIG), by its UUID or the beginning of it.
  Result<Gpu> by_uuid(const std::string& uuid, const std::vector<Gpu>& all) const;
  // Nothing where the GPU does not answer, as one that fell off its bus.
  std::optional<GpuMemory> memory(const Gpu& gpu) const;

private:
  struct Library;
  explicit Nvml(std::unique_ptr<Library> library);
  std::unique_ptr<Library> library_;
};

} // namespace plimsoll::watch
