// See nvml.hpp. The declarations are those of NVML's interface, which has kept them since its versions 2 of each function.
#include "nvml.hpp"

#include <algorithm>
#include <array>
#include <dlfcn.h>
#include <fmt/format.h>
#include <utility>

namespace plimsoll::watch {
namespace {

constexpr int kNvmlSuccess = 0;
constexpr unsigned kMostGpus = 1'024, kTextBytes = 96;

template <class Function>
bool found(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

} // namespace

struct Nvml::Library {
  struct Memory {
    unsigned long long total = 0, free = 0, used = 0; // used: with what is reserved
  };
  struct Memory2 {
    unsigned version = static_cast<unsigned>(sizeof(Memory2)) | 2U << 24U;
    unsigned long long total = 0, reserved = 0, free = 0, used = 0;
  };
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  const char* (*error_text)(int) = nullptr;
  int (*count)(unsigned*) = nullptr;
  int (*by_index)(unsigned, void**) = nullptr;
  int (*by_uuid)(const char*, void**) = nullptr;
  int (*uuid)(void*, char*, unsigned) = nullptr;
  int (*name)(void*, char*, unsigned) = nullptr;
  int (*memory)(void*, Memory*) = nullptr;
  int (*memory2)(void*, Memory2*) = nullptr; // of drivers since 510
  std::string path;
  bool started = false;

  ~Library() {
    if (started) shutdown();
  }
  std::string said(int code) const {
    const char* const text = error_text(code);
    return text == nullptr ? fmt::format("error {}", code) : text;
  }
  Result<Gpu> described(void* handle, unsigned index) const {
    std::array<char, kTextBytes> id{}, called{};
    int code = uuid(handle, id.data(), kTextBytes);
    if (code == kNvmlSuccess) code = name(handle, called.data(), kTextBytes);
    if (code != kNvmlSuccess) return fail(ErrorCode::kBadRequest, fmt::format("GPU {} does not answer: {}", index, said(code)), path);
    id.back() = '\0';
    called.back() = '\0';
    return Gpu{index, id.data(), called.data(), handle};
  }
};

Nvml::Nvml(std::unique_ptr<Library> library) : library_(std::move(library)) {}
Nvml::Nvml(Nvml&&) noexcept = default;
Nvml& Nvml::operator=(Nvml&&) noexcept = default;
Nvml::~Nvml() = default;

Result<Nvml> Nvml::open(const std::string& library) {
  void* const opened = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} cannot be loaded, and it says what GPUs use; run this on a machine with NVIDIA's driver, or in a container "
                            "that is given its `utility` libraries",
                            library),
                "--nvml");
  auto out = std::make_unique<Library>();
  out->path = library;
  const bool all = found(opened, "nvmlInit_v2", out->init) && found(opened, "nvmlShutdown", out->shutdown) &&
                   found(opened, "nvmlErrorString", out->error_text) && found(opened, "nvmlDeviceGetCount_v2", out->count) &&
                   found(opened, "nvmlDeviceGetHandleByIndex_v2", out->by_index) &&
                   found(opened, "nvmlDeviceGetHandleByUUID", out->by_uuid) && found(opened, "nvmlDeviceGetUUID", out->uuid) &&
                   found(opened, "nvmlDeviceGetName", out->name) && found(opened, "nvmlDeviceGetMemoryInfo", out->memory);
  if (!all) return fail(ErrorCode::kBadRequest, fmt::format("{} is no NVML, or one without its functions", library), "--nvml");
  found(opened, "nvmlDeviceGetMemoryInfo_v2", out->memory2);
  if (const int code = out->init(); code != kNvmlSuccess)
    return fail(ErrorCode::kBadRequest, fmt::format("NVIDIA's driver does not answer: {}", out->said(code)), library);
  out->started = true;
  return Nvml(std::move(out));
}

Result<std::vector<Gpu>> Nvml::gpus() const {
  unsigned count = 0;
  if (const int code = library_->count(&count); code != kNvmlSuccess)
    return fail(ErrorCode::kBadRequest, fmt::format("the GPUs cannot be counted: {}", library_->said(code)), library_->path);
  if (count == 0) return fail(ErrorCode::kBadRequest, "this machine has no GPU; run this where the model is served", library_->path);
  std::vector<Gpu> out;
  for (unsigned index = 0; index < std::min(count, kMostGpus); ++index) {
    void* handle = nullptr;
    if (const int code = library_->by_index(index, &handle); code != kNvmlSuccess)
      return fail(ErrorCode::kBadRequest, fmt::format("GPU {} does not answer: {}", index, library_->said(code)), library_->path);
    PLIMSOLL_ASSIGN(Gpu gpu, library_->described(handle, index));
    out.push_back(std::move(gpu));
  }
  return out;
}

Result<Gpu> Nvml::by_uuid(const std::string& uuid, const std::vector<Gpu>& all) const {
  std::vector<const Gpu*> fitting;
  for (const Gpu& gpu : all)
    if (gpu.uuid.starts_with(uuid)) fitting.push_back(&gpu);
  if (fitting.size() == 1) return *fitting.front();
  if (fitting.size() > 1)
    return fail(ErrorCode::kBadRequest, fmt::format("{} GPUs have a UUID that begins with '{}'; give more of it", fitting.size(), uuid),
                "--gpus");
  void* handle = nullptr; // a part of a GPU is in no list of GPUs
  if (library_->by_uuid(uuid.c_str(), &handle) == kNvmlSuccess) return library_->described(handle, static_cast<unsigned>(all.size()));
  std::string known;
  for (const Gpu& gpu : all) known += fmt::format("{}{}", known.empty() ? "" : ", ", gpu.uuid);
  return fail(ErrorCode::kBadRequest, fmt::format("no GPU has a UUID that begins with '{}'; here are {}", uuid.substr(0, 60), known),
              "--gpus");
}

std::optional<GpuMemory> Nvml::memory(const Gpu& gpu) const {
  if (Library::Memory2 now; library_->memory2 != nullptr && library_->memory2(gpu.handle, &now) == kNvmlSuccess)
    return GpuMemory{now.total, now.reserved, now.used, now.free};
  Library::Memory now;
  if (library_->memory(gpu.handle, &now) != kNvmlSuccess) return std::nullopt;
  return GpuMemory{now.total, 0, now.used, now.free};
}

} // namespace plimsoll::watch
