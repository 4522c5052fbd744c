#include "backend/nccl.hpp"

#include <cstdlib>
#include <dlfcn.h>
#include <fmt/format.h>
#include <string>

namespace plimsoll {
namespace {

// What makes its buffers larger or more than its documented defaults and our configuration do.
constexpr const char* kUnboundedBy[] = {"NCCL_BUFFSIZE",       "NCCL_LL_BUFFSIZE",   "NCCL_LL128_BUFFSIZE", "NCCL_MIN_NCHANNELS",
                                        "NCCL_MIN_NRINGS",     "NCCL_MIN_CTAS",      "NCCL_MAX_CTAS",       "NCCL_MIN_P2P_NCHANNELS",
                                        "NCCL_NVLS_NCHANNELS", "NCCL_NVLS_CHUNKSIZE"};

tl::unexpected<Error> no_nccl(const std::string& why) {
  return fail(ErrorCode::kBadRequest,
              fmt::format("ranks that share a model on GPUs are joined by NCCL ({}), and {}; install NCCL 2.18 or newer and name its "
                          "folder in LD_LIBRARY_PATH, or give --tp 1 --pp 1, or --device-backend cpu",
                          kNcclLibrary, why),
              "--device-backend");
}

template <class Function>
bool find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(library, name)); // NOLINT: what dlsym is for
  return function != nullptr;
}

// The first name that is missing; null: none is.
const char* find_all(void* library, Nccl& out) {
  const char* missing = nullptr;
  const auto look = [&](const char* name, auto& function) {
    if (missing == nullptr && !find(library, name, function)) missing = name;
  };
  look("ncclGetVersion", out.get_version);
  look("ncclGetUniqueId", out.get_unique_id);
  look("ncclCommInitRankConfig", out.comm_init_rank_config);
  look("ncclCommFinalize", out.comm_finalize);
  look("ncclCommDestroy", out.comm_destroy);
  look("ncclCommAbort", out.comm_abort);
  look("ncclCommGetAsyncError", out.comm_get_async_error);
  look("ncclGetErrorString", out.get_error_string);
  look("ncclGetLastError", out.get_last_error);
  look("ncclGroupStart", out.group_start);
  look("ncclGroupEnd", out.group_end);
  look("ncclAllReduce", out.all_reduce);
  look("ncclAllGather", out.all_gather);
  look("ncclSend", out.send);
  look("ncclRecv", out.receive);
  return missing;
}

} // namespace

Result<Nccl> open_nccl(const char* name) {
  void* const library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const why = dlerror();
    return no_nccl(fmt::format("it cannot be loaded ({})", why == nullptr ? "no reason is given" : why));
  }
  Nccl out;
  if (const char* const missing = find_all(library, out); missing != nullptr) {
    dlclose(library);
    return no_nccl(fmt::format("the one that is here has no {}", missing));
  }
  int version = 0;
  if (out.get_version(&version) != kNcclSuccess || version < kLeastNcclVersion) {
    dlclose(library);
    return no_nccl(fmt::format("the one that is here is of version {}", version));
  }
  return out;
}

Result<const Nccl*> load_nccl() {
  for (const char* const name : kUnboundedBy)
    if (const char* const value = std::getenv(name); value != nullptr)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("{}={} is in the environment, with which NCCL may take more memory than the plan sets aside for it; unset it",
                              name, std::string(value).substr(0, 64)),
                  name);
  static const Result<Nccl> loaded = open_nccl(kNcclLibrary);
  if (!loaded) return tl::unexpected(loaded.error());
  return &*loaded;
}

} // namespace plimsoll
