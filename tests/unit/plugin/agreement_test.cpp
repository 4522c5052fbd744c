// What manifest and library both say is the same, field by field; descriptors are made here, none is loaded.
#include "plugin/agreement.hpp"

#include <gmock/gmock.h>

#include <functional>

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

constexpr plimsoll_str text(std::string_view view) { return {view.data(), view.size()}; }

// A descriptor and its two families.
struct Library {
  plimsoll_family first{
      PLIMSOLL_SIZE_THROUGH(plimsoll_family, api), PLIMSOLL_ASPECT_HEAD, PLIMSOLL_SIGNAL_ALWAYS, 3, 64, text("one"), nullptr};
  plimsoll_family second{
      PLIMSOLL_SIZE_THROUGH(plimsoll_family, api), PLIMSOLL_ASPECT_FFN, PLIMSOLL_SIGNAL_NEVER, 1, 0, text("two"), nullptr};
  const plimsoll_family* families[2] = {&first, &second};
  plimsoll_plugin plugin{PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini), 4, 2, text("acme"), text("1.0.0"), 2, families, nullptr, nullptr};
};

Manifest manifest() {
  Manifest m;
  m.id = "acme";
  m.version = "1.0.0";
  m.abi_minor = 4;
  m.min_host_minor = 2;
  FamilyManifest one;
  one.id = "one";
  one.aspects = PLIMSOLL_ASPECT_HEAD;
  one.signal_policy = PLIMSOLL_SIGNAL_ALWAYS;
  one.signal_sites = 3;
  one.signal_bytes = 64;
  FamilyManifest two;
  two.id = "two";
  two.aspects = PLIMSOLL_ASPECT_FFN;
  two.signal_policy = PLIMSOLL_SIGNAL_NEVER;
  m.families = {one, two};
  return m;
}

TEST(Agreement, OfTheSame) {
  Library library;
  EXPECT_TRUE(check_agreement(manifest(), library.plugin, "lib.so"));
  library.second.signal_sites = 0; // counts as 1
  EXPECT_TRUE(check_agreement(manifest(), library.plugin, "lib.so"));
  library.families[0] = &library.second; // in any order
  library.families[1] = &library.first;
  EXPECT_TRUE(check_agreement(manifest(), library.plugin, "lib.so"));
}

TEST(Agreement, SaysBothValuesWhereTheyDiffer) {
  struct Case {
    std::function<void(Library&)> change;
    const char* says;
  };
  const Case cases[] = {
      {[](Library& l) { l.plugin.id = text("acm"); }, "is acm 1.0.0, its manifest says acme 1.0.0"},
      {[](Library& l) {
         l.plugin.id = {nullptr, 4};
       },
       "is  1.0.0, its manifest says acme 1.0.0"},
      {[](Library& l) { l.plugin.version = text("1.0.0+x"); }, "is acme 1.0.0+x, its manifest says acme 1.0.0"},
      {[](Library& l) {
         l.plugin.version = {nullptr, 0};
       },
       "is acme , its manifest says acme 1.0.0"},
      {[](Library& l) { l.plugin.version.size = UINT64_MAX; }, "is acme , its manifest says acme 1.0.0"},
      {[](Library& l) { l.plugin.abi_minor = 5; }, "the ABI's minor is in the library 5, in its manifest 4"},
      {[](Library& l) { l.plugin.abi_minor_min = 0; }, "the oldest host's minor is in the library 0, in its manifest 2"},
      {[](Library& l) { l.first.id = text("none"); }, "has no family 'one', which its manifest declares"},
      {[](Library& l) {
         l.first.id = {nullptr, 3};
       },
       "has no family 'one', which its manifest declares"},
      {[](Library& l) { l.families[1] = nullptr; }, "has no family 'two', which its manifest declares"},
      {[](Library& l) { l.plugin.families = nullptr; }, "has no family 'one', which its manifest declares"},
      {[](Library& l) { l.first.aspects = 96; },
       "of family 'one' the aspects are in the library [head] and unknown bits 0x40, in its manifest [head]"},
      {[](Library& l) { l.second.signal_policy = 9; }, "of family 'two' the signal policy is in the library 9, which is none"},
      {[](Library& l) { l.first.signal_sites = 2; }, "of family 'one' the signal sites are in the library 2, in its manifest 3"},
      {[](Library& l) { l.second.signal_sites = 2; }, "of family 'two' the signal sites are in the library 2, in its manifest 1"},
      {[](Library& l) { l.first.signal_bytes = 0; }, "of family 'one' the bytes of a signal site are in the library 0, in its manifest 64"},
      {[](Library& l) { l.first.signal_sites = 4097; }, "of family 'one' there are 4097 signal sites of 64 B; at most 4096 of"},
      {[](Library& l) { l.first.signal_bytes = PLIMSOLL_MAX_ITEM_BYTES + 1; }, "there are 3 signal sites of 1125899906842625 B"},
  };
  for (const Case& c : cases) {
    Library library;
    c.change(library);
    const auto agreed = check_agreement(manifest(), library.plugin, "lib.so");
    ASSERT_FALSE(agreed) << c.says;
    EXPECT_EQ(agreed.error().code, ErrorCode::kPluginFailed);
    EXPECT_THAT(agreed.error().message, HasSubstr(c.says));
    EXPECT_EQ(agreed.error().where, "lib.so");
  }
  // One more than the manifest declares.
  Manifest fewer = manifest();
  fewer.families.pop_back();
  const Library library;
  EXPECT_THAT(check_agreement(fewer, library.plugin, "lib.so").error().message,
              HasSubstr("the number of families is in the library 2, in its manifest 1"));
}

} // namespace
} // namespace plimsoll::testing
