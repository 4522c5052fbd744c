#include "host/worker_program.hpp"

#include <cstdio>
#include <string_view>

#include "check/case_program.hpp"
#include "plimsoll/worker.h"
#include "worker/worker.hpp"

namespace plimsoll {

int worker_main(int argc, const char* const* argv) {
  const std::string_view role = argc > 3 ? argv[3] : "";
  if (role == "plan") {
    ChildSide side(argc, argv);
    serve_plugins(side);
  }
  if (role == check::kCaseRole) check::case_main(argc, argv);
  std::fputs("plimsoll-worker: libplimsoll starts this program to run plugins in it; it does nothing by itself\n", stderr);
  return 2;
}

} // namespace plimsoll

extern "C" int plimsoll_worker_main(int argc, const char* const* argv) { return plimsoll::worker_main(argc, argv); }
