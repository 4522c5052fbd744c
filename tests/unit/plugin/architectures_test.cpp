// The host never knows an architecture: no name that a built-in family's manifest or gguf.json teaches stands in the core's code.
#include <gmock/gmock.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "plugin/manifest.hpp"
#include "support/source_gguf.hpp"

namespace plimsoll::testing {
namespace {

namespace fs = std::filesystem;
const std::string kSource = PLIMSOLL_SOURCE_DIR;

std::set<std::string> taught_names() {
  std::set<std::string> names;
  for (const auto& folder : fs::directory_iterator(kSource + "/plugins")) {
    if (!fs::exists(folder.path() / "plugin.yaml")) continue;
    const auto manifest = read_manifest(folder.path().string());
    if (!manifest) throw std::runtime_error(manifest.error().where + ": " + manifest.error().message);
    for (const FamilyManifest& family : manifest->families) {
      names.insert(family.names().model_types.begin(), family.names().model_types.end());
      for (const auto& [name, policy] : family.names().architectures) names.insert(name);
    }
  }
  for (const GgufWords& words : test::source_gguf().families)
    for (const auto& [name, meanings] : words.architectures) {
      names.insert(name);
      for (const GgufArchitecture& meaning : meanings) names.insert({meaning.class_name, meaning.model_type});
    }
  return names;
}

// Words of one line of code, its comment left out; "llama.cpp" is one word.
std::vector<std::string> words_of(std::string line) {
  line.resize(std::min(line.size(), line.find("//")));
  std::vector<std::string> words{""};
  for (const char c : line)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.') words.back() += c;
    else if (!words.back().empty()) words.emplace_back();
  return words;
}

TEST(Architectures, StandInNoCodeOfTheCore) {
  const std::set<std::string> names = taught_names();
  EXPECT_GT(names.size(), 200U);
  EXPECT_TRUE(names.contains("llama"));
  std::size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(kSource + "/core/src")) {
    if (entry.path().extension() != ".cpp" && entry.path().extension() != ".hpp") continue;
    if (entry.path().parent_path().filename() == "tokenizer")
      continue; // kinds of vocabularies bear the names of models that had them first
    ++files;
    std::ifstream in(entry.path());
    std::string line;
    for (std::size_t number = 1; std::getline(in, line); ++number) {
      if (line.starts_with("#include")) continue;
      for (const std::string& word : words_of(line)) {
        if (word == "new" || word == "clip") continue; // a word of C++; what projector files call themselves
        if (word == "bitnet" && entry.path().parent_path().filename() == "storage") continue; // a method of quantisation, too
        EXPECT_FALSE(names.contains(word)) << entry.path().string() << ":" << number << ": '" << word << "' belongs in a manifest";
      }
    }
  }
  EXPECT_GT(files, 100U);
}

// Families of the installation share what classes fill in; a start merges that without comparing.
TEST(Architectures, FamiliesAgreeOnWhatTheirClassesFillIn) {
  std::map<std::string, Json> merged; // "llama.hidden_size"
  for (const auto& folder : fs::directory_iterator(kSource + "/plugins")) {
    if (!fs::exists(folder.path() / "plugin.yaml")) continue;
    const auto strict = read_manifest(folder.path().string()), ours = read_manifest(folder.path().string(), true);
    ASSERT_TRUE(strict) << strict.error().message;
    ASSERT_TRUE(ours) << ours.error().message;
    for (std::size_t at = 0; at < strict->families.size(); ++at) {
      ASSERT_EQ(ours->families[at].names().class_defaults.size(), strict->families[at].names().class_defaults.size());
      for (const auto& [type, defaults] : strict->families[at].names().class_defaults) {
        EXPECT_EQ(ours->families[at].names().class_defaults.at(type).get(), defaults.get()) << folder.path() << " " << type;
        for (const auto& [key, value] : defaults.get().items()) {
          const auto [known, fresh] = merged.emplace(type + "." + key, value);
          EXPECT_TRUE(fresh || known->second == value) << folder.path() << " " << known->first;
        }
      }
    }
  }
  EXPECT_GT(merged.size(), 400U);
}

// A start looks for a name in our files' text and reads a file only where it is there.
TEST(Architectures, OfOurOwnAreFoundInTheirFilesText) {
  std::size_t names = 0, filled = 0;
  for (const auto& folder : fs::directory_iterator(kSource + "/plugins")) {
    if (!fs::exists(folder.path() / "plugin.yaml")) continue;
    const auto strict = read_manifest(folder.path().string()), ours = read_manifest(folder.path().string(), true);
    ASSERT_TRUE(strict && ours) << folder.path();
    for (std::size_t at = 0; at < strict->families.size(); ++at) {
      const FamilyNames& all = strict->families[at].names();
      const LateNames& late = *ours->families[at].late_names;
      for (const auto& [name, policy] : all.architectures) EXPECT_TRUE(late.may_have(name)) << name;
      for (const std::string& type : all.model_types) EXPECT_TRUE(late.may_have(type)) << type;
      for (const auto& [type, defaults] : all.class_defaults) EXPECT_TRUE(late.may_fill_in(type)) << type;
      names += all.architectures.size() + all.model_types.size();
      filled += all.class_defaults.size();
      if (strict->families[at].models_file.empty()) continue;
      EXPECT_FALSE(late.may_have("NobodysForCausalLM"));
      EXPECT_FALSE(late.may_fill_in("nobodys"));
      EXPECT_EQ(late.get().architectures, all.architectures);
      EXPECT_EQ(late.get().model_types, all.model_types);
      EXPECT_EQ(late.get().fusions, all.fusions);
    }
  }
  EXPECT_GT(names, 700U);
  EXPECT_GT(filled, 200U);
}

TEST(LateNames, AreSoughtWhereTheyStand) {
  const LateNames late(R"({"architectures": ["One", {"name": "Two", "signal_buffers": "never"}], "model_types": ["one"],
                           "class_defaults": {"one": {"part": {"model_type": "three"}}, "two" : {}}})",
                       "models.json", PLIMSOLL_SIGNAL_ALWAYS);
  for (const char* name : {"One", "Two", "one"}) EXPECT_TRUE(late.may_have(name)) << name;
  for (const char* name : {"three", "two", "On", "", "ne"}) EXPECT_FALSE(late.may_have(name)) << name;
  for (const char* type : {"one", "two"}) EXPECT_TRUE(late.may_fill_in(type)) << type;
  for (const char* type : {"three", "One", ""}) EXPECT_FALSE(late.may_fill_in(type)) << type;
  EXPECT_EQ(late.get().architectures.at("One"), static_cast<std::uint32_t>(PLIMSOLL_SIGNAL_ALWAYS));
  EXPECT_EQ(late.get().architectures.at("Two"), static_cast<std::uint32_t>(PLIMSOLL_SIGNAL_NEVER));
  EXPECT_EQ(late.get().class_defaults.at("one").get()["part"]["model_type"], "three");
  EXPECT_FALSE(late.fault());
}

TEST(LateNames, OfEscapesAreAlwaysRead) {
  const LateNames late(R"({"architectures": ["\u004fne"]})", "models.json", PLIMSOLL_SIGNAL_NEVER);
  EXPECT_TRUE(late.may_have("One"));
  EXPECT_TRUE(late.get().has("One"));
}

TEST(LateNames, OfABrokenFileAreNoneAndTheFileIsNamed) {
  for (const char* text : {R"({"architectures": ["One"])", R"({"architectures": ["One"], "model_typos": []})", R"(["One"])",
                           R"({"architectures": ["One", 7]})"}) {
    const LateNames late(text, "here/models.json", PLIMSOLL_SIGNAL_NEVER);
    EXPECT_FALSE(late.get().has("One")) << text;
    ASSERT_TRUE(late.fault()) << text;
    EXPECT_THAT(late.fault()->where, ::testing::StartsWith("here/models.json")) << text;
  }
}

TEST(Architectures, AreFoundWhereTheyStandInCode) {
  EXPECT_THAT(words_of(R"(  if (model_is({"gpt_oss", "lfm2"})) return; // like llama)"), ::testing::IsSupersetOf({"gpt_oss", "lfm2"}));
  EXPECT_THAT(words_of(R"("llama.cpp's own" // llama)"), ::testing::Not(::testing::Contains("llama")));
}

} // namespace
} // namespace plimsoll::testing
