// plimsoll new-plugin: what it writes, and what it refuses without writing anything.
#include <filesystem>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "cli/program.hpp"

namespace plimsoll::cli_test {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using NewPluginJson = nlohmann::json;

// An empty folder of this test's own.
std::string empty_folder(const std::string& name) {
  const std::string path = scratch_folder() + "/" + name;
  fs::remove_all(path);
  fs::create_directories(path);
  return path;
}

std::vector<std::string> entries(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(folder)) out.push_back(entry.path().filename());
  return out;
}

TEST(CliNewPlugin, WritesAProjectUnderTheVendorsNames) {
  const std::string folder = empty_folder("new_plugin");
  const std::string target = folder + "/vl";
  const Outcome outcome = run({"new-plugin", "com.acme.Big-VL", "--folder", target + "/", "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.out << outcome.err;
  const NewPluginJson document = NewPluginJson::parse(outcome.out);
  EXPECT_EQ(document["schema"], "plimsoll.new_plugin/1");
  EXPECT_EQ(document["id"], "com.acme.Big-VL");
  EXPECT_EQ(document["folder"], target);
  EXPECT_EQ(entries(folder), std::vector<std::string>{"vl"}); // and nothing half-written beside it
  const auto files = document["files"].get<std::vector<std::string>>();
  for (const std::string file :
       {".ci/run", "CMakeLists.txt", "README.md", "planner.cpp", "plugin.yaml", "tests/config.json", "tests/golden.json"})
    EXPECT_THAT(files, Contains(file));
  std::string all;
  for (const std::string& file : files) all += read_text(target + "/" + file);
  EXPECT_THAT(all, Not(HasSubstr("opyme")));
  EXPECT_THAT(all, Not(HasSubstr("xample")));
  EXPECT_THAT(read_text(target + "/plugin.yaml"), HasSubstr("id: com.acme.Big-VL\n"));
  EXPECT_THAT(read_text(target + "/plugin.yaml"), HasSubstr("vendor: Acme\n"));
  EXPECT_THAT(read_text(target + "/plugin.yaml"), HasSubstr("model_types: [acme_big_vl]"));
  EXPECT_THAT(read_text(target + "/planner.cpp"), HasSubstr("class AcmeBigVL : public"));
  EXPECT_THAT(read_text(target + "/tests/config.json"), HasSubstr("[\"AcmeBigVLForCausalLM\"]"));
  struct stat info {};
  ASSERT_EQ(stat((target + "/.ci/run").c_str(), &info), 0);
  EXPECT_NE(info.st_mode & S_IXUSR, 0U);
  EXPECT_EQ(run({"plugins", "identity", target, "-o", target + "/identity.h"}).code, 0); // a manifest that hosts take
}

TEST(CliNewPlugin, RefusesWhatIsNoVendorsId) {
  const std::string folder = empty_folder("bad_names");
  const std::string target = folder + "/made";
  for (const std::string name : {"", "dense", "../acme.vlm", ".", "com..vlm", ".com.acme", "com.acme.", "com.acme.1vl", "com.acme.v l",
                                 "com.acme.v\nl", "com/acme.vlm", "com.acme.vl\xc3\xa9"}) {
    const Outcome outcome = run({"new-plugin", name, "--folder", target});
    EXPECT_EQ(outcome.code, 2) << name;
    EXPECT_THAT(outcome.err, StartsWith("plimsoll: error: '")) << name;
    EXPECT_THAT(outcome.err, HasSubstr("give a reverse domain such as com.acme.vlm")) << name;
  }
  EXPECT_EQ(run({"new-plugin", "com." + std::string(61, 'a'), "--folder", target}).code, 2);
  EXPECT_THAT(entries(folder), IsEmpty());
  EXPECT_EQ(run({"new-plugin", "com." + std::string(60, 'a'), "--folder", target}).code, 0);
}

TEST(CliNewPlugin, LeavesWhatIsThere) {
  const std::string folder = empty_folder("there");
  fs::create_directory(folder + "/kept");
  fs::create_symlink("nowhere", folder + "/link");
  for (const std::string name : {"/kept", "/link"}) {
    const Outcome outcome = run({"new-plugin", "com.acme.vlm", "--folder", folder + name});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_THAT(outcome.err, HasSubstr("is there already; nothing was written (" + folder + name + ")"));
  }
  const Outcome nowhere = run({"new-plugin", "com.acme.vlm", "--folder", folder + "/no/such/place", "--format", "json"});
  EXPECT_EQ(nowhere.code, 2);
  EXPECT_EQ(NewPluginJson::parse(nowhere.out)["schema"], "plimsoll.new_plugin/1");
  EXPECT_EQ(entries(folder).size(), 2U);
  EXPECT_TRUE(fs::is_empty(folder + "/kept"));
}

TEST(CliNewPlugin, ADiskThatIsFullLeavesNothing) {
  const std::string folder = empty_folder("full");
  Invocation limited;
  limited.arguments = {"new-plugin", "com.acme.vlm", "--folder", folder + "/made"};
  limited.most_file_bytes = 600; // some files fit, some do not
  const Outcome outcome = run(limited);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("cannot be written"));
  EXPECT_THAT(entries(folder), IsEmpty());
}

} // namespace
} // namespace plimsoll::cli_test
