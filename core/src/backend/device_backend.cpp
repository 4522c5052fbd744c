#include "backend/device_backend.hpp"

#include <array>
#include <dlfcn.h>
#include <fmt/format.h>
#include <string>
#include <unistd.h>

namespace plimsoll {
namespace {

// libplimsoll_cuda.so beside the library that this is in; of a program that has the rooms itself, where its libraries are.
Result<OpenDeviceFunction> load_cuda() {
  Dl_info here{};
  std::string folder;
  if (dladdr(reinterpret_cast<void*>(&load_cuda), &here) != 0 && here.dli_fname != nullptr) folder = here.dli_fname; // NOLINT
  folder = folder.substr(0, folder.rfind('/') + 1);
  void* library = nullptr;
  const char* why = nullptr;
  for (const char* const place : {"libplimsoll_cuda.so", "../lib/libplimsoll_cuda.so"}) {
    const std::string path = folder + place;
    if (library != nullptr || access(path.c_str(), F_OK) != 0) continue;
    library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) why = dlerror();
  }
  void* const open = library == nullptr ? nullptr : dlsym(library, kOpenCudaDevice);
  if (open == nullptr)
    return fail(ErrorCode::kBadRequest,
                fmt::format("this installation computes on no GPU ({}): build it where the CUDA Toolkit is, or compute on the processors, "
                            "with --device-backend cpu",
                            why == nullptr ? "it was built without the CUDA Toolkit" : why),
                "--device-backend");
  return reinterpret_cast<OpenDeviceFunction>(open); // NOLINT
}

} // namespace

Result<std::shared_ptr<Backend>> open_gpu(std::uint32_t index) {
  PLIMSOLL_ASSIGN(const OpenDeviceFunction open, load_cuda());
  std::array<char, 512> message{};
  std::unique_ptr<OpenDevice> device(open(index, message.data(), message.size()));
  if (!device)
    return fail(
        ErrorCode::kBadRequest,
        fmt::format("GPU {} cannot be computed on ({}); compute on the processors, with --device-backend cpu", index, message.data()),
        "--device-backend");
  return std::make_shared<DeviceBackend>("cuda", std::move(device));
}

} // namespace plimsoll
