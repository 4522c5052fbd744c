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
  Result<void> check(const std::string& library = "libx.so") const {
    const auto fault = TrustCheck().fault(folder_.path("outer/plugin"), {"plugin.yaml", library});
    if (fault) return tl::unexpected(fault->error);
    return {};
  }

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
  EXPECT_TRUE(TrustCheck().fault("/nonexistent", {"libx.so"}));
  ASSERT_EQ(::mkfifo(folder_.path("outer/plugin/libpipe.so").c_str(), 0600), 0);
  EXPECT_FALSE(check("libpipe.so")); // and it must not block
}

// What open mode forgives is known apart from what it does not.
TEST_F(Trusting, AWriterIsAnotherFaultThanAWrongPlace) {
  ASSERT_EQ(::chmod(folder_.path("outer/plugin/plugin.yaml").c_str(), 0666), 0);
  const auto writer = TrustCheck().fault(folder_.path("outer/plugin"), {"plugin.yaml", "libx.so"});
  ASSERT_TRUE(writer);
  EXPECT_TRUE(writer->of_writers);
  const auto both = TrustCheck().fault(folder_.path("outer/plugin"), {"plugin.yaml", "libmissing.so"});
  ASSERT_TRUE(both);
  EXPECT_FALSE(both->of_writers);
}

// The installation's files are believed as the library itself is, and no further.
TEST_F(Trusting, TheInstallationBelievesWhoMayWriteTheCore) {
  const std::string core = folder_.write("outer/libcore.so", "");
  const auto allowed = [&] { return !TrustCheck(believed_like(core)).fault(folder_.path("outer/plugin"), {"plugin.yaml", "libx.so"}); };
  EXPECT_TRUE(allowed());
  ASSERT_EQ(::chmod(folder_.path("outer/plugin/libx.so").c_str(), 0664), 0);
  ASSERT_EQ(::chmod(core.c_str(), 0755), 0);
  EXPECT_FALSE(allowed());
  ASSERT_EQ(::chmod(core.c_str(), 0775), 0); // that group may replace the core itself
  EXPECT_TRUE(allowed());
  ASSERT_EQ(::chmod(core.c_str(), 0777), 0);
  ASSERT_EQ(::chmod(folder_.path("outer").c_str(), 0777), 0); // an installation where everybody writes
  EXPECT_FALSE(allowed());
}

TEST(Elevated, OpenTrustIsRefused) {
  EXPECT_TRUE(check_trust(Trust::kOpen, false));
  EXPECT_TRUE(check_trust(Trust::kChecked, true));
  const auto refused = check_trust(Trust::kOpen, true);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kPluginFailed);
  EXPECT_FALSE(process_is_elevated());
}

} // namespace
} // namespace plimsoll::testing
