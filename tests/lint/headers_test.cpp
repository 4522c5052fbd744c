#include "lint/headers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lint/layering.hpp"

namespace plimsoll::lint {
namespace {

TEST(Headers, EverySourceOfTheCoreHasOne) {
  for (const std::string& violation : check_headers(project_files(PLIMSOLL_SOURCE_DIR))) ADD_FAILURE() << violation;
}

TEST(Headers, AMissingOneIsSeen) {
  using testing::ElementsAre;
  using testing::HasSubstr;
  using testing::IsEmpty;
  EXPECT_THAT(check_headers({"core/src/kv/pool.cpp", "core/src/kv/pool.hpp", "core/src/request/options.cpp",
                             "core/include/plimsoll/options.hpp", "core/src/capi/host_c.cpp", "core/include/plimsoll/host.h",
                             "plugins/mla/latent.cpp", "core/src/request/pipeline.cpp", "core/src/request/options_json.cpp"}),
              IsEmpty());
  EXPECT_THAT(check_headers({"core/src/kv/pool.cpp", "core/src/plan/pool.hpp"}),
              ElementsAre(HasSubstr("core/src/kv/pool.cpp: has no header")));
  EXPECT_THAT(check_headers({"core/src/capi/host_c.cpp"}), ElementsAre(HasSubstr("one of them is gone")));
  EXPECT_THAT(check_headers({"core/include/plimsoll/host.h"}), ElementsAre(HasSubstr("one of them is gone")));
}

} // namespace
} // namespace plimsoll::lint
