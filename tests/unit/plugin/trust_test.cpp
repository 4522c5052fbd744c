// Whose files may be loaded: owners, permissions and links, up to the root.
#include <gmock/gmock.h>

#include <sys/stat.h>
#include <unistd.h>

#include "plugin/trust.hpp"
#include "unit/plugin/temporary_folder.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

class Trusting : public ::testing::Test {
protected:
  void SetUp() override {
    folder_.write("outer/plugin/plugin.yaml", "id: x\n");
    folder_.write("outer/plugin/libx.so", "");
    for (const char* name : {"outer", "outer/plugin"}) ASSERT_EQ(::chmod(folder_.path(name).c_str(), 0755), 0);
    for (const char* name : {"outer/plugin/plugin.yaml", "outer/plugin/libx.so"}) ASSERT_EQ(::chmod(folder_.path(name).c_str(), 0644), 0);
  }
  Result<void> check(const std::string& library = "libx.so") const { return check_plugin_files(folder_.path("outer/plugin"), library); }

  TemporaryFolder folder_;
};

// The temporary folder above is usually world-writable with the sticky bit: that is allowed.
TEST_F(Trusting, OwnFilesAreTrusted) {
  const auto checked = check();
  EXPECT_TRUE(checked) << checked.error().where << ": " << checked.error().message;
}

TEST_F(Trusting, WhatOthersMayWriteIsRefusedByName) {
  struct Case {
    const char* path;
    mode_t mode;
  };
  for (const Case& c : {Case{"outer/plugin/libx.so", 0664},
                        {"outer/plugin/libx.so", 0646},
                        {"outer/plugin/plugin.yaml", 0664},
                        {"outer/plugin", 0775},
                        {"outer/plugin", 0757},
                        {"outer", 0777},
                        {"outer", 0775}}) {
    struct stat before {};
    ASSERT_EQ(::stat(folder_.path(c.path).c_str(), &before), 0);
    ASSERT_EQ(::chmod(folder_.path(c.path).c_str(), c.mode), 0);
    const auto checked = check();
    ASSERT_FALSE(checked) << c.path;
    EXPECT_EQ(checked.error().code, ErrorCode::kPluginFailed);
    EXPECT_THAT(checked.error().where, ::testing::EndsWith(c.path));
    EXPECT_THAT(checked.error().message, HasSubstr("may be written by others"));
    ASSERT_EQ(::chmod(folder_.path(c.path).c_str(), before.st_mode), 0);
  }
  EXPECT_TRUE(check());
}

TEST_F(Trusting, AStickyFolderAboveIsAllowedButNotAStickyFile) {
  ASSERT_EQ(::chmod(folder_.path("outer").c_str(), 01777), 0);
  EXPECT_TRUE(check());
  ASSERT_EQ(::chmod(folder_.path("outer/plugin/libx.so").c_str(), 01666), 0);
  EXPECT_FALSE(check());
}

TEST_F(Trusting, ALinkMayNotLeadOut) {
  folder_.write("elsewhere.so", "");
  std::filesystem::create_symlink(folder_.path("elsewhere.so"), folder_.path("outer/plugin/liby.so"));
  const auto out = check("liby.so");
  ASSERT_FALSE(out);
  EXPECT_THAT(out.error().message, HasSubstr("leads out of the plugin's folder"));
  std::filesystem::create_symlink("libx.so", folder_.path("outer/plugin/libz.so"));
  EXPECT_TRUE(check("libz.so")); // a version link beside the file
}

TEST_F(Trusting, WhatIsNoFileIsRefused) {
  std::filesystem::create_directory(folder_.path("outer/plugin/libdir.so"));
  const auto directory = check("libdir.so");
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().message, HasSubstr("is not a regular file"));
  const auto missing = check("libmissing.so");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().where, HasSubstr("libmissing.so"));
  EXPECT_FALSE(check_plugin_files("/nonexistent", "libx.so"));
  ASSERT_EQ(::mkfifo(folder_.path("outer/plugin/libpipe.so").c_str(), 0600), 0);
  EXPECT_FALSE(check("libpipe.so")); // and it must not block
}

} // namespace
} // namespace plimsoll::testing
