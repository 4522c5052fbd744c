// See query.hpp: the build without the CUDA Toolkit. Everything but the real devices works.
#include "device/query.hpp"

namespace plimsoll {

namespace {

tl::unexpected<Error> no_toolkit() {
  return fail(
      ErrorCode::kBadRequest,
      "this build cannot ask for the machine's GPUs (no CUDA Toolkit was found when it was built): give --devices, for example 8xH200, "
      "4xA100-40GB or 2x80GiB",
      "--devices");
}

} // namespace

Result<std::vector<Device>> query_devices() { return no_toolkit(); }

Result<AllocationTrial> try_allocations(std::uint32_t, std::span<const std::uint64_t>) { return no_toolkit(); }

std::string_view query_backend() { return "built without the CUDA Toolkit"; }

} // namespace plimsoll
