// Which plugin wins, what is listed, and what is refused when a library is opened.
#include <gmock/gmock.h>
#include <sstream>

#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "plimsoll/host.hpp"
#include "plugin/abi_text.hpp"
#include "plugin/registry.hpp"
#include "unit/plugin/temporary_folder.hpp"
#include "unit/plugin/zoo.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

const Plugin* find_plugin(const Registry& registry, const std::string& directory) {
  for (const auto& plugin : registry.plugins())
    if (plugin->manifest.directory == directory) return plugin.get();
  return nullptr;
}

TEST(Registry, ThePrefixIsAboveTheLibrarysFolder) {
  EXPECT_EQ(prefix_of("/opt/plimsoll/lib/libplimsoll.so.1"), "/opt/plimsoll");
  EXPECT_EQ(prefix_of("/usr/lib/x86_64-linux-gnu/libplimsoll.so.1"), "/usr");
  EXPECT_EQ(prefix_of("/usr/lib64/libplimsoll.so.1"), "/usr");
  EXPECT_EQ(prefix_of("/usr/lib/plimsoll/libplimsoll.so.1"), "/usr/lib"); // no other folder is stepped over
}

TEST(Registry, TakesTheFirstOfAnIdAndListsTheRestAsShadowed) {
  const TemporaryFolder folder;
  write_plugin(folder, "first/alpha", good_manifest("alpha", "2.0.0"));
  write_plugin(folder, "second/alpha", good_manifest("alpha", "3.0.0"));
  write_plugin(folder, "second/beta", good_manifest("beta"));
  const Registry registry({{folder.path("first"), folder.path("second")}, Trust::kOpen}, {});
  const FamilyRef alpha = registry.for_architecture("alphaForCausalLM");
  ASSERT_TRUE(alpha);
  EXPECT_EQ(alpha.plugin->manifest.version, "2.0.0");
  EXPECT_TRUE(registry.for_model_type("beta"));
  EXPECT_TRUE(registry.for_family("beta"));
  const Plugin* shadowed = find_plugin(registry, folder.path("second/alpha"));
  ASSERT_NE(shadowed, nullptr);
  EXPECT_EQ(shadowed->status, PluginStatus::kShadowed);
  EXPECT_THAT(shadowed->reason, HasSubstr(folder.path("first/alpha")));
  const Registry reversed({{folder.path("second"), folder.path("first")}, Trust::kOpen}, {});
  EXPECT_EQ(reversed.for_architecture("alphaForCausalLM").plugin->manifest.version, "3.0.0");
}

TEST(Registry, TakesTheNewestVersionInAPlace) {
  const TemporaryFolder folder;
  for (const char* version : {"1.9.0", "1.10.0", "2.0.0-rc.1", "1.10.0-rc.2"})
    write_plugin(folder, std::string("place/alpha-") + version, good_manifest("alpha", version));
  write_plugin(folder, "place/beta", good_manifest("beta"));
  const Registry registry({{folder.path("place")}, Trust::kOpen}, {});
  EXPECT_EQ(registry.for_architecture("alphaForCausalLM").plugin->manifest.version, "2.0.0-rc.1");
  EXPECT_THAT(find_plugin(registry, folder.path("place/alpha-1.10.0"))->reason, HasSubstr("alpha-2.0.0-rc.1"));
  write_plugin(folder, "place/alpha-2.0.0", good_manifest("alpha", "2.0.0"));
  const Registry later({{folder.path("place")}, Trust::kOpen}, {});
  EXPECT_EQ(later.for_architecture("alphaForCausalLM").plugin->manifest.version, "2.0.0");
  EXPECT_EQ(registry.for_architecture("alphaForCausalLM").plugin->manifest.version, "2.0.0-rc.1"); // a context keeps what it found
}

TEST(Registry, AliasesComeAfterWhoPlansANameAndStandForWhatIsPlanned) {
  const TemporaryFolder folder;
  const auto names = [&](const std::string& place, const std::string& id, const std::string& aliases) {
    folder.write(place + "/plugin.yaml",
                 "schema: plimsoll.plugin/1\nid: " + id + "\nversion: 1.0.0\nvendor: t\naliases: " + aliases + "\n");
  };
  write_plugin(folder, "first/alpha", good_manifest("alpha"));
  names("first/names", "names", "{alphaForCausalLM: beta, other: alpha, OtherForCausalLM: alpha, lost: nobody}");
  write_plugin(folder, "second/beta", good_manifest("beta"));
  const Registry registry({{folder.path("first"), folder.path("second")}, Trust::kOpen}, {});
  EXPECT_EQ(registry.for_architecture("alphaForCausalLM").plugin->manifest.id, "alpha"); // it has the name already
  ASSERT_EQ(registry.claims_of_architecture("alphaForCausalLM").size(), 2U);
  EXPECT_EQ(registry.claims_of_architecture("alphaForCausalLM")[1].as, "beta");
  const FamilyRef other = registry.for_model_type("other");
  ASSERT_TRUE(other);
  EXPECT_EQ(other.family->id, "alpha");
  EXPECT_EQ(other.as, "alpha");
  EXPECT_EQ(other.aliased_by->manifest.id, "names");
  EXPECT_EQ(registry.for_architecture("OtherForCausalLM").family->id, "alpha");
  EXPECT_FALSE(registry.for_model_type("lost"));
  const Plugin* plugin = find_plugin(registry, folder.path("first/names"));
  ASSERT_NE(plugin, nullptr);
  ASSERT_EQ(plugin->shadowed.size(), 1U);
  EXPECT_EQ(plugin->shadowed[0].by, "alpha");
}

TEST(Registry, WhatIsShadowedPlansNothing) {
  const TemporaryFolder folder;
  std::string newer = good_manifest("alpha", "3.0.0");
  newer.replace(newer.find("alphaForCausalLM"), 16, "NewerForCausalLM");
  write_plugin(folder, "first/alpha", good_manifest("alpha", "2.0.0"));
  write_plugin(folder, "second/alpha", newer);
  const Registry registry({{folder.path("first"), folder.path("second")}, Trust::kOpen}, {});
  EXPECT_TRUE(registry.for_architecture("alphaForCausalLM"));
  EXPECT_FALSE(registry.for_architecture("NewerForCausalLM"));
}

TEST(Registry, SearchesPathsThenTheEnvironmentThenTheUsersFolder) {
  const TemporaryFolder folder;
  write_plugin(folder, "given/alpha", good_manifest("alpha", "1.0.0"));
  write_plugin(folder, "environment/alpha", good_manifest("alpha", "2.0.0"));
  write_plugin(folder, "environment/beta", good_manifest("beta", "2.0.0"));
  write_plugin(folder, "data/plimsoll/plugins/beta", good_manifest("beta", "3.0.0"));
  write_plugin(folder, "data/plimsoll/plugins/gamma", good_manifest("gamma", "3.0.0"));
  ::setenv("PLIMSOLL_PLUGIN_PATH", (":" + folder.path("environment") + "::/nonexistent:").c_str(), 1);
  ::setenv("XDG_DATA_HOME", folder.path("data").c_str(), 1);
  const Registry registry({{folder.path("given")}, Trust::kOpen}, {});
  ::unsetenv("PLIMSOLL_PLUGIN_PATH");
  ::unsetenv("XDG_DATA_HOME");
  EXPECT_EQ(registry.for_family("alpha").plugin->manifest.version, "1.0.0");
  EXPECT_EQ(registry.for_family("beta").plugin->manifest.version, "2.0.0");
  EXPECT_EQ(registry.for_family("gamma").plugin->manifest.version, "3.0.0");
}

TEST(Registry, AFolderMayBeAPluginItself) {
  const TemporaryFolder folder;
  write_plugin(folder, "alpha", good_manifest("alpha"));
  const Registry registry({{folder.path("alpha")}, Trust::kOpen}, {});
  EXPECT_TRUE(registry.for_family("alpha"));
}

TEST(Registry, SortsTheNamesOfOnePlace) {
  const TemporaryFolder folder;
  for (const char* name : {"c", "a", "b"}) write_plugin(folder, name, good_manifest("same", std::string("1.0.0+") + name));
  const Registry registry({{folder.path()}, Trust::kOpen}, {});
  EXPECT_EQ(registry.for_family("same").plugin->manifest.version, "1.0.0+a");
}

TEST(Registry, ABrokenManifestIsListedAndDisturbsNobody) {
  const TemporaryFolder folder;
  folder.write("aaa/plugin.yaml", "id: [broken\n");
  write_plugin(folder, "alpha", good_manifest("alpha"));
  folder.write("no_manifest/readme", "nothing");
  const Registry registry({{folder.path(), "/nonexistent"}, Trust::kOpen}, {});
  EXPECT_TRUE(registry.for_family("alpha"));
  const Plugin* broken = find_plugin(registry, folder.path("aaa"));
  ASSERT_NE(broken, nullptr);
  EXPECT_EQ(broken->status, PluginStatus::kRefused);
  EXPECT_THAT(broken->reason, HasSubstr(folder.path("aaa") + "/plugin.yaml"));
  EXPECT_EQ(find_plugin(registry, folder.path("no_manifest")), nullptr);
}

TEST(Registry, TwoPluginsMayNotClaimOneArchitectureUnnoticed) {
  const TemporaryFolder folder;
  std::string second = good_manifest("beta");
  second.replace(second.find("betaForCausalLM"), 15, "alphaForCausalLM");
  write_plugin(folder, "alpha", good_manifest("alpha"));
  write_plugin(folder, "beta", second);
  std::vector<std::string> lines;
  const Registry registry({{folder.path()}, Trust::kOpen}, [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  EXPECT_EQ(registry.for_architecture("alphaForCausalLM").plugin->manifest.id, "alpha");
  EXPECT_THAT(lines, Contains(HasSubstr("'alphaForCausalLM' is planned by alpha; beta offers it too")));
}

TEST(Registry, KnowsWhatIsNear) {
  const TemporaryFolder folder;
  write_plugin(folder, "llama", good_manifest("Llama"));
  write_plugin(folder, "gemma", good_manifest("Gemma"));
  const Registry registry({{folder.path()}, Trust::kOpen}, {});
  EXPECT_THAT(registry.nearest_architectures("LlamaaForCausalLM"), Contains("LlamaForCausalLM"));
  EXPECT_FALSE(registry.for_architecture(""));
  EXPECT_FALSE(registry.for_architecture("llamaforcausallm")); // names are exact
}

// A library is opened when its family is first asked for: until then even one that is none is no error.
TEST(Registry, OpensLibrariesWhenTheyAreNeeded) {
  const TemporaryFolder folder;
  write_plugin(folder, "alpha", good_manifest("alpha"));
  const Registry registry({{folder.path()}, Trust::kOpen}, {});
  const FamilyRef alpha = registry.for_family("alpha");
  EXPECT_EQ(alpha.plugin->status, PluginStatus::kAvailable);
  const auto loaded = registry.load(alpha);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kPluginFailed);
  EXPECT_THAT(loaded.error().where, HasSubstr("libalpha.so"));
  EXPECT_FALSE(registry.load(alpha)); // and answers alike the second time
}

struct LibraryFault {
  const char* id;
  std::vector<const char*> message;
};

TEST(Registry, RefusesAFaultyLibraryAndSaysWhatIsWrong) {
  const std::vector<LibraryFault> faults{
      {"wrong_id", {"is an_impostor 1.0.0", "its manifest says wrong_id 1.0.0"}},
      {"wrong_version", {"is wrong_version 9.9.9", "its manifest says wrong_version 1.0.0"}},
      {"no_symbol", {"does not export plimsoll_plugin_v1"}},
      {"needs_newer_host", {"1.42", "this host is 1.0"}},
      {"short_struct", {"its descriptor has 16 bytes", "rebuild it"}},  // R-01
      {"null_create", {"its family 0 lacks an id, create or destroy"}}, // R-16
      {"null_family", {"its family 0 lacks an id, create or destroy"}},
      {"no_families", {"lacks an id, a version or families"}},
      {"other_family", {"has no family 'other_family', which its manifest declares"}},
      {"wrong_aspects", {"of family 'wrong_aspects' the aspects are", "[attention] and unknown bits 0x400", "[attention, ffn]"}},
      {"wrong_policy", {"of family 'wrong_policy' the signal policy is in the library always, in its manifest multi_rank"}},
      {"odd_policy", {"in the library 7, which is none, in its manifest multi_rank"}},
      {"wrong_minor", {"the ABI's minor is in the library 3, in its manifest 0"}},
      {"many_sites", {"there are 1000000 signal sites of 0 B; at most 4096"}},
      {"large_site", {"there are 1 signal sites of 18446744073709551615 B"}},
      {"extra_family", {"the number of families is in the library 2, in its manifest 1"}},
      {"init_fails", {"its init failed: no licence was found"}},
  };
  const Registry registry({{kZoo}, Trust::kOpen}, {});
  for (const LibraryFault& fault : faults) {
    const FamilyRef ref = registry.for_family(fault.id);
    ASSERT_TRUE(ref) << fault.id;
    const auto loaded = registry.load(ref);
    ASSERT_FALSE(loaded) << fault.id;
    EXPECT_EQ(loaded.error().code, ErrorCode::kPluginFailed) << fault.id;
    EXPECT_THAT(loaded.error().where, HasSubstr(std::string("libplimsoll_") + fault.id + ".so"));
    for (const char* part : fault.message) EXPECT_THAT(loaded.error().message, HasSubstr(part)) << fault.id;
  }
  EXPECT_TRUE(registry.load(registry.for_family("bare"))); // the healthy one beside them
  EXPECT_FALSE(registry.for_family("manifest_too_new"));   // found out without opening it
  EXPECT_THAT(find_plugin(registry, kZoo + "/manifest_too_new")->reason, HasSubstr("needs a host of 1.7 or newer; this host is 1.0"));
}

TEST(Registry, RefusesWhatIsNoLibrary) {
  const TemporaryFolder folder;
  folder.write("alpha/plugin.yaml", good_manifest("alpha"));
  folder.write("alpha/libalpha.so", "not an ELF file");
  const Registry registry({{folder.path()}, Trust::kOpen}, {});
  const auto loaded = registry.load(registry.for_family("alpha"));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().message, "plugin alpha: cannot be loaded: file too short"); // the loader's own words
}

TEST(Registry, ChecksPermissionsUnlessItIsOpen) {
  const TemporaryFolder folder;
  std::filesystem::copy(kZoo + "/bare", folder.path("bare"));
  const std::string library = folder.path("bare/libplimsoll_bare.so");
  std::filesystem::permissions(library, std::filesystem::perms(0666));
  std::vector<std::string> lines;
  const Registry checked({{folder.path()}, Trust::kChecked}, {});
  EXPECT_FALSE(checked.for_family("bare"));
  EXPECT_THAT(find_plugin(checked, folder.path("bare"))->reason, HasSubstr("may be written by others"));
  const Registry open({{folder.path()}, Trust::kOpen}, [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  EXPECT_TRUE(open.load(open.for_family("bare")));
  EXPECT_THAT(lines, Contains(HasSubstr("may be written by others")));
}

// A folder with one library of the zoo under a manifest for it.
void put_zoo(const TemporaryFolder& folder, const std::string& id) {
  std::ostringstream text;
  text << std::ifstream(kZoo + "/" + id + "/plugin.yaml").rdbuf();
  std::string manifest = text.str();
  const std::string library = "libplimsoll_" + id + ".so";
  manifest.replace(manifest.find(library), library.size(), "libx.so");
  folder.write("x/plugin.yaml", manifest);
  std::filesystem::copy_file(kZoo + "/" + id + "/libplimsoll_" + id + ".so", folder.path("x/libx.so.new"));
  std::filesystem::rename(folder.path("x/libx.so.new"), folder.path("x/libx.so"));
}

// The loader would answer with the library that lay under the name first.
TEST(Registry, NoticesALibraryThatIsReplacedUnderTheSamePath) {
  const TemporaryFolder folder;
  put_zoo(folder, "bare");
  const Registry first({{folder.path()}, Trust::kChecked}, {});
  const auto bare = first.load(first.for_family("bare"));
  ASSERT_TRUE(bare) << bare.error().message;
  put_zoo(folder, "planner");
  const Registry second({{folder.path()}, Trust::kChecked}, {});
  const auto planner = second.load(second.for_family("planner"));
  ASSERT_TRUE(planner) << planner.error().message; // new code: the old would have another id
  EXPECT_NE((*bare)->api, (*planner)->api);
  EXPECT_EQ(text_of((*bare)->id), "bare"); // who had it keeps it
  const Registry third({{folder.path()}, Trust::kChecked}, {});
  EXPECT_EQ(third.load(third.for_family("planner")).value_or(nullptr), *planner); // one file, mapped once
  std::ofstream(folder.path("x/libx.so"), std::ios::app) << "more";
  const Registry fourth({{folder.path()}, Trust::kChecked}, {});
  const auto overwritten = fourth.load(fourth.for_family("planner"));
  ASSERT_FALSE(overwritten);
  EXPECT_THAT(overwritten.error().message, HasSubstr("was written over in place"));
}

TEST(Registry, OpensOnlyTheLibraryThatWasChecked) {
  const TemporaryFolder folder;
  put_zoo(folder, "bare");
  const Registry registry({{folder.path()}, Trust::kChecked}, {});
  put_zoo(folder, "bare"); // the same text, but not the file that was looked at
  const auto other = registry.load(registry.for_family("bare"));
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("plugin bare: was replaced after it was checked"));
  EXPECT_THAT(other.error().where, HasSubstr("libx.so"));
}

TEST(Registry, PassesOverRelativePlacesOfTheEnvironment) {
  const TemporaryFolder folder;
  write_plugin(folder, "alpha", good_manifest("alpha"));
  const std::filesystem::path here = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  ::setenv("PLIMSOLL_PLUGIN_PATH", "alpha:.:./", 1);
  std::vector<std::string> lines;
  const Registry registry({{}, Trust::kChecked}, [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  ::unsetenv("PLIMSOLL_PLUGIN_PATH");
  std::filesystem::current_path(here);
  EXPECT_FALSE(registry.for_family("alpha"));
  EXPECT_EQ(lines.size(), 3U);
  EXPECT_THAT(lines, Contains(HasSubstr("PLIMSOLL_PLUGIN_PATH: 'alpha' is passed over")));
}

TEST(Registry, SeveralLiveInOneProcess) {
  auto first = std::make_unique<Registry>(RegistryOptions{std::vector<std::string>{kZoo}, Trust::kOpen}, LogCallback());
  const auto second = std::make_unique<Registry>(RegistryOptions{std::vector<std::string>{kZoo + "/bare"}, Trust::kOpen}, LogCallback());
  EXPECT_TRUE(first->for_family("planner"));
  EXPECT_FALSE(second->for_family("planner"));
  const auto one = first->load(first->for_family("bare")), two = second->load(second->for_family("bare"));
  ASSERT_TRUE(one && two);
  EXPECT_EQ(*one, *two); // one library, mapped once
  first.reset();
  EXPECT_TRUE(second->load(second->for_family("bare")));
  EXPECT_EQ(text_of((*two)->id), "bare"); // still mapped
}

// R-11: whoever asks, and from however many threads; its init counts its calls, and fails at a second one.
TEST(Registry, InitsALibraryOnceForAll) {
  std::vector<std::unique_ptr<Registry>> registries;
  for (int i = 0; i < 4; ++i)
    registries.push_back(
        std::make_unique<Registry>(RegistryOptions{std::vector<std::string>{kZoo + "/init_once"}, Trust::kOpen}, LogCallback()));
  std::vector<std::string> said(2 * registries.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < said.size(); ++i)
    threads.emplace_back([&, i] {
      const Registry& registry = *registries[i / 2];
      const auto loaded = registry.load(registry.for_family("init_once"));
      if (!loaded) said[i] = loaded.error().message;
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& message : said) EXPECT_EQ(message, "");
}

TEST(Registry, OpensOnceHoweverManyAsk) {
  const Registry registry({{kZoo}, Trust::kOpen}, {});
  const FamilyRef bare = registry.for_family("bare");
  std::vector<const plimsoll_family*> got(8, nullptr);
  std::vector<std::thread> threads;
  for (auto& slot : got) threads.emplace_back([&] { slot = registry.load(bare).value_or(nullptr); });
  for (std::thread& thread : threads) thread.join();
  for (const plimsoll_family* family : got) EXPECT_EQ(family, got.front());
  EXPECT_NE(got.front(), nullptr);
}

TEST(Contexts, SeveralKeepTheirOwnPlugins) {
  ContextOptions options;
  options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
  options.trust = Trust::kOpen;
  options.plugin_paths = {kZoo + "/bare"};
  const auto one = Context::create(options);
  options.plugin_paths = {kZoo + "/planner"};
  const auto two = Context::create(options);
  ASSERT_TRUE(one && two);
  constexpr const char* kBare = R"({"architectures": ["bare"], "num_hidden_layers": 2})";
  EXPECT_TRUE(one->load_config(kBare, "bare.json"));
  const auto unknown = two->load_config(kBare, "bare.json");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_EQ(unknown.error().where, "bare.json: /architectures/0");
  EXPECT_TRUE(two->load_config(R"({"architectures": ["planner"]})", "planner.json"));
  const auto info = two->inspect_plugin(kZoo + "/short_struct");
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, ErrorCode::kPluginFailed);
  EXPECT_TRUE(two->inspect_plugin(kZoo + "/bare"));
}

} // namespace
} // namespace plimsoll::testing
