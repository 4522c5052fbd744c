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
      names.insert(family.model_types.begin(), family.model_types.end());
      for (const auto& [name, policy] : family.architectures) names.insert(name);
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
      ASSERT_EQ(ours->families[at].class_defaults.size(), strict->families[at].class_defaults.size());
      for (const auto& [type, defaults] : strict->families[at].class_defaults) {
        EXPECT_EQ(ours->families[at].class_defaults.at(type).get(), defaults.get()) << folder.path() << " " << type;
        for (const auto& [key, value] : defaults.get().items()) {
          const auto [known, fresh] = merged.emplace(type + "." + key, value);
          EXPECT_TRUE(fresh || known->second == value) << folder.path() << " " << known->first;
        }
      }
    }
  }
  EXPECT_GT(merged.size(), 400U);
}

TEST(Architectures, AreFoundWhereTheyStandInCode) {
  EXPECT_THAT(words_of(R"(  if (model_is({"gpt_oss", "lfm2"})) return; // like llama)"), ::testing::IsSupersetOf({"gpt_oss", "lfm2"}));
  EXPECT_THAT(words_of(R"("llama.cpp's own" // llama)"), ::testing::Not(::testing::Contains("llama")));
}

} // namespace
} // namespace plimsoll::testing
