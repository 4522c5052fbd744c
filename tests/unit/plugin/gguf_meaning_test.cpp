// Which plugin says what a GGUF architecture means, and what happens to those whose file is broken.
#include "plugin/gguf_meaning.hpp"

#include <gmock/gmock.h>

#include "unit/plugin/temporary_folder.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

// A folder of plugins with empty libraries: none is opened to know what a name means.
class Plugins {
public:
  Plugins() { common_ = folder_.write("catalogue/gguf.json", R"({"keys": {"usual": {}, "shared": {"c": "d"}}})"); }
  void add(const std::string& place, const std::string& id, const std::string& gguf) {
    write_plugin(folder_, place + "/" + id, good_manifest(id) + "    gguf: gguf.json\n");
    if (!gguf.empty()) folder_.write(place + "/" + id + "/gguf.json", gguf);
  }
  void add(const std::string& id, const std::string& gguf) { add("plugins", id, gguf); }
  Result<GgufArchitecture> meaning(const std::string& name, const GgufMetadata& metadata = {},
                                   const std::vector<std::string>& places = {"plugins"}) {
    std::vector<std::string> paths;
    for (const std::string& place : places) paths.push_back(folder_.path(place));
    const Registry registry({paths, Trust::kOpen}, [this](LogLevel, std::string_view line) { log.emplace_back(line); });
    return gguf_meaning(registry, common_, name, metadata);
  }
  const TemporaryFolder& folder() const { return folder_; }
  const std::string& common() const { return common_; }
  std::vector<std::string> log;

private:
  TemporaryFolder folder_;
  std::string common_;
};

std::string teaches(const std::string& name, const std::string& class_name, const std::string& more = {}) {
  return R"({"architectures": {")" + name + R"(": {"class": ")" + class_name + R"(", "model_type": "t")" + more + "}}}";
}

TEST(GgufMeaning, ComesFromTheFirstPluginThatKnowsTheName) {
  Plugins plugins;
  plugins.add("first", "a", teaches("one", "FirstOne", R"(, "when": {"n": 1})"));
  plugins.add("second", "b", teaches("one", "SecondOne", R"(, "keys": "shared")"));
  plugins.add("second", "c", teaches("two", "Two"));
  const std::vector<std::string> places{"first", "second"};
  GgufMetadata one;
  one.values["one.n"] = 1;
  EXPECT_EQ(plugins.meaning("one", one, places)->class_name, "FirstOne");
  EXPECT_EQ(plugins.meaning("one", one, {"second", "first"})->class_name, "SecondOne");
  EXPECT_EQ(plugins.meaning("one", {}, places)->class_name, "SecondOne"); // the first's condition does not hold
  EXPECT_EQ(plugins.meaning("two", {}, places)->class_name, "Two");
  EXPECT_EQ(plugins.meaning("three", {}, places)->class_name, "three");
  EXPECT_EQ(plugins.log, std::vector<std::string>());
}

TEST(GgufMeaning, ABrokenFileDisturbsNobodyElse) {
  Plugins plugins;
  plugins.add("a", R"({"architectures": {"one": {"class": "Broken"}}})");
  plugins.add("b", teaches("one", "Whole"));
  plugins.add("c", R"({"architectures": {"three": {"class": "Broken"}}})");
  plugins.add("d", ""); // the file is not there: refused as a whole
  const auto one = plugins.meaning("one");
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(one->class_name, "Whole");
  EXPECT_THAT(plugins.log, Contains(HasSubstr("/a/gguf.json: /architectures/one/model_type")));
  // Where nobody knows the name, the broken file may be why.
  const auto nobody = plugins.meaning("three");
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, ErrorCode::kPluginFailed);
  EXPECT_THAT(nobody.error().where, HasSubstr("/c/gguf.json"));
}

TEST(GgufMeaning, IsNotAskedOfPluginsThatAreShadowed) {
  Plugins plugins;
  plugins.add("first", "a", teaches("one", "New"));
  plugins.add("second", "a", teaches("old", "Old"));
  EXPECT_EQ(plugins.meaning("old", {}, {"first", "second"})->class_name, "old");
}

TEST(GgufMeaning, ManifestsAreCheckedWithTheirFiles) {
  Plugins plugins;
  plugins.add("good", teaches("one", "One", R"(, "keys": "shared")"));
  plugins.add("bad", teaches("one", "One", R"(, "keys": "theirs")"));
  plugins.add("notjson", "{");
  for (const auto& [id, says] :
       {std::pair{"good", ""}, std::pair{"bad", "there is no set 'theirs'"}, std::pair{"notjson", "is not valid JSON"}}) {
    const auto manifest = read_manifest(plugins.folder().path(std::string("plugins/") + id));
    ASSERT_TRUE(manifest) << manifest.error().message;
    const auto checked = check_gguf_words(*manifest, plugins.common());
    EXPECT_EQ(checked.has_value(), std::string_view(says).empty()) << id;
    if (!checked) {
      EXPECT_THAT(checked.error().message, HasSubstr(says));
      EXPECT_THAT(checked.error().where, HasSubstr(std::string(id) + "/gguf.json"));
    }
  }
}

TEST(GgufMeaning, NeedsTheCatalogue) {
  const Registry registry({{}, Trust::kOpen}, {});
  const auto nothing = gguf_meaning(registry, "/nonexistent/gguf.json", "one", {});
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, ErrorCode::kInternal);
  EXPECT_THAT(nothing.error().where, HasSubstr("/nonexistent/gguf.json"));
}

} // namespace
} // namespace plimsoll::testing
