// The backend of this machine's processors: ordinary memory, OpenBLAS and the loops of backend/cpu_*.cpp. Threads: see backend.hpp; the
// number of threads that multiply is one for the whole process, as OpenBLAS has it.
#pragma once

#include <cstdint>
#include <memory>

#include "backend/backend.hpp"

namespace plimsoll {

struct CpuOptions {
  std::uint32_t threads = 1; // that multiply; on shared cores more are slower
};
std::shared_ptr<Backend> cpu_backend(const CpuOptions& options = {});

} // namespace plimsoll
